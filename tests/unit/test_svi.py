import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.smile.svi import MIN_FREE_QUOTES, durrleman, fit, total_variance
from ml.smile.svi_search import box_minimum
from ml.types import RawSvi


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
