"""One connection to a gateway: a new IB() each time, and its failures in a sentence each."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator

from ib_insync import IB

from services.common.errors import Unavailable
from services.ingest.ibkr.codes import Meaning, meaning_of

HANDSHAKE_SECONDS = 10.0
# It logs each of its errors; what matters of them is logged here, in our words.
logging.getLogger("ib_insync").setLevel(logging.CRITICAL)


class Backoff:
    """Seconds to wait after each failure in a row: 1, 2, 4 … up to a longest."""

    def __init__(self, longest: float = 30.0) -> None:
        self._longest, self._next = longest, 1.0

    def reset(self) -> None:
        self._next = 1.0

    def next(self) -> float:
        seconds, self._next = self._next, min(self._next * 2, self._longest)
        return seconds


@contextlib.asynccontextmanager
async def connected(host: str, port: int, client_id: int) -> AsyncIterator[IB]:
    """A gateway session, past its handshake; disconnected when left.

    Raises:
        Unavailable: saying host:port, what failed and what to do.
    """
    ib = IB()  # type: ignore[no-untyped-call]
    ib.RaiseRequestErrors = True
    try:
        await _shake_hands(ib, host, port, client_id)
        yield ib
    finally:
        ib.disconnect()  # type: ignore[no-untyped-call]


async def _shake_hands(ib: IB, host: str, port: int, client_id: int) -> None:
    """Connect; a refusal or an early close ends it at once rather than by the time limit."""
    codes: list[int] = []
    closed = asyncio.get_running_loop().create_future()

    def on_error(request: int, code: int, text: str, contract: object) -> None:
        codes.append(code)

    def on_close(reason: str) -> None:
        if not closed.done():
            closed.set_result(reason)

    ib.errorEvent += on_error
    ib.client.conn.disconnected += on_close
    shaking = asyncio.ensure_future(
        ib.connectAsync(host, port, client_id, timeout=HANDSHAKE_SECONDS, readonly=True))
    try:
        await asyncio.wait({shaking, closed}, return_when=asyncio.FIRST_COMPLETED)
        if not shaking.done():
            shaking.cancel()
        await shaking
    except (asyncio.CancelledError, OSError, TimeoutError) as error:
        if isinstance(error, asyncio.CancelledError) and not closed.done():
            raise
        raise Unavailable(f"{host}:{port}: {_reason(error, codes, client_id)}") from error
    finally:
        ib.errorEvent -= on_error
        ib.client.conn.disconnected -= on_close


def _reason(error: BaseException, codes: list[int], client_id: int) -> str:
    """What went wrong in the handshake, and what to do."""
    if any(meaning_of(code) is Meaning.CLIENT_ID_IN_USE for code in codes):
        return f"client id {client_id} is in use; set another SMILE_CLIENT_ID"
    if isinstance(error, socket.gaierror):
        return "this host name is not known; check SMILE_GATEWAY_HOST"
    if isinstance(error, ConnectionRefusedError):
        return ("nothing listens there; start the gateway, enable its API, or set "
                "SMILE_GATEWAY_PORT")
    if isinstance(error, TimeoutError):
        return (f"no TWS handshake within {HANDSHAKE_SECONDS:g} s; is it a gateway, and is it "
                "logged in?")
    if isinstance(error, asyncio.CancelledError | ConnectionError):
        return ("the connection was closed during the handshake; is the gateway logged in, is "
                f"client id {client_id} free, and is this address trusted?")
    return f"can't be reached: {error}"
