"""What the monitor's tests share: smiles and forecasts it looks at, and how its tables are read."""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np

from ml.contract import PERCENTILES, FeatureReference
from ml.features import INSTANT_FEATURES
from services.common.model_contract import Served
from services.monitor.champion import Champion
from services.monitor.settings import MonitorSettings
from services.monitor.step import Monitor
from tests.integration import dashboard_rows as rows
from tests.unit.small_model import HORIZONS, make_contract

TABLES = ("option_features", "predicted_smile", "prediction_scores", "drift_checks", "retrainings")
START = datetime(2026, 8, 10, 14, 0, tzinfo=UTC)
EXPIRY = rows.expiries(START.date())[2]
SYMBOL = rows.SYMBOL
NAMES = ("atm_vol", "skew", "half_spread")
"""Of the features that drift is told from."""


def minutes(count, start=START):
    return [start + timedelta(minutes=place) for place in range(count)]


def write(database, instants, source="simulated", features=None, forecast=True):
    """Smiles of one expiry, and the champion's and the shadow's forecasts of each."""
    made = [rows.feature_row(at, EXPIRY, source) for at in instants]
    if features is not None:
        made = [msgspec.structs.replace(row, features=features(row.ts)) for row in made]
    forecasts = [one for row in made for role in ("champion", "shadow")
                 for one in rows.forecasts(row, role)
                 if forecast and one.horizon_s in HORIZONS]
    with database.transaction() as cursor:
        rows.insert(cursor, "option_features", made)
        rows.insert(cursor, "predicted_smile", forecasts)


def monitor(database, served=None, **settings):
    champion = Champion("http://model-server" if served else "", 60.0,
                        ask=lambda url, timeout: served)
    return Monitor(database, MonitorSettings(database_url="-", **settings), champion)


def scored(database, query="SELECT count(*) FROM prediction_scores", *values):
    return database.rows(query, values)


def reference():
    """Every feature as likely anywhere from 0 to 1."""
    return FeatureReference(names=NAMES, quantiles=tuple(
        tuple(np.linspace(0.0, 1.0, PERCENTILES).tolist()) for _ in NAMES))


def drawn(shift):
    """Features of an instant, as the reference has them but for a shift."""
    def of(at):
        values = np.random.default_rng(int(at.timestamp())).random(len(INSTANT_FEATURES))
        return (values + shift).tolist()

    return of


SERVED = Served(msgspec.structs.replace(make_contract(), reference=reference(), samples=5000), "3")
