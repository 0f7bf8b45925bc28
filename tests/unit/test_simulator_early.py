"""American options of the synthetic market: their premium, dividends, and the spot's drop."""

from datetime import date

import numpy as np
import pytest

from ml.pricing.american import american_price
from services.simulator.early import NODES, Asked, EarlyExercise
from services.simulator.feed import Option
from services.simulator.holding import Holding
from services.simulator.market import SyntheticMarket
from services.simulator.paths import YEAR_S

START = 1_795_446_000  # 2026-11-23 15:00 UTC, a Monday
EXPIRIES = (date(2026, 11, 24), date(2026, 12, 11), date(2026, 12, 18), date(2027, 1, 15))


@pytest.fixture(scope="module")
def market():
    return SyntheticMarket(7, ("SPY", "SPX", "XYZ"))


@pytest.fixture(scope="module")
def holding():
    return Holding.of("SPY")


@pytest.fixture(scope="module")
def ex(holding):
    """The first ex-instant from `START` on."""
    return int(holding.ex[np.searchsorted(holding.ex, START)])


def chain(market, symbol, expiry, spacing=4):
    strikes = market.strikes(symbol, expiry, START)[::spacing]
    return market.prepare([Option(symbol, expiry, strike, is_call)
                           for strike in strikes for is_call in (True, False)])


def exact(market, symbol, batch, terms, step):
    """The lattice's own price of each option at one second, or that of exercise now."""
    carry = Holding.of(symbol).carry(step, int(batch.contracts.expires[0]))
    price = american_price(float(terms.forward[0]), terms.strike, float(terms.tau[0]), terms.vol,
                           terms.is_call, carry)
    return np.maximum(price, terms.side * (terms.spot - terms.strike))


@pytest.mark.parametrize("expiry", EXPIRIES)
@pytest.mark.parametrize("after", [0, 4 * 3600 + 17, 12 * 3600 + 123])
def test_prices_are_the_lattice_s_to_within_a_cent(market, expiry, after):
    batch, step = chain(market, "SPY", expiry), START + after
    terms = market.terms(batch, np.array(step))
    error = np.abs(terms.price - exact(market, "SPY", batch, terms, step))
    assert error.max() < 0.01 and error.mean() < 0.001


@pytest.mark.parametrize("before", [7200, 301, 1, 0, -1, -299])
def test_prices_are_right_on_both_sides_of_a_dividend(market, ex, before):
    batch, step = chain(market, "SPY", date(2026, 12, 24)), ex - before
    terms = market.terms(batch, np.array(step))
    error = np.abs(terms.price - exact(market, "SPY", batch, terms, step))
    assert error.max() < 0.02 and error.mean() < 0.002


def test_the_right_to_exercise_is_worth_something_where_it_should_be(market):
    for symbol, expiry in (("SPY", EXPIRIES[3]), ("XYZ", EXPIRIES[3]), ("SPX", EXPIRIES[3])):
        batch = chain(market, symbol, expiry)
        true, european = (ask(batch, np.array(START)) for ask in (market.terms, market.european))
        worth, put = true.price - european.price, ~true.is_call
        assert (worth >= 0).all()
        assert (true.price >= true.side * (true.spot - true.strike) - 1e-9).all() or symbol == "SPX"
        in_money = true.moneyness > 1
        if symbol == "SPX":
            assert not worth.any()
        else:
            assert (worth[put & in_money] > 1e-3 * true.strike[put & in_money]).all()
        if symbol == "XYZ":
            assert not worth[true.is_call].any()


def test_a_call_is_worth_its_exercise_right_before_the_dividend(market, ex):
    batch = chain(market, "SPY", date(2026, 12, 18))
    deep = batch.contracts.is_call & (batch.contracts.strike < 540)
    before, after = (market.terms(batch, np.array(step)) for step in (ex - 60, ex))
    european = market.european(batch, np.array(ex - 60))
    assert (before.price - european.price)[deep] == pytest.approx(1.75, abs=0.1)
    assert (after.price - market.european(batch, np.array(ex)).price)[deep].max() < 1e-6


def test_the_spot_drops_by_the_dividend_and_the_forward_does_not(market, holding, ex):
    steps = np.array([ex - 1, ex])
    spot = market.spot("SPY", steps)
    batch = chain(market, "SPY", date(2026, 12, 24))
    forward = market.european(batch, steps[:, None]).forward[:, 0]
    assert spot[0] - spot[1] == pytest.approx(1.75, abs=0.1)
    assert forward[0] - forward[1] == pytest.approx(0, abs=0.1)
    assert holding.accrued(steps) == pytest.approx([1.75, 0], abs=1e-6)


def test_the_value_of_dividends_counts_those_before_the_expiry_only(holding, ex):
    carry = holding.carry(START, ex + 1)
    assert carry.dividend_amounts.tolist() == [1.75]
    assert carry.dividend_times == pytest.approx([(ex - START) / YEAR_S])
    assert holding.carry(START, ex - 1).dividend_times.tolist() == []
    assert holding.carry(ex, ex + 1000).dividend_times.tolist() == []
    value = holding.value(np.array([[START], [ex]]), np.array([ex - 1, ex]))
    assert value == pytest.approx(np.array([[0, carry.dividends_value(1.0)], [0, 0]]))


@pytest.mark.parametrize(("symbol", "american", "amount"), [
    ("SPY", True, 1.75), ("SPX", False, 0.0), ("XYZ", True, 0.0)])
def test_each_symbol_is_held_by_its_conventions(symbol, american, amount):
    holding = Holding.of(symbol)
    assert (holding.is_american, holding.amount) == (american, amount)
    assert (holding.borrow > 0) is not american
    assert len(holding.ex) > 300 if amount else len(holding.ex) == 0


def test_a_premium_is_the_same_asked_alone_or_among_others(market):
    batch = chain(market, "SPY", EXPIRIES[2])
    steps = np.arange(START, START + 4000, 331)
    together = market.terms(batch, steps[:, None]).price
    other = SyntheticMarket(7)
    alone = [other.terms(batch, np.array(step)).price for step in steps[::-1]]
    np.testing.assert_array_equal(together, alone[::-1])


def test_the_slope_is_that_of_the_premium(market, holding):
    early = EarlyExercise(holding, lambda second: market._at("SPY", second))
    expires = int(chain(market, "SPY", EXPIRIES[3]).contracts.expires[0])
    u = np.linspace(NODES[0] - 3, NODES[-1] + 3, 1001)

    def premium(places):
        n = np.ones(len(places), dtype=np.int64)
        return early.premium(Asked(START * n, expires * n, np.zeros(len(places), bool), places))

    value, slope = premium(u)
    assert (value >= 0).all() and value[0] < 1e-12 and value[-1] > 0.001
    change = (premium(u + 1e-6)[0] - premium(u - 1e-6)[0]) / 2e-6
    assert slope == pytest.approx(change, abs=1e-6)


def test_a_put_that_should_be_exercised_moves_as_the_spot_does(market):
    batch = chain(market, "SPY", EXPIRIES[3], spacing=1)
    quotes = market.greeks(batch, np.array(START))
    terms = market.terms(batch, np.array(START))
    deep = ~np.isnan(quotes.delta) & ~terms.is_call & (terms.moneyness > 2.2)
    assert quotes.delta[deep] == pytest.approx(-1.0, abs=0.02)
    assert quotes.price[deep] == pytest.approx((terms.strike - terms.spot)[deep], abs=0.05)
