"""Hyperparameters drawn at random are ones that a network can be built with."""

import numpy as np
import pytest

from ml import args
from ml.search import CHOICES, draw


@pytest.mark.parametrize("heads", [3, 4, 5])
def test_a_transformer_is_drawn_with_a_multiple_of_its_heads(heads):
    config = args.load(None, {"model": {"kind": "transformer", "hidden": 60, "heads": heads}})
    random = np.random.default_rng(0)

    drawn = [draw(config, random).model for _ in range(30)]

    assert {one.heads for one in drawn} == {heads}
    assert all(one.hidden % heads == 0 and one.hidden >= 16 for one in drawn)
    assert len({one.hidden for one in drawn}) == len(CHOICES["model"]["hidden"])


def test_draws_are_of_the_choices_and_leave_the_rest():
    config = args.load(None, {"data": {"window": 5}})
    drawn = draw(config, np.random.default_rng(0))

    assert drawn.data == config.data
    for group, choices in CHOICES.items():
        for name, values in choices.items():
            assert getattr(getattr(drawn, group), name) in values
