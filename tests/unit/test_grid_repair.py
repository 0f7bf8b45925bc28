import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.smile.grid import GRID_Z, MAX_VOL, MIN_VOL, spline
from ml.smile.grid_repair import CHECKED_Z, butterfly, repair
from ml.smile.svi import durrleman
from tests.unit.test_grid import ATM, CURVE, SMILE, TAU

any_smile = st.lists(st.floats(-1.0, 20.0), min_size=17, max_size=17).map(np.array)
near_smile = st.lists(st.floats(-0.2, 0.2), min_size=17, max_size=17).map(
    lambda noise: SMILE * np.exp(np.array(noise)))


def kinked(size=0.02):
    return SMILE + size * (np.arange(17) == 6)


def test_butterfly_agrees_with_durrleman_on_the_svi():
    exact = durrleman(CURVE, CHECKED_Z * ATM * np.sqrt(TAU))
    assert butterfly(SMILE, TAU) == pytest.approx(exact, abs=0.006)


def test_a_good_smile_is_left_alone():
    found, moved = repair(SMILE, TAU)
    assert moved == 0.0
    assert (found == SMILE).all()


@given(any_smile | near_smile, st.floats(0.0, 2.0))
def test_any_finite_smile_becomes_bounded_and_free_of_butterfly_arbitrage(smile, tau):
    found, moved = repair(smile, tau)
    assert (found >= MIN_VOL).all()
    assert (found <= MAX_VOL).all()
    assert (butterfly(found, tau) >= 0).all()
    assert moved == pytest.approx(np.sqrt(np.mean((found - smile) ** 2)))
    assert (moved == 0) == (found == smile).all()


def test_a_repair_holds_between_the_points_that_are_checked():
    found, _ = repair(kinked(), TAU)
    z = np.linspace(-2.5, 1.5, 4001)
    value, slope, curvature = spline(z) @ found
    g = ((1 - z * slope / value) ** 2 + value * curvature / found[10] ** 2
         - (value * slope / found[10]) ** 2 * TAU / 4)
    assert g.min() >= 0


@pytest.mark.parametrize("size", [0.005, 0.01, 0.02, -0.02, 0.04])
def test_a_kink_is_repaired_by_less_than_taking_it_away(size):
    assert butterfly(kinked(size), TAU).min() < 0
    found, moved = repair(kinked(size), TAU)
    assert 0 < moved < abs(size) / np.sqrt(17)
    assert np.abs(found - SMILE)[GRID_Z >= 0.5].max() < abs(size) / 20


def test_no_smile_free_of_arbitrage_is_much_nearer_than_the_repaired_one():
    random = np.random.default_rng(1)
    smile = kinked(0.01)
    found, moved = repair(smile, TAU)
    for _ in range(2000):
        other = found + random.normal(0.0, 1e-3, 17) * random.uniform(0, 1)
        other += random.uniform(0, 1) * (smile - other)
        if (butterfly(other, TAU) >= 0).all():
            assert np.sqrt(np.mean((other - smile) ** 2)) > 0.8 * moved


def test_repairing_twice_is_repairing_once():
    once, _ = repair(kinked(), TAU)
    twice, moved = repair(once, TAU)
    assert moved == 0.0
    assert (twice == once).all()


def test_volatilities_out_of_bounds_count_as_moved():
    found, moved = repair(np.full(17, 12.0), TAU)
    assert moved == pytest.approx(2.0)
    assert (found == MAX_VOL).all()


def test_a_missing_value_cannot_be_repaired():
    with pytest.raises(ValueError, match="missing"):
        repair(np.full(17, np.nan), TAU)
