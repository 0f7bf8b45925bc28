"""The synthetic market: free of arbitrage, pure, continuous, and quoted plausibly."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from ml import calendar
from ml.pricing.dividends import ex_instant
from services.simulator.errors import NoMarket
from services.simulator.feed import Option
from services.simulator.history import history_frame, instants
from services.simulator.market import SyntheticMarket
from services.simulator.paths import DAY, YEAR_S
from services.simulator.surface import market_state

START = 1_795_446_000  # 2026-11-23 15:00 UTC, a Monday
MIDNIGHT = 1_795_478_400
K = np.linspace(-0.6, 0.4, 401)
TAUS = np.array([1 / 8760, 1 / 365, 3 / 365, 7 / 365, 28 / 365, 90 / 365])


@pytest.fixture(scope="module")
def market():
    return SyntheticMarket(7)


def random_states(market, count):
    """States at random times of random days of ten years."""
    random = np.random.default_rng(0)
    days = random.integers(17_000, 21_000, size=40)
    steps = (random.choice(days, size=count) * DAY + random.integers(0, DAY, size=count))
    return market.state("SPY", np.sort(steps).astype(np.int64)[:, None])


def extreme_states():
    """All factors at four standard deviations, in every combination of signs."""
    corners = np.array(np.meshgrid(*[[-4.0, 4.0]] * 6)).reshape(6, -1)
    deviations = np.array([0.1, 0.35, 0.01, 0.25, 0.5, 0.5])[:, None]
    return market_state((corners * deviations)[:, :, None])


def durrleman(w, k):
    """g(k) by finite differences of a fine grid, at its inner points."""
    step = k[1] - k[0]
    first = (w[..., 2:] - w[..., :-2]) / (2 * step)
    second = (w[..., 2:] - 2 * w[..., 1:-1] + w[..., :-2]) / step**2
    mid, inner = w[..., 1:-1], k[1:-1]
    return (1 - inner * first / (2 * mid)) ** 2 - first**2 / 4 * (1 / mid + 0.25) + second / 2


@pytest.mark.parametrize("tau", TAUS)
@pytest.mark.parametrize("extreme", [False, True])
def test_no_butterfly_arbitrage_at_any_moment(market, tau, extreme):
    state = extreme_states() if extreme else random_states(market, 300)
    width = np.sqrt(state.atm_total_variance(np.array(tau)))
    z = np.linspace(-8, 8, 2001)
    for row in range(len(width)):
        k = z * width[row]
        one = slice_of(state, row)
        assert durrleman(one.total_variance(k, np.array(tau)), k).min() >= -1e-6


def slice_of(state, row):
    return type(state)(*(getattr(state, name)[row] for name in state.__slots__))


@pytest.mark.parametrize("extreme", [False, True])
def test_no_calendar_arbitrage_at_any_moment(market, extreme):
    state = extreme_states() if extreme else random_states(market, 300)
    w = np.stack([state.total_variance(K, np.array(tau)) for tau in TAUS])
    assert (np.diff(w, axis=0) > 0).all()


def test_the_published_conditions_hold_at_every_moment(market):
    for state in (random_states(market, 2000), extreme_states()):
        bound = 1 + np.abs(state.rho)
        for tau in TAUS:
            theta = state.atm_total_variance(np.array(tau))
            phi = state.eta / np.sqrt(theta * (1 + theta))
            assert (theta > 0).all()
            assert (theta * phi * bound < 4).all()
            assert (theta * phi**2 * bound <= 4).all()


def test_an_instant_is_the_same_asked_alone_later_or_by_another(market):
    steps = np.arange(START, START + 5000, 7)
    options = [Option("SPY", date(2026, 12, 4), float(strike), True)
               for strike in range(540, 600, 5)]
    together = market.batch(options).quotes(steps)
    other = SyntheticMarket(7)
    other.spot("SPY", np.array(START - 40 * DAY))
    for place in (500, 3, 77):
        alone = other.batch(options[4:5]).quotes(np.array(steps[place]))
        for name in together.__slots__:
            np.testing.assert_array_equal(getattr(together, name)[place, 4],
                                          getattr(alone, name)[0])


def test_another_seed_or_symbol_is_another_market(market):
    steps = np.arange(START, START + 100)
    other, both = SyntheticMarket(8), SyntheticMarket(7, ("SPY", "QQQ"))
    assert not np.allclose(market.spot("SPY", steps), other.spot("SPY", steps))
    np.testing.assert_array_equal(market.spot("SPY", steps), both.spot("SPY", steps))
    assert not np.allclose(both.spot("QQQ", steps) / 520, both.spot("SPY", steps) / 600)


@pytest.mark.parametrize("midnight", [MIDNIGHT, MIDNIGHT + 3 * DAY, 1_767_225_600])
def test_every_factor_is_continuous_across_midnight(market, midnight):
    steps = np.arange(midnight - 600, midnight + 600)
    values = market._paths["SPY"].at(steps)
    jumps = np.abs(np.diff(values, axis=1))
    across = jumps[:, 599]
    usual = np.delete(jumps, 599, axis=1)
    assert (across <= 2 * usual.max(axis=1)).all()
    assert (usual.max(axis=1) > 0).all()


def test_the_paths_have_the_law_that_is_documented(market):
    begin = MIDNIGHT // DAY - 1500
    steps = np.sort(np.random.default_rng(1).integers(0, 60, size=40)) * 25
    at = market._paths["SPY"].at((begin + steps)[:, None] * DAY + np.arange(0, DAY, 3600))
    for row, deviation in ((3, 0.20), (4, 0.5), (5, 0.5)):
        assert at[row].std() == pytest.approx(deviation, rel=0.35)
    day = market.spot("SPY", np.arange(START, START + DAY))
    state = market.state("SPY", np.arange(START, START + DAY))
    realised = np.sqrt(np.sum(np.diff(np.log(day)) ** 2) * 365)
    implied = np.sqrt(np.mean(state.atm_total_variance(np.array(1 / 365)) * 365))
    assert realised == pytest.approx(np.sqrt(0.8) * implied, rel=0.15)
    minutes = np.arange(0, DAY, 60)
    returns = np.diff(np.log(day[minutes]))
    moves = np.diff(np.log(state.atm_total_variance(np.array(28 / 365)))[minutes])
    assert -0.9 < np.corrcoef(returns, moves)[0, 1] < -0.5


def test_the_spot_stays_near_its_base(market):
    offsets = [market._paths["SPY"].midnight_spot(day) for day in range(15_000, 25_000)]
    assert 0.02 < np.std(offsets) < 0.06
    assert np.abs(offsets).max() < 0.25


@pytest.fixture(scope="module")
def history(market):
    return history_frame(market, np.arange(START, START + 7200, 60), expiries=6)


def test_quotes_hold_the_true_price_between_their_sides(market):
    options = [Option("SPY", expiry, float(strike), is_call)
               for expiry in market.expiries("SPY", START)[1:8] for strike in range(500, 640, 2)
               for is_call in (True, False)]
    prepared = market.prepare(options)
    quotes = market.options(prepared, np.array(START))
    true = market.terms(prepared, prepared.refresh.last(np.array(START))).price
    assert not (quotes.bid > true).any() and not (quotes.ask < true).any()
    assert (quotes.ask - quotes.bid)[~np.isnan(quotes.bid + quotes.ask)].min() > 0


def test_prices_lie_on_the_tick_grid_and_spreads_are_positive(history):
    for side in ("bid", "ask"):
        cents = history[side].dropna() * 100
        assert np.allclose(cents, cents.round(), atol=1e-6)
        assert (cents > 0).all()
    assert (history["ask"] > history["bid"])[history["bid"].notna()
                                             & history["ask"].notna()].all()
    assert (history["underlying_ask"] - history["underlying_bid"]).between(0.005, 0.025).all()


def test_about_a_third_of_the_far_wings_is_one_sided_and_the_middle_is_not(market):
    options = [Option("SPY", date(2026, 12, 18), float(strike), False)
               for strike in range(440, 700)]
    prepared, steps = market.prepare(options), np.arange(START, START + 7200, 60)
    z = market.terms(prepared, steps[:, None]).moneyness
    quotes = market.options(prepared, steps)
    missing = np.isnan(quotes.bid) | np.isnan(quotes.ask)
    assert 0.25 < missing[(z < -2.1) & (z > -3)].mean() < 0.5
    assert not missing[np.abs(z) < 1].any()
    assert np.isnan(quotes.bid_size).sum() == np.isnan(quotes.bid).sum()


def test_put_call_parity_gives_the_forward_not_the_spot(market):
    expiry = date(2027, 1, 15)
    pair = market.prepare([Option("SPY", expiry, 570.0, True), Option("SPY", expiry, 570.0, False)])
    terms = market.european(pair, np.array(START))
    tau, ex = float(terms.tau[0]), ex_instant(date(2026, 12, 18)).timestamp()
    forward = 570 + (terms.price[0] - terms.price[1]) * np.exp(0.04 * tau)
    spot = market.spot("SPY", np.array(START))
    dividend = 1.75 * np.exp(-0.04 * (ex - START) / YEAR_S)
    assert forward == pytest.approx((spot - dividend) * np.exp(0.04 * tau), abs=1e-6)
    assert forward - spot > 1


def test_nothing_is_quoted_from_the_expiry_on(market):
    batch = market.batch([Option("SPY", date(2026, 11, 23), 560.0, True)])
    closes = int(calendar.expiry_instant(date(2026, 11, 23)).timestamp())
    assert not np.isnan(batch.quotes(np.array(closes - 1)).ask[0])
    assert np.isnan(batch.quotes(np.array(closes)).ask[0])
    assert date(2026, 11, 23) in market.expiries("SPY", closes - 1)
    assert date(2026, 11, 23) not in market.expiries("SPY", closes)


def test_expiries_are_daily_then_weekly_then_monthly(market):
    listed = market.expiries("SPY", START)
    near = [day for day in listed if day < date(2026, 12, 5)]
    assert date(2026, 11, 26) not in listed  # Thanksgiving
    assert len(near) == 9
    assert listed[-2:] == [date(2027, 1, 15), date(2027, 2, 19)]
    assert all(calendar.session_bounds(day) for day in listed)


def test_volume_only_rises_within_a_day(market):
    batch = market.batch([Option("SPY", date(2026, 12, 4), 560.0, True)])
    volume = batch.quotes(np.arange(START, START + 4000, 50)).volume[:, 0]
    assert (np.diff(volume) >= 0).all() and volume[-1] > volume[0]


def test_regular_hours_close_the_market_at_night():
    market = SyntheticMarket(7, always_open=False)
    batch = market.batch([Option("SPY", date(2026, 12, 4), 560.0, True)])
    assert not np.isnan(batch.quotes(np.array(START)).ask).any()
    assert np.isnan(batch.quotes(np.array(MIDNIGHT)).ask).all()
    (today, hours), (_, night) = market.sessions([date(2026, 11, 23), date(2026, 11, 26)])
    assert (today, hours, night) == (date(2026, 11, 23), "0930-20261123:1600", "CLOSED")


def test_history_covers_the_smile_and_equals_the_stream(market, history):
    assert history["expiry"].nunique() == 6
    assert set(history["right"]) == {"C", "P"}
    row = history.iloc[len(history) // 3]
    option = Option("SPY", row["expiry"], row["strike"], row["right"] == "C")
    step = int(row["ts"].timestamp())
    quotes = market.batch([option]).quotes(np.array(step))
    np.testing.assert_array_equal([row["bid"], row["ask"], row["volume"]],
                                  [quotes.bid[0], quotes.ask[0], quotes.volume[0]])
    later = history[history["ts"] == datetime.fromtimestamp(START + 600, UTC)]
    tau = (calendar.expiry_instant(later["expiry"].max()).timestamp() - START) / YEAR_S
    width = np.sqrt(market.state("SPY", np.array(START)).atm_total_variance(np.array(tau)))
    last = later[later["expiry"] == later["expiry"].max()]
    z = np.log(last["strike"] / last["underlying_bid"]) / width
    assert z.min() == pytest.approx(-3, abs=0.2) and z.max() == pytest.approx(2, abs=0.2)


def test_instants_include_both_ends():
    begin = datetime(2026, 11, 23, 15, tzinfo=UTC)
    assert instants(begin, begin + timedelta(minutes=2), 60).tolist() == [
        START, START + 60, START + 120]


def test_there_is_no_market_before_2000_or_after_2099(market):
    with pytest.raises(NoMarket, match="2000 to 2099"):
        market.spot("SPY", np.array(0))
