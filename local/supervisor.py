"""Starts the parts in order of need, keeps them alive, stops them in reverse order.

One thread does it all: children are tied to the life of the thread that starts them.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import TextIO

import psutil

from local import ports
from local.errors import LocalError
from local.part import Part
from local.process import last_line
from local.state import Running, State
from local.unit import GIVEN_UP, SETTLED, Status, Tell, Unit

TURN_S = 0.2
SILENCE_S = 10.0
"""Where nobody can see a line change, how often to say what is being waited for."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """The parts of one stack and their common life.

    Raises:
        LocalError: a part names another that is not there, or not before it.
    """

    def __init__(self, parts: Sequence[Part], state: State, tell: Tell) -> None:
        self.state = state
        self.units: dict[str, Unit] = {}
        for part in parts:
            unknown = [name for name in (*part.needs, *part.after) if name not in self.units]
            if unknown:
                raise LocalError(f"{part.name} comes before {unknown[0]}, which it waits for")
            self.units[part.name] = Unit(part, state, tell)
        self._stops = 0

    def on_signals(self) -> "Supervisor":
        """Let signals set the flag; a second one while stopping kills at once."""
        for number in SIGNALS:
            signal.signal(number, self._asked)
        return self

    def _asked(self, number: int, frame: FrameType | None) -> None:
        self._stops += 1

    @property
    def stopping(self) -> bool:
        """True once a signal came."""
        return self._stops > 0

    @property
    def settled(self) -> bool:
        """True if every part is ready, done, or given up."""
        return all(unit.status in SETTLED for unit in self.units.values())

    @property
    def waited_for(self) -> str:
        """The parts that are on their way; of a job, how far its log says it is."""
        on_way = [unit for unit in self.units.values()
                  if unit.status in (Status.STARTING, Status.PAUSING)]
        return ", ".join(map(self._how_far, on_way)) or "the next part"

    def _how_far(self, unit: Unit) -> str:
        said = last_line(self.state.log(unit.part.name)) if unit.part.is_job else ""
        return f"{unit.part.name} ({said[:60]})" if said else unit.part.name

    def has_given_up(self, name: str) -> bool:
        """True if the part of that name failed for good."""
        return name in self.units and self.units[name].status in GIVEN_UP

    def turn(self) -> None:
        """Move every part one step on, and note what runs if anything changed."""
        before = [unit.note() for unit in self.units.values()]
        for unit in self.units.values():
            unit.turn(self.units)
            if self.stopping:
                break
        after = [unit.note() for unit in self.units.values()]
        if before != after:
            self.state.write(_myself(), after)

    def stop(self) -> None:
        """Stop all parts, each after those that wait for it; returns when nothing runs."""
        left = dict(self.units)
        while left:
            for unit in _leaves(left):
                if unit.status is not Status.STOPPED:
                    unit.ask_to_stop()
                if self._stops > 1:
                    unit.kill()
                if unit.is_gone():
                    del left[unit.part.name]
            if left:
                time.sleep(TURN_S / 4)


def _leaves(units: dict[str, Unit]) -> list[Unit]:
    """The units that no other one of `units` needs."""
    needed = {name for unit in units.values() for name in (*unit.part.needs, *unit.part.after)}
    return [unit for name, unit in units.items() if name not in needed]


def _myself() -> Running:
    me = psutil.Process()
    return Running("supervisor", "running", None, me.pid, me.create_time())


def check_ports(parts: Sequence[Part], chosen: dict[str, int]) -> None:
    """Refuse to start when another program holds a port that a part wants.

    Raises:
        PortInUse: for the first such port.
    """
    for part in parts:
        for name in part.ports:
            ports.check_free(name, chosen[name])


class Progress:
    """Tells what happens: one line per change; on a terminal also who is being waited for."""

    def __init__(self, output: TextIO = sys.stdout) -> None:
        self._output = output
        self._live = output.isatty()
        self._began = time.monotonic()
        self._waiting = ""
        self._told_at = 0.0

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    def tell(self, name: str, what: str) -> None:
        """A line for the change of a part."""
        self.line(f"{self.seconds:6.1f} s  {name:<13} {what}")

    def line(self, text: str) -> None:
        """A line of its own."""
        self._clear()
        print(text, file=self._output, flush=True)
        self._told_at = self.seconds

    def waiting(self, what: str) -> None:
        """The line at the bottom of a terminal, replaced by the next one; elsewhere now and then.
        """
        text = f"{self.seconds:6.1f} s  waiting for {what}"
        if not self._live:
            if self.seconds - self._told_at > SILENCE_S:
                self.line(text)
        elif text != self._waiting:
            self._clear()
            width = os.get_terminal_size(self._output.fileno()).columns - 1
            print(text[:width], end="", file=self._output, flush=True)
            self._waiting = text

    def _clear(self) -> None:
        if self._waiting:
            print("\r\033[K", end="", file=self._output)
            self._waiting = ""
