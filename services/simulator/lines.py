"""A client's market data lines: who is subscribed to what, and what the client knows of it.

Slow clients cost no memory: what is sent is the difference between the market now and what was
last sent, so skipping a turn conflates the ticks of that line to its latest state.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ml.types import Floats
from services.simulator import ticks
from services.simulator.catalogue import Contract, Stock
from services.simulator.feed import Feed, Option

DELAY_S = 900
GREEKS_AFTER = 2
"""Turns before the first greeks of a line; they come later than quotes."""


@dataclass(slots=True)
class Line:
    """One subscription."""

    req_id: int
    contract: Contract
    delayed: bool
    generic_ticks: frozenset[str] = frozenset()
    turns: int = 0


class OptionGroup:
    """Lines on options of one symbol, asked of the feed as one batch."""

    def __init__(self, feed: Feed, lines: list[Line]) -> None:
        self.lines = lines
        options = [line.contract for line in lines if isinstance(line.contract, Option)]
        self._batch = feed.batch(options)
        self._is_call = np.array([option.is_call for option in options], dtype=np.float64)
        self._generic = np.array([["100" in line.generic_ticks, "101" in line.generic_ticks]
                                  for line in lines], dtype=np.float64)

    def quotes(self, at: float) -> Floats:
        return ticks.option_table(self._batch.quotes(np.array(int(at))),
                                  self._is_call, self._generic)

    def greeks(self, at: float) -> Floats:
        return ticks.greeks_table(self._batch.greeks(np.array(int(at))))


class StockGroup:
    """The line on one underlying; further lines on it are further groups."""

    def __init__(self, feed: Feed, line: Line) -> None:
        self._feed, self._symbol = feed, line.contract.symbol
        self.lines = [line]

    def quotes(self, at: float) -> Floats:
        return ticks.stock_table(self._feed.stock(self._symbol, np.array(int(at))))


Group = OptionGroup | StockGroup


class LineBook:
    """All lines of one client."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._lines: dict[int, Line] = {}
        self._groups: list[Group] | None = None
        self._sent: dict[int, Floats] = {}
        self._sent_greeks: dict[int, Floats] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def __contains__(self, req_id: int) -> bool:
        return req_id in self._lines

    def get(self, req_id: int) -> Line | None:
        return self._lines.get(req_id)

    def ids(self) -> list[int]:
        return list(self._lines)

    def add(self, line: Line) -> None:
        self._lines[line.req_id] = line
        self._sent[line.req_id] = np.full(ticks.WIDTH, np.nan)
        self._sent_greeks[line.req_id] = np.full(ticks.GREEKS_WIDTH, np.nan)
        self._groups = None

    def remove(self, req_id: int) -> bool:
        """True if there was such a line."""
        self._groups = None
        self._sent.pop(req_id, None)
        self._sent_greeks.pop(req_id, None)
        return self._lines.pop(req_id, None) is not None

    def clear(self) -> None:
        for req_id in self.ids():
            self.remove(req_id)

    def frames(self, at: float) -> list[bytes]:
        """The ticks that bring the client to market time `at`."""
        if self._groups is None:
            self._groups = _groups(self._feed, self._lines.values())
        return [frame for group in self._groups for frame in self._group_frames(group, at)]

    def _group_frames(self, group: Group, at: float) -> Iterable[bytes]:
        lines = group.lines
        delayed = lines[0].delayed
        at -= DELAY_S if delayed else 0
        new = group.quotes(at)
        changed = ticks.changes(new, np.stack([self._sent[line.req_id] for line in lines]))
        for place in np.flatnonzero(changed.any(axis=1)):
            req_id = lines[place].req_id
            self._sent[req_id] = new[place]
            yield from ticks.frames(req_id, delayed, new[place].tolist(),
                                    changed[place].tolist())
        if isinstance(group, OptionGroup):
            yield from self._greek_frames(group, at)
        for line in lines:
            line.turns += 1

    def _greek_frames(self, group: OptionGroup, at: float) -> Iterable[bytes]:
        """Greeks of a line follow every second turn, at half of the lines each."""
        due = [place for place, line in enumerate(group.lines)
               if line.turns >= GREEKS_AFTER and (line.turns + line.req_id) % 2 == 0]
        if not due:
            return
        new = group.greeks(at)
        for place in due:
            req_id = group.lines[place].req_id
            if not np.array_equal(new[place], self._sent_greeks[req_id]):
                self._sent_greeks[req_id] = new[place]
                yield ticks.model_frame(req_id, group.lines[place].delayed, new[place].tolist())


def _groups(feed: Feed, lines: Iterable[Line]) -> list[Group]:
    groups: list[Group] = []
    options: dict[tuple[str, bool], list[Line]] = {}
    for line in lines:
        if isinstance(line.contract, Stock):
            groups.append(StockGroup(feed, line))
        else:
            options.setdefault((line.contract.symbol, line.delayed), []).append(line)
    return groups + [OptionGroup(feed, group) for group in options.values()]
