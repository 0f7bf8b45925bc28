import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import nnls

from ml.smile.projection import least_distance

coefficients = st.floats(-10.0, 10.0).map(lambda value: round(value, 3))
problems = st.tuples(st.integers(1, 25), st.integers(1, 8)).flatmap(
    lambda shape: st.tuples(arrays(float, shape, elements=coefficients),
                            arrays(float, shape[:1], elements=coefficients)))


def by_nnls(rows, bounds):
    """Lawson and Hanson's own way; None if infeasible."""
    target = np.zeros(rows.shape[1] + 1)
    target[-1] = 1.0
    matrix = np.vstack([rows.T, bounds])
    dual, distance = nnls(matrix, target)
    if distance < 1e-7:
        return None
    residual = matrix @ dual - target
    return -residual[:-1] / residual[-1]


def test_satisfied_inequalities_move_nothing():
    found = least_distance(np.eye(3), np.array([-1.0, 0.0, -2.0]))
    assert found.status == "solved"
    assert (found.point == 0).all()


def test_one_inequality_is_met_along_its_normal():
    found = least_distance(np.array([[3.0, 4.0]]), np.array([10.0]))
    assert found.point == pytest.approx([1.2, 1.6])


def test_an_inequality_that_another_makes_superfluous_is_let_go():
    found = least_distance(np.array([[1.0, 0.1], [1.0, 0.0], [0.0, 1.0]]),
                           np.array([1.0, 1.5, 2.0]))
    assert found.point == pytest.approx([1.5, 2.0])


def test_contradictions_are_named():
    found = least_distance(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([1.0, 1.0]))
    assert found.status == "infeasible"
    assert least_distance(np.zeros((1, 2)), np.ones(1)).status == "infeasible"
    assert least_distance(np.zeros((1, 2)), np.zeros(1)).status == "solved"


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="finite"):
        least_distance(np.array([[np.nan]]), np.ones(1))


@given(problems)
def test_it_is_the_point_that_nnls_finds(problem):
    rows, bounds = problem
    assume((np.linalg.norm(rows, axis=1) > 1e-2).all())
    expected, found = by_nnls(rows, bounds), least_distance(rows, bounds)
    assume(expected is None or np.linalg.norm(expected) < 1e4)  # else it hangs on a hair
    if found.status == "solved":
        assert (rows @ found.point >= bounds - 1e-7 * (1 + np.abs(bounds))).all()
    if expected is not None:
        assert found.status == "solved"
        assert np.linalg.norm(found.point) == pytest.approx(np.linalg.norm(expected), rel=1e-5)
