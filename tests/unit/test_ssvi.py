import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from ml.smile import ssvi, svi
from ml.smile.ssvi import Slice, SsviSurface, fit, violations
from ml.smile.ssvi_kernel import pooled

SURFACE = SsviSurface(np.array([0.05, 0.25, 1.0]), np.array([0.002, 0.01, 0.04]), -0.6, 1.1, 0.45)
ANY_FINITE = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.floats(0.001, 1),
                       st.sampled_from([0.0, 1e-308, 1e308]))


def quoted(surface, count=20, noise=0.0, seed=0):
    """Slices of a surface's quotes, with a relative error of `noise` and weights that match."""
    random, slices = np.random.default_rng(seed), []
    for tau, theta in zip(surface.tau, surface.theta, strict=True):
        k = np.linspace(-2.8, 1.8, count) * np.sqrt(theta)
        w = ssvi.total_variance(surface, theta, k)
        error = w * (noise or 0.01)
        slices.append(Slice(tau, k, w * (1 + noise * random.normal(size=count)), 1 / error**2))
    return slices


def cost(surface, slices):
    return sum(np.sum(one.weight * (ssvi.total_variance(surface, theta, one.log_moneyness)
                                    - one.variance) ** 2)
               for theta, one in zip(surface.theta, slices, strict=True))


def closest_eta(surface):
    """`surface` with the largest η, to 1e-9, that has no violations."""
    low, high = 1e-3, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if violations(replace(surface, eta=middle)) else (middle, high)
    return replace(surface, eta=low * (1 - 1e-9))


@st.composite
def surfaces(draw):
    """Surfaces without arbitrage, of two to eight expiries, the last with twice the first's θ."""
    count = draw(st.integers(2, 8))
    steps = draw(st.lists(st.floats(0.02, 0.6), min_size=count, max_size=count))
    rates = draw(st.lists(st.floats(0.005, 0.3), min_size=count, max_size=count))
    rates[-1] = max(rates[-1], steps[0] * rates[0] / steps[-1])
    surface = SsviSurface(np.cumsum(steps), np.cumsum(np.multiply(steps, rates)),
                          draw(st.floats(-0.95, 0.7)), 1.0, draw(st.floats(0.05, 0.8)))
    closest = closest_eta(surface)
    return replace(closest, eta=closest.eta * draw(st.floats(0.2, 0.98)))


@settings(deadline=None, max_examples=60)
@given(surfaces(), st.booleans())
def test_a_clean_surface_is_recovered_and_has_no_violations(true, warm):
    slices = quoted(true)
    found = fit(slices, replace(true, rho=0.1, theta=true.theta * 2) if warm else None)
    assert violations(found) == ()
    assert found.theta == pytest.approx(true.theta, rel=1e-6)
    assert found.rho == pytest.approx(true.rho, abs=1e-6)
    for theta, one in zip(found.theta, slices, strict=True):
        fitted = ssvi.total_variance(found, theta, one.log_moneyness)
        assert fitted == pytest.approx(one.variance, rel=1e-6)
    # With equal θ, η and γ could not be told apart.
    assert (found.eta, found.gamma) == pytest.approx((true.eta, true.gamma), rel=1e-6)


@settings(deadline=None, max_examples=40)
@given(surfaces(), st.integers(0, 1_000))
def test_a_noisy_surface_is_fitted_no_worse_than_by_the_truth_and_has_no_violations(true, seed):
    slices = quoted(true, noise=0.02, seed=seed)
    found = fit(slices)
    assert violations(found) == ()
    assert cost(found, slices) <= cost(true, slices) * (1 + 1e-6)


def test_quotes_that_fall_with_time_give_a_theta_that_does_not():
    slices = quoted(SURFACE)
    slices[1] = replace(slices[1], variance=slices[1].variance / 10)
    found = fit(slices)
    assert violations(found) == ()
    assert found.theta[0] == found.theta[1] < found.theta[2]
    others = [replace(found, theta=found.theta * np.array([1 + step, 1 + step, 1.0]))
              for step in (-1e-3, 1e-3)]
    assert all(cost(other, slices) > cost(found, slices) for other in others)


@settings(deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=12))
def test_levels_that_fall_are_pooled_as_an_isotonic_regression_does(levels):
    block = np.arange(len(levels))
    found = pooled(np.array(levels), block)
    assert found[block] == pytest.approx(isotonic_regression(levels).x, abs=1e-12)


@pytest.mark.parametrize("gamma", [0.2, 0.5, 0.7])
def test_quotes_too_curved_give_the_best_surface_on_the_bound(gamma):
    bound = closest_eta(replace(SURFACE, gamma=gamma))
    slices = quoted(replace(bound, eta=1.5 * bound.eta))
    found = fit(slices)
    assert violations(found) == ()
    assert violations(replace(found, eta=found.eta * (1 + 1e-6))) == (ssvi.TOO_CURVED,)
    random, least = np.random.default_rng(0), cost(found, slices)
    assert least < cost(bound, slices)
    for size in np.geomspace(1e-4, 0.1, 40):
        moved = replace(found, theta=np.sort(found.theta * np.exp(size * random.normal(size=3))),
                        rho=float(np.tanh(np.arctanh(found.rho) + size * random.normal())),
                        gamma=found.gamma * math.exp(-size * abs(random.normal())))
        assert cost(closest_eta(moved), slices) > least * (1 - 1e-6)


def test_a_warm_start_reaches_the_cold_fit_even_from_nonsense():
    slices = quoted(SURFACE, noise=0.01)
    cold = fit(slices)
    for warm in (cold, SURFACE, replace(SURFACE, rho=0.9, eta=1e-6, gamma=0.0),
                 replace(SURFACE, theta=np.full(3, np.nan)), replace(SURFACE, rho=1.0),
                 SsviSurface(np.array([0.0]), np.array([1.0]), 0.0, 1.0, 0.5)):
        found = fit(slices, warm)
        assert cost(found, slices) == pytest.approx(cost(cold, slices), rel=1e-6)


def test_a_warm_start_may_have_other_expiries():
    slices = quoted(SURFACE)
    found = fit(slices[1:], fit(slices[:2]))
    assert found.theta == pytest.approx(SURFACE.theta[1:], rel=1e-6)


def test_violations_are_named():
    assert violations(SURFACE) == ()
    assert violations(replace(SURFACE, theta=SURFACE.theta[::-1])) == (ssvi.THETA_FALLS,)
    assert violations(replace(SURFACE, eta=2.5)) == (ssvi.TOO_CURVED,)
    assert violations(replace(SURFACE, eta=3.9, theta=SURFACE.theta * 1e5)) == (ssvi.TOO_STEEP,)
    for wrong in (replace(SURFACE, rho=1.0), replace(SURFACE, eta=0.0),
                  replace(SURFACE, gamma=1.5), replace(SURFACE, theta=np.array([0.0, 1.0, 2.0])),
                  replace(SURFACE, theta=np.empty(0), tau=np.empty(0))):
        assert violations(wrong) == (ssvi.NO_SURFACE,)


@settings(deadline=None, max_examples=60)
@given(surfaces())
def test_a_surface_without_violations_has_no_arbitrage_between_and_at_expiries(surface):
    taus = np.linspace(surface.tau[0], surface.tau[-1] * 1.5, 40)
    deviation = np.sqrt(surface.theta[-1])
    k = np.linspace(-6, 6, 201) * deviation
    grid = ssvi.total_variance(surface, ssvi.theta_at(surface, taus)[:, None], k)
    assert (np.diff(grid, axis=0) >= -1e-12).all()
    for index in range(len(surface.tau)):
        assert svi.durrleman(ssvi.raw(surface, index), k).min() >= -1e-9


@given(surfaces(), st.floats(0.01, 4))
@settings(deadline=None)
def test_each_slice_is_a_raw_svi(surface, tau):
    theta = float(ssvi.theta_at(surface, tau))
    k = np.linspace(-0.5, 0.5, 11)
    assert svi.total_variance(ssvi.raw_at(surface, tau), k) == pytest.approx(
        ssvi.total_variance(surface, theta, k), rel=1e-9, abs=1e-15)


def test_theta_is_linear_between_expiries_and_goes_on_at_the_last_forward_variance():
    asked = np.array([[0.0, 0.025], [0.15, 0.25], [1.0, 2.0]])
    expected = [[0.0, 0.001], [0.006, 0.01], [0.04, 0.08]]
    assert ssvi.theta_at(SURFACE, asked) == pytest.approx(np.array(expected))
    assert ssvi.raw(SURFACE, 1) == ssvi.raw_at(SURFACE, 0.25)


@pytest.mark.parametrize("wrong", [
    [], [replace(quoted(SURFACE)[0], tau=0.0)], quoted(SURFACE)[::-1],
    [replace(quoted(SURFACE)[0], tau=math.nan)], [replace(quoted(SURFACE)[0], tau=math.inf)],
    [replace(quoted(SURFACE)[0], variance=np.zeros(20))],
    [replace(quoted(SURFACE)[0], weight=np.full(20, np.nan))],
    [Slice(0.1, np.zeros(3), np.ones(3), np.ones(3))],
    [*quoted(SURFACE), Slice(2.0, np.empty(0), np.empty(0), np.empty(0))],
])
def test_quotes_that_are_no_surface_give_none(wrong):
    assert fit(wrong) is None


@pytest.mark.filterwarnings("error")
@settings(deadline=None, max_examples=150)
@given(st.lists(st.lists(st.tuples(ANY_FINITE, ANY_FINITE, ANY_FINITE), max_size=6), max_size=4),
       st.one_of(st.none(), st.tuples(*[ANY_FINITE] * 5)))
def test_no_finite_input_raises_or_warns(expiries, numbers):
    slices = [Slice(0.1 * (i + 1), *np.array(rows).reshape(-1, 3).T)
              for i, rows in enumerate(expiries)]
    warm = None
    if numbers is not None:
        warm = SsviSurface(np.array(numbers[:1]), np.array(numbers[1:2]), *numbers[2:])
        ssvi.raw(warm, 0), ssvi.theta_at(warm, 1.0)
    found = fit(slices, warm)
    assert found is None or violations(found) == ()
