"""Which contracts are watched: within the lines there are, and no more changes than needed."""

import math
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.ingest.ibkr.selection import (
    MOVE_Z,
    Ladder,
    Line,
    Plan,
    choose,
    nearest_first,
    rough_width,
    straddle_width,
)

DAY = date(2026, 1, 5)
WIDE = tuple(float(strike) for strike in range(300, 701))


def ladder(days: int = 0, strikes: Sequence[float] = WIDE, width: float = 0.03) -> Ladder:
    return Ladder(DAY + timedelta(days=days), tuple(strikes), width)


def all_lines(plans: dict[date, Plan]) -> list[Line]:
    return [line for plan in plans.values() for line in plan.lines]


ladders = st.lists(st.builds(
    lambda strikes, width: (tuple(sorted(strikes)), width),
    st.sets(st.integers(1, 400).map(lambda at: at * 2.5), max_size=60),
    st.floats(0.002, 1.0)), max_size=7).map(
        lambda rows: [Ladder(DAY + timedelta(days=at), *row) for at, row in enumerate(rows)])


@given(ladders, st.floats(5, 900), st.integers(1, 150), st.floats(0.8, 1.25))
def test_lines_are_within_the_budget_listed_and_given_once(
        rows: list[Ladder], spot: float, budget: int, move: float) -> None:
    held: dict[date, Plan] = {}
    for price in (spot, spot * move):
        held = choose(rows, price, budget, held)
        lines = nearest_first(held)
        assert len(lines) == len(set(lines)) <= budget
        listed = {(row.expiry, strike) for row in rows for strike in row.strikes}
        assert {(line.expiry, line.strike) for line in lines} <= listed


@given(ladders, st.floats(5, 900), st.integers(1, 150))
def test_the_same_market_changes_nothing(rows: list[Ladder], spot: float, budget: int) -> None:
    plans = choose(rows, spot, budget, {})
    assert choose(rows, spot, budget, plans) == plans


@given(st.floats(-0.99, 0.99))
def test_a_small_move_changes_nothing(share: float) -> None:
    rows = [ladder(), ladder(7)]
    plans = choose(rows, 500.0, 80, {})
    spot = 500.0 * math.exp(share * MOVE_Z * 0.03)
    assert choose(rows, spot, 80, plans) == plans


def test_a_large_move_changes_the_expiries_that_it_is_large_for() -> None:
    rows = [ladder(width=0.01), ladder(30, width=0.1)]
    plans = choose(rows, 500.0, 80, {})
    moved = choose(rows, 503.0, 80, plans)
    assert moved[DAY] != plans[DAY] and moved[rows[1].expiry] is plans[rows[1].expiry]
    common = set(moved[DAY].lines) & set(plans[DAY].lines)
    assert len(common) > len(moved[DAY].lines) / 4


def test_a_width_that_was_far_off_is_put_right() -> None:
    plans = choose([ladder(width=0.03)], 500.0, 40, {})
    assert choose([ladder(width=0.035)], 500.0, 40, plans) == plans
    assert choose([ladder(width=0.06)], 500.0, 40, plans)[DAY].width == 0.06


def test_both_rights_are_watched_at_the_money_and_one_in_the_wings() -> None:
    lines = choose([ladder()], 500.25, 20, {})[DAY].lines
    assert len(lines) == 20
    rights: dict[float, set[str]] = {}
    for line in lines:
        rights.setdefault(line.strike, set()).add(line.right)
    nearest = sorted(rights, key=lambda strike: abs(strike - 500.25))
    assert all(rights[strike] == {"C", "P"} for strike in nearest[:5])
    assert all(rights[strike] == ({"C"} if strike > 500.25 else {"P"}) for strike in nearest[5:])


def test_the_wings_span_the_grid_without_large_gaps() -> None:
    strikes = sorted({line.strike for line in choose([ladder()], 500.0, 20, {})[DAY].lines})
    z = [math.log(strike / 500) / 0.03 for strike in strikes]
    assert z[0] < -2.3 and z[-1] > 1.3
    assert max(high - low for low, high in pairwise(z)) < 0.8


def test_a_short_ladder_is_watched_whole_and_leaves_its_lines_to_the_next() -> None:
    rows = [ladder(strikes=(495.0, 500.0, 505.0)), ladder(7)]
    plans = choose(rows, 500.0, 40, {})
    assert len(plans[DAY].lines) == 6 and len(plans[rows[1].expiry].lines) == 34


def test_few_lines_go_to_few_expiries() -> None:
    plans = choose([ladder(days) for days in range(5)], 500.0, 17, {})
    assert list(plans) == [DAY, DAY + timedelta(days=1)] and len(all_lines(plans)) == 17


def test_an_expiry_without_strikes_is_left_out() -> None:
    assert list(choose([ladder(strikes=()), ladder(1)], 500.0, 40, {})) == [DAY + timedelta(1)]
    assert choose([], 500.0, 40, {}) == {}


def test_lines_nearest_the_money_come_first() -> None:
    lines = nearest_first(choose([ladder(), ladder(30, width=0.1)], 500.0, 60, {}))
    assert {line.strike for line in lines[:4]} == {500.0}
    assert abs(lines[-1].strike - 500) > 20


def test_widths_follow_volatility_and_time() -> None:
    assert math.isclose(rough_width(1.0), 0.2)
    assert rough_width(-1.0) == rough_width(0.0) > 0
    sigma_root_tau = 0.2 * math.sqrt(7 / 365)
    straddle = 500 * sigma_root_tau * math.sqrt(2 / math.pi)
    assert math.isclose(straddle_width(straddle, 500.0), sigma_root_tau)
    assert straddle_width(0.0, 500.0) > 0
