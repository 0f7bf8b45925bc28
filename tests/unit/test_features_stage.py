"""The features stage: chains in, rows out, fits carried over; without Kafka or a database."""

import math
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import msgspec
import numpy as np
import pytest

from ml.features import INSTANT_FEATURES
from ml.pricing import black
from ml.pricing.conventions import conventions
from ml.smile.surface import build_smile
from ml.types import DeskMeasures, ForwardSource, RawSvi, SmileCurve, Violation
from services.common import messages, metrics
from services.common.errors import SettingsError, Unavailable
from services.common.messages import ChainSlice, FeatureRow
from services.features import step
from services.features.chain import chain_quotes, underlying_price
from services.features.instant import awaited, instants
from services.features.row import feature_row
from services.features.settings import FeaturesSettings, conventions_of
from services.features.step import COLUMNS, FeaturesStage, table_row

AT = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
EXPIRY, NEXT = date(2026, 12, 18), date(2027, 1, 15)
STRIKES = np.arange(560.0, 641.0, 5.0)


def chain(at=AT, expiry=EXPIRY, source="simulated", **changes):
    """A European chain of 20 % flat volatility, a forward of 600 and no interest."""
    strike = np.repeat(STRIKES, 2)
    right = ["C", "P"] * len(STRIKES)
    is_call = np.array([r == "C" for r in right])
    mid = black.price(600.0, strike, 28 / 365, 0.2, is_call)
    n = len(strike)
    fields = {
        "symbol": "SPX", "expiry": expiry, "sampled_at": at, "slice": 1, "slices": 1,
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


class Cursorless:
    """A database whose upserts go nowhere."""

    @contextmanager
    def transaction(self):
        yield None


@pytest.fixture(autouse=True)
def no_upserts(monkeypatch):
    monkeypatch.setattr(step, "upsert", lambda *arguments: None)


class AwayDatabase:
    @contextmanager
    def transaction(self):
        raise Unavailable("the database: away")
        yield


def test_of_a_contract_listed_twice_the_last_line_counts():
    once = chain()
    columns = ("strike", "right", "bid", "ask", "bid_size", "ask_size", "last", "volume",
               "open_interest", "quote_time", "vendor_iv")
    twice = {name: [getattr(once, name)[3], *getattr(once, name)] for name in columns}
    found = chain_quotes(chain(**{**twice, "bid": [0.01, *once.bid]}))
    assert found.strike.tolist() == once.strike
    assert found.bid.tolist() == once.bid


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


def features(*instant):
    """The row of the first expiry."""
    return FeaturesStage(AwayDatabase(), Producer()).features(list(instant))[0]


def test_a_chain_gives_the_row_of_its_smile():
    row = features(chain())

    assert row.reason is None
    assert row.forward == pytest.approx(600.0, abs=0.05)
    assert row.atm_vol == pytest.approx(0.2, abs=0.002)
    assert len(row.grid_vol) == 17 and len(row.features) == len(INSTANT_FEATURES)
    assert row.quotes_used == len(row.quote_strike) == len(row.quote_mid_iv) > 0
    assert row.ts == AT and row.source == "simulated"


def test_a_row_survives_the_topic():
    row = features(chain())

    assert messages.decode(messages.encode(row), FeatureRow) == row


@pytest.mark.parametrize("expiry", [EXPIRY, date(2026, 11, 19)], ids=["empty", "expired"])
def test_a_chain_without_a_smile_still_gives_a_row_that_says_why(expiry):
    nothing = {name: [] for name in ("strike", "right", "bid", "ask", "bid_size", "ask_size",
                                     "last", "volume", "open_interest", "quote_time",
                                     "vendor_iv")}
    row = features(chain(expiry=expiry, **nothing))

    assert row.reason
    assert row.atm_vol is None and row.svi_a is None and row.confidence == 0.0
    assert row.grid_vol == [None] * 17
    assert messages.decode(messages.encode(row), FeatureRow) == row


def test_table_columns_are_the_message_without_its_schema_number():
    row = features(chain())
    values = dict(zip(COLUMNS, table_row(row), strict=True))

    assert "schema" not in values
    assert values["symbol"] == "SPX" and values["ts"] == AT
    assert values["rejects"].adapted == row.rejects


def test_nothing_is_published_while_the_table_can_not_be_written():
    producer = Producer()
    with pytest.raises(Unavailable):
        FeaturesStage(AwayDatabase(), producer).step([chain()])

    assert producer.sent == []


def test_numbers_that_are_not_finite_become_null():
    made = build_smile(chain_quotes(chain()))
    row = feature_row(made, np.array([1.0, np.nan, np.inf]), "recorded")

    assert row.features == [1.0, None, None]
    assert row.source == "recorded"


def test_a_row_tells_the_curve_its_repair_and_what_a_desk_reads():
    made = replace(
        build_smile(chain_quotes(chain())), forward_source="blend", discount=math.exp(-0.01),
        tau=0.25, curve=SmileCurve(RawSvi(0.01, 0.1, -0.3, 0.0, 0.1), 0.1, np.array([0.0, 0.02])),
        calendar_ok=True, lee_ok=True, repaired=("butterfly", "calendar"), moved=0.0012,
        confidence=0.75, desk=DeskMeasures(-0.4, -0.05, 0.01, math.nan))
    row = feature_row(made, np.zeros(2), "live")

    assert (row.forward_source, row.rate, row.bumps) == ("blend", pytest.approx(0.04), [0.0, 0.02])
    assert (row.calendar_ok, row.lee_ok, row.repaired, row.moved, row.confidence) == (
        True, True, ["butterfly", "calendar"], 0.0012, 0.75)
    assert (row.skew, row.risk_reversal_25, row.butterfly_25, row.variance_swap_vol) == (
        -0.4, -0.05, 0.01, None)
    assert messages.decode(messages.encode(row), FeatureRow) == row


def test_a_row_of_before_the_desk_s_measures_is_still_read():
    old = msgspec.json.decode(messages.encode(features(chain())))
    for name in ("forward_source", "rate", "bumps", "calendar_ok", "lee_ok", "repaired", "moved",
                 "confidence", *DeskMeasures.__slots__):
        del old[name]
    read = messages.decode(msgspec.json.encode(old), FeatureRow)

    assert read.atm_vol == old["atm_vol"]
    assert read.confidence is None and read.repaired is None


def test_the_names_on_the_topic_are_those_of_the_smile():
    assert messages.ForwardSource == ForwardSource
    assert messages.Violation == Violation


# --- instants

def surface(at=AT, expiries=(EXPIRY, NEXT), symbol="SPX"):
    """The slices of one instant."""
    return [chain(at=at, expiry=expiry, slice=place, slices=len(expiries), symbol=symbol)
            for place, expiry in enumerate(expiries, start=1)]


def test_a_batch_gives_a_row_per_expiry_and_instant_in_order():
    later = AT + timedelta(seconds=2)
    producer = Producer()
    batch = [*surface()[::-1], *surface(symbol="QQQ"), *surface(at=later)]
    FeaturesStage(Cursorless(), producer).step(batch)

    assert [(row.symbol, row.ts, row.expiry) for _, row in producer.sent] == [
        ("SPX", AT, EXPIRY), ("SPX", AT, NEXT), ("QQQ", AT, EXPIRY), ("QQQ", AT, NEXT),
        ("SPX", later, EXPIRY), ("SPX", later, NEXT)]


def test_a_slice_that_comes_twice_makes_one_row_of_the_last():
    again = chain(source="delayed")
    rows = FeaturesStage(AwayDatabase(), Producer()).features([*surface(), again])

    assert [(row.expiry, row.source) for row in rows] == [
        (EXPIRY, "delayed"), (NEXT, "simulated")]


def test_an_instant_without_all_its_slices_is_made_and_counted():
    before = metrics.INCOMPLETE_INSTANTS._value.get()
    producer = Producer()
    FeaturesStage(Cursorless(), producer).step([surface()[1], *surface(symbol="QQQ")])

    assert [(row.symbol, row.expiry) for _, row in producer.sent] == [
        ("SPX", NEXT), ("QQQ", EXPIRY), ("QQQ", NEXT)]
    assert metrics.INCOMPLETE_INSTANTS._value.get() == before + 1


def test_only_the_last_instant_of_a_symbol_is_awaited():
    first, second = surface(), surface(at=AT + timedelta(seconds=2))
    other = surface(symbol="QQQ")

    assert awaited([*first, *other]) == []
    assert awaited([first[0], other[1]]) == [[0], [1]]
    assert awaited([first[0], other[0], second[0], other[1]]) == [[2]]
    assert awaited([first[0], *second]) == []
    assert awaited([first[0], first[0]]) == [[0, 1]]
    assert awaited([]) == []


def test_instants_are_gathered_out_of_any_mixture():
    first, second = surface(), surface(symbol="QQQ")

    assert instants([first[1], second[0], first[0], second[1]]) == [first[::-1], second]


# --- settings

def settings(**given):
    return FeaturesSettings(kafka_bootstrap="k:9092", database_url="postgresql://u@h/d", **given)


def test_without_settings_the_symbol_s_own_conventions_hold():
    assert conventions_of(settings())("SPX") == conventions("SPX")


def test_a_rate_and_dividends_are_believed_as_they_are_set():
    style = conventions_of(settings(rate=0.05, dividends="2026-12-18:1.95,2026-09-18:1.85"))("SPY")

    assert style.rate == 0.05 and style.rate_deviation < conventions("SPY").rate_deviation
    assert [(one.ex_date, one.amount) for one in style.dividends] == [
        (date(2026, 9, 18), 1.85), (date(2026, 12, 18), 1.95)]
    assert style.is_american


def test_dividends_that_can_not_be_read_are_refused_by_the_settings_name():
    with pytest.raises(SettingsError, match=r"SMILE_DIVIDENDS is not valid: .*soon"):
        conventions_of(settings(dividends="soon:1.85"))
