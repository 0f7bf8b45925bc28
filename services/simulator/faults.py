"""Scripted faults: `NAME@SECONDS[+DURATION]`, in seconds since the first client joined.

| fault | what clients see |
|---|---|
| 1100, 1101, 1102 | connectivity lost (ticks stop, the socket stays up); restored with the subscriptions lost; restored with them kept |
| 2103, 2104 | the data farm broken (ticks stop); fine again |
| 10197 | a competing session: the error for every line, which is dead from then on |
| freeze | 1100, and after DURATION (30 s) 1102 |
| silence | ticks stop without a word for DURATION (30 s) |
| cut | the connection breaks in the middle of a frame |
| restart | the connection closes and the port refuses for DURATION (10 s) |
| refuse | for DURATION (30 s) connections are accepted and closed at once; those open close too |
"""  # noqa: E501

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from services.simulator.errors import BadFault

_FORM = re.compile(r"(\w+)@(\d+(?:\.\d+)?)s?(?:\+(\d+(?:\.\d+)?)s?)?")

# What a fault does at its time and, where it ends by itself, after how many seconds what else.
_STEPS: dict[str, tuple[str, float, str]] = {
    "1100": ("lose", 0, ""), "1101": ("restore_lost", 0, ""), "1102": ("restore_kept", 0, ""),
    "2103": ("break_farm", 0, ""), "2104": ("mend_farm", 0, ""), "10197": ("compete", 0, ""),
    "freeze": ("lose", 30, "restore_kept"), "silence": ("silence", 30, "speak"),
    "cut": ("cut", 0, ""), "restart": ("go_down", 10, "come_up"),
    "refuse": ("refuse", 30, "accept"),
}


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """One action at its time."""

    at_s: float
    action: str


def script(faults: Iterable[str]) -> list[Event]:
    """The events of faults, in order of time.

    Raises:
        BadFault: naming the fault that can't be read.
    """
    return sorted(event for fault in faults if fault for event in _events(fault))


def _events(fault: str) -> list[Event]:
    match = _FORM.fullmatch(fault)
    if match is None or match[1] not in _STEPS:
        raise BadFault(f"{fault!r} is not a fault such as 1100@60s or freeze@60s+30s; the names "
                       f"are {', '.join(_STEPS)}")
    first, lasts, then = _STEPS[match[1]]
    at = float(match[2])
    if match[3] is not None and not then:
        raise BadFault(f"{fault!r}: {match[1]} has no duration")
    ends = [Event(at + float(match[3] or lasts), then)] if then else []
    return [Event(at, first), *ends]


async def play(events: list[Event], do: Callable[[str], Awaitable[None]]) -> None:
    """Do each event's action at its time, counted from this call."""
    loop = asyncio.get_running_loop()
    begins = loop.time()
    for event in events:
        await asyncio.sleep(max(begins + event.at_s - loop.time(), 0.0))
        await do(event.action)
