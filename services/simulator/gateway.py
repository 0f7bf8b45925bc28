"""The gateway: the listening port, its clients and the turns of the market."""

import asyncio
import errno
import socket
from collections.abc import Callable

import structlog

from services.common.errors import SettingsError
from services.common.metrics import SIMULATOR_CLIENTS, SIMULATOR_LINES
from services.simulator import codes
from services.simulator.catalogue import Catalogue
from services.simulator.clock import Clock
from services.simulator.feed import Feed
from services.simulator.session import Session
from services.simulator.settings import SimulatorSettings

log = structlog.stdlib.get_logger(__name__)

MAX_CLIENTS = 32


class Gateway:
    """Serves TWS clients from a feed; `open`, then `tick` again and again, then `close`."""

    def __init__(self, settings: SimulatorSettings, feed: Feed, clock: Clock,
                 on_first_client: Callable[[], None] = lambda: None) -> None:
        self.settings, self.feed, self.clock = settings, feed, clock
        self.catalogue = Catalogue(feed)
        self.port = settings.simulator_port
        self.sessions: dict[int, Session] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.on_first_client, self._met_client = on_first_client, False
        self.outage: int | None = None
        """The notice of the outage that is on; there are no ticks in it."""
        self.silent = False
        """Whether ticks are missing without a notice."""
        self.refusing = False
        """Whether connections are closed as soon as they are accepted."""

    async def open(self) -> None:
        """Listen.

        Raises:
            SettingsError: if the address can't be had.
        """
        host = self.settings.simulator_host
        try:
            self._server = await asyncio.start_server(self._accept, host, self.port)
        except (OSError, UnicodeError) as error:
            raise SettingsError(_why_not(host, self.port, error)) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and send every client away; it may be opened again."""
        if self._server is not None:
            self._server.close()
            self._server = None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def tell(self, code: int) -> None:
        """Send every client a notice."""
        for session in self.sessions.values():
            session.out.send_encoded([session.error(-1, code)])

    def tick(self) -> None:
        """Send every client what changed by now."""
        if self.outage is not None or self.silent:
            return
        at = self.clock.now()
        for session in self.sessions.values():
            session.send_ticks(at)
        SIMULATOR_LINES.set(self.lines_in_use())

    def join(self, session: Session) -> bool:
        """Take a client in; False if its id is in use. The first starts the clock."""
        if session.client_id in self.sessions:
            return False
        self.sessions[session.client_id] = session
        SIMULATOR_CLIENTS.set(len(self.sessions))
        self.clock.start()
        if not self._met_client:
            self._met_client = True
            self.on_first_client()
        return True

    def leave(self, session: Session) -> None:
        """Forget a client and its lines."""
        if self.sessions.get(session.client_id) is session:
            del self.sessions[session.client_id]
        SIMULATOR_CLIENTS.set(len(self.sessions))

    def greeting(self) -> tuple[int, ...]:
        """The notices that a client gets when it joins."""
        return codes.GREETING if self.outage is None else (self.outage,)

    def lines_in_use(self) -> int:
        """Lines of all clients; the budget is the account's, not the client's."""
        return sum(len(session.book) for session in self.sessions.values())

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing or len(self.sessions) >= MAX_CLIENTS:
            writer.close()
            return
        task = asyncio.get_running_loop().create_task(Session(self, reader, writer).run())
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """One client's failure is ours to log, and does not concern the others."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("session failed", exc_info=error)


def _why_not(host: str, port: int, error: OSError | UnicodeError) -> str:
    """Which setting has to be another one where listening failed."""
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, (socket.gaierror, UnicodeError)) or number == errno.EADDRNOTAVAIL:
        return (f"SMILE_SIMULATOR_HOST={host}: not an address of this machine; set 127.0.0.1, or "
                "0.0.0.0 for all of its addresses")
    reason = errno.errorcode.get(number or 0, str(error))
    return f"SMILE_SIMULATOR_PORT={port}: can't listen on {host} ({reason}); set another port"
