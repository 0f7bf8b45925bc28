"""The bands of each symbol and source: what was observed, and the scale that follows.

The first row of a market after a start, after a gap in which another replica may have had its
rows, or with an instant read again, makes its state be rebuilt from the tables up to that row: so
the scale is the same whenever the service started.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np

from ml.band_tracker import BandTracker, Standing
from ml.bands import Quoted
from services.common import metrics
from services.common.messages import FeatureRow, Forecast, Source
from services.predictor.forecast import Shape
from services.predictor.history import GAP_S, GAP_SPACINGS, GAP_STEPS, market

Market = tuple[str, Source]
Loader = Callable[[str, Source, datetime, Shape], BandTracker]
"""The state of the bands of a symbol and source up to and with an instant, by the tables."""


@dataclass(slots=True)
class _Followed:
    """A market's tracker and the newest instant that it has seen."""

    tracker: BandTracker
    at: datetime
    expiries: set[date] = field(default_factory=set)
    """Those of which it has seen the row of that instant."""
    spacing_s: float = np.inf

    def is_followed_by(self, row: FeatureRow, shape: Shape) -> bool:
        own = self.tracker
        asked = shape.step_s, shape.horizons_s, shape.level
        if (own.step_s, own.horizons_s, own.level) != asked:
            return False
        passed_s = (row.ts - self.at).total_seconds()
        if passed_s == 0.0:
            return row.expiry not in self.expiries
        gap_s = min(GAP_STEPS * shape.step_s, max(GAP_S, GAP_SPACINGS * self.spacing_s))
        return 0.0 < passed_s <= gap_s

    def take(self, row: FeatureRow) -> None:
        if row.ts > self.at:
            self.spacing_s = (row.ts - self.at).total_seconds()
            self.expiries.clear()
        self.at = row.ts
        self.expiries.add(row.expiry)


class Bands:
    """The band tracker of every symbol and source that was seen lately."""

    def __init__(self, load: Loader, limit: int = 256) -> None:
        self._load, self._limit = load, limit
        self._by_market: dict[Market, _Followed] = {}

    def prepare(self, rows: Iterable[FeatureRow], shape: Shape) -> None:
        """Load the state of the markets whose rows, in time order, don't follow on.

        Raises:
            Unavailable: the database does not answer.
        """
        first: dict[Market, FeatureRow] = {}
        for row in rows:
            first.setdefault((row.symbol, market(row)), row)
        for key, row in first.items():
            followed = self._by_market.get(key)
            if followed is None or not followed.is_followed_by(row, shape):
                self._by_market.pop(key, None)
                self._by_market[key] = _Followed(self._load(*key, row.ts, shape), row.ts)
        while len(self._by_market) > self._limit:
            del self._by_market[min(self._by_market, key=lambda one: self._by_market[one].at)]

    def take(self, row: FeatureRow) -> BandTracker:
        """The tracker of a prepared row's market, after it has seen the row."""
        followed = self._by_market[row.symbol, market(row)]
        followed.take(row)
        followed.tracker.observe(row.expiry, row.ts, quoted(row))
        return followed.tracker

    def publish(self) -> None:
        """Set the metrics of the scales now."""
        for (symbol, source), one in self._by_market.items():
            scales = one.tracker.scales(one.at).tolist()
            for horizon_s, scale in zip(one.tracker.horizons_s, scales, strict=True):
                metrics.BAND_SCALE.labels(symbol, source, str(horizon_s)).set(scale)


def quoted(row: FeatureRow) -> Quoted | None:
    """What was quoted with a row's smile; None where it has none."""
    if row.reason is not None or row.forward is None or row.atm_vol is None:
        return None
    strike, mid = (np.array(column, dtype=np.float64)
                   for column in (row.quote_strike, row.quote_mid_iv))
    return Quoted(row.tau, row.atm_vol, np.log(strike / row.forward), mid)


def standing(forecast: Forecast) -> Standing:
    """A forecast as the tracker keeps it."""
    return Standing((forecast.role == "shadow", forecast.horizon_s), forecast.expiry,
                    forecast.made_at, forecast.target_at, forecast.smile, forecast.lower,
                    forecast.upper)
