"""One look at the tables: score the forecasts whose time has come."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from ml.contract import ModelContract
from ml.steps import TOLERANCE
from services.common import metrics
from services.common.database import Database
from services.monitor import queries
from services.monitor.champion import Champion
from services.monitor.past import Filter, Past, held_smiles
from services.monitor.queries import Instant, Range, Stream
from services.monitor.rolling import Labels, Rolling, Taken
from services.monitor.score import UNOBSERVED, Due, Observed, Score, baseline_errors, score
from services.monitor.settings import MonitorSettings

SLICE = timedelta(minutes=15)
Same = tuple[Instant, int]
Missed = dict[Same, dict[str, float]]
PASTS_KEPT = 20_000
"""2 kB each: half an hour of 20 expiries at 2 s."""


class Monitor:
    """Scores what has no score yet; what it remembers only spares it to look twice.

    Forecasts are written in order of time. So once a pass has found all there was up to a
    forecast made at M, with the market's clock at C, what remains is for later than M or, but
    for the tolerance, than C. Now and then a pass looks at everything all the same. Every symbol
    and source has its own clock: a recording is scored whatever else the tables hold.
    """

    def __init__(self, database: Database, settings: MonitorSettings, champion: Champion,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._settings, self._clock = database, settings, clock
        self._champion = champion
        self.clocks: dict[Stream, datetime] = {}
        """The market's clock of each stream, as of the last pass."""
        self._contract: ModelContract | None = None
        self._filter = Filter(settings.step_s, settings.window, settings.filter_weight)
        self._tolerance = timedelta(seconds=settings.monitor_tolerance_seconds)
        self._rolling = Rolling(settings.monitor_rolling)
        self._floors: dict[Stream, datetime] = {}
        self._full_pass_at: dict[Stream, float] = {}
        self._pasts: OrderedDict[tuple[Stream, Instant], Past] = OrderedDict()

    def step(self) -> bool:
        """One pass over all streams; True if there is more to do at once.

        Raises:
            Unavailable: the database does not answer.
        """
        with metrics.STEP_SECONDS.labels("monitor").time():
            self._follow_champion()
            self.clocks = queries.clocks(self._database)
            more = [self._stream(stream, at) for stream, at in self.clocks.items()]
            self._rolling.publish()
        return any(more)

    def _follow_champion(self) -> None:
        """Hold forecasts against the champion's own filter and baselines, on quotes as late as its
        training and its bands take them."""
        served = self._champion.now()
        if served is None or served.contract is self._contract:
            return
        self._contract = served.contract
        self._tolerance = timedelta(seconds=TOLERANCE * served.contract.step_s)
        filtering = Filter(served.contract.step_s, served.contract.window,
                           served.contract.filter_weight)
        if filtering != self._filter:
            self._filter = filtering
            self._pasts.clear()

    def _stream(self, stream: Stream, clock: datetime) -> bool:
        settings = self._settings
        since = clock - timedelta(seconds=settings.monitor_lookback_seconds)
        # Asked for before the forecasts are: what is written in between is looked at next time.
        frontier = queries.frontier(self._database, stream, since, clock)
        if frontier is None:
            return False
        settled = clock - self._tolerance
        for first, last in _slices(self._floor(stream, since, clock), clock):
            within = Range(since, first, last, settled, self._tolerance, settings.monitor_batch)
            found = queries.due(self._database, stream, within)
            ready = self._ready(found)
            self._save(stream, ready)
            if len(ready) < len(found):
                return False  # the floor stays where it is, so that the others are found again
            if len(found) == within.limit:
                self._floors[stream] = min(frontier, settled, found[-1].target_at)
                return True
        self._floors[stream] = min(frontier, settled)
        return False

    def _ready(self, found: list[Due]) -> list[Due]:
        """Without those of a model whose champion's baselines are about to be known."""
        if not self._champion.awaited:
            return found
        return [due for due in found if due.role == "baseline"]

    def _floor(self, stream: Stream, since: datetime, clock: datetime) -> datetime:
        """The target time before which all is scored."""
        if stream not in self._full_pass_at:
            self._recall(stream, since, clock)
        elif self._clock() < self._full_pass_at[stream]:
            return max(since, self._floors.get(stream, since))
        self._full_pass_at[stream] = self._clock() + self._settings.monitor_full_pass_seconds
        return since

    def _recall(self, stream: Stream, since: datetime, clock: datetime) -> None:
        """Begin the rolling metrics where the last run left them."""
        for labels, taken in queries.recent(self._database, stream, since, clock):
            self._rolling.add(labels, taken)

    def _save(self, stream: Stream, found: list[Due]) -> None:
        scored = self._scored(stream, found)
        if not scored:
            return
        queries.save(self._database, scored)
        metrics.ROWS.labels("monitor", queries.TABLE).inc(len(scored))
        for due, result in scored:
            metrics.SCORED.labels("scored" if result.quotes else "unobserved").inc()
            if result.quotes:
                labels = Labels(*stream, due.role, due.model_name, str(due.horizon_s))
                self._rolling.add(labels, Taken(
                    due.model_version, due.expiry, due.made_at,
                    [result.error_bp, *result.against()], result.coverage))

    def _scored(self, stream: Stream, found: list[Due]) -> list[tuple[Due, Score]]:
        seen = queries.observations(
            self._database, stream.symbol,
            {(due.expiry, due.observed_at) for due in found if due.observed_at is not None})
        missed = self._baselines(stream, [due for due in found if due.observed_at is not None],
                                 seen)
        return [(due, _score(due, seen, missed)) for due in found]

    def _baselines(self, stream: Stream, found: list[Due],
                   seen: dict[Instant, Observed]) -> Missed:
        """The baselines' errors, once for all models that forecast the same at the same time."""
        self._load_pasts(stream, {(due.expiry, due.made_at) for due in found})
        one_each = list({_same(due): due for due in found}.values())
        pasts = [self._pasts.get((stream, (due.expiry, due.made_at))) for due in one_each]
        held = held_smiles(self._contract, pasts, [due.horizon_s for due in one_each])
        return {_same(due): baseline_errors(past, smiles, seen[due.expiry, due.observed_at])
                for due, past, smiles in zip(one_each, pasts, held, strict=True)
                if due.observed_at is not None}

    def _load_pasts(self, stream: Stream, instants: set[Instant]) -> None:
        """Have the past of these instants at hand; the same is asked for by each horizon."""
        missing = {instant for instant in instants if (stream, instant) not in self._pasts}
        self._pasts.update(
            ((stream, instant), past) for instant, past in
            queries.pasts(self._database, stream.symbol, missing, self._filter).items())
        for instant in instants:
            if (stream, instant) in self._pasts:
                self._pasts.move_to_end((stream, instant))
        while len(self._pasts) > PASTS_KEPT + len(instants):
            self._pasts.popitem(last=False)


def _score(due: Due, seen: dict[Instant, Observed], missed: Missed) -> Score:
    if due.observed_at is None:
        return UNOBSERVED
    return score(due, seen[due.expiry, due.observed_at], missed[_same(due)])


def _same(due: Due) -> Same:
    """What forecasts of several models share: they are scored on the same quotes."""
    return (due.expiry, due.made_at), due.horizon_s


def _slices(first: datetime, last: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The time from `first` to `last` in pieces that one query may look through."""
    while first < last:
        end = min(first + SLICE, last)
        yield first, end
        first = end
