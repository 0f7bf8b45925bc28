from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ml.pricing.conventions import Conventions, conventions
from ml.pricing.dividends import Dividend
from ml.pricing.forwards import PairQuotes, implied_forwards, resolve
from tests.unit.forward_chains import AT, DIVIDENDS, EXPIRIES, SPOT, Market

NAN = float("nan")
SPX, SPY, GOOG = conventions("SPX"), conventions("SPY"), conventions("GOOG")
EUROPEAN = Market(rate=0.04, borrow=0.012)
AMERICAN = Market(rate=0.042, dividends=DIVIDENDS, american=True)
ANY_FLOAT = st.one_of(st.floats(), st.floats(0.01, 50.0),
                      st.sampled_from([0.0, -1.0, 1e-300, 1e7, 1.79e308]))


def found_in(market: Market, style: Conventions, seed: int = 0, spot: float = SPOT):
    return implied_forwards(AT, market.chains(seed), spot, style)


def values(found, name):
    return np.array([getattr(one, name) for one in found.expiries])


def only(chain: PairQuotes, rows) -> PairQuotes:
    names = ("strike", "call_bid", "call_ask", "put_bid", "put_ask")
    return replace(chain, **{name: getattr(chain, name)[rows] for name in names})


def shifted(chain: PairQuotes, name: str, by: float, rows=slice(None)) -> PairQuotes:
    """Bid and ask of one side moved."""
    moved = {}
    for side in (f"{name}_bid", f"{name}_ask"):
        moved[side] = getattr(chain, side).copy()
        moved[side][rows] += by
    return replace(chain, **moved)


def test_european_forwards_rate_and_borrow_are_recovered():
    found = found_in(EUROPEAN, SPX)
    assert values(found, "forward") == pytest.approx(EUROPEAN.forwards(), rel=5e-5)
    assert {one.source for one in found.expiries} == {"parity"}
    assert found.term.rate_at(0.8) == pytest.approx(0.04, abs=1e-3)
    assert found.term.borrow_at(0.8) == pytest.approx(0.012, abs=1e-3)
    assert found.term.spot == pytest.approx(SPOT, rel=5e-5)
    assert values(found, "discount")[-1] == pytest.approx(
        EUROPEAN.carry().discount(EUROPEAN.taus()[-1]), rel=1e-3)


@pytest.mark.parametrize(("market", "style", "seeds", "least"), [
    (EUROPEAN, SPX, 40, 0.7),
    (AMERICAN, SPY, 8, 0.4),  # beside the quotes' own error, the premium's is stated with reserve
])
def test_the_standard_errors_are_of_the_size_of_the_errors(market, style, seeds, least):
    truth = market.forwards()
    deviations = []
    for seed in range(seeds):
        found = found_in(market, style, seed)
        deviations.append((values(found, "forward") - truth) / values(found, "error"))
    assert least < np.std(deviations) < 1.4


def test_american_forwards_and_dividends_are_recovered_through_the_premium():
    found = found_in(AMERICAN, SPY)
    error = values(found, "forward") - AMERICAN.forwards()
    assert np.abs(error / values(found, "error")).max() < 4
    assert np.abs(error).max() < 2e-4 * SPOT
    assert found.term.dividends == pytest.approx([1.9, 2.05, 1.85], rel=0.10)
    assert found.term.rate_at(0.5) == pytest.approx(0.042, abs=3e-3)
    assert [len(one.carry.dividend_times) for one in found.expiries] == [0] * 4 + [1] * 4 + [
        2] * 2 + [3] * 2


def test_known_dividends_are_taken_as_they_are():
    style = replace(SPY, dividends=DIVIDENDS)
    found = found_in(AMERICAN, style)
    assert found.term.dividends == pytest.approx([1.9, 2.05, 1.85], rel=1e-9)
    assert found.term.dividend_errors.tolist() == [0.0] * 3
    assert found.term.rate_at(0.5) == pytest.approx(0.042, abs=2e-3)


def test_without_dividends_an_american_rate_and_borrow_come_of_growth_and_slopes():
    market = Market(rate=0.03, borrow=0.005, american=True, half_spread=0.02)
    found = found_in(market, GOOG)
    assert values(found, "forward") == pytest.approx(market.forwards(), rel=2e-4)
    assert found.term.rate_at(0.8) == pytest.approx(0.03, abs=4e-3)
    assert found.term.borrow_at(0.8) == pytest.approx(0.005, abs=4e-3)


def test_an_expiry_without_pairs_has_the_term_structures_forward():
    chains = AMERICAN.chains()
    chains[6] = only(chains[6], [])
    one = implied_forwards(AT, chains, SPOT, SPY).expiries[6]
    assert one.source == "term structure"
    assert one.pairs == 0
    assert abs(one.forward - AMERICAN.forwards()[6]) < 4 * one.error
    assert one.error < 5e-4 * SPOT


def test_a_weak_expiry_leans_on_the_others():
    chains = EUROPEAN.chains()
    weak = only(chains[6], [14])
    chains[6] = shifted(replace(weak, call_ask=weak.call_ask + 4), "call", -1.0)
    one = implied_forwards(AT, chains, SPOT, SPX).expiries[6]
    assert one.source == "blend"
    assert one.forward == pytest.approx(EUROPEAN.forwards()[6], abs=4 * one.error)
    assert one.error < 0.3


def test_a_strong_expiry_keeps_its_parity_whatever_the_others_say():
    chains = EUROPEAN.chains()
    chains[6] = shifted(chains[6], "call", 1.0)
    one = implied_forwards(AT, chains, SPOT, SPX).expiries[6]
    assert one.source == "parity"
    assert one.forward == pytest.approx(EUROPEAN.forwards()[6] + 1.0, abs=0.15)
    assert one.gap > 5


def test_outlying_expiries_do_not_move_the_term_structure():
    chains = EUROPEAN.chains()
    clean = implied_forwards(AT, chains, SPOT, SPX).term
    chains[2], chains[8] = shifted(chains[2], "put", 3.0), shifted(chains[8], "call", 5.0)
    dirty = implied_forwards(AT, chains, SPOT, SPX).term
    assert dirty.forward_at(0.4)[0] == pytest.approx(clean.forward_at(0.4)[0], rel=1e-4)
    assert dirty.spot == pytest.approx(clean.spot, rel=5e-5)


@pytest.mark.parametrize(("market", "style"), [(EUROPEAN, SPX), (AMERICAN, SPY)])
def test_a_single_expiry_has_its_own_forward(market, style):
    market = replace(market, expiries=EXPIRIES[3:4])
    for spot in (SPOT, NAN):
        one = found_in(market, style, spot=spot).expiries[0]
        assert one.source == "parity"
        assert one.forward == pytest.approx(market.forwards()[0], rel=2e-4)


@pytest.mark.parametrize("spot", [NAN, SPOT / 10, SPOT * 1.05, -1.0, 0.0, float("inf")])
def test_a_spot_that_is_wrong_or_unknown_changes_no_forward(spot):
    clean = found_in(EUROPEAN, SPX)
    found = found_in(EUROPEAN, SPX, spot=spot)
    assert values(found, "forward") == pytest.approx(values(clean, "forward"), rel=1e-6)
    assert found.term.spot == pytest.approx(SPOT, rel=1e-4)
    assert found.term.spot_off == (spot > 0 and np.isfinite(spot))


def test_with_the_spot_alone_forwards_are_that_spot_carried():
    chains = [only(chain, []) for chain in EUROPEAN.chains()]
    found = implied_forwards(AT, chains, SPOT, SPX)
    assert {one.source for one in found.expiries} == {"term structure"}
    assert found.expiries[0].forward == pytest.approx(SPOT, rel=1e-3)
    assert found.expiries[0].error > 1e-3 * SPOT


def test_without_anything_there_is_nothing():
    chains = [only(chain, []) for chain in EUROPEAN.chains()]
    found = implied_forwards(AT, chains, NAN, SPX)
    assert found.term is None
    assert set(found.expiries) == {None}
    assert implied_forwards(AT, [], SPOT, SPX).expiries == ()


def test_a_past_expiry_has_no_forward_and_harms_none():
    chains = EUROPEAN.chains()
    clean = implied_forwards(AT, chains, SPOT, SPX)
    past = replace(chains[0], expiry=date(2026, 8, 13), tau=NAN)
    found = implied_forwards(AT, [past, *chains], SPOT, SPX)
    assert found.expiries[0] is None
    assert values(replace(found, expiries=found.expiries[1:]), "forward") == pytest.approx(
        values(clean, "forward"), rel=1e-9)


@pytest.mark.parametrize(("market", "style"), [(EUROPEAN, SPX), (AMERICAN, SPY)])
def test_of_a_stale_pair_only_the_quote_in_the_money_is_off(market, style):
    chains = market.chains()
    clean = implied_forwards(AT, chains, SPOT, style).expiries[6]
    rows = [2, len(chains[6].strike) - 2]
    chains[6] = shifted(shifted(chains[6], "call", -12.0, rows[:1]), "put", 12.0, rows[1:])
    one = implied_forwards(AT, chains, SPOT, style).expiries[6]
    assert one.off_calls.tolist() == [chains[6].strike[rows[0]]]
    assert one.off_puts.tolist() == [chains[6].strike[rows[1]]]
    assert one.forward == pytest.approx(clean.forward, abs=0.02)
    assert clean.off_calls.size == clean.off_puts.size == 0


def test_of_an_adjusted_contract_both_quotes_are_off():
    chains = EUROPEAN.chains()
    row = 8
    chains[6] = shifted(shifted(chains[6], "call", 30.0, [row]), "put", 8.0, [row])
    one = implied_forwards(AT, chains, SPOT, SPX).expiries[6]
    assert one.off_calls.tolist() == one.off_puts.tolist() == [chains[6].strike[row]]


def test_expiries_of_untied_forwards_are_not_bent_to_a_curve():
    chains = EUROPEAN.chains()
    chains[3] = shifted(chains[3], "call", 20.0)
    found = implied_forwards(AT, chains, SPOT, conventions("VIX"))
    assert found.expiries[3].forward - EUROPEAN.forwards()[3] == pytest.approx(20.0, abs=0.3)
    assert {one.source for one in found.expiries} == {"parity"}


def test_a_share_that_is_hard_to_borrow_keeps_a_believable_rate():
    market = Market(rate=0.04, borrow=0.10, american=True)
    found = found_in(market, GOOG)
    assert found.term.growth[0] == pytest.approx(-0.06, abs=0.005)
    assert 0.0 < found.term.rate_at(0.2) < 0.08
    assert found.term.borrow_at(0.2) > 0.06


def test_the_blend_fades_in_without_a_jump():
    forwards = [resolve(100.0, error, 101.0, 0.1)[0] for error in np.linspace(0.05, 1.5, 400)]
    assert forwards[0] == 100.0
    assert forwards[-1] == pytest.approx(101.0, abs=0.02)
    assert np.diff(forwards).min() >= 0 and np.diff(forwards).max() < 0.02


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_no_input_raises_or_warns_and_what_is_found_is_finite(data):
    count = data.draw(st.integers(0, 6))
    chains = []
    for _ in range(data.draw(st.integers(1, 4))):
        columns = [data.draw(arrays(np.float64, count, elements=ANY_FLOAT)) for _ in range(5)]
        chains.append(PairQuotes(EXPIRIES[2], data.draw(ANY_FLOAT), *columns))
    style = data.draw(st.sampled_from([SPX, SPY, GOOG, replace(
        SPY, dividends=(Dividend(date(2026, 8, 20), 1e6),))]))
    found = implied_forwards(AT, chains, data.draw(ANY_FLOAT), style)
    assert len(found.expiries) == len(chains)
    for one in found.expiries:
        if one is not None:
            assert one.forward > 0
            assert np.isfinite([one.forward, one.error, one.discount, one.borrow]).all()


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_damage_to_single_quotes_hardly_moves_a_forward(data):
    chains = EUROPEAN.chains()
    chain = chains[data.draw(st.integers(0, 11))]
    row = data.draw(st.integers(0, len(chain.strike) - 1))
    name = data.draw(st.sampled_from(["call_bid", "call_ask", "put_bid", "put_ask", "strike"]))
    getattr(chain, name)[row] = data.draw(ANY_FLOAT)
    found = implied_forwards(AT, chains, SPOT, SPX)
    assert values(found, "forward") == pytest.approx(EUROPEAN.forwards(), rel=3e-4)


def test_the_expiry_on_an_ex_date_has_lost_the_dividend_and_the_day_before_has_not():
    days = (date(2026, 9, 17), date(2026, 9, 18))
    market = Market(rate=0.04, dividends=DIVIDENDS[:1], expiries=(*EXPIRIES[:4], *days,
                    *(day + timedelta(days=35) for day in EXPIRIES[3:5])))
    found = found_in(market, replace(SPY, exercise="european"))
    before, after = found.expiries[4], found.expiries[5]
    assert before.forward - after.forward == pytest.approx(1.9, abs=0.2)
    assert len(before.carry.dividend_times) == 0
    assert len(after.carry.dividend_times) == 1
