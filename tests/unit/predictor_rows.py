"""Rows of features as the predictor reads them, a minute apart or as told."""

from datetime import UTC, date, datetime, timedelta

from ml.band_tracker import BandTracker
from ml.features import INSTANT_FEATURES
from services.common.messages import FeatureRow
from services.predictor.forecast import Shape
from tests.integration.small_model_server import HORIZONS

START = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
EXPIRY, LATER = date(2026, 12, 18), date(2027, 1, 15)
SHAPE = Shape.plain(60.0, 10, 0.5, HORIZONS)


def minute(count, second=0):
    """An instant so long after the start."""
    return START + timedelta(minutes=count, seconds=second)


def feature_row(at, vol=0.2, reason=None, tau=28 / 365, expiry=EXPIRY, source="simulated",
                mids=()):
    """A row whose smile is flat at `vol`, or none for a `reason`; `mids` are quoted at K = F."""
    known = reason is None
    return FeatureRow(
        symbol="SPY", expiry=expiry, ts=at, source=source, tau=tau, underlying=600.0,
        forward=600.0 if known else None, forward_error=0.01, discount=1.0, borrow=0.0,
        atm_vol=vol if known else None, svi_a=None, svi_b=None, svi_rho=None, svi_m=None,
        svi_sigma=None, fit_error=0.001, butterfly_ok=known, quotes_total=20, quotes_used=20,
        rejects={}, grid_vol=[vol if known else None] * 17, grid_observed=[known] * 17,
        features=[0.1] * len(INSTANT_FEATURES), quote_strike=[600.0] * len(mids),
        quote_bid_iv=list(mids), quote_mid_iv=list(mids), quote_ask_iv=list(mids), reason=reason)


def no_bands_before(symbol, source, at, shape):
    """Tables without a forecast."""
    return BandTracker(shape.step_s, shape.horizons_s)


def nothing_before(before, span_s):
    """A table without a past."""
    return {}
