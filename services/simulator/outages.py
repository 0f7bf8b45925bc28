"""What the actions of a fault script do to a gateway."""

import asyncio
from collections.abc import Callable

import structlog

from services.simulator import codes
from services.simulator.faults import Event, play
from services.simulator.gateway import Gateway
from services.simulator.wire import encode

log = structlog.stdlib.get_logger(__name__)

HALF_A_FRAME = encode(1, 6, 1, 1, 600.0, 1, 0)[:9]


class Outages:
    """Plays a script on a gateway from its first client on."""

    def __init__(self, gateway: Gateway, events: list[Event]) -> None:
        self._gateway, self._events = gateway, events
        self._task: asyncio.Task[None] | None = None
        self._actions: dict[str, Callable[[], None]] = {
            "lose": lambda: self._begin(1100), "break_farm": lambda: self._begin(2103),
            "restore_kept": lambda: self._end(1102), "mend_farm": lambda: self._end(2104),
            "restore_lost": self._restore_lost, "compete": self._compete, "cut": self._cut,
            "silence": lambda: setattr(gateway, "silent", True),
            "speak": lambda: setattr(gateway, "silent", False),
            "accept": lambda: setattr(gateway, "refusing", False)}
        gateway.on_first_client = self._start

    def _start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(play(self._events, self.do))

    async def stop(self) -> None:
        """End the script.

        Raises whatever a fault has failed with.
        """
        if self._task is not None and not self._task.cancel():
            await self._task

    async def do(self, action: str) -> None:
        """Do one action of a script."""
        log.warning("fault", action=action)
        if action in self._actions:
            self._actions[action]()
        elif action == "come_up":
            await self._gateway.open()
        else:
            await self._gateway.close()
            if action == "refuse":
                self._gateway.refusing = True
                await self._gateway.open()

    def _begin(self, code: int) -> None:
        self._gateway.outage = code
        self._gateway.tell(code)

    def _end(self, code: int) -> None:
        self._gateway.outage = None
        self._gateway.tell(code)

    def _restore_lost(self) -> None:
        for session in self._gateway.sessions.values():
            session.book.clear()
        self._end(1101)

    def _compete(self) -> None:
        for session in self._gateway.sessions.values():
            session.out.send_encoded([session.error(req_id, codes.COMPETING_SESSION)
                                      for req_id in session.book.ids()])
            session.book.clear()

    def _cut(self) -> None:
        for session in list(self._gateway.sessions.values()):
            session.out.cut(HALF_A_FRAME)
