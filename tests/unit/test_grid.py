import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline

from ml.smile.grid import (
    ATM_INDEX,
    GRID_SIZE,
    GRID_Z,
    grid_log_moneyness,
    spline,
    vol_at,
)
from ml.smile.svi import total_variance
from tests.unit.chains import CURVE, TAU

ATM = float(np.sqrt(total_variance(CURVE, np.zeros(1))[0] / TAU))
SMILE = np.sqrt(total_variance(CURVE, GRID_Z * ATM * np.sqrt(TAU)) / TAU)
vols = st.floats(0.05, 1.0)
smiles = st.lists(vols, min_size=17, max_size=17).map(np.array)


def test_the_grid_is_the_contracts():
    assert GRID_SIZE == 17
    assert GRID_Z[ATM_INDEX] == 0
    assert (GRID_Z[0], GRID_Z[-1]) == (-2.5, 1.5)
    assert np.diff(GRID_Z) == pytest.approx(np.full(16, 0.25))


def test_the_curve_passes_through_its_grid_points():
    assert vol_at(SMILE, TAU, grid_log_moneyness(SMILE, TAU)) == pytest.approx(SMILE, rel=1e-12)


def test_the_curve_between_grid_points_is_the_svi_to_a_twentieth_of_a_basis_point():
    k = np.linspace(-2.5, 1.5, 333) * ATM * np.sqrt(TAU)
    assert np.abs(vol_at(SMILE, TAU, k) - np.sqrt(total_variance(CURVE, k) / TAU)).max() < 5e-6


@given(smiles)
def test_between_the_points_it_is_the_cubic_spline_of_its_end_slopes(smile):
    z = np.linspace(-2.5, 1.5, 97)
    value, slope, curvature = spline(z) @ smile
    exact = CubicSpline(GRID_Z, smile, bc_type=((1, slope[0]), (1, slope[-1])))
    assert value == pytest.approx(exact(z), abs=1e-12)
    assert slope == pytest.approx(exact(z, 1), abs=1e-10)
    assert curvature == pytest.approx(exact(z, 2), abs=1e-9)
    assert vol_at(np.abs(smile), 0.25, z * smile[ATM_INDEX] / 2) == pytest.approx(
        np.abs(value), abs=1e-12)


@given(smiles, st.floats(1e-4, 2.0))
def test_wings_never_fall_in_total_variance_nor_grow_beyond_lees_slope(smile, tau):
    ends = grid_log_moneyness(smile, tau)[[0, -1]]
    outward = np.linspace(0.0, 3.0, 50)
    for k in (ends[0] - outward, ends[1] + outward):
        variance = vol_at(smile, tau, k) ** 2 * tau
        slope = np.diff(variance) / np.diff(outward)
        assert (slope >= -1e-9).all()
        assert (slope <= 2 + 1e-9).all()


def test_wings_go_on_with_the_slope_of_the_ends():
    ends = grid_log_moneyness(SMILE, TAU)[[0, -1]]
    step = 1e-6
    for end, outward in zip(ends, (-step, step), strict=True):
        variance = vol_at(SMILE, TAU, end + outward * np.array([-1.0, 0.0, 1.0])) ** 2
        assert variance[2] - variance[1] == pytest.approx(variance[1] - variance[0], rel=1e-4)


def test_a_smile_with_missing_values_is_missing():
    smile = np.full(17, np.nan)
    assert np.isnan(vol_at(smile, TAU, np.array([-0.1, 0.0, 0.1]))).all()
    assert np.isnan(vol_at(SMILE, TAU, np.array([np.nan]))).all()
