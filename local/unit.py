"""The life of one part: waiting, starting, ready or done; again after a pause when it dies."""

import time
from collections.abc import Callable, Mapping
from enum import Enum

from local.part import Part
from local.process import Process, group_memory, last_line
from local.state import Running, State

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
HEALTHY_S = 60.0
"""Ready for that long, a part has earned a short first pause again."""
JOB_TRIES = 3
USER_MISTAKE = 2
"""The exit code with which a service says that trying again is no use."""


class Status(Enum):
    """Where a part is in its life; the value is what a person reads."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    DONE = "done"
    PAUSING = "restarting"
    FAILED = "failed"
    BLOCKED = "blocked"
    STOPPED = "stopped"


SETTLED = {Status.READY, Status.DONE, Status.FAILED, Status.BLOCKED}
GIVEN_UP = {Status.FAILED, Status.BLOCKED}
Clock = Callable[[], float]
Tell = Callable[[str, str], None]


class Unit:
    """One part and its process; `turn` moves it on and never blocks for long."""

    def __init__(self, part: Part, state: State, tell: Tell,
                 clock: Clock = time.monotonic) -> None:
        self.part = part
        self.status = Status.WAITING
        self.process: Process | None = None
        self.failures = 0
        self.born: float | None = None
        self._state, self._tell, self._clock = state, tell, clock
        self._since = clock()
        self._pause_s = 0.0

    # --- coming up
    def turn(self, others: Mapping[str, "Unit"]) -> None:
        """Look at the world and take the next step, if there is one."""
        if self.status is Status.WAITING:
            self._wait(others)
        elif self.status is Status.PAUSING:
            if self._clock() - self._since >= self._pause_s:
                self._start()
        elif self.status in (Status.STARTING, Status.READY):
            self._watch()

    def _wait(self, others: Mapping[str, "Unit"]) -> None:
        lost = [name for name in self.part.needs if others[name].status in GIVEN_UP]
        if self.part.is_done_before:
            self._move(Status.DONE, "done by an earlier run")
        elif lost:
            self._move(Status.BLOCKED, f"needs {lost[0]}")
        elif (all(others[name].is_up for name in self.part.needs)
                and all(others[name].status in SETTLED for name in self.part.after)):
            self._start()

    def _start(self) -> None:
        self.process = Process(self.part.command, self._state.log(self.part.name), self.part.env,
                               self.part.stop_signal, self.part.death_signal)
        self.born = self.process.born()
        self._move(Status.STARTING, "")

    def _watch(self) -> None:
        code = self.process.exit_code() if self.process else None
        if code is not None:
            self._ended(code)
        elif self.status is Status.STARTING and self.part.ready and self.part.ready():
            self._move(Status.READY, "")
        elif self.status is Status.READY and self._clock() - self._since > HEALTHY_S:
            self.failures = 0

    def _ended(self, code: int) -> None:
        if self.process:
            self.process.finish(0)
        self.process = None
        if code == 0 and (self.part.is_job or self.part.may_end):
            if self.part.stamp:
                self.part.stamp.parent.mkdir(parents=True, exist_ok=True)
                self.part.stamp.touch()
            self._move(Status.DONE, "")
            return
        self.failures += 1
        why = f"ended with code {code}: {last_line(self._state.log(self.part.name))}"
        if code == USER_MISTAKE or (self.part.is_job and self.failures >= JOB_TRIES):
            self._move(Status.FAILED, why)
        else:
            self._pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (self.failures - 1))
            self._move(Status.PAUSING, f"{why}; again in {self._pause_s:.0f} s")

    def _move(self, status: Status, why: str) -> None:
        self.status, self._since = status, self._clock()
        self._tell(self.part.name, f"{status.value}{': ' if why else ''}{why}")

    # --- as seen by others
    @property
    def is_up(self) -> bool:
        """True if those who need it can go on."""
        return self.status in (Status.READY, Status.DONE)

    @property
    def memory(self) -> int:
        """Bytes held by its process and their children."""
        return group_memory(self.process.pid) if self.process else 0

    def note(self) -> Running:
        """What the book says of it."""
        pid = self.process.pid if self.process else None
        return Running(self.part.name, self.status.value, self.part.url, pid,
                       self.born if pid else None)

    # --- going down
    def ask_to_stop(self) -> None:
        """Send the stop signal, once."""
        if self.process and self.status is not Status.STOPPED:
            self.process.terminate()
        self._since = self._clock()
        self.status = Status.STOPPED

    def is_gone(self) -> bool:
        """True once nothing of it runs; kills what outstays its grace."""
        if self.process is None:
            return True
        late = self._clock() - self._since > self.part.grace_s
        if self.process.exit_code() is None and not late:
            return False
        if late:
            self._tell(self.part.name, "did not stop in time: killed")
        self.kill()
        return True

    def kill(self) -> None:
        """End it now, with all its children."""
        if self.process:
            self.process.finish(0)
            self.process = None
