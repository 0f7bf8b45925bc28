import pytest

from ml.steps import step_of


@pytest.mark.parametrize(("at_s", "step"), [(0.0, 0), (59.9, 0), (60.0, 1), (90.0, 1)])
def test_steps_begin_on_the_epoch_clock(at_s, step):
    assert step_of(at_s, 60.0) == step
