"""One look at the tables: score the forecasts whose time has come."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from services.common import metrics
from services.common.database import Database
from services.monitor import queries
from services.monitor.queries import Range
from services.monitor.rolling import Rolling
from services.monitor.score import UNOBSERVED, Due, Score, score
from services.monitor.settings import MonitorSettings


class Monitor:
    """Scores what has no score yet; what it remembers only spares it to look twice.

    Forecasts are written in order of time. So once a pass has found all there was up to a
    forecast made at M, with the market's clock at C, what remains is for later than M or, but
    for the tolerance, than C. Now and then a pass looks at everything all the same.
    """

    def __init__(self, database: Database, settings: MonitorSettings,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._settings, self._clock = database, settings, clock
        self._rolling = Rolling(settings.monitor_rolling)
        self._floors: dict[str, datetime] = {}
        self._full_pass_at: dict[str, float] = {}

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
        within = self._range(symbol, clock)
        # Asked for before the forecasts are: what is written in between is looked at next time.
        frontier = queries.frontier(self._database, symbol, within.since)
        found = queries.due(self._database, symbol, within)
        scored = self._scored(symbol, found)
        if scored:
            queries.save(self._database, scored)
            self._count(scored)
        if len(found) == within.limit:
            return True
        if frontier is not None:
            self._floors[symbol] = min(frontier, clock - within.tolerance)
        return False

    def _range(self, symbol: str, clock: datetime) -> Range:
        settings = self._settings
        since = clock - timedelta(seconds=settings.monitor_lookback_s)
        if symbol not in self._full_pass_at:
            self._recall(symbol, since)
        if self._clock() >= self._full_pass_at[symbol]:
            self._full_pass_at[symbol] = self._clock() + settings.monitor_full_pass_s
            self._floors.pop(symbol, None)
        floor = self._floors.get(symbol, since)
        return Range(clock, since, floor, timedelta(seconds=settings.monitor_tolerance_s),
                     settings.monitor_batch)

    def _recall(self, symbol: str, since: datetime) -> None:
        """Begin the rolling metrics where the last run left them."""
        limit = 20 * self._settings.monitor_rolling
        for model, horizon_s, *errors in queries.recent(self._database, symbol, since, limit):
            self._rolling.add(symbol, model, horizon_s, *errors)
        self._full_pass_at[symbol] = self._clock()

    def _scored(self, symbol: str, found: list[Due]) -> list[tuple[Due, Score]]:
        seen = [due for due in found if due.observed_at is not None]
        observed = queries.observations(
            self._database, symbol,
            {(due.expiry, due.observed_at) for due in seen if due.observed_at is not None})
        pasts = queries.pasts(self._database, symbol, {(due.expiry, due.made_at) for due in seen},
                              self._settings.step_s, self._settings.window)
        scored = []
        for due in found:
            if due.observed_at is None:
                scored.append((due, UNOBSERVED))
            else:
                past = pasts.get((due.expiry, due.made_at))
                scored.append((due, score(due, observed[due.expiry, due.observed_at], past,
                                          self._settings.filter_weight)))
        return scored

    def _count(self, scored: list[tuple[Due, Score]]) -> None:
        metrics.ROWS.labels("monitor", queries.TABLE).inc(len(scored))
        for due, result in scored:
            metrics.SCORED.labels("scored" if result.quotes else "unobserved").inc()
            if result.quotes:
                self._rolling.add(due.symbol, due.model_name, due.horizon_s, result.error_bp,
                                  result.filtered_persistence_bp, result.coverage)
