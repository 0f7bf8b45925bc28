"""The adaptive scale of bands: its coverage, its memory, and that it never looks ahead."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.bands import (
    LEAST,
    LEVEL,
    MOST,
    BandScale,
    Issued,
    Quoted,
    adapt,
    issue,
    missed_share,
    rate,
    scaled,
)
from ml.smile.grid import GRID_Z
from ml.smile.grid_repair import butterfly, has_butterfly, repair

SESSION, QUOTES, EXPIRIES = 390, 20, 3
STEP_S = 60.0


def market(horizon, sessions, factor, seed=0):
    """Forecasts of "no change" over `horizon` steps of a random walk, with 90 % bands.

    Its noise is `factor` times as large in the second half; shocks are shared by the expiries in
    part, and overlapping forecasts share what happens. Nothing is observed beyond a session.
    """
    rng = np.random.default_rng(seed)
    steps = sessions * SESSION
    noise = np.where(np.arange(steps + horizon) < steps // 2, 1.0, factor)[:, None]
    shocks = noise * (0.8 * rng.standard_normal((steps + horizon, 1))
                      + 0.6 * rng.standard_normal((steps + horizon, EXPIRIES)))
    path = np.cumsum(shocks, axis=0)
    at = np.arange(steps)
    change = (path[at + horizon - 1] - path[at] + shocks[at]) / np.sqrt(horizon)
    mid = change[..., None] + 0.3 * noise[at, :, None] * rng.standard_normal(
        (steps, EXPIRIES, QUOTES))
    width = 1.645 * np.sqrt(1.0 + 0.09)
    observed = np.where((at + horizon) // SESSION == at // SESSION, at + horizon, np.nan)
    count = steps * EXPIRIES
    return Issued(
        at_s=np.repeat(at, EXPIRIES) * STEP_S, horizon_s=np.full(count, horizon * STEP_S),
        symbol=np.zeros(count, dtype=np.int64), expiry=np.tile(np.arange(EXPIRIES), steps),
        observed_s=np.repeat(observed, EXPIRIES) * STEP_S,
        starts=np.arange(count + 1) * QUOTES, mid=mid.ravel(), middle=np.zeros(count * QUOTES),
        lower=np.full(count * QUOTES, -width), upper=np.full(count * QUOTES, width))


def coverage(issued, scale):
    """Share of the observed quotes inside the bands."""
    inside = np.abs(issued.mid) <= issued.upper * np.repeat(scale, QUOTES)
    return inside[np.repeat(np.isfinite(issued.observed_s), QUOTES)].mean()


@pytest.mark.parametrize("factor", [2.0, 0.5], ids=["doubles", "halves"])
@pytest.mark.parametrize("horizon", [1, 5, 15, 30])
def test_coverage_is_held_at_every_horizon_when_the_noise_changes_and_the_static_band_fails(
        horizon, factor):
    issued = market(horizon, 6, factor)

    assert abs(coverage(issued, adapt(issued, STEP_S)) - LEVEL) < 0.02
    assert abs(coverage(issued, np.ones(len(issued.at_s))) - LEVEL) > 0.04


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), cut=st.integers(1, 2 * SESSION - 1))
def test_what_is_observed_from_a_step_on_changes_no_scale_up_to_it(seed, cut):
    issued = market(5, 2, 2.0, seed)
    later = np.repeat(issued.observed_s >= cut * STEP_S, QUOTES)
    issued_otherwise = Issued(**{
        name: getattr(issued, name) for name in Issued.__dataclass_fields__
        if name != "mid"}, mid=np.where(later, 9.0, issued.mid))
    upto = issued.at_s <= cut * STEP_S

    before, after = adapt(issued, STEP_S), adapt(issued_otherwise, STEP_S)

    assert (before[upto] == after[upto]).all()
    assert (before[~upto] != after[~upto]).any() or not later.any()


def test_the_order_of_forecasts_does_not_matter():
    issued = market(5, 1, 2.0)
    order = np.random.default_rng(0).permutation(len(issued.at_s))
    quotes = {name: getattr(issued, name).reshape(-1, QUOTES)[order].ravel()
              for name in ("mid", "middle", "lower", "upper")}
    mixed = Issued(**quotes, starts=issued.starts, **{
        name: getattr(issued, name)[order]
        for name in ("at_s", "horizon_s", "symbol", "expiry", "observed_s")})

    assert (adapt(mixed, STEP_S) == adapt(issued, STEP_S)[order]).all()


def test_symbols_and_horizons_learn_each_for_itself():
    calm, wild = market(1, 1, 1.0), market(5, 1, 3.0)
    both = Issued(*(np.concatenate([getattr(calm, name), getattr(wild, name)])
                    for name in ("at_s", "horizon_s", "symbol", "expiry", "observed_s")),
                  starts=np.append(calm.starts, calm.starts[-1] + wild.starts[1:]),
                  **{name: np.concatenate([getattr(calm, name), getattr(wild, name)])
                     for name in ("mid", "middle", "lower", "upper")})

    assert (adapt(both, STEP_S) == np.append(adapt(calm, STEP_S), adapt(wild, STEP_S))).all()


def test_a_second_forecast_within_a_step_is_not_judged():
    issued = market(1, 1, 2.0)
    often = Issued(*(np.repeat(getattr(issued, name), 2)
                     for name in ("at_s", "horizon_s", "symbol", "expiry", "observed_s")),
                   starts=np.arange(2 * len(issued.at_s) + 1) * QUOTES,
                   **{name: np.repeat(getattr(issued, name).reshape(-1, QUOTES), 2, axis=0).ravel()
                      for name in ("mid", "middle", "lower", "upper")})
    often.at_s[1::2] += 30.0
    often.mid.reshape(-1, QUOTES)[1::2] = 99.0

    assert (adapt(often, STEP_S)[::2] == adapt(issued, STEP_S)).all()


# --- one scale

def test_a_miss_counts_from_the_next_step_on():
    scale = BandScale(rate=0.1)

    scale.observe(7, 1.0)

    assert scale.at(7) == 1.0
    assert scale.at(8) == pytest.approx(np.exp(0.1 * 0.9))


def test_the_expiries_of_a_step_are_one_vote_in_any_order():
    scales = []
    for shares in ([0.3, 0.1, 0.8, 0.7], [0.8, 0.7, 0.3, 0.1]):
        scale = BandScale(rate=0.1)
        for share in shares:
            scale.observe(1, share)
        scales.append(scale.at(2))

    assert scales[0] == scales[1] == pytest.approx(np.exp(0.1 * (0.475 - 0.1)))


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8))
def test_the_mean_miss_is_what_the_scale_moved_by_over_rate_and_steps(shares):
    scale = BandScale(rate=0.2)
    for step, share in enumerate(shares):
        scale.observe(step, share)
    steps = len(shares)

    assert np.mean(shares) - 0.1 == pytest.approx(np.log(scale.at(steps)) / (0.2 * steps))


@pytest.mark.parametrize(("missed", "bound"), [(1.0, MOST), (0.0, LEAST)])
def test_the_scale_is_bounded(missed, bound):
    scale = BandScale(rate=0.2)
    for step in range(400):
        scale.observe(step, missed)

    assert scale.at(401) == bound


def test_a_step_without_an_outcome_changes_nothing():
    scale = BandScale(rate=0.2)
    scale.observe(1, 1.0)
    after = scale.at(2)

    assert scale.at(500) == after


def test_longer_horizons_learn_more_slowly():
    assert rate(1800, 60.0) == pytest.approx(rate(60, 60.0) / 30**0.5)
    assert rate(30, 60.0) == rate(60, 60.0)


# --- bands of forecasts

def test_both_sides_are_scaled_about_the_median():
    change = np.array([-1e-4, 1e-4, 4e-4])[None, None, :, None] * np.ones((2, 1, 1, 17))

    wide = scaled(change, np.array([[2.0], [1.0]]))

    assert wide[0, 0, :, 3] == pytest.approx([-3e-4, 1e-4, 7e-4])
    assert wide[1] == pytest.approx(change[1])


def test_an_issue_without_a_band_has_none_and_one_with_impossible_edges_is_held():
    nothing = np.stack([np.full(17, np.nan), np.zeros(17), np.full(17, np.nan)])
    beyond = np.stack([np.full(17, -1.0), np.zeros(17), np.full(17, 100.0)])

    made = issue(np.full(17, 0.2), np.stack([nothing, beyond]), np.array([0.1, 0.2]))

    assert np.isnan(made.lower[0]).all() and np.isnan(made.upper[0]).all()
    assert made.smile == pytest.approx(np.full((2, 17), 0.2))
    assert (made.lower[1] > 0.0).all() and np.isfinite(made.upper[1]).all()
    assert made.moved.tolist() == [0.0, 0.0]


def test_an_issue_is_repaired_where_it_has_arbitrage_as_alone_and_not_past_expiry():
    kink = np.zeros((3, 3, 17))
    kink[1:, 1, 8] = 0.05

    made = issue(np.full(17, 0.2), kink, np.array([0.1, 0.1, -0.001]))

    assert (made.moved > 0.0).tolist() == [False, True, False]
    assert made.smile[1] == pytest.approx(repair(0.2 + kink[1, 1], 0.1)[0], abs=1e-12)
    assert (made.lower <= made.smile).all() and (made.smile <= made.upper).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.floats(0.0, 0.03))
def test_what_is_checked_together_is_found_as_each_alone(seed, size):
    smiles = 0.2 + size * np.random.default_rng(seed).normal(size=(6, 17)).cumsum(axis=1) / 4
    tau = np.geomspace(0.003, 2.0, 6)

    alone = [butterfly(smile, one).min() < 0 for smile, one in zip(smiles, tau, strict=True)]

    assert has_butterfly(smiles, tau).tolist() == alone


def seen(mid, tau=0.1):
    return Quoted(tau, 0.2, np.array([-1.0, 0.0, 1.0, 9.0]) * 0.2 * np.sqrt(tau), np.array(mid))


@pytest.mark.parametrize(("mid", "missed"), [
    ([0.2, 0.2, 0.2, 0.9], 0.0), ([0.2, 0.215, 0.2, 0.2], 1 / 3), ([0.18, 0.22, np.nan, 0.2], 1.0),
    ([np.nan] * 4, np.nan)])
def test_the_mids_on_the_grid_outside_the_band_are_missed(mid, missed):
    smile = np.full(len(GRID_Z), 0.2)

    assert missed_share(smile, smile - 0.01, smile + 0.01, seen(mid)) == pytest.approx(
        missed, nan_ok=True)


def test_without_a_band_nothing_is_judged():
    smile = np.full(len(GRID_Z), 0.2)

    assert np.isnan(missed_share(smile, smile * np.nan, smile * np.nan, seen([0.2] * 4)))
