import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.smile.grid import (
    ATM_INDEX,
    GRID_SIZE,
    GRID_Z,
    MAX_VOL,
    MIN_VOL,
    butterfly,
    grid_log_moneyness,
    repair,
    vol_at,
)
from ml.smile.svi import durrleman, total_variance
from tests.unit.chains import CURVE, TAU

ATM = float(np.sqrt(total_variance(CURVE, np.zeros(1))[0] / TAU))
SMILE = np.sqrt(total_variance(CURVE, GRID_Z * ATM * np.sqrt(TAU)) / TAU)
vols = st.floats(0.05, 1.0)


def test_the_grid_is_the_contracts():
    assert GRID_SIZE == 17
    assert GRID_Z[ATM_INDEX] == 0
    assert (GRID_Z[0], GRID_Z[-1]) == (-2.5, 1.5)
    assert np.diff(GRID_Z) == pytest.approx(np.full(16, 0.25))


def test_the_curve_passes_through_its_grid_points():
    assert vol_at(SMILE, TAU, grid_log_moneyness(SMILE, TAU)) == pytest.approx(SMILE, rel=1e-12)


def test_the_curve_between_grid_points_is_the_svi_to_a_tenth_of_a_basis_point():
    k = np.linspace(-2.5, 1.5, 333) * ATM * np.sqrt(TAU)
    assert np.abs(vol_at(SMILE, TAU, k) - np.sqrt(total_variance(CURVE, k) / TAU)).max() < 1e-5


@given(st.lists(vols, min_size=17, max_size=17), st.floats(1e-4, 2.0))
def test_wings_never_fall_in_total_variance_nor_grow_beyond_lees_slope(values, tau):
    smile = np.array(values)
    ends = grid_log_moneyness(smile, tau)[[0, -1]]
    outward = np.linspace(0.0, 3.0, 50)
    for k in (ends[0] - outward, ends[1] + outward):
        variance = vol_at(smile, tau, k) ** 2 * tau
        slope = np.diff(variance) / np.diff(outward)
        assert (slope >= -1e-9).all()
        assert (slope <= 2 + 1e-9).all()


def test_a_smile_with_missing_values_is_missing_there():
    smile = np.full(17, np.nan)
    assert np.isnan(vol_at(smile, TAU, np.array([-0.1, 0.0, 0.1]))).all()
    assert np.isnan(vol_at(SMILE, TAU, np.array([np.nan]))).all()


def test_butterfly_agrees_with_durrleman_on_the_svi():
    exact = durrleman(CURVE, GRID_Z[1:-1] * ATM * np.sqrt(TAU))
    assert butterfly(SMILE, TAU) == pytest.approx(exact, abs=0.01)


def test_a_good_smile_is_left_alone():
    found, moved = repair(SMILE, TAU)
    assert not moved
    assert (found == SMILE).all()


@given(st.lists(st.floats(-1.0, 20.0), min_size=17, max_size=17), st.floats(0.0, 2.0))
def test_any_finite_smile_becomes_bounded_and_free_of_butterfly_arbitrage(values, tau):
    found, moved = repair(np.array(values), tau)
    assert (found >= MIN_VOL).all()
    assert (found <= MAX_VOL).all()
    assert (butterfly(found, tau) >= 0).all()
    assert moved == (found != np.array(values)).any()


def test_a_small_kink_is_moved_little():
    kinked = SMILE.copy()
    kinked[6] += 0.02
    assert butterfly(kinked).min() < 0
    found, moved = repair(kinked)
    assert moved
    assert np.abs(found - SMILE).max() < 0.02


def test_a_missing_value_cannot_be_repaired():
    with pytest.raises(ValueError, match="missing"):
        repair(np.full(17, np.nan))
