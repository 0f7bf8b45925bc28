from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ml.smile.arbitrage import check, checked_log_moneyness, durrleman
from ml.smile.curve import BUMPS, plain, total_variance, volatility
from ml.smile.fallback import within_lee
from ml.smile.grid import GRID_Z
from ml.smile.repair import repair
from ml.types import RawSvi, SmileCurve
from tests.unit.test_arbitrage import ssvi

THETA = np.array([0.0008, 0.0016, 0.0032, 0.008, 0.02])
TAU = THETA / 0.04
EVEN = np.ones(5)
bumps = arrays(float, BUMPS, elements=st.floats(-0.3, 0.3))
finite = st.floats(allow_nan=False, allow_infinity=False)
plausible = st.builds(
    lambda deviation, level, slope, rho, m, sigma: RawSvi(
        level * deviation**2, slope * deviation, rho, m * deviation, sigma * deviation),
    st.floats(0.01, 0.5), st.floats(-0.2, 1.2), st.floats(0.0, 2.0), st.floats(-1.0, 1.0),
    st.floats(-2.0, 2.0), st.floats(0.001, 3.0))
ugly = st.builds(RawSvi, *[finite] * 5)


def surface():
    return [ssvi(theta) for theta in THETA]


def lifted(curve, by):
    """With its total variance multiplied by 1 + `by` about the money."""
    return replace(curve, bumps=np.full(BUMPS, by))


def humped(curve, by):
    return replace(curve, bumps=curve.bumps + by * (np.arange(BUMPS) == 8))


def assert_clean(done):
    assert not any(one.violations for one in done.checks_after)
    assert not any(one.violations for one in check(done.curves))


def test_a_clean_surface_is_left_alone():
    clean = surface()
    done = repair(clean, TAU, EVEN)
    assert all(one is other for one, other in zip(done.curves, clean, strict=True))
    assert (done.moved == 0).all()
    assert done.violations_before == ((),) * 5


def test_no_curves_are_no_trouble():
    assert repair([], np.empty(0), np.empty(0)).curves == ()


def test_planted_butterfly_arbitrage_is_repaired_in_its_slice_alone():
    planted = surface()
    planted[2] = humped(planted[2], 0.3)
    done = repair(planted, TAU, EVEN)
    assert done.violations_before == ((), (), ("butterfly",), (), ())
    assert_clean(done)
    assert done.moved[2] > 0
    assert (np.delete(done.moved, 2) == 0).all()
    assert done.curves[1] is planted[1]


def test_a_butterfly_repair_holds_between_the_nodes():
    done = repair([humped(surface()[2], 0.3)], TAU[2:3], EVEN[:1])
    k = checked_log_moneyness(done.curves[0])
    assert durrleman(done.curves[0], np.linspace(k[0], k[-1], 5001)).min() >= -1e-4


def test_a_butterfly_repair_moves_less_than_taking_the_hump_away():
    clean = surface()[2]
    planted = humped(clean, 0.3)
    done = repair([planted], TAU[2:3], EVEN[:1])
    k = GRID_Z * clean.scale
    hump = volatility(planted, TAU[2], k) - volatility(clean, TAU[2], k)
    assert 0 < done.moved[0] < np.sqrt(np.mean(hump**2))


def test_moved_is_the_root_mean_square_on_the_grid():
    planted = humped(surface()[2], 0.3)
    done = repair([planted], TAU[2:3], EVEN[:1])
    k = GRID_Z * np.sqrt(total_variance(done.curves[0], np.zeros(1)))
    change = volatility(done.curves[0], TAU[2], k) - volatility(planted, TAU[2], k)
    assert done.moved[0] == pytest.approx(np.sqrt(np.mean(change**2)))


def test_planted_calendar_arbitrage_is_repaired_in_its_slices_alone():
    planted = surface()
    planted[1], planted[2] = lifted(planted[1], 0.5), lifted(planted[2], -0.3)
    done = repair(planted, TAU, EVEN)
    assert done.violations_before == ((), ("calendar",), ("calendar",), (), ())
    assert_clean(done)
    assert (done.moved > 0).tolist() == [False, True, True, False, False]


@pytest.mark.parametrize("trusted", [1, 2])
def test_the_less_trusted_slice_moves_more(trusted):
    planted = surface()
    planted[1], planted[2] = lifted(planted[1], 0.5), lifted(planted[2], -0.3)
    trust = EVEN * np.where(np.arange(5) == trusted, 100.0, 1.0)
    done = repair(planted, TAU, trust)
    assert_clean(done)
    assert done.moved[trusted] < 0.05 * done.moved[3 - trusted]


def test_a_trusted_slice_stays_where_it_contradicts_several_doubtful_ones():
    theta = np.array([0.0008, 0.0038, 0.0032, 0.0036, 0.02])  # 0.0032 and 0.0036 agree
    done = repair([ssvi(one) for one in theta], TAU, np.array([1.0, 1e4, 1.0, 1.0, 1.0]))
    assert_clean(done)
    assert done.moved[0] == done.moved[4] == 0
    assert done.moved[1] < 0.01 * min(done.moved[2], done.moved[3])


def test_a_clean_neighbour_gives_way_where_there_is_no_room():
    theta = np.array([0.0016, 0.0016004, 0.0016002, 0.0016005])
    done = repair([ssvi(one) for one in theta], theta / 0.04, EVEN[:4])
    assert done.violations_before == ((), ("calendar",), ("calendar",), ())
    assert_clean(done)
    assert (done.moved > 0).all()
    assert done.moved.max() < 1e-4


def test_wings_beyond_lees_bound_are_brought_within():
    steep = RawSvi(0.02, 3.0, -0.2, 0.0, 0.2)
    done = repair([plain(steep)], np.array([1.0]), EVEN[:1])
    assert "lee" in done.violations_before[0]
    assert_clean(done)


def test_within_lee_keeps_the_money_and_what_is_within():
    steep = RawSvi(0.3, 1.5, -0.5, 0.02, 0.2)
    tamed = within_lee(steep)
    at_money = total_variance(plain(steep), np.zeros(1))
    assert total_variance(plain(tamed), np.zeros(1)) == pytest.approx(at_money)
    assert tamed.b * (1 - tamed.rho) == pytest.approx(2.0)
    assert tamed.b * (1 + tamed.rho) == pytest.approx(0.75)


def test_a_fallback_with_arbitrage_of_its_own_is_not_used():
    broken = [RawSvi(-1.0, 0.1, 0.0, 0.0, 0.1)] * 2
    bad = [SmileCurve(RawSvi(-1.0, 0.1, 0.0, 0.0, 0.1), 0.1, np.zeros(BUMPS)), surface()[2]]
    assert_clean(repair(bad, TAU[1:3], EVEN[:2], lambda: broken))


def test_a_slice_that_is_no_curve_becomes_the_fallbacks():
    clean = surface()
    planted = [*clean[:2], SmileCurve(RawSvi(-1.0, 0.1, 0.0, 0.0, 0.1), 0.1, np.zeros(BUMPS)),
               *clean[3:]]
    done = repair(planted, TAU, EVEN, lambda: [one.svi for one in clean])
    assert_clean(done)
    assert done.curves[2].svi == clean[2].svi
    assert done.moved[2] > 0
    assert (np.delete(done.moved, 2) == 0).all()


@pytest.mark.filterwarnings("error")
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(plausible | plausible | ugly, bumps), min_size=1, max_size=6),
       st.lists(st.floats(1e-6, 1e9), min_size=6, max_size=6))
def test_whatever_the_curves_none_has_arbitrage_after_repair(curves, trust):
    planted = [replace(plain(svi), bumps=own) for svi, own in curves]
    size = len(planted)
    done = repair(planted, np.linspace(0.02, 0.5, size), np.array(trust[:size]))
    assert_clean(done)
    assert np.isfinite(done.moved).all()
    for old, new, moved in zip(planted, done.curves, done.moved, strict=True):
        assert moved == 0 or new is not old


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-0.02, 0.02), min_size=5 * BUMPS, max_size=5 * BUMPS))
def test_a_repaired_surface_stays_as_it_is(noise):
    planted = [replace(one, bumps=own)
               for one, own in zip(surface(), np.reshape(noise, (5, BUMPS)), strict=True)]
    once = repair(planted, TAU, EVEN)
    twice = repair(once.curves, TAU, EVEN)
    assert twice.curves == once.curves
    assert (twice.moved == 0).all()
