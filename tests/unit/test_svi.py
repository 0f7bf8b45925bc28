import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from ml.smile.svi import (
    MIN_FREE_QUOTES,
    MIN_SIGMA,
    VARIANCE_FLOOR,
    derivatives,
    durrleman,
    fit,
    total_variance,
)
from ml.smile.svi_search import box_minimum, solve
from ml.types import RawSvi

ANY_FINITE = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.floats(-3, 3),
                       st.sampled_from([0.0, 1e-308, 1e308, -1e308]))


@st.composite
def slices(draw):
    """A raw SVI of a smile around 1 at the money in scaled units, and its deviation σ √τ."""
    deviation = draw(st.floats(0.005, 0.5))
    b, rho = draw(st.floats(0.05, 0.3)), draw(st.floats(-0.8, 0.4))
    m, sigma = draw(st.floats(-0.5, 0.5)), draw(st.floats(0.3, 2.0))
    a = 1.0 - b * (-rho * m + np.hypot(m, sigma))
    return RawSvi(a * deviation**2, b * deviation, rho, m * deviation, sigma * deviation), deviation


def is_within_bounds(svi):
    lowest = svi.a + svi.b * svi.sigma * np.sqrt(1 - svi.rho**2)
    return svi.b >= 0 and svi.b * (1 + abs(svi.rho)) <= 2 + 1e-9 and lowest >= 0 and svi.sigma > 0


@settings(deadline=None, max_examples=40)
@given(slices(), st.integers(12, 60))
def test_the_curve_of_clean_quotes_is_recovered(drawn, count):
    true, deviation = drawn
    k = np.linspace(-2.8, 2.0, count) * deviation
    found = fit(k, total_variance(true, k), np.ones(count))
    between = np.linspace(-2.8, 2.0, 101) * deviation
    ratio = np.sqrt(total_variance(found, between) / total_variance(true, between))
    assert np.abs(ratio - 1).max() < 1e-4
    assert is_within_bounds(found)


@settings(deadline=None, max_examples=40)
@given(slices(), st.integers(0, 1_000))
def test_a_fit_to_noisy_quotes_is_no_worse_than_the_truth(drawn, seed):
    true, deviation = drawn
    k = np.linspace(-2.8, 2.0, 25) * deviation
    noise = np.random.default_rng(seed).normal(0, 0.01, 25)
    variance = total_variance(true, k) * (1 + noise)
    found = fit(k, variance, 1 / variance**2)
    cost, floor = (np.sum((total_variance(svi, k) / variance - 1) ** 2) for svi in (found, true))
    assert cost <= 1.1 * floor
    assert is_within_bounds(found)


def noisy_quotes(seed):
    """ln(K/F), variance and weight of a slice of random shape, strikes and errors."""
    random = np.random.default_rng(seed)
    deviation, count = np.exp(random.uniform(-5, -0.7)), random.choice([8, 12, 20, 40])
    x = np.sort(random.uniform(-random.uniform(0.8, 3.5), random.uniform(0.5, 2.5), count))
    b, rho = random.uniform(0.02, 0.5), random.uniform(-0.95, 0.6)
    m, sigma = random.uniform(-0.7, 0.7), np.exp(random.uniform(-3, 0.7))
    true = RawSvi(1.0 - b * (-rho * m + np.hypot(m, sigma)), b, rho, m, sigma)
    variance = np.maximum(total_variance(true, x), 1e-3)
    error = np.maximum(np.abs(x), 1) * np.exp(random.uniform(-7, -3)) * variance
    variance = np.maximum(variance + error * random.normal(size=count), 2e-4)
    return x * deviation, variance * deviation**2, 1 / (error * deviation**2) ** 2


def least_cost(k, variance, weight, starts=5):
    """Least cost that SciPy finds from random starts, within the same bounds on all parameters.

    Its parameters are the curve's minimum, p and q as shares of Lee's bound, m and log σ.
    """
    scale = np.sqrt(variance[np.argmin(np.abs(k))])
    x, v, root = k / scale, variance / scale**2, np.sqrt(weight) * scale**2
    margin = 0.25 * np.ptp(x)
    low = [VARIANCE_FLOOR, 0, 0, x.min() - margin, np.log(MIN_SIGMA)]
    high = [np.inf, 1, 1, x.max() + margin, np.log(12.0)]

    def residual(at):
        sigma = np.exp(at[4])
        p, q = at[1:3] * sigma / scale
        y = (x - at[3]) / sigma
        steep = np.hypot(y, 1) + np.abs(y)
        right, left = np.where(y > 0, steep, 1 / steep), np.where(y > 0, 1 / steep, steep)
        return root * (at[0] - 2 * np.sqrt(p * q) + p * right + q * left - v)

    random, costs = np.random.default_rng(0), []
    for _ in range(starts):
        slope = random.uniform(0.01, 0.5) * scale * random.uniform(0.1, 1, 2)
        start = [random.uniform(2 * VARIANCE_FLOOR, v.min()), *slope,
                 random.uniform(low[3], high[3]), random.uniform(-3.5, 1.5)]
        sizes = [1, 0.05 * scale, 0.05 * scale, 0.5, 0.5]
        costs.append(2 * least_squares(residual, start, bounds=(low, high), x_scale=sizes).cost)
    return min(costs)


def test_a_cold_fit_is_the_best_that_many_starts_find():
    ratios = []
    for seed in range(40):
        k, variance, weight = noisy_quotes(seed)
        found = np.sum(weight * (total_variance(fit(k, variance, weight), k) - variance) ** 2)
        ratios.append(found / least_cost(k, variance, weight))
    worse = np.mean(np.array(ratios) > 1.01)
    print(f"{worse:.1%} of {len(ratios)} noisy slices fitted worse by 1 % than by SciPy from "
          f"5 starts, at most {max(ratios) - 1:.3%}; {np.mean(np.array(ratios) < 0.99):.1%} better")
    assert worse < 0.005


def test_a_warm_fit_costs_no_more_than_the_quotes_errors_allow():
    for seed in range(100):
        k, variance, weight = noisy_quotes(seed)
        cold, other = fit(k, variance, weight), fit(*noisy_quotes(seed + 1))
        warm = fit(k, variance, weight, other)
        cost, least = (np.sum(weight * (total_variance(svi, k) - variance) ** 2)
                       for svi in (warm, cold))
        assert cost <= max(1.01 * least, 0.25 * len(k))


@given(st.integers(0, 10_000))
@settings(deadline=None)
def test_curves_that_touch_the_floor_are_the_best_of_them(seed):
    random = np.random.default_rng(seed)
    x = np.sort(random.uniform(-3, 2, 12))
    v = 1e-3 + (x - random.uniform(-1, 1)) ** 2 * random.uniform(0.1, 1)
    m, sigma = random.uniform(-2, 2), np.exp(random.uniform(-3, 1))
    wings = np.empty((2, 12))
    a, p, q, cost, at_floor = solve(x, v, np.full(12, 1 / 12), m, sigma, 1e9, wings)
    assert cost == pytest.approx(np.mean((a + p * wings[0] + q * wings[1] - v) ** 2), abs=1e-9)
    least = a + 2 * np.sqrt(p * q)
    assert least == pytest.approx(VARIANCE_FLOOR) if at_floor else least > VARIANCE_FLOOR
    changes = random.normal(size=(500, 2)) * np.geomspace(1e-4, 1, 500)[:, None]
    roots = np.abs(np.sqrt([p, q]) + changes)
    low = np.maximum(a + 2 * np.sqrt(p * q), VARIANCE_FLOOR) - 2 * roots.prod(axis=1)
    others = low[:, None] + roots**2 @ wings
    assert ((others - v) ** 2).mean(axis=1).min() >= cost * (1 - 1e-9) - 1e-12


@pytest.mark.filterwarnings("error::RuntimeWarning")
@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(ANY_FINITE, ANY_FINITE, ANY_FINITE), max_size=20),
       st.one_of(st.none(), st.tuples(*[ANY_FINITE] * 5)), ANY_FINITE)
def test_no_finite_input_raises_or_warns(rows, warm, min_sigma):
    k, variance, weight = np.array(rows, dtype=float).reshape(-1, 3).T
    start = None if warm is None else RawSvi(*warm)
    for size in (variance, np.abs(variance)):
        found = fit(k, size, np.abs(weight), start, min_sigma)
        assert found is None or is_within_bounds(found)
    if start is not None:
        assert total_variance(start, k).shape == durrleman(start, k).shape == k.shape


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(0.001, 5), st.floats(1e-3, 1e3)),
                min_size=0, max_size=30))
def test_any_quotes_give_a_curve_within_bounds_or_none(rows):
    k, variance, weight = np.array(rows).reshape(-1, 3).T
    found = fit(k, variance, weight)
    assert found is None if len(rows) < 3 else is_within_bounds(found)


def test_a_warm_start_reaches_the_cold_fit():
    true = RawSvi(0.0008, 0.012, -0.5, 0.005, 0.08)
    k = np.linspace(-0.15, 0.1, 30)
    variance = total_variance(true, k)
    warm = RawSvi(0.0009, 0.011, -0.4, 0.0, 0.07)
    cold, warmed = fit(k, variance, np.ones(30) * 1e12), fit(k, variance, np.ones(30) * 1e12, warm)
    assert total_variance(warmed, k) == pytest.approx(total_variance(cold, k), rel=1e-5)


def test_a_hopeless_warm_start_does_not_spoil_the_fit():
    true = RawSvi(0.0008, 0.012, -0.5, 0.005, 0.08)
    k = np.linspace(-0.15, 0.1, 30)
    variance = total_variance(true, k)
    found = fit(k, variance, np.full(30, 1e12), RawSvi(1.0, 1.9, 0.99, 40.0, 1e-9))
    assert total_variance(found, k) == pytest.approx(variance, rel=1e-5)


def test_few_quotes_hold_the_vertex_and_the_width():
    k = np.linspace(-0.1, 0.08, MIN_FREE_QUOTES - 1)
    variance = 0.0025 - 0.01 * k + 0.05 * k**2
    found = fit(k, variance, np.ones(len(k)))
    assert fit(k, variance, np.ones(len(k)), RawSvi(0.001, 0.1, -0.3, 0.05, 0.4)) == found
    at_money = np.sqrt(variance[np.argmin(np.abs(k))])
    assert (found.m, found.sigma) == (0.0, pytest.approx(at_money))
    assert total_variance(found, k) == pytest.approx(variance, rel=0.05)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 0.0, -1.0])
def test_values_that_are_no_variance_give_none(wrong):
    k = np.linspace(-0.1, 0.1, 10)
    assert fit(k, np.full(10, wrong), np.ones(10)) is None
    assert fit(k, np.full(10, 0.04), np.full(10, wrong)) is None


def test_durrleman_is_1_on_a_flat_smile_and_negative_on_a_known_bad_one():
    k = np.linspace(-1.5, 1.5, 301)
    assert durrleman(RawSvi(0.04, 0.0, 0.0, 0.0, 0.1), k) == pytest.approx(np.ones(301))
    # Axel Vogt's example, in Gatheral and Jacquier (2014), section 3.
    vogt = RawSvi(-0.0410, 0.1331, 0.3060, 0.3586, 0.4153)
    assert durrleman(vogt, k).min() < -0.01


def test_arrays_of_any_kind_are_read():
    k = np.linspace(-0.2, 0.15, 12)
    variance = total_variance(RawSvi(0.0008, 0.012, -0.5, 0.005, 0.08), k)
    fixed = variance.copy()
    fixed.flags.writeable = False
    wide = np.stack([k, k])[:, ::2]
    assert fit(k, fixed, np.ones(12)) == fit(k.tolist(), variance.tolist(), [1] * 12)
    flat = RawSvi(1.0, 0.0, 0.0, 0.0, 1.0)
    assert total_variance(flat, wide).tolist() == np.ones((2, 6)).tolist()


def test_derivatives_agree_with_finite_differences():
    svi, k, step = RawSvi(0.01, 0.1, -0.4, 0.05, 0.2), np.linspace(-0.5, 0.5, 21), 1e-4
    low, w, high = (total_variance(svi, k + shift) for shift in (-step, 0.0, step))
    found, slope, curvature = derivatives(svi, k)
    assert found.tolist() == w.tolist()
    assert slope == pytest.approx((high - low) / (2 * step), abs=1e-7)
    assert curvature == pytest.approx((high - 2 * w + low) / step**2, abs=1e-5)


def test_durrleman_agrees_with_finite_differences():
    svi, k, step = RawSvi(0.01, 0.1, -0.4, 0.05, 0.2), np.linspace(-0.5, 0.5, 21), 1e-4
    low, w, high = (total_variance(svi, k + shift) for shift in (-step, 0.0, step))
    slope, curvature = (high - low) / (2 * step), (high - 2 * w + low) / step**2
    expected = (1 - k * slope / (2 * w)) ** 2 - slope**2 / 4 * (1 / w + 0.25) + curvature / 2
    assert durrleman(svi, k) == pytest.approx(expected, abs=1e-5)


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_no_point_of_the_box_is_lower_than_its_minimum(seed):
    random = np.random.default_rng(seed)
    factor = random.normal(size=(2, 2))
    hessian = factor @ factor.T + 0.01 * np.eye(2)
    target, upper = random.normal(0, 2, 2), random.uniform(0.1, 3)

    def value(at):
        return np.einsum("...i,ij,...j", at, hessian, at) - 2 * at @ target

    found = np.array(box_minimum(*hessian[0], hessian[1, 1], *target, upper))
    assert ((found >= 0) & (found <= upper)).all()
    assert value(found) <= value(random.uniform(0, upper, (200, 2))).min() + 1e-9
