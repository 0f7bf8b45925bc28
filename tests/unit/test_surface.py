from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.calendar import year_fraction
from ml.features import instant_features
from ml.pricing import black
from ml.smile import draft as making
from ml.smile.arbitrage import check
from ml.smile.curve import total_variance as curve_variance
from ml.smile.filter import REASONS, QuoteLimits
from ml.smile.grid import ATM_INDEX, GRID_Z, vol_at
from ml.smile.surface import build_smile, build_surface
from ml.smile.svi import total_variance
from ml.types import ChainQuotes
from tests.unit.chains import AT, CURVE, DISCOUNT, EXPIRY, FORWARD, SPOT, TAU, make_chain

ANY_FLOAT = st.one_of(st.floats(), st.floats(0.01, 50.0),
                      st.sampled_from([0.0, -1.0, 1e-300, 1e7, 1.79e308]))


def take(chain, rows):
    names = ("strike", "is_call", "bid", "ask", "quote_age_s")
    return replace(chain, **{name: getattr(chain, name)[rows] for name in names})


def test_the_smile_of_clean_quotes_is_recovered():
    smile = build_smile(make_chain())
    k = GRID_Z * smile.atm_vol * np.sqrt(TAU)
    assert smile.reason is None
    assert smile.forward == pytest.approx(FORWARD, abs=0.01)
    assert smile.discount == pytest.approx(DISCOUNT, abs=1e-4)
    assert smile.tau == TAU
    assert smile.grid_vol == pytest.approx(np.sqrt(total_variance(CURVE, k) / TAU), abs=1e-4)
    assert smile.grid_vol[ATM_INDEX] == pytest.approx(smile.atm_vol)
    assert smile.fit_error < 1e-4
    assert smile.butterfly_ok
    assert smile.quotes_total == 80
    assert smile.quote_age_s == 1.0


def test_the_borrow_ties_the_forward_to_the_underlying_within_its_own_noise():
    smile = build_smile(make_chain())
    rate = -np.log(smile.discount) / TAU
    assert SPOT * np.exp((rate - smile.borrow) * TAU) == pytest.approx(smile.forward, rel=2e-3)


def test_points_are_out_of_the_money_ascending_and_within_their_spread():
    points = build_smile(make_chain(tick=0.01)).quotes
    assert (np.diff(points.strike) > 0).all()
    assert points.log_moneyness == pytest.approx(np.log(points.strike / FORWARD), abs=1e-4)
    assert (points.bid_iv <= points.mid_iv).all()
    assert (points.mid_iv <= points.ask_iv).all()


def test_ticks_and_spreads_leave_the_curve_within_the_quotes():
    smile = build_smile(make_chain(tick=0.05))
    vol = vol_at(smile.grid_vol, smile.tau, smile.quotes.log_moneyness)
    inside = (vol >= np.nan_to_num(smile.quotes.bid_iv)) & (vol <= smile.quotes.ask_iv)
    assert inside.mean() > 0.95


def test_only_grid_points_within_the_quoted_strikes_are_observed():
    chain = make_chain(41)
    near = np.abs(np.log(chain.strike / FORWARD)) < 0.05
    smile = build_smile(take(chain, near))
    k = GRID_Z * smile.atm_vol * np.sqrt(TAU)
    quoted = np.log(chain.strike[near] / smile.forward)
    assert smile.grid_observed.tolist() == ((k >= quoted.min()) & (k <= quoted.max())).tolist()
    assert 0 < smile.grid_observed.sum() < len(GRID_Z)
    assert np.isfinite(smile.grid_vol).all()


def test_every_reject_is_counted_by_its_reason():
    chain = make_chain()
    chain.bid[:3], chain.ask[3:5] = np.nan, np.nan
    chain.bid[5], chain.bid[6] = chain.ask[5] + 1, -1.0
    smile = build_smile(chain)
    assert smile.reason is None
    assert smile.rejects == {"sentinel": 1, "one_sided": 5, "crossed": 1}


def test_an_absurd_quote_is_an_outlier_and_does_not_move_the_smile():
    chain = make_chain()
    clean = build_smile(chain)
    row = int(np.flatnonzero(~chain.is_call & (chain.strike < 0.97 * FORWARD))[-1])
    chain.bid[row] += 3.0
    chain.ask[row] += 3.0
    assert set(build_smile(chain).rejects) == {"off_parity"}
    chain.ask[chain.is_call & (chain.strike == chain.strike[row])] = np.nan
    smile = build_smile(chain)
    assert smile.rejects == {"one_sided": 1, "outlier": 1}
    assert smile.grid_vol == pytest.approx(clean.grid_vol, abs=5e-4)


def test_a_warm_start_gives_the_same_smile():
    cold = build_smile(make_chain(tick=0.01))
    first = build_surface([make_chain(tick=0.01)])
    warm = build_surface([make_chain(tick=0.01)], first).smiles[0]
    assert warm.grid_vol == pytest.approx(cold.grid_vol, abs=1e-4)


@pytest.mark.parametrize(("chain", "reason"), [
    (replace(make_chain(), at=AT + timedelta(days=60)), making.EXPIRED),
    (replace(make_chain(), delayed=True), making.TOO_FEW_QUOTES),
    (take(make_chain(), np.flatnonzero(make_chain().is_call)), making.ONE_WING),
    (take(make_chain(), np.arange(0)), making.TOO_FEW_QUOTES),
    (replace(make_chain(half_spread=40.0), underlying=float("nan")), making.NO_FORWARD),
    (take(make_chain(), np.arange(46, 54)), making.TOO_FEW_QUOTES),
    (make_chain(half_spread=40.0), making.TOO_FEW_QUOTES),
])
def test_without_a_smile_the_reason_is_said_and_numbers_are_missing(chain, reason):
    smile = build_smile(chain)
    assert smile.reason == reason
    assert smile.svi is None
    assert not smile.butterfly_ok
    assert np.isnan(smile.grid_vol).all()
    assert not smile.grid_observed.any()
    assert smile.quotes_total == len(chain.strike)


def test_quotes_of_one_wing_only_are_no_smile():
    chain = make_chain()
    puts = chain.is_call == (chain.strike >= FORWARD)
    in_money = take(chain, np.flatnonzero(~puts | (chain.strike < FORWARD)))
    assert build_smile(in_money).reason == making.ONE_WING


def test_quotes_that_are_no_smile_are_refused():
    chain = make_chain()
    factor = np.where(np.arange(len(chain.strike)) % 4 < 2, 2.5, 1.0)
    wing = np.abs(np.log(chain.strike / FORWARD)) > 0.02
    scaled = np.where(wing, factor, 1.0)
    chain.ask[wing & (chain.is_call == (chain.strike < FORWARD))] = np.nan  # no parity to tell
    smile = build_smile(replace(chain, bid=chain.bid * scaled, ask=chain.ask * scaled))
    assert smile.reason == making.NO_FIT
    assert len(smile.quotes.strike) > 10


def test_quotes_far_beyond_the_grid_are_neither_used_nor_rejected():
    smile = build_smile(make_chain(60, half_spread=1e-6, reach=2.2))
    z = smile.quotes.log_moneyness / (smile.atm_vol * np.sqrt(TAU))
    assert smile.reason is None
    assert -4.1 < z.min() < -3.5
    assert 2.5 < z.max() < 3.1
    assert smile.rejects == {}


def test_limits_are_the_callers():
    stale = QuoteLimits(max_age_s=0.5)
    assert build_smile(make_chain(), limits=stale).rejects == {"stale": 80}


def test_few_quotes_still_make_a_plain_smile():
    chain = take(make_chain(21), np.arange(20, 34))
    smile = build_smile(chain)
    assert smile.reason is None
    assert 5 <= len(smile.quotes.strike) < 8
    assert smile.atm_vol == pytest.approx(np.sqrt(total_variance(CURVE, np.zeros(1))[0] / TAU),
                                          abs=2e-3)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(-10, 2_000), ANY_FLOAT, ANY_FLOAT, ANY_FLOAT, ANY_FLOAT),
                max_size=25), ANY_FLOAT, st.sampled_from([date(2026, 8, 14), EXPIRY]))
def test_no_quotes_raise_or_warn(rows, underlying, expiry):
    columns = np.array(rows).reshape(-1, 5).T
    chain = ChainQuotes("X", expiry, AT, underlying, np.repeat(columns[0], 2),
                        np.arange(2 * len(rows)) % 2 == 0, columns[1:3].T.ravel(),
                        columns[3:].T.ravel(), np.full(2 * len(rows), np.nan))
    _is_consistent(build_smile(chain))


@pytest.mark.filterwarnings("error::RuntimeWarning")
@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 79), st.sampled_from(["bid", "ask", "strike"]),
                          ANY_FLOAT), max_size=40))
def test_no_corruption_of_good_quotes_raises_or_warns(changes):
    chain = make_chain()
    for row, name, value in changes:
        getattr(chain, name)[row] = value
    _is_consistent(build_smile(chain))


def _is_consistent(smile):
    assert (smile.svi is None) == (smile.reason is not None)
    assert np.isfinite(smile.grid_vol).all() == (smile.reason is None)
    assert set(smile.rejects) <= set(REASONS)
    assert sum(smile.rejects.values()) + len(smile.quotes.strike) <= smile.quotes_total
    assert not np.isinf(instant_features(smile)).any()


SHARED = (date(2026, 9, 4), EXPIRY, date(2026, 10, 16), date(2026, 12, 18))


def make_surface(widen=0.0):
    """Four expiries of one SSVI surface, priced without error."""
    return [_ssvi_chain(expiry, widen) for expiry in SHARED]


def _ssvi_chain(expiry, half_spread):
    tau = year_fraction(AT, expiry)
    theta, rho = 0.16**2 * tau, -0.6
    forward, discount = SPOT * np.exp(0.04 * tau), float(np.exp(-0.04 * tau))
    strike = np.repeat(forward * np.exp(np.linspace(-3.5, 2.5, 60) * theta**0.5), 2)
    is_call = np.arange(len(strike)) % 2 == 0
    x = 1.5 / np.sqrt(theta * (1 + theta)) * np.log(strike / forward)
    variance = theta / 2 * (1 + rho * x + np.sqrt((x + rho) ** 2 + 1 - rho**2))
    mid = black.price(forward, strike, tau, np.sqrt(variance / tau), is_call, discount)
    half = half_spread + 1e-7 * mid
    return ChainQuotes("SPX", expiry, AT, SPOT, strike, is_call, mid - half, mid + half,
                       np.ones(len(strike)))


def shifted(chain, bump):
    """The chain with every price at `bump` more volatility, as a function of log-moneyness."""
    smile = build_smile(chain)
    k = np.log(chain.strike / smile.forward)
    vol = np.sqrt(curve_variance(smile.curve, k) / smile.tau) + bump(k / smile.atm_vol)
    mid = black.price(smile.forward, chain.strike, smile.tau, vol, chain.is_call, smile.discount)
    half = (chain.ask - chain.bid) / 2
    return replace(chain, bid=mid - half, ask=mid + half)


def test_a_clean_ssvi_surface_is_recovered_and_left_alone():
    surface = build_surface(make_surface())
    for smile, expiry in zip(surface.smiles, SHARED, strict=True):
        tau = year_fraction(AT, expiry)
        theta, k = 0.16**2 * tau, smile.quotes.log_moneyness
        x = 1.5 / np.sqrt(theta * (1 + theta)) * k
        variance = theta / 2 * (1 - 0.6 * x + np.sqrt((x - 0.6) ** 2 + 0.64))
        assert curve_variance(smile.curve, k) == pytest.approx(variance, abs=1e-6 * theta)
        assert smile.forward == pytest.approx(SPOT * np.exp(0.04 * tau), rel=1e-6)
        assert smile.repaired == ()
        assert smile.moved == 0.0
        assert smile.butterfly_ok and smile.calendar_ok and smile.lee_ok
        assert smile.confidence > 0.9


def test_a_planted_calendar_arbitrage_is_caught_and_repaired():
    chains = make_surface(widen=0.02)
    chains[1] = shifted(chains[1], lambda _: 0.06)
    smiles = build_surface(chains).smiles
    assert "calendar" in smiles[1].repaired
    assert "calendar" in smiles[2].repaired
    assert max(smiles[1].moved, smiles[2].moved) > 0.005
    assert not any(one.violations for one in check([smile.curve for smile in smiles]))
    assert smiles[1].confidence < build_surface(make_surface(widen=0.02)).smiles[1].confidence


def test_a_planted_butterfly_is_caught_and_repaired():
    chains = make_surface(widen=0.02)
    chains[2] = shifted(chains[2], lambda x: -0.03 * np.exp(-((x + 0.25) ** 2) / 0.01))
    smile = build_surface(chains).smiles[2]
    assert "butterfly" in smile.repaired
    assert smile.butterfly_ok
    assert smile.moved > 0


def test_a_weak_expiry_takes_its_forward_from_the_others_and_says_so():
    chains = make_surface(widen=0.02)
    chains[1] = take(chains[1], np.flatnonzero(chains[1].is_call == (chains[1].strike >= 602)))
    smile = build_surface(chains).smiles[1]
    assert smile.forward_source == "term structure"
    assert smile.forward == pytest.approx(SPOT * np.exp(0.04 * smile.tau), rel=2e-3)
    assert smile.reason is None


def test_a_wrong_spot_does_not_move_the_smiles():
    chains = make_surface(widen=0.02)
    wrong = build_surface([replace(chain, underlying=SPOT * 1.05) for chain in chains])
    right = build_surface(chains)
    assert wrong.term.spot_off
    assert not right.term.spot_off
    assert all(np.isnan(smile.underlying) for smile in wrong.smiles)
    assert all(smile.underlying == SPOT for smile in right.smiles)
    for one, other in zip(wrong.smiles, right.smiles, strict=True):
        assert one.forward == pytest.approx(other.forward, rel=1e-5)
        assert one.grid_vol == pytest.approx(other.grid_vol, abs=1e-4)


def test_a_hundred_crossed_quotes_and_an_expired_chain_leave_the_others_as_they_are():
    chains = make_surface(widen=0.02)
    clean = build_surface(chains)
    crossed = replace(chains[0], bid=chains[0].ask, ask=chains[0].bid)
    past = replace(chains[1], expiry=date(2026, 8, 13))
    smiles = build_surface([crossed, past, *chains[2:]]).smiles
    assert [smile.reason for smile in smiles] == [making.EXPIRED, making.TOO_FEW_QUOTES, None, None]
    assert smiles[1].rejects == {"crossed": 120}
    for one, other in zip(smiles[2:], clean.smiles[2:], strict=True):
        assert one.grid_vol == pytest.approx(other.grid_vol, abs=2e-4)


def test_a_split_adjusted_contract_is_off_parity_and_does_not_move_the_smile():
    chains = make_surface(widen=0.02)
    clean = build_surface(chains).smiles[1]
    row = int(np.flatnonzero(chains[1].strike >= 601)[0]) // 2 * 2
    for side in ("bid", "ask"):
        getattr(chains[1], side)[row] *= 1.5
    smile = build_surface(chains).smiles[1]
    assert {"off_parity", "outlier"} & set(smile.rejects)
    assert smile.grid_vol == pytest.approx(clean.grid_vol, abs=5e-4)


def test_quotes_that_mostly_contradict_parity_are_no_smile():
    chain = make_chain()
    odd = (np.arange(len(chain.strike)) // 2 % 10 != 0) & chain.is_call
    wrong = replace(chain, bid=np.where(odd, 3 * chain.bid + 20, chain.bid),
                    ask=np.where(odd, 3 * chain.ask + 20, chain.ask))
    smile = build_smile(wrong)
    assert smile.reason is not None or smile.confidence < 0.2


def test_few_quotes_give_the_same_smile_whatever_came_before():
    chain = take(make_chain(21), np.arange(20, 34))
    before = build_surface([make_chain()])
    later = replace(chain, at=AT + timedelta(seconds=2))
    warm, cold = build_surface([later], before), build_surface([later])
    assert (warm.smiles[0].grid_vol == cold.smiles[0].grid_vol).all()


@pytest.mark.parametrize(("chains", "what"), [
    ([], "one expiry at least"),
    ([make_chain(), make_chain()], "each expiry once"),
    ([make_chain(), replace(make_chain(), expiry=date(2026, 10, 16), symbol="SPY")],
     "one symbol at one instant"),
])
def test_a_mixture_is_refused(chains, what):
    with pytest.raises(ValueError, match=what):
        build_surface(chains)
