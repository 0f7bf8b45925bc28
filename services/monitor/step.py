"""One look at the tables: score the forecasts whose time has come."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from services.common import metrics
from services.common.database import Database
from services.monitor import queries
from services.monitor.queries import Instant, Range
from services.monitor.rolling import Rolling
from services.monitor.score import (
    UNOBSERVED,
    Due,
    Filter,
    Observed,
    Past,
    Score,
    score,
)
from services.monitor.settings import MonitorSettings

SLICE = timedelta(minutes=15)
PASTS_KEPT = 20_000
"""0.7 kB each: half an hour of 20 expiries at 2 s."""


class Monitor:
    """Scores what has no score yet; what it remembers only spares it to look twice.

    Forecasts are written in order of time. So once a pass has found all there was up to a
    forecast made at M, with the market's clock at C, what remains is for later than M or, but
    for the tolerance, than C. Now and then a pass looks at everything all the same.
    """

    def __init__(self, database: Database, settings: MonitorSettings,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._settings, self._clock = database, settings, clock
        self._filter = Filter(settings.step_s, settings.window, settings.filter_weight)
        self._rolling = Rolling(settings.monitor_rolling)
        self._floors: dict[str, datetime] = {}
        self._full_pass_at: dict[str, float] = {}
        self._pasts: OrderedDict[tuple[str, Instant], Past] = OrderedDict()

    def step(self) -> bool:
        """One pass over all symbols; True if there is more to do at once.

        Raises:
            Unavailable: the database does not answer.
        """
        with metrics.STEP_SECONDS.labels("monitor").time():
            more = [self._symbol(symbol, at)
                    for symbol, at in queries.clocks(self._database).items()]
            self._rolling.publish()
        return any(more)

    def _symbol(self, symbol: str, clock: datetime) -> bool:
        settings = self._settings
        since = clock - timedelta(seconds=settings.monitor_lookback_seconds)
        tolerance = timedelta(seconds=settings.monitor_tolerance_seconds)
        # Asked for before the forecasts are: what is written in between is looked at next time.
        frontier = queries.frontier(self._database, symbol, since)
        if frontier is None:
            return False
        settled = clock - tolerance
        for first, last in _slices(self._floor(symbol, since), clock):
            within = Range(since, first, last, settled, tolerance, settings.monitor_batch)
            found = queries.due(self._database, symbol, within)
            self._save(symbol, found)
            if len(found) == within.limit:
                self._floors[symbol] = min(frontier, settled, found[-1].target_at)
                return True
        self._floors[symbol] = min(frontier, settled)
        return False

    def _floor(self, symbol: str, since: datetime) -> datetime:
        """The target time before which all is scored."""
        if symbol not in self._full_pass_at:
            self._recall(symbol, since)
        elif self._clock() < self._full_pass_at[symbol]:
            return max(since, self._floors.get(symbol, since))
        self._full_pass_at[symbol] = self._clock() + self._settings.monitor_full_pass_seconds
        return since

    def _recall(self, symbol: str, since: datetime) -> None:
        """Begin the rolling metrics where the last run left them."""
        limit = 20 * self._settings.monitor_rolling
        for model, horizon_s, *errors in queries.recent(self._database, symbol, since, limit):
            self._rolling.add(symbol, model, horizon_s, *errors)

    def _save(self, symbol: str, found: list[Due]) -> None:
        scored = self._scored(symbol, found)
        if not scored:
            return
        queries.save(self._database, scored)
        metrics.ROWS.labels("monitor", queries.TABLE).inc(len(scored))
        for due, result in scored:
            metrics.SCORED.labels("scored" if result.quotes else "unobserved").inc()
            if result.quotes:
                self._rolling.add(symbol, due.model_name, due.horizon_s, result.error_bp,
                                  result.filtered_persistence_bp, result.coverage)

    def _scored(self, symbol: str, found: list[Due]) -> list[tuple[Due, Score]]:
        seen = queries.observations(
            self._database, symbol,
            {(due.expiry, due.observed_at) for due in found if due.observed_at is not None})
        self._load_pasts(symbol, {(due.expiry, due.made_at) for due in found
                                  if due.observed_at is not None})
        return [(due, self._score(due, seen)) for due in found]

    def _score(self, due: Due, seen: dict[Instant, Observed]) -> Score:
        if due.observed_at is None:
            return UNOBSERVED
        past = self._pasts.get((due.symbol, (due.expiry, due.made_at)))
        return score(due, seen[due.expiry, due.observed_at], past)

    def _load_pasts(self, symbol: str, instants: set[Instant]) -> None:
        """Have the past of these instants at hand; the same is asked for by each horizon."""
        missing = {instant for instant in instants if (symbol, instant) not in self._pasts}
        self._pasts.update(
            ((symbol, instant), past) for instant, past in
            queries.pasts(self._database, symbol, missing, self._filter).items())
        for instant in instants:
            if (symbol, instant) in self._pasts:
                self._pasts.move_to_end((symbol, instant))
        while len(self._pasts) > PASTS_KEPT + len(instants):
            self._pasts.popitem(last=False)


def _slices(first: datetime, last: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The time from `first` to `last` in pieces that one query may look through."""
    while first < last:
        end = min(first + SLICE, last)
        yield first, end
        first = end
