import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.smile import svi
from ml.smile.arbitrage import (
    CHECKED_Z,
    calendar_gap,
    check,
    checked_log_moneyness,
    durrleman,
    lee_ok,
    lee_slopes,
)
from ml.smile.curve import BUMPS, KNOTS, plain
from ml.types import RawSvi, SmileCurve
from tests.unit.chains import CURVE

VOGT = RawSvi(-0.0410, 0.1331, 0.3060, 0.3586, 0.4153)
"""Axel Vogt's example of butterfly arbitrage in Gatheral and Jacquier (2014), example 3.1."""
finite = st.floats(allow_nan=False, allow_infinity=False)


def flat(*variances):
    return [plain(RawSvi(w, 0.0, 0.0, 0.0, 0.1)) for w in variances]


def ssvi(theta, eta=1.0, rho=-0.4):
    phi = eta / np.sqrt(theta * (1 + theta))
    return plain(RawSvi(theta / 2 * (1 - rho**2), theta * phi / 2, rho, -rho / phi,
                        np.sqrt(1 - rho**2) / phi))


def test_the_checked_range_is_the_grid_and_half_a_deviation_around():
    assert (CHECKED_Z[0], CHECKED_Z[-1], len(CHECKED_Z)) == (-3.0, 2.0, 101)
    k = checked_log_moneyness(flat(0.04)[0])
    assert k == pytest.approx(CHECKED_Z * 0.2)


def test_durrleman_is_the_svis_where_there_are_no_bumps():
    k = np.linspace(-0.5, 0.5, 41)
    assert durrleman(plain(VOGT), k) == pytest.approx(svi.durrleman(VOGT, k), rel=1e-9)


def test_an_ssvi_surface_is_clean():
    checks = check([ssvi(theta) for theta in (0.001, 0.004, 0.004, 0.02, 0.3)])
    assert not any(one.violations for one in checks)
    assert checks[1].worst_calendar == pytest.approx(0.0, abs=1e-12)
    assert min(one.worst_butterfly for one in checks) > 0.1


def test_a_vertex_too_sharp_has_butterfly_arbitrage_beside_it():
    sharp = plain(RawSvi(0.01, 0.6, -0.3, 0.05, 0.05))
    found = check([sharp])[0]
    k = checked_log_moneyness(sharp)
    assert found.violations == ("butterfly",)
    assert found.worst_butterfly <= durrleman(sharp, k).min() < -0.1


def test_a_hump_of_the_bumps_has_butterfly_arbitrage_even_between_the_nodes():
    bumps = np.zeros(BUMPS)
    bumps[8] = 0.5
    scale = plain(CURVE).scale
    found = check([SmileCurve(CURVE, scale, bumps)])[0]
    dense = np.linspace(KNOTS[8], KNOTS[12], 4001) * scale
    assert found.violations == ("butterfly",)
    assert found.worst_butterfly == pytest.approx(
        durrleman(SmileCurve(CURVE, scale, bumps), dense).min(), rel=0.02)


def test_a_vertex_between_the_nodes_is_seen():
    sharp = RawSvi(0.0101, 0.1, 0.0, 0.0123, 0.0004)
    crossing = flat(0.0101 + 0.1 * 0.0004 + 1e-5)[0]
    assert check([plain(sharp), crossing])[0].worst_calendar < 0
    assert check([crossing, plain(sharp)])[0].worst_calendar < 0


def test_falling_variance_is_calendar_arbitrage_of_both_neighbours():
    checks = check(flat(0.01, 0.03, 0.02, 0.04))
    assert [one.violations for one in checks] == [(), ("calendar",), ("calendar",), ()]
    assert checks[1].worst_calendar == pytest.approx(-1 / 3)
    assert checks[0].worst_calendar == pytest.approx(2.0)


def test_a_lone_curve_has_no_calendar_to_break():
    found = check(flat(0.04))[0]
    assert found.calendar_ok
    assert np.isnan(found.worst_calendar)
    assert check([]) == ()


def test_crossing_beyond_the_nearer_ones_range_is_extrapolation():
    near, far = flat(0.0004)[0], plain(RawSvi(0.001, 0.0105, -1.0, 0.3, 0.01))
    assert calendar_gap(near, far, np.array([0.06])) > 0
    assert check([near, far])[0].calendar_ok
    crossing = plain(RawSvi(0.0, 0.04, -1.0, 0.02, 0.001))
    assert not check([near, crossing])[0].calendar_ok


def test_lees_bound_is_two_on_either_side():
    assert lee_slopes(RawSvi(0.01, 1.0, 0.5, 0.0, 0.1)) == (0.5, 1.5)
    assert lee_ok(RawSvi(0.01, 1.0, 1.0, 0.0, 0.1))
    assert not lee_ok(RawSvi(0.01, 1.5, 0.5, 0.0, 0.1))
    assert not lee_ok(RawSvi(0.01, 1.5, -0.5, 0.0, 0.1))
    assert not lee_ok(RawSvi(0.01, -0.1, 0.0, 0.0, 0.1))
    assert not lee_ok(RawSvi(-0.02, 0.1, 0.0, 0.0, 0.1))
    assert check([plain(RawSvi(0.01, 1.5, 0.5, 0.0, 0.1))])[0].lee_ok is False


def test_a_curve_that_is_not_positive_fails():
    found = check([SmileCurve(CURVE, plain(CURVE).scale, np.full(BUMPS, -1.5)), *flat(0.1)])
    assert found[0].worst_butterfly == -np.inf
    assert not found[0].butterfly_ok
    assert not found[1].calendar_ok


@pytest.mark.filterwarnings("error")
@given(st.lists(st.tuples(*[finite] * 7), min_size=1, max_size=4))
def test_no_finite_input_warns_or_raises(parameters):
    surface = [SmileCurve(RawSvi(*one[:5]), one[5], np.full(BUMPS, one[6])) for one in parameters]
    for one, found in zip(surface, check(surface), strict=True):
        assert isinstance(found.violations, tuple)
        durrleman(one, checked_log_moneyness(one))
