import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.pricing.regression import regress

X = np.linspace(0.0, 2.0, 12)
DESIGN = np.stack([np.ones(12), X], axis=1)
FLAT = np.eye(2) * 1e-6
ALL = np.ones(12, dtype=bool)


def fit(target, deviation=0.01, counted=ALL, mean=(0.0, 0.0), precision=FLAT, doubt=10.0):
    return regress(DESIGN, target, np.full(12, deviation), counted, np.array(mean),
                   np.asarray(precision), np.full(12, doubt))


def test_a_line_is_recovered_with_its_covariance():
    random = np.random.default_rng(2)
    found = [fit(3 + 0.5 * X + random.normal(0, 0.01, 12)) for _ in range(300)]
    means = np.array([one.mean for one in found])
    assert means.mean(axis=0) == pytest.approx([3, 0.5], abs=1e-3)
    stated = np.sqrt(np.diag(found[0].covariance))
    assert means.std(axis=0) == pytest.approx(stated, rel=0.35)


def test_the_prior_decides_what_the_rows_do_not():
    counted = np.arange(12) == 0
    found = fit(np.full(12, 3.0), counted=counted, mean=(0.0, 0.4), precision=np.diag([1e-6, 1e4]))
    assert found.mean == pytest.approx([3.0, 0.4], abs=1e-3)


@pytest.mark.parametrize("wrong", [[0], [11], [5], [0, 11], [3, 4]])
def test_wrong_rows_do_not_move_the_line(wrong):
    target = 3 + 0.5 * X
    target[wrong] += 1.0
    found = fit(target)
    assert found.mean == pytest.approx([3, 0.5], abs=5e-3)
    assert found.left_out[wrong] == pytest.approx((3 + 0.5 * X)[wrong], abs=2e-2)


def test_a_row_left_out_is_predicted_as_by_a_fit_without_it():
    target = 3 + 0.5 * X + 0.004 * (-1.0) ** np.arange(12)
    whole = fit(target, precision=np.eye(2) * 1e-3)
    for row in (0, 4, 11):
        without = fit(target, counted=np.arange(12) != row, precision=np.eye(2) * 1e-3)
        assert whole.left_out[row] == pytest.approx(DESIGN[row] @ without.mean, abs=5e-4)
        variance = DESIGN[row] @ without.covariance @ DESIGN[row]
        assert whole.left_out_variance[row] == pytest.approx(variance, rel=0.3)


def test_rows_that_scatter_more_than_stated_widen_the_covariance():
    random = np.random.default_rng(5)
    noise = random.normal(0, 0.1, 12)
    calm, wild = fit(3 + 0.5 * X), fit(3 + 0.5 * X + noise)
    assert calm.scale == 1.0
    assert wild.scale > 3
    assert wild.covariance[0, 0] > 9 * calm.covariance[0, 0]


def test_no_rows_leave_the_prior():
    found = fit(np.zeros(12), counted=~ALL, mean=(1.0, 2.0), precision=np.diag([4.0, 16.0]))
    assert found.mean.tolist() == [1.0, 2.0]
    assert np.diag(found.covariance) == pytest.approx([0.25, 0.0625])
    assert found.left_out == pytest.approx(DESIGN @ [1.0, 2.0])


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=12, max_size=12), st.floats(1e-6, 1e6))
def test_any_targets_give_finite_answers(target, deviation):
    found = fit(np.array(target), deviation)
    for values in (found.mean, found.covariance, found.left_out, found.left_out_variance):
        assert np.isfinite(values).all()
