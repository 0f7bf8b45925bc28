import json
import math
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common import messages
from services.common.errors import BadMessage
from services.common.messages import ChainSlice, decode, encode

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)


def chain(**changes):
    values = {
        "symbol": "SPY", "expiry": date(2026, 12, 18), "sampled_at": NOW, "slice": 1, "slices": 2,
        "source": "simulated", "underlying_bid": 600.0, "underlying_ask": 600.02,
        "strike": [600.0, 601.0], "right": ["C", "P"], "bid": [5.0, None], "ask": [5.1, 6.0],
        "bid_size": [1.0, None], "ask_size": [2.0, 3.0], "last": [None, None],
        "volume": [10.0, 0.0], "open_interest": [None, 5.0], "quote_time": [NOW, None],
        "vendor_iv": [0.18, None],
    }
    return ChainSlice(**{**values, **changes})


def test_chain_slice_survives_the_wire():
    message = chain()

    assert decode(encode(message), ChainSlice) == message


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_any_float_survives_or_becomes_missing(value):
    back = decode(encode(chain(bid=[value, None])), ChainSlice).bid[0]

    assert back == value if math.isfinite(value) else back is None


@pytest.mark.parametrize(("field", "value", "says"), [
    ("bid", [1.0], "bid"), ("sampled_at", "2026-11-20T15:30:00", "sampled_at"),
    ("right", ["C", "X"], "right"), ("strike", [600.0, -1.0], "strike"), ("slice", 3, "slices"),
    ("source", "guessed", "source"), ("schema", 2, "schema"), ("surprise", 1, "surprise")])
def test_a_wrong_field_is_refused_by_its_name(field, value, says):
    raw = json.loads(encode(chain()))
    raw[field] = value

    with pytest.raises(BadMessage, match=says):
        decode(json.dumps(raw).encode(), ChainSlice)


@pytest.mark.parametrize(("field", "value"), [
    ("expiry", "0001-01-01"), ("expiry", "2200-01-01"), ("sampled_at", "0001-01-01T00:00:00Z"),
    ("sampled_at", "1969-12-31T23:59:59Z"), ("sampled_at", "2200-01-01T00:00:00Z"),
    ("sampled_at", "0001-01-01T00:00:00+05:00"), ("underlying_time", "9999-12-31T23:00:00Z"),
    ("quote_time", [None, "0001-01-01T00:00:00Z"])])
def test_a_time_no_calendar_holds_is_refused_by_its_field(field, value):
    raw = json.loads(encode(chain())) | {field: value}

    with pytest.raises(BadMessage, match=f"`{field}` .* is not from 1970-01-01 to before 2200"):
        decode(json.dumps(raw).encode(), ChainSlice)


def test_the_first_and_the_last_instant_are_good():
    last = datetime(2199, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    message = chain(sampled_at=datetime(1970, 1, 1, tzinfo=UTC), expiry=last.date(),
                    quote_time=[last, None])

    assert decode(encode(message), ChainSlice) == message


@given(st.binary(max_size=200))
def test_any_other_bytes_are_a_bad_message(data):
    with pytest.raises(BadMessage):
        decode(data, ChainSlice)


def test_topics_are_the_contract():
    assert messages.TOPICS == ("option-chain", "option-features", "predicted-smile", "dead-letter")
