"""Hyperparameters drawn at random are ones that a network can be built with; the best are kept."""

from types import SimpleNamespace

import numpy as np
import pytest

from ml import args
from ml.errors import TrainingDataError
from ml.progress import Progress
from ml.search import CHOICES, draw, search


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


@pytest.mark.parametrize(("losses", "kept"), [
    ((3.0, 4.0, 1.0, 2.0), 2), ((1.0, 4.0, 1.0, 2.0), 0), ((3.0, None, 2.0, 4.0), 2)])
def test_the_least_validation_loss_is_kept(monkeypatch, losses, kept):
    """The first is of what is configured; None of a trial that can't be trained."""
    tried, left = [], iter(losses)

    def fit(samples, fold, scaler, linear, config):
        tried.append(config)
        loss = next(left)
        if loss is None:
            raise TrainingDataError("the loss is not a number")
        return SimpleNamespace(validation_loss=loss)

    monkeypatch.setattr("ml.search.fit", fit)
    dataset, ready = SimpleNamespace(samples=None), SimpleNamespace(scaler=None, linear=None)
    config = args.load(None)

    found = search(dataset, None, ready, config, len(losses) - 1, Progress(quiet=True))

    assert tried[0] == config
    assert len(set(map(repr, tried))) == len(losses)
    assert found == tried[kept]
