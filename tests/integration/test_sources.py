"""Quotes of one symbol from two sources are two markets: neither's past is the other's."""

from datetime import timedelta

import msgspec
import pytest

from services.common.database import Database
from services.monitor import queries
from services.monitor.past import Filter
from tests.integration.pipeline import new_symbol
from tests.integration.test_predictor_bands import store
from tests.unit.predictor_rows import EXPIRY, feature_row, minute


@pytest.fixture
def database(database_url):
    with Database(database_url, "test") as made:
        yield made


def row_of(symbol, number, source):
    """A row of the simulated market at 20 % or, ten seconds later, of the live one at 40 %."""
    at = minute(number) + timedelta(seconds=10 * (source == "live"))
    vol = 0.4 if source == "live" else 0.2
    return msgspec.structs.replace(feature_row(at, vol, source=source, mids=(vol,)),
                                   symbol=symbol)


def test_a_past_that_is_scored_against_is_of_the_forecast_s_own_source(database):
    symbol = new_symbol()
    live = row_of(symbol, 1, "live")
    store(database, [*(row_of(symbol, number, "simulated") for number in range(2)), live])

    pasts = queries.pasts(database, symbol, {(EXPIRY, live.ts)}, Filter(60.0, 3, 0.5))

    assert pasts[EXPIRY, live.ts].filtered == pytest.approx([0.4] * 17)
    assert pasts[EXPIRY, live.ts].latest == pytest.approx([0.4] * 17)
