"""Progress of a long run: a bar on a terminal, a line now and then on a pipe."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.progress import Progress as Bars
from rich.progress import TaskID

EVERY_S = 2.0


class Progress:
    """Says on standard error what is being done, and how far it has come."""

    def __init__(self, quiet: bool = False) -> None:
        self._bars = Bars(transient=True) if sys.stderr.isatty() and not quiet else None
        self._quiet = quiet
        self._tasks: dict[str, TaskID] = {}
        self._said_at = time.monotonic()

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._bars is not None:
            self._bars.stop()

    def advance(self, what: str, done: int, total: int = 0) -> None:
        """`done` of `total` (0 where unknown) of `what`."""
        if self._bars is not None:
            task = self._tasks.get(what)
            if task is None:
                task = self._tasks[what] = self._bars.add_task(what, total=total or None)
            self._bars.update(task, completed=done)
        elif done == total or time.monotonic() - self._said_at > EVERY_S:
            self.say(f"{what} {done}/{total}" if total else f"{what} {done}")

    def say(self, line: str) -> None:
        """One line of its own."""
        self._said_at = time.monotonic()
        if self._bars is not None:
            self._bars.console.print(line, highlight=False)
        elif not self._quiet:
            print(line, file=sys.stderr, flush=True)
