"""One client's session: handshake, requests and answers, ticks, the end."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

import structlog

from ml import calendar
from services.simulator import codes, protocol
from services.simulator.answers import ACCOUNT, ANSWERS
from services.simulator.catalogue import Contract
from services.simulator.errors import BadFrame
from services.simulator.limits import RateLimit
from services.simulator.lines import Line, LineBook
from services.simulator.protocol import ContractSpec, MarketDataRequest
from services.simulator.wire import FrameWriter, encode, read_frame, read_versions

if TYPE_CHECKING:
    from services.simulator.gateway import Gateway

log = structlog.stdlib.get_logger(__name__)

OPENING_S = 10.0
FRAMES_AT_ONCE = 100
DUPLICATE_TICKER_ID = 322
DELAYED_TYPES = (3, 4)


class Session:
    """A client from its first byte to its last; `run` returns when it is gone."""

    def __init__(self, gateway: "Gateway", reader: asyncio.StreamReader,
                 writer: asyncio.StreamWriter) -> None:
        self._gateway = gateway
        self._reader = reader
        self.out = FrameWriter(writer)
        self.feed, self.catalogue = gateway.feed, gateway.catalogue
        self.book = LineBook(gateway.feed)
        self.client_id = -1
        self.version = 0
        self.data_type = 1
        self._rate = RateLimit()

    async def run(self) -> None:
        """Serve the client until it leaves or is sent away."""
        try:
            await asyncio.wait_for(self._open(), OPENING_S)
            await self._serve()
        except BadFrame as error:
            log.warning("bad client", client_id=self.client_id, reason=str(error))
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            log.info("client left", client_id=self.client_id)
        finally:
            self._gateway.leave(self)
            self.out.cut()

    async def _open(self) -> None:
        versions = await read_versions(self._reader)
        self.version = versions.agreed()
        local = datetime.fromtimestamp(self.now(), UTC).astimezone(calendar.NEW_YORK)
        self.out.send(self.version, f"{local:%Y%m%d %H:%M:%S} EST")
        fields = await read_frame(self._reader)
        if fields[0] != "71" or len(fields) < 3 or not fields[2].lstrip("-").isdigit():
            raise BadFrame("the first message is not startApi")
        self.client_id = int(fields[2])

    async def _serve(self) -> None:
        if not self._gateway.join(self):
            self.out.send_encoded([self.error(-1, codes.CLIENT_ID_IN_USE)])
            return
        self.out.send(15, 1, ACCOUNT)
        self.out.send(9, 1, 1)
        for code in self._gateway.greeting():
            self.out.send_encoded([self.error(-1, code)])
        log.info("client joined", client_id=self.client_id, version=self.version)
        while not self._rate.out:
            await self._answer(await read_frame(self._reader))

    async def _answer(self, fields: list[str]) -> None:
        if not self._rate.admit():
            self.out.send_encoded([self.error(-1, codes.RATE_EXCEEDED)])
            return
        frames = self._frames(fields)
        while chunk := list(islice(frames, FRAMES_AT_ONCE)):
            self.out.send_encoded(chunk)
            await self.out.drain()

    def _frames(self, fields: list[str]) -> Iterator[bytes]:
        id_at, answer = ANSWERS.get(fields[0], (None, None))
        if answer is None:
            yield self.error(-1, codes.BAD_REQUEST, f"Error reading request: message "
                             f"{fields[0][:8]!r} is not simulated")
            return
        try:
            yield from answer(self, fields)
        except (ValueError, IndexError) as error:
            has_id = id_at is not None and len(fields) > id_at and fields[id_at].isdigit()
            req_id = int(fields[id_at]) if id_at is not None and has_id else -1
            yield self.error(req_id, codes.INVALID_REQUEST,
                             f"Error validating request.-'bW' : cause - {error}")

    def error(self, req_id: int, code: int, text: str | None = None) -> bytes:
        """The error as a frame, in the gateway's words unless `text` is given."""
        words = codes.TEXT[code].replace("{id}", str(req_id)) if text is None else text
        return protocol.error(self.version, req_id, code, words)

    def now(self) -> float:
        """Market time."""
        return self._gateway.clock.now()

    def find(self, spec: ContractSpec) -> list[Contract]:
        """The listed contracts that fit."""
        return self.catalogue.find(spec, self.now())

    def is_past(self, expiry: str) -> bool:
        """Whether an expiry `yyyymmdd` has passed."""
        if len(expiry) != 8:
            return False
        day = datetime.strptime(expiry, "%Y%m%d").replace(tzinfo=UTC).date()
        return calendar.expiry_instant(day).timestamp() <= self.now()

    def subscribe(self, request: MarketDataRequest, contract: Contract) -> Iterator[bytes]:
        """Take a line, or say why not; the ticks come with the next turn."""
        req_id = request.req_id
        if req_id in self.book:
            yield self.error(req_id, DUPLICATE_TICKER_ID, "Duplicate ticker id")
            return
        if self._gateway.lines_in_use() >= self._gateway.settings.simulator_lines:
            yield self.error(req_id, codes.MAX_TICKERS)
            return
        delayed = self.data_type in DELAYED_TYPES
        line = Line(req_id, contract, delayed, request.generic_ticks)
        self.book.add(line)
        if request.snapshot:
            asyncio.get_running_loop().call_later(
                self._gateway.settings.simulator_snapshot_delay, self._end_snapshot, line)
        yield encode(58, 1, req_id, 3 if delayed else 1)
        yield encode(81, req_id, 0.01, "9c0001", 3)

    def _end_snapshot(self, line: Line) -> None:
        if self.book.get(line.req_id) is line:
            self.book.remove(line.req_id)
            self.out.send(57, 1, line.req_id)

    def send_ticks(self, at: float) -> None:
        """What changed by market time `at`; nothing while the client is behind in reading."""
        if len(self.book) and not self.out.congested:
            self.out.send_encoded(self.book.frames(at))
