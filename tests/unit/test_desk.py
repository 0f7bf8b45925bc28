"""What a desk reads off a smile, against other ways to the same numbers."""

from dataclasses import astuple, replace
from itertools import pairwise
from math import exp, log, nan, sqrt

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import ndtr

from ml.pricing import black
from ml.smile.curve import BUMPS, plain, total_variance, volatility
from ml.smile.desk import TENORS, fixed_tenors, measures, residuals, rich_cheap, swap_beyond
from ml.types import QuotePoints, RawSvi, SmileCurve
from tests.unit.desk_smiles import make_curve, make_smile

TAU = 30 / 365
FLAT = plain(RawSvi(0.04 * TAU, 0.0, 0.0, 0.0, 0.1))
FINITE = st.floats(allow_nan=False, allow_infinity=False)
ANY = st.one_of(FINITE, st.floats(-2, 2))


@st.composite
def curves(draw):
    """A smile within Lee's bounds and its year fraction."""
    tau = exp(draw(st.floats(log(1 / 365), log(3.0))))
    deviation = draw(st.floats(0.05, 1.0)) * sqrt(tau)
    svi = RawSvi(draw(st.floats(0.2, 0.9)) * deviation**2,
                 min(draw(st.floats(0.02, 0.6)) * deviation, 0.8), draw(st.floats(-0.9, 0.6)),
                 draw(st.floats(-0.4, 0.4)) * deviation, draw(st.floats(0.2, 3.0)) * deviation)
    bumps = np.array(draw(st.lists(st.floats(-0.02, 0.02), min_size=BUMPS, max_size=BUMPS)))
    return replace(plain(svi), bumps=bumps), tau


def replicated(curve, tau):
    """The variance swap's volatility as a strip of out-of-the-money options weighted 2 / K²."""
    def weighed(x):
        k = x * curve.scale
        vol = float(volatility(curve, tau, np.array([k]))[0])
        return float(black.price(1.0, exp(k), tau, vol, k > 0)) / exp(k) * 2 * curve.scale

    parts = [-60, -20, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 20, 60]
    return sqrt(sum(quad(weighed, low, high, epsabs=1e-14, epsrel=1e-9, limit=200)[0]
                    for low, high in pairwise(parts)) / tau)


def test_a_flat_smile_has_nothing_to_read_but_its_level():
    assert astuple(measures(FLAT, TAU)) == pytest.approx((0, 0, 0, 0.2), abs=1e-12)


@pytest.mark.parametrize("curve", [
    make_curve(30), plain(RawSvi(0.001, 0.01, -0.5, 0.005, 0.08)),
    replace(make_curve(30), bumps=np.linspace(-0.02, 0.02, BUMPS) ** 2 * 40)])
def test_the_variance_swap_is_what_replicates_it(curve):
    assert measures(curve, TAU).variance_swap_vol == pytest.approx(replicated(curve, TAU), rel=2e-5)


@settings(deadline=None)
@given(curves())
def test_the_deltas_of_the_quoted_volatilities_are_a_quarter(case):
    curve, tau = case
    found, atm_vol = measures(curve, tau), float(volatility(curve, tau, np.zeros(1))[0])
    middle = found.butterfly_25 + atm_vol
    call, put = middle + found.risk_reversal_25 / 2, middle - found.risk_reversal_25 / 2
    for vol, side in ((call, -1), (put, 1)):
        deviation = vol * sqrt(tau)
        k = deviation**2 / 2 - side * 0.6744897501960817 * deviation  # where vol has that delta
        assert ndtr(-k / deviation + deviation / 2) == pytest.approx(0.5 + side * 0.25)
        assert volatility(curve, tau, np.array([k]))[0] == pytest.approx(vol, rel=1e-5)


@settings(deadline=None)
@given(curves())
def test_the_skew_is_the_slope_at_the_money(case):
    curve, tau = case
    step = 1e-4 * curve.scale
    low, high = volatility(curve, tau, np.array([-step, step]))
    assert measures(curve, tau).skew == pytest.approx((high - low) / (2 * step), rel=1e-4, abs=1e-6)


@settings(deadline=None)
@given(curves())
def test_a_variance_swap_is_no_cheaper_than_the_cheapest_option(case):
    curve, tau = case
    vols = volatility(curve, tau, np.linspace(-50, 50, 2001) * curve.scale)
    swap = measures(curve, tau).variance_swap_vol
    assume(not np.isnan(swap))
    assert vols.min() < swap * (1 + 1e-9) + 1e-12
    assert swap < vols.max() * (1 + 1e-9)


def test_a_swap_that_diverges_is_missing_and_the_rest_is_there():
    steep = plain(RawSvi(0.01, 1.1, -0.8, 0.0, 0.1))  # wing slope 1.98
    found = measures(steep, 0.5)
    assert np.isnan(found.variance_swap_vol)
    assert np.isfinite([found.skew, found.risk_reversal_25, found.butterfly_25]).all()


def test_a_negative_variance_is_no_swap():
    dented = SmileCurve(FLAT.svi, FLAT.scale, np.full(BUMPS, -2.0))
    assert np.isnan(astuple(measures(dented, TAU))).all()


def test_a_negative_variance_far_out_is_no_swap_either():
    falling = plain(RawSvi(0.04, 0.05, -1.5, 0.0, 0.1))  # w < 0 beyond k of about 1.6
    assert np.isnan(measures(falling, 0.5).variance_swap_vol)


@pytest.mark.filterwarnings("error")
@settings(deadline=None)
@given(st.builds(RawSvi, ANY, ANY, ANY, ANY, ANY), ANY, ANY,
       st.lists(ANY, min_size=BUMPS, max_size=BUMPS))
def test_no_finite_curve_raises_or_warns(svi, scale, tau, bumps):
    found = measures(SmileCurve(svi, scale, np.array(bumps)), tau)
    assert not np.isinf(astuple(found)).any()


def test_the_swap_says_how_much_of_it_lies_beyond_the_quotes():
    smile = replace(make_smile(30), curve=FLAT)
    edges = np.array([-2.0, 1.0]) * FLAT.scale + FLAT.scale**2 / 2
    within = replace(smile.quotes, log_moneyness=edges)
    lower = -edges / FLAT.scale - FLAT.scale / 2  # a flat smile weighs by the normal density of d₂
    assert swap_beyond(replace(smile, quotes=within)) == pytest.approx(
        1 - (ndtr(lower[0]) - ndtr(lower[1])), abs=0.02)
    assert np.isnan(swap_beyond(replace(smile, curve=None)))


def test_a_tenor_at_an_expiry_is_that_expiry():
    smiles = [make_smile(10, 0.2), make_smile(30, 0.16, forward=603.0), make_smile(90, 0.17)]
    found = fixed_tenors(smiles, [30])[0]
    assert found.atm_vol == pytest.approx(smiles[1].atm_vol)
    assert found.forward == pytest.approx(603.0)
    assert astuple(found.desk) == pytest.approx(astuple(measures(make_curve(30), 30 / 365)))
    assert found.between == (smiles[0].expiry, smiles[1].expiry)


def test_between_expiries_total_variance_is_linear_in_time():
    near, far = make_smile(20, 0.3, forward=600.0), make_smile(60, 0.2, forward=606.0)
    far = replace(far, confidence=0.4)
    found = fixed_tenors([far, near], [30])[0]
    variance = 0.75 * near.atm_vol**2 * near.tau + 0.25 * far.atm_vol**2 * far.tau
    assert found.atm_vol**2 * found.tau == pytest.approx(variance)
    assert found.forward == pytest.approx(600.0**0.75 * 606.0**0.25)
    assert found.confidence == 0.4
    vol = found.atm_vol + found.desk.butterfly_25 - found.desk.risk_reversal_25 / 2
    deviation = vol * sqrt(found.tau)
    k = np.array([deviation**2 / 2 - 0.6744897501960817 * deviation])  # of the 25-delta put
    mixed = 0.75 * total_variance(near.curve, k) + 0.25 * total_variance(far.curve, k)
    assert mixed[0] == pytest.approx(vol**2 * found.tau, rel=1e-5)


def test_an_affine_variance_swap_is_between_its_neighbours():
    near, far = make_smile(20, 0.3), make_smile(60, 0.2)
    swap = fixed_tenors([near, far], [20, 30, 60])
    total = [tenor.desk.variance_swap_vol**2 * tenor.tau for tenor in swap]
    assert total[0] < total[1] < total[2]
    assert total[1] == pytest.approx(0.75 * total[0] + 0.25 * total[2], rel=5e-3)


def test_between_a_swap_that_diverges_and_another_there_is_none():
    steep = replace(make_smile(20), curve=plain(RawSvi(0.01, 1.1, -0.8, 0.0, 0.1)))
    between, at_far = fixed_tenors([steep, make_smile(60)], [30, 60])
    assert np.isnan(between.desk.variance_swap_vol)
    assert np.isfinite(between.desk.risk_reversal_25)
    assert np.isfinite(at_far.desk.variance_swap_vol)


def test_beyond_the_expiries_a_tenor_is_missing():
    found = fixed_tenors([make_smile(20), make_smile(60)])
    assert [tenor.days for tenor in found] == list(TENORS)
    known = [tenor.days for tenor in found if tenor.between]
    assert known == [30, 60]
    missing = found[0]
    assert np.isnan([missing.atm_vol, missing.forward, missing.confidence]).all()
    assert np.isnan(astuple(missing.desk)).all()


def test_an_expiry_without_a_smile_is_passed_over():
    smiles = [make_smile(20), replace(make_smile(29), curve=None), make_smile(60)]
    found = fixed_tenors(smiles, [30])[0]
    assert found.between == (smiles[0].expiry, smiles[2].expiry)
    assert [tenor.between for tenor in fixed_tenors([smiles[1]], [29])] == [None]


def test_residuals_are_mid_minus_fit_in_volatility_and_half_spreads():
    points = QuotePoints(np.ones(4), np.zeros(4), np.array([0.19, nan, 0.19, nan]),
                         np.full(4, 0.20), np.array([0.21, 0.22, nan, nan]))
    found = residuals(points, np.array([0.185, 0.15, 0.205, 0.2]))
    assert found.vol == pytest.approx([0.015, 0.05, -0.005, 0.0])
    assert found.half_spread == pytest.approx([0.01, 0.02, 0.01, nan], nan_ok=True)
    assert found.half_spreads == pytest.approx([1.5, 2.5, -0.5, nan], nan_ok=True)
    assert found.inside.tolist() == [False, True, True, True]


def test_a_rich_quote_stands_above_the_smile():
    smile = make_smile(30)
    mids = smile.quotes.mid_iv.copy()
    mids[5] += 0.004
    found = rich_cheap(replace(smile, quotes=replace(smile.quotes, mid_iv=mids)))
    assert found.vol[5] == pytest.approx(0.004)
    assert np.delete(found.vol, 5) == pytest.approx(0, abs=1e-12)
    assert found.inside.all()


def test_without_a_curve_nothing_is_rich_or_cheap():
    found = rich_cheap(replace(make_smile(30), curve=None))
    assert np.isnan(found.vol).all()
    assert not found.inside.any()
