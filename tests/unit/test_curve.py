import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.interpolate import BSpline

from ml.quotes.format import iter_chains
from ml.quotes.snapshot import import_snapshot
from ml.smile import svi
from ml.smile.curve import (
    BUMPS,
    KNOTS,
    derivatives,
    design,
    fit_bumps,
    plain,
    total_variance,
    volatility,
)
from ml.smile.surface import build_surface
from ml.types import RawSvi, SmileCurve
from tests.unit.chains import CURVE, DEVIATION, TAU

SCALE = plain(CURVE).scale
K = np.linspace(-3.0, 2.5, 90) * SCALE
finite = st.floats(allow_nan=False, allow_infinity=False)


def bumped(*bumps):
    return SmileCurve(CURVE, SCALE, np.array([*bumps, *np.zeros(BUMPS - len(bumps))]))


def quotes(relative, noise=0.0, seed=0):
    """Total variances `relative` off the SVI, and what they are off besides."""
    random = np.random.default_rng(seed)
    w = svi.total_variance(CURVE, K)
    return w * (1 + relative(K / SCALE)) * (1 + random.normal(0.0, noise, len(K)))


def fitted(variance, error):
    return fit_bumps(CURVE, K, variance, 1 / (error * svi.total_variance(CURVE, K)) ** 2)


def off(curve, relative, inner=2.0):
    k = np.linspace(-inner, min(inner, 2.0), 60) * SCALE
    return total_variance(curve, k) / svi.total_variance(CURVE, k) - 1 - relative(k / SCALE)


def test_the_basis_is_scipys_on_the_same_knots():
    x = np.linspace(-8.5, 6.8, 333)
    found = design(x)
    for j in range(BUMPS):
        basis = BSpline.basis_element(KNOTS[j:j + 5], extrapolate=False)
        assert found[0, :, j] == pytest.approx(np.nan_to_num(basis(x)), abs=1e-12)
        assert found[1, :, j] == pytest.approx(np.nan_to_num(basis.derivative()(x)), abs=1e-12)
        assert found[2, :, j] == pytest.approx(np.nan_to_num(basis.derivative(2)(x)), abs=1e-11)


def test_without_bumps_it_is_the_svi():
    for mine, its in zip(derivatives(plain(CURVE), K), svi.derivatives(CURVE, K), strict=True):
        assert mine == pytest.approx(its, rel=1e-14)
    assert pytest.approx(np.sqrt(svi.total_variance(CURVE, np.zeros(1))[0])) == SCALE


def test_far_out_it_is_the_svi_whatever_the_bumps():
    curve = SmileCurve(CURVE, SCALE, np.linspace(-0.3, 0.3, BUMPS))
    k = np.array([-9.0, -8.0, 6.5, 7.0]) * SCALE
    for mine, its in zip(derivatives(curve, k), svi.derivatives(CURVE, k), strict=True):
        assert mine == pytest.approx(its, rel=1e-9)


@given(arrays(float, BUMPS, elements=st.floats(-0.3, 0.3)))
def test_derivatives_are_those_of_the_curve(bumps):
    curve, step = SmileCurve(CURVE, SCALE, bumps), 1e-5 * SCALE
    w, slope, curvature = derivatives(curve, K)
    above, below = derivatives(curve, K + step), derivatives(curve, K - step)
    size = w.max() / SCALE
    assert (above[0] - below[0]) / (2 * step) == pytest.approx(slope, abs=1e-6 * size)
    assert (above[1] - below[1]) / (2 * step) == pytest.approx(curvature, abs=1e-3 * size / SCALE)


def test_volatility_is_the_root_of_variance_by_time():
    assert volatility(plain(CURVE), TAU, np.zeros(1))[0] * np.sqrt(TAU) == pytest.approx(SCALE)
    assert np.isnan(volatility(bumped(*np.full(BUMPS, -2.0)), TAU, np.zeros(1))).all()
    assert np.isnan(volatility(plain(CURVE), 0.0, np.zeros(1))).all()


def test_shapes_are_kept():
    assert total_variance(plain(CURVE), np.zeros((2, 3))).shape == (2, 3)


def test_a_misfit_that_quotes_agree_on_is_followed():
    def hump(x):
        return 0.04 * np.exp(-((x + 0.5) ** 2))

    assert np.abs(off(fitted(quotes(hump), 0.002), hump)).max() < 0.001


def test_scatter_from_strike_to_strike_is_not_followed():
    variance = quotes(lambda x: 0.0 * x, noise=0.02)
    followed = off(fitted(variance, 0.002), lambda x: 0.0 * x)
    assert np.sqrt(np.mean(followed**2)) < 0.008


def test_wider_quotes_pull_less():
    def lift(x):
        return 0.01 * np.exp(-(x**2))

    tight, wide = fitted(quotes(lift), 0.002), fitted(quotes(lift), 2.0)
    assert np.abs(wide.bumps).max() < 0.2 * np.abs(tight.bumps).max()


def test_where_nothing_is_quoted_it_returns_to_the_svi():
    near = np.abs(K) < SCALE
    w = svi.total_variance(CURVE, K) * 1.05
    curve = fit_bumps(CURVE, K[near], w[near], 1 / (0.001 * w[near]) ** 2)
    ratio = total_variance(curve, K) / svi.total_variance(CURVE, K) - 1
    assert ratio[near] == pytest.approx(0.05, abs=0.002)
    assert np.abs(ratio[K < -2.9 * SCALE]).max() < 0.025


def test_it_is_linear_in_the_quotes_for_given_errors():
    w = svi.total_variance(CURVE, K)
    up = fitted(w * (1 + 0.02 * np.sin(K / SCALE)), 0.01)
    down = fitted(w * (1 - 0.02 * np.sin(K / SCALE)), 0.01)
    assert up.bumps == pytest.approx(-down.bumps, abs=1e-12)


def test_a_little_change_of_the_quotes_changes_the_bumps_little():
    base = quotes(lambda x: 0.01 * x, noise=0.01)
    one, other = fitted(base, 0.01), fitted(base * (1 + 1e-6), 0.01)
    assert one.bumps == pytest.approx(other.bumps, abs=1e-5)


def test_rows_that_are_not_numbers_are_left_out():
    w = quotes(lambda x: 0.02 * x)
    weight = 1 / (0.01 * w) ** 2
    bad = w.copy()
    bad[[3, 40]] = np.nan, np.inf
    kept = np.isfinite(bad)
    assert fit_bumps(CURVE, K, bad, weight).bumps == pytest.approx(
        fit_bumps(CURVE, K[kept], w[kept], weight[kept]).bumps, rel=1e-12)
    nothing = fit_bumps(CURVE, np.empty(0), np.empty(0), np.empty(0))
    assert (nothing.bumps == 0).all()


@pytest.mark.filterwarnings("error")
@given(arrays(float, (3, 7), elements=finite), st.lists(finite, min_size=5, max_size=5))
def test_no_finite_input_warns_or_raises(rows, parameters):
    curve = fit_bumps(RawSvi(*parameters), *rows)
    assert np.isfinite(curve.bumps).all()
    assert curve.scale > 0
    derivatives(curve, rows[0])
    volatility(curve, float(rows[1, 0]), rows[0])
    total_variance(SmileCurve(curve.svi, DEVIATION, np.full(BUMPS, rows[2, 0])), rows[0])


def left_out_errors(points, tau):
    """Of the SVI alone and with bumps, in volatility, on every fourth strike when it is left out
    of the fit."""
    k, w = points.log_moneyness, points.mid_iv**2 * tau
    half = (points.ask_iv - points.bid_iv) / 2
    half = np.where(half > 0, half, points.ask_iv - points.mid_iv)  # a bid below intrinsic
    weight = (2 * points.mid_iv * tau * np.maximum(half, np.median(half))) ** -2.0
    errors = []
    for out in (np.arange(len(k)) % 4 == place for place in range(4)):
        base = svi.fit(k[~out], w[~out], weight[~out])
        for curve in (plain(base), fit_bumps(base, k[~out], w[~out], weight[~out])):
            errors.append(volatility(curve, tau, k[out]) - points.mid_iv[out])
    return np.concatenate(errors[::2]), np.concatenate(errors[1::2])


@pytest.mark.parametrize("folder", ["2026-08-13", "2026-08-14"])
def test_quotes_left_out_are_nearer_to_the_bumps_than_to_the_svi(shared_data, folder):
    chains = list(iter_chains(import_snapshot(shared_data / "spy_chain_2026-08" / folder)))
    smiles = [one for one in build_surface(chains).smiles if len(one.quotes.strike) >= 40]
    pairs = [left_out_errors(one.quotes, one.tau) for one in smiles]
    alone, bumped = (np.array([np.sqrt(np.mean(pair[i] ** 2)) for pair in pairs]) for i in (0, 1))
    print(f"median error {np.median(alone) * 1e4:.1f} bp alone, {np.median(bumped) * 1e4:.1f} bp")
    assert np.median(bumped) < 0.7 * np.median(alone)
    assert (bumped < alone).mean() > 0.9
