from dataclasses import replace

import numpy as np
import pytest
import torch

from ml import args, train
from ml.calibrate import shrinkage
from ml.contract import MEDIAN
from ml.dataset import fit_scaler, make_samples, split
from ml.fit import fit, pinball, target_scale
from ml.forecaster import Forecaster, calibrated
from ml.progress import Progress
from tests.unit.smiles import make_history
from tests.unit.test_contract import make_contract


def quick(**groups):
    return args.load(None, {**groups, "model": {"kind": "gru", "hidden": 16},
                            "fit": {"epochs": 12, "learning_rate": 5e-3,
                                    **groups.get("fit", {})}})


def trained(history, config):
    return train.train(history, config, "smile", Progress(quiet=True))


@pytest.fixture(scope="module")
def reverting():
    """A market whose volatility is pulled back by 5 % a minute: something can be learnt."""
    return trained(make_history(days=4, minutes=240, expiries=2, pull=0.05), quick())


def test_what_can_be_learnt_is_learnt_and_spoken(reverting):
    longest = reverting.scores[-1]

    assert longest.horizon_s == 1800
    assert longest.r2 > 0.05
    assert longest.model_bp < longest.persistence_bp
    assert reverting.forecaster.contract.shrinkage[-1] > 0.0


def test_bands_hold_about_the_share_they_promise(reverting):
    assert all(0.80 < one.coverage < 0.98 for one in reverting.scores)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_random_walk_is_not_forecast(seed):
    history = make_history(days=4, minutes=180, expiries=2, seed=seed)
    scores = trained(history, quick(data={"filter_weight": 1.0})).scores

    assert all(one.r2 < 0.02 for one in scores), "skill where there can be none: a leak"


def test_the_contract_tells_where_the_model_comes_from():
    history = make_history(days=3, minutes=120, expiries=1)
    contract = trained(history, quick(fit={"epochs": 1})).forecaster.contract

    second_day = [at for at, day in zip(history[0].at, history[0].day, strict=True)
                  if day == history[0].day[120]]
    assert contract.trained_from == history[0].at[0]
    assert contract.trained_until <= second_day[-1]
    assert contract.horizons_s == (60, 300, 900, 1800)
    assert np.array(contract.band_fallback).shape == (4, 17)
    assert (np.array(contract.band_fallback) > 0).all()


def test_the_same_seed_gives_the_same_model_to_the_last_bit():
    history = make_history(days=3, minutes=120, expiries=1)
    config = quick(fit={"epochs": 3})
    folds = split(make_samples(history, config.data), config.data)
    scaler = fit_scaler(folds.training)

    one, two = (fit(folds, scaler, config).network.state_dict() for _ in range(2))

    assert all(torch.equal(one[name], two[name]) for name in one)


def test_training_stops_when_validation_no_longer_improves():
    history = make_history(days=3, minutes=120, expiries=1)
    config = quick(fit={"epochs": 60, "patience": 2})
    folds = split(make_samples(history, config.data), config.data)
    calls = []

    fitted = fit(folds, fit_scaler(folds.training), config, lambda *at: calls.append(at))

    assert len(calls) < 60
    assert len(calls) == fitted.epoch + 2


def test_pinball_is_half_the_absolute_error_at_the_median():
    quantiles = torch.full((1, 1, 1, 2), 1.0)

    assert pinball(quantiles, torch.tensor([[[3.0, 0.0]]]), (0.5,)) == pytest.approx(0.75)


def test_pinball_weighs_the_sides_by_the_level():
    quantiles = torch.zeros((1, 1, 1, 1))

    assert pinball(quantiles, torch.full((1, 1, 1), 2.0), (0.95,)) == pytest.approx(1.9)
    assert pinball(quantiles, torch.full((1, 1, 1), -2.0), (0.95,)) == pytest.approx(0.1)


def test_pinball_passes_over_unknown_changes():
    change = torch.tensor([[[2.0, float("nan")]]])

    assert pinball(torch.zeros((1, 1, 1, 2)), change, (0.5,)) == pytest.approx(1.0)


def test_targets_never_observed_take_their_horizons_scale():
    change = np.full((4, 1, 17), np.nan)
    change[:, 0, :2] = [[3e-4, 4e-4]] * 4

    scale = target_scale(change)

    assert scale[0, :2] == pytest.approx([3e-4, 4e-4])
    assert scale[0, 5] == pytest.approx(np.sqrt((9 + 16) / 2) * 1e-4)


def changes(count, seed=0):
    return np.random.default_rng(seed).normal(0.0, 1e-3, (count, 1, 17))


def test_a_median_that_is_right_is_kept_whole():
    actual = changes(200)

    assert shrinkage(actual, actual, np.arange(200) * 60.0, (60,)) == pytest.approx([1.0])


def test_a_median_that_says_too_much_is_shrunk():
    actual = changes(400)

    weight = shrinkage(4 * actual, actual, np.arange(400) * 60.0, (60,))

    assert weight == pytest.approx([0.25])


def test_a_median_that_is_noise_is_silenced():
    silent = [shrinkage(changes(400, seed), changes(400, seed + 100), np.arange(400) * 60.0,
                        (60,))[0] for seed in range(20)]

    assert np.mean(silent) < 0.02


def test_too_short_a_fold_is_no_evidence():
    actual = changes(40)

    assert shrinkage(actual, actual, np.arange(40) * 60.0, (1800,)).tolist() == [0.0]


def test_unknown_changes_are_no_evidence_for_or_against():
    actual = changes(200)
    median = actual.copy()
    actual[::3] = np.nan
    median[::3] = 5.0

    assert shrinkage(median, actual, np.arange(200) * 60.0, (60,)) == pytest.approx([1.0])


def test_calibration_shrinks_the_median_and_moves_the_band_with_it():
    contract = make_contract(shrinkage=(0.5, 0.0), band_offset=(1e-3, -1.0))
    quantiles = np.tile(np.array([-1e-3, 2e-3, 4e-3])[None, None, :, None], (2, 2, 1, 17))

    change = calibrated(quantiles, contract)

    assert change[0, 0, :, 0] == pytest.approx([-3e-3, 1e-3, 4e-3])
    assert change[1, 1, :, 3].tolist() == [0.0, 0.0, 0.0]


def test_a_forecaster_puts_windows_in_units_of_its_scaler():
    history = make_history(days=3, minutes=120, expiries=1)
    config = quick(fit={"epochs": 1})
    samples = make_samples(history, config.data)
    scaler = fit_scaler(split(samples, config.data).training)
    seen = []

    def network(windows):
        seen.append(windows.numpy())
        return torch.zeros((len(windows), 2, 3, 17))

    Forecaster(network, scaler, make_contract()).predict(samples.windows[:4])

    assert seen[0] * scaler.scale_ + scaler.mean_ == pytest.approx(samples.windows[:4], abs=1e-4)
    assert seen[0].dtype == np.float32


@pytest.mark.parametrize(("argv", "sentence"), [
    (["--quotes", "none.parquet"], "none.parquet: no such file"),
    (["--quotes", "none.parquet", "--config", "none.yaml"], "none.yaml: can't be read"),
    (["--quotes", "none.parquet", "--epochs", "0"], "epochs"),
    (["--quotes", "none.parquet", "--register"], "MLFLOW_TRACKING_URI is not set"),
    (["--from-database"], "SMILE_DATABASE_URL is not set"),
])
def test_a_users_mistake_is_one_sentence_and_exit_code_2(argv, sentence, capsys, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("SMILE_DATABASE_URL", raising=False)

    assert train.main(argv) == 2
    message = capsys.readouterr().err
    assert sentence in message
    assert message.count("\n") == 1


def test_a_database_that_does_not_answer_is_exit_code_1(capsys, monkeypatch):
    monkeypatch.setenv("SMILE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")

    assert train.main(["--from-database"]) == 1
    assert "can't be read from the database" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["--quotes", "a", "--from-database"],
                                  ["--quotes", "a", "--model", "gro"],
                                  ["--quotes", "a", "--until", "noon"]])
def test_options_that_make_no_sense_are_exit_code_2(argv):
    with pytest.raises(SystemExit) as caught:
        train.main(argv)
    assert caught.value.code == 2


def test_a_naive_instant_is_read_as_utc():
    options = train.parser("").parse_args(["--from-database", "--until", "2026-08-03T15:00"])

    assert options.until.isoformat() == "2026-08-03T15:00:00+00:00"


def test_the_report_shows_every_horizon_and_what_is_kept(reverting, capsys):
    train.report(replace(reverting))

    shown = capsys.readouterr().out
    assert all(f"{horizon} s" in shown for horizon in (60, 300, 900, 1800))
    assert "weight of the model's median" in shown


def test_the_median_lies_where_the_contract_says(reverting):
    assert reverting.forecaster.contract.quantiles[MEDIAN] == 0.5
