"""When the state of a symbol's bands is read from the tables anew."""

import msgspec
import pytest

from services.predictor.bands import Bands
from services.predictor.forecast import Shape
from tests.integration.small_model_server import HORIZONS
from tests.unit.predictor_rows import LATER, SHAPE, feature_row, minute, no_bands_before


class Loads:
    """Tables without a forecast, that count how often they are asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, symbol, source, at, shape):
        self.asked.append((symbol, source, at))
        return no_bands_before(symbol, source, at, shape)


@pytest.fixture
def loads():
    return Loads()


def give(bands, *rows, shape=SHAPE):
    for row in rows:
        bands.prepare([row], shape)
        bands.take(row)


def seconds(*all_s, **changes):
    return [feature_row(minute(0, second), **changes) for second in all_s]


def test_rows_that_follow_need_no_table(loads):
    give(Bands(loads), *seconds(0, 2, 4, 6), *seconds(6, expiry=LATER), *seconds(8))

    assert loads.asked == [("SPY", "simulated", minute(0))]


@pytest.mark.parametrize("row", [
    feature_row(minute(0, 2)), feature_row(minute(0, 1)), feature_row(minute(3)),
    feature_row(minute(0, 4), source="live")],
    ids=["read again", "older", "after a gap", "of another source"])
def test_a_row_that_does_not_follow_asks_the_tables_up_to_it(loads, row):
    give(Bands(loads), *seconds(0, 2), row)

    assert loads.asked[1:] == [("SPY", row.source, row.ts)]


def test_two_sources_in_one_batch_have_bands_of_their_own(loads):
    bands = Bands(loads)
    rows = [feature_row(minute(0, second), source=source)
            for second in (0, 2) for source in ("simulated", "live")]
    bands.prepare(rows, SHAPE)
    trackers = [bands.take(row) for row in rows]

    assert loads.asked == [("SPY", source, minute(0)) for source in ("simulated", "live")]
    assert trackers[0] is trackers[2] is not trackers[1]


def test_a_model_of_other_steps_or_horizons_asks_the_tables(loads):
    bands = Bands(loads)
    give(bands, *seconds(0))
    for second, shape in ((2, Shape.plain(30.0, 10, 0.5, HORIZONS)),
                          (4, Shape.plain(30.0, 10, 0.5, (60, 300)))):
        give(bands, *seconds(second), shape=shape)

    assert len(loads.asked) == 3


def test_rows_of_a_live_feed_that_are_delayed_belong_to_it(loads):
    give(Bands(loads), *seconds(0, source="live"),
         *seconds(0, expiry=LATER, source="delayed", reason="too few quotes"),
         *seconds(2, source="live"))

    assert [source for _, source, _ in loads.asked] == ["live"]


def test_the_number_of_symbols_is_bounded_the_oldest_going_first(loads):
    bands = Bands(loads, limit=2)
    for number, symbol in enumerate(("A", "B", "C", "B", "A")):
        give(bands, msgspec.structs.replace(feature_row(minute(0, number)), symbol=symbol))

    assert [symbol for symbol, *_ in loads.asked] == ["A", "B", "C", "A"]
