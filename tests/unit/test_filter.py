from dataclasses import replace

import numpy as np
import pytest

from ml.smile.filter import (
    ACCEPTED,
    CODE,
    REASONS,
    QuoteLimits,
    below_intrinsic,
    count,
    mark,
    screen,
    too_wide_in_vol,
)
from tests.unit.chains import make_chain

NAN = float("nan")


@pytest.mark.parametrize(("bid", "ask", "age", "reason"), [
    (1.0, 1.1, 1.0, None),
    (1.0, 1.1, NAN, None),
    (0.05, 0.15, 1.0, None),  # cheap options cannot be quoted tighter
    (-1.0, 1.1, 1.0, "sentinel"),
    (1.0, 1.7976931348623157e308, 1.0, "sentinel"),
    (1.0, np.inf, 1.0, "sentinel"),
    (NAN, NAN, 1.0, "no_quote"),
    (NAN, 1.1, 1.0, "one_sided"),
    (1.0, NAN, 1.0, "one_sided"),
    (0.0, 1.1, 1.0, "zero_bid"),
    (1.2, 1.1, 1.0, "crossed"),
    (1.1, 1.1, 1.0, "locked"),
    (1.0, 1.1, 901.0, "stale"),
    (1.0, 3.5, 1.0, "too_wide"),
])
def test_each_quote_gets_the_first_reason_that_applies(bid, ask, age, reason):
    chain = make_chain(2)
    for name, value in (("bid", bid), ("ask", ask), ("quote_age_s", age)):
        getattr(chain, name)[0] = value
    codes = screen(chain, QuoteLimits())
    assert codes[0] == CODE.get(reason, ACCEPTED)
    assert (codes[1:] == ACCEPTED).all()


@pytest.mark.parametrize("strike", [0.0, -5.0, 1e9, NAN])
def test_an_impossible_strike_is_a_sentinel(strike):
    chain = make_chain(2)
    chain.strike[0] = strike
    assert screen(chain, QuoteLimits())[0] == CODE["sentinel"]


def test_delayed_quotes_are_refused_unless_allowed():
    chain = replace(make_chain(2), delayed=True)
    assert (screen(chain, QuoteLimits()) == CODE["delayed"]).all()
    assert (screen(chain, QuoteLimits(accept_delayed=True)) == ACCEPTED).all()


def test_only_an_ask_below_intrinsic_value_is_below_intrinsic():
    chain = make_chain(3)
    chain.strike[:2], chain.bid[:2] = 500.0, 95.0
    chain.ask[:2] = 99.0, 0.01  # a call of 101 intrinsic, a put of none
    assert below_intrinsic(chain, 601.0, 1.0)[:2].tolist() == [True, False]


def test_a_spread_wide_in_volatility_counts_even_where_the_bid_has_none():
    found = too_wide_in_vol(np.array([0.1, NAN, NAN]), np.array([0.2, 0.2, 0.2]),
                            np.array([0.3, 0.3, 0.4]), QuoteLimits())
    assert found.tolist() == [True, False, True]


def test_marks_keep_an_earlier_reason_and_counts_follow_the_order_of_reasons():
    before = np.array([ACCEPTED, CODE["crossed"], ACCEPTED], dtype=np.int8)
    codes = mark(before, np.array([True, True, False]), "below_intrinsic")
    assert codes.tolist() == [CODE["below_intrinsic"], CODE["crossed"], ACCEPTED]
    assert before[0] == ACCEPTED
    assert list(count(codes).items()) == [("crossed", 1), ("below_intrinsic", 1)]
    assert set(count(codes)) <= set(REASONS)
