import json
from dataclasses import replace

import numpy as np
import pytest

from ml import args, evaluate, train
from ml.args import DataArgs
from ml.dataset import make_samples
from ml.progress import Progress
from ml.scores import as_metrics, score
from tests.unit.smiles import make_history

ARGS = DataArgs(horizons_s=(60, 300))


@pytest.fixture(scope="module")
def history():
    return make_history(days=1, minutes=60, expiries=2)


@pytest.fixture(scope="module")
def samples(history):
    return make_samples(history, ARGS)


def no_change(samples, half_width=1e-3):
    band = np.array([-half_width, 0.0, half_width])[:, None]
    return np.broadcast_to(band, (len(samples), 2, 3, 17)).copy()


def test_no_change_has_the_error_of_filtered_persistence(samples, history):
    for one in score(no_change(samples), samples, history, ARGS.horizons_s):
        assert one.model_bp == pytest.approx(one.filtered_persistence_bp)
        assert one.r2 == pytest.approx(0.0)


def test_a_perfect_forecast_has_no_error(samples, history):
    change = no_change(samples)
    change += np.nan_to_num(samples.change)[:, :, None]

    for one in score(change, samples, history, ARGS.horizons_s):
        assert one.model_bp < 0.05
        assert one.r2 == pytest.approx(1.0, abs=1e-3)
        assert one.coverage == 1.0


def test_errors_are_those_of_the_walk_it_is_made_of(samples, history):
    """3 bp a minute, by the root of time, on quotes of 0.9 to 1.5 times the level."""
    near, far = score(no_change(samples), samples, history, ARGS.horizons_s)

    assert 2.0 < near.persistence_bp < 4.5
    assert 4.0 < far.persistence_bp < 11.0
    assert near.sticky_strike_bp > near.persistence_bp
    assert near.half_spread_bp == pytest.approx(6.0)


def test_only_forecasts_with_a_target_are_counted(samples, history):
    near, far = score(no_change(samples), samples, history, ARGS.horizons_s)

    assert near.samples == len(samples) == 100
    assert far.samples == (samples.target[:, 1] >= 0).sum() == 92
    assert near.quotes == near.samples * 24


def test_coverage_is_the_share_of_quotes_within_the_band(samples, history):
    nothing = score(no_change(samples, 0.0), samples, history, ARGS.horizons_s)[0]
    wide = score(no_change(samples, 0.5), samples, history, ARGS.horizons_s)[0]

    assert nothing.coverage < 0.01
    assert wide.coverage == 1.0


def test_quotes_beyond_the_grid_are_not_scored(samples, history):
    def stretched(series):
        return replace(series, quotes=[
            replace(one, log_moneyness=np.append(one.log_moneyness[:-1], 9.0))
            for one in series.quotes])

    near = score(no_change(samples), samples, [stretched(one) for one in history],
                 ARGS.horizons_s)[0]

    assert near.quotes == near.samples * 23


def test_a_horizon_never_observed_is_left_out(samples, history):
    unseen = replace(samples, target=np.where([True, False], samples.target, -1))

    assert [one.horizon_s for one in score(no_change(samples), unseen, history,
                                           ARGS.horizons_s)] == [60]


def test_metrics_are_flat_and_named_by_horizon(samples, history):
    scores = score(no_change(samples), samples, history, ARGS.horizons_s)

    metrics = as_metrics(scores)
    assert metrics["model_bp_300s"] == scores[1].model_bp
    assert metrics["samples_60s"] == 100.0


def test_json_holds_the_scores_by_horizon():
    config = args.load(None, {"fit": {"epochs": 1}, "model": {"hidden": 8}})
    trained = train.train(make_history(days=3, minutes=120, expiries=1), config, "smile",
                          Progress(quiet=True))

    shown = json.loads(evaluate.as_json(trained))

    assert [one["horizon_s"] for one in shown["horizons"]] == [60, 300, 900, 1800]
    assert set(shown["shrinkage"]) == {"60", "300", "900", "1800"}
    assert shown["horizons"][0]["filtered_persistence_bp"] > 0


def test_a_users_mistake_is_one_sentence_and_exit_code_2(capsys):
    assert evaluate.main(["--quotes", "none.parquet"]) == 2
    assert capsys.readouterr().err == "error: none.parquet: no such file\n"
