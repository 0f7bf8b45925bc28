"""The features stage: chains in, rows out, fits carried over; without Kafka or a database."""

import math
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from ml.features import INSTANT_FEATURES
from ml.pricing import black
from ml.smile.build import build_smile
from services.common import messages
from services.common.errors import Unavailable
from services.common.messages import ChainSlice, FeatureRow
from services.features.chain import chain_quotes, underlying_price
from services.features.row import feature_row
from services.features.step import COLUMNS, FeaturesStage, table_row
from services.features.warm import WarmStarts

AT = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
EXPIRY = date(2026, 12, 18)
STRIKES = np.arange(560.0, 641.0, 5.0)


def chain(at=AT, expiry=EXPIRY, source="simulated", **changes):
    """A chain with a smile of 20 % flat volatility and a forward of 600."""
    strike = np.repeat(STRIKES, 2)
    right = ["C", "P"] * len(STRIKES)
    is_call = np.array([r == "C" for r in right])
    mid = black.price(600.0, strike, 28 / 365, 0.2, is_call)
    n = len(strike)
    fields = {
        "symbol": "SPY", "expiry": expiry, "sampled_at": at, "slice": 1, "slices": 1,
        "source": source, "underlying_bid": 599.0, "underlying_ask": 601.0,
        "underlying_last": 598.0, "strike": strike.tolist(), "right": right,
        "bid": (mid - 0.02).tolist(), "ask": (mid + 0.02).tolist(), "bid_size": [1.0] * n,
        "ask_size": [1.0] * n, "last": [None] * n, "volume": [None] * n,
        "open_interest": [None] * n, "quote_time": [at - timedelta(seconds=1)] * n,
        "vendor_iv": [None] * n}
    return ChainSlice(**{**fields, **changes})


class Producer:
    def __init__(self):
        self.sent = []

    def send(self, topic, message):
        self.sent.append((topic, message))


class AwayDatabase:
    @contextmanager
    def transaction(self):
        raise Unavailable("the database: away")
        yield


def test_missing_values_become_nan_and_ages_are_in_seconds():
    bid = [None, *([1.0] * (2 * len(STRIKES) - 1))]
    times = [None, *([AT - timedelta(seconds=3)] * (2 * len(STRIKES) - 1))]
    quotes = chain_quotes(chain(bid=bid, quote_time=times))

    assert math.isnan(quotes.bid[0]) and quotes.bid[1] == 1.0
    assert math.isnan(quotes.quote_age_s[0]) and quotes.quote_age_s[1] == 3.0
    assert quotes.is_call[:2].tolist() == [True, False]
    assert not quotes.delayed and chain_quotes(chain(source="delayed")).delayed


@pytest.mark.parametrize(("bid", "ask", "last", "price"), [
    (99.0, 101.0, 98.0, 100.0),
    (101.0, 99.0, 98.0, 98.0),
    (None, 101.0, 98.0, 98.0),
    (0.0, 101.0, 98.0, 98.0),
])
def test_underlying_is_its_mid_or_else_its_last(bid, ask, last, price):
    given = chain(underlying_bid=bid, underlying_ask=ask, underlying_last=last)

    assert underlying_price(given) == price


def test_an_unknown_underlying_is_nan():
    given = chain(underlying_bid=None, underlying_ask=None, underlying_last=None)

    assert math.isnan(underlying_price(given))


def test_a_chain_gives_the_row_of_its_smile():
    row = FeaturesStage(AwayDatabase(), Producer()).features(chain())

    assert row.reason is None
    assert row.forward == pytest.approx(600.0, abs=0.05)
    assert row.atm_vol == pytest.approx(0.2, abs=0.002)
    assert len(row.grid_vol) == 17 and len(row.features) == len(INSTANT_FEATURES)
    assert row.quotes_used == len(row.quote_strike) == len(row.quote_mid_iv) > 0
    assert row.ts == AT and row.source == "simulated"


def test_a_row_survives_the_topic():
    row = FeaturesStage(AwayDatabase(), Producer()).features(chain())

    assert messages.decode(messages.encode(row), FeatureRow) == row


@pytest.mark.parametrize("expiry", [EXPIRY, date(2026, 11, 19)], ids=["empty", "expired"])
def test_a_chain_without_a_smile_still_gives_a_row_that_says_why(expiry):
    nothing = {name: [] for name in ("strike", "right", "bid", "ask", "bid_size", "ask_size",
                                     "last", "volume", "open_interest", "quote_time",
                                     "vendor_iv")}
    row = FeaturesStage(AwayDatabase(), Producer()).features(chain(expiry=expiry, **nothing))

    assert row.reason
    assert row.forward is None and row.atm_vol is None and row.svi_a is None
    assert row.grid_vol == [None] * 17
    assert messages.decode(messages.encode(row), FeatureRow) == row


def test_table_columns_are_the_message_without_its_schema_number():
    row = FeaturesStage(AwayDatabase(), Producer()).features(chain())
    values = dict(zip(COLUMNS, table_row(row), strict=True))

    assert "schema" not in values
    assert values["symbol"] == "SPY" and values["ts"] == AT
    assert values["rejects"].adapted == row.rejects


def test_nothing_is_published_while_the_table_can_not_be_written():
    producer = Producer()
    with pytest.raises(Unavailable):
        FeaturesStage(AwayDatabase(), producer).step([chain()])

    assert producer.sent == []


def smile(at=AT, expiry=EXPIRY):
    return build_smile(chain_quotes(chain(at=at, expiry=expiry)))


def test_the_last_fit_is_kept_by_expiry():
    warm = WarmStarts()
    made = smile()
    warm.keep(made)

    assert warm.get("SPY", EXPIRY) == made.svi is not None
    assert warm.get("SPY", date(2027, 1, 15)) is None


def test_a_fit_is_dropped_once_expired():
    warm = WarmStarts()
    warm.keep(smile(expiry=EXPIRY))
    warm.keep(smile(at=datetime(2026, 12, 21, 15, 30, tzinfo=UTC), expiry=date(2027, 1, 15)))

    assert warm.get("SPY", EXPIRY) is None
    assert len(warm) == 1


def test_fits_are_bounded_the_least_recent_going_first():
    warm = WarmStarts(limit=2)
    expiries = [date(2026, 12, 18), date(2027, 1, 15), date(2027, 2, 19)]
    for expiry in expiries:
        warm.keep(smile(expiry=expiry))

    assert warm.get("SPY", expiries[0]) is None
    assert warm.get("SPY", expiries[2]) is not None


def test_numbers_that_are_not_finite_become_null():
    made = smile()
    row = feature_row(made, np.array([1.0, np.nan, np.inf]), "recorded")

    assert row.features == [1.0, None, None]
    assert row.source == "recorded"


def test_after_a_chain_without_a_fit_the_next_begins_from_nothing():
    warm = WarmStarts()
    warm.keep(smile())
    nothing = build_smile(chain_quotes(chain(bid=[None] * 2 * len(STRIKES))))
    warm.keep(nothing)

    assert nothing.svi is None
    assert warm.get("SPY", EXPIRY) is None
