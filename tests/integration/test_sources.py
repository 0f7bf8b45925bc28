"""Quotes of one symbol from two sources are two markets: neither's past is the other's."""

from datetime import timedelta

import msgspec
import pytest

from services.common.database import Database
from services.monitor import queries
from services.monitor.past import Filter
from services.predictor.model_client import ModelClient
from tests.integration.pipeline import Tables, new_symbol
from tests.integration.small_model_server import SmallModelServer
from tests.integration.test_predictor_bands import forecasts, stage_on, store
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


def play(database, url, parts, renew=False):
    """Let a stage have the rows in parts, or a new one each part."""
    with ModelClient(url, 5.0, 1.0) as client:
        stage = stage_on(database, client)
        for part in parts:
            store(database, part)
            stage = stage_on(database, client) if renew else stage
            stage.step(part)


@pytest.mark.parametrize("renew", [False, True], ids=["going on", "restarted"])
def test_a_live_feed_s_forecasts_know_nothing_of_the_simulation_before(database, renew):
    symbol = new_symbol()
    rows = [row_of(symbol, number, "simulated") for number in range(12)]
    live = [row_of(symbol, number, "live") for number in range(12, 15)]
    with SmallModelServer() as server:
        play(database, server.url, [rows, *([row] for row in live)], renew)

    made = Tables(database._url).rows(
        "SELECT source, role, smile[11] FROM predicted_smile WHERE symbol = %s AND made_at >= %s "
        "AND horizon_s = 60", symbol, live[0].ts)
    assert made == [("live", "baseline", pytest.approx(0.4))] * 3


@pytest.mark.parametrize("renew", [False, True], ids=["going on", "restarted"])
def test_sources_at_the_same_time_are_forecast_as_each_one_alone(database, renew):
    """Minutes are steps: the live row comes second in each, and is judged all the same."""
    mixed, alone = new_symbol(), new_symbol()
    with SmallModelServer(changes=(-0.002, 0.0, 0.002)) as server:
        play(database, server.url, [
            [row_of(mixed, number, source) for number in range(first, first + 3)
             for source in ("simulated", "live")] for first in range(0, 18, 3)], renew)
        play(database, server.url, [[row_of(alone, number, "live")] for number in range(18)])

    live = {row.ts for row in (row_of(mixed, number, "live") for number in range(18))}
    made = forecasts(Tables(database._url), alone)
    assert [row for row in forecasts(Tables(database._url), mixed) if row[1] in live] == made
    assert len({row[5] for row in made}) > 3
