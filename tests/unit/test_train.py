import json

import numpy as np
import pytest

from ml import args, options, registry, train
from ml.args import KINDS
from ml.dataset import make_dataset
from ml.errors import ConfigError, TrainingDataError
from tests.unit.judged import HORIZONS
from tests.unit.smiles import make_history


@pytest.fixture(scope="module")
def run():
    """A short run on a made-up history: what was walked and how it did."""
    config = args.load(None, {"model": {"hidden": 8}, "fit": {"epochs": 2},
                              "data": {"horizons_s": HORIZONS, "folds": 2}})
    dataset = make_dataset([make_history(days=5, minutes=120, expiries=2, pull=0.05)], config.data)
    walked = train.walk(dataset, config, "smile", train.Progress(quiet=True))
    return walked, train.summarise(train.collect(walked, dataset))


def test_the_report_shows_every_horizon_and_what_is_kept(run, capsys):
    train.report(*run)

    shown = capsys.readouterr().out
    assert "1 min" in shown and "5 min" in shown
    assert "weight of the gru on its anchor, of several their mean; 0 is silence: 60 s: " in shown


def test_the_record_holds_configuration_figures_and_what_each_fold_learned(run):
    record = train.record(*run)

    assert record.params["model.hidden"] == 8 and record.params["fit.epochs"] == 2
    assert {"rmse_bp_60s", "weight_300s", "epoch", "validation_loss"} <= set(record.metrics)
    assert len(record.folds) == 2
    assert all("rmse_bp_60s" in fold and "weight_60s" in fold for fold in record.folds)
    assert np.isfinite(list(record.metrics.values())).all()
    assert json.loads(record.files["evaluation.json"])["kind"] == "gru"
    assert record.card.startswith("# smile: gru")


def test_a_baseline_has_no_epochs_to_tell(run):
    walked = run[0][-1]
    silent = type(walked)(walked.fold, walked.forecaster, None, walked.config)

    assert "epoch" not in train.learning(silent)
    assert "weight_60s" in train.learning(silent)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_asked_for(kind):
    given = train.parser("").parse_args(["--quotes", "a", "--model", kind, "--folds", "2"])

    assert train.config_of(given).model.kind == kind
    assert train.config_of(given).data.folds == 2


def test_a_configuration_of_its_own_is_not_overruled_by_the_default_model(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("model: {kind: mlp}")
    given = train.parser("").parse_args(["--quotes", "a", "--config", str(path)])

    assert train.config_of(given).model.kind == "mlp"


def test_quotes_are_read_with_the_conventions_that_are_told(monkeypatch):
    seen = []
    monkeypatch.setattr(options, "days_from_quotes", lambda *given: seen.append(given) or iter(()))
    given = train.parser("").parse_args(["--quotes", "a", "--within-day", "--until",
                                         "2026-08-03T15:00Z"])

    with pytest.raises(TrainingDataError):
        train.dataset_of(given, train.config_of(given), train.Progress(quiet=True))

    [(paths, until, _, _, within_day)] = seen
    assert [str(path) for path in paths] == ["a"] and within_day
    assert until.isoformat() == "2026-08-03T15:00:00+00:00"


@pytest.mark.parametrize(("argv", "name"), [(["--symbol", "SPY"], "symbol"),
                                            (["--source", "live"], "source")])
def test_what_chooses_from_the_database_is_refused_beside_quotes(argv, name):
    given = train.parser("").parse_args(["--quotes", "a", *argv])

    with pytest.raises(ConfigError, match=f"--{name} chooses from the database"):
        train.dataset_of(given, train.config_of(given), train.Progress(quiet=True))


@pytest.mark.parametrize(("argv", "sentence"), [
    (["--quotes", "none.parquet"], "none.parquet: no such file"),
    (["--quotes", "none.parquet", "--config", "none.yaml"], "none.yaml: can't be read"),
    (["--quotes", "none.parquet", "--epochs", "0"], "epochs"),
    (["--quotes", "none.parquet", "--model", "ewma", "--folds", "0"], "folds"),
    (["--quotes", "none.parquet", "--register"], "MLFLOW_TRACKING_URI is not set"),
    (["--quotes", "none.parquet", "--window", "1"],
     "command line: `window` of one row has no deviations"),
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
                                  ["--quotes", "a", "--until", "noon"],
                                  ["--quotes", "a", "--trials", "-1"],
                                  ["--quotes", "a", "--rate", "nan"],
                                  ["--quotes", "a", "--rate", "inf"],
                                  ["--quotes", "a", "--step", "nan"],
                                  ["--quotes", "a", "--step", "0"],
                                  ["--quotes", "a", "--step", "23400"],
                                  ["--quotes", "a", "--force", ""],
                                  ["--quotes", "a", "--dividends", "soon"]])
def test_options_that_make_no_sense_are_exit_code_2(argv):
    with pytest.raises(SystemExit) as caught:
        train.main(argv)
    assert caught.value.code == 2


AWAY = "http://bob:hunter2@127.0.0.1:9"


@pytest.mark.parametrize(("uri", "argv", "sentence", "code"), [
    (AWAY, ["--register"], "MLflow at http://***@127.0.0.1:9 does not answer", 1),
    (AWAY, ["--promote"], "MLflow at http://***@127.0.0.1:9 does not answer", 1),
    (AWAY, ["--force", "in a hurry"], "MLflow at http://***@127.0.0.1:9 does not answer", 1),
    ("sqlite:////proc/none/mlflow.db", ["--register"], "MLflow at sqlite:////proc/none/", 2),
    ("sqlite:///{folder}/mlflow.db", ["--register", "--name", "a/b"], "model name 'a/b'", 2)])
def test_a_registry_of_no_use_is_said_before_any_work_is_done(uri, argv, sentence, code, tmp_path,
                                                              monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(folder=tmp_path))
    monkeypatch.setattr(train, "dataset_of", lambda *given: pytest.fail("the work began"))
    monkeypatch.setattr(train, "spaced", lambda *given: pytest.fail("the work began"))

    assert train.main(["--quotes", "a.parquet", *argv]) == code
    [line] = [line for line in capsys.readouterr().err.splitlines() if "INFO mlflow" not in line]
    assert line.startswith("error: ") and sentence in line


def test_an_instant_without_a_time_zone_is_refused(capsys):
    with pytest.raises(SystemExit):
        train.parser("").parse_args(["--from-database", "--until", "2026-08-03T15:00"])

    assert "has no time zone; add Z for UTC" in capsys.readouterr().err


@pytest.mark.parametrize("how", [["--promote"], ["--force", "the first"]])
def test_beside_a_champion_none_is_trained_where_that_is_asked(how, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://registry")
    monkeypatch.setattr(registry, "ready", lambda name, uri: None)
    monkeypatch.setattr(registry, "find_alias", lambda name, alias, uri: {"champion": "7"}[alias])

    assert train.main(["--quotes", "none.parquet", "--unless-champion", *how]) == 0
    assert capsys.readouterr().out == "smile has a champion, version 7: nothing to do\n"


def test_without_a_champion_one_is_trained(monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://registry")
    monkeypatch.setattr(registry, "ready", lambda name, uri: None)
    monkeypatch.setattr(registry, "find_alias", lambda name, alias, uri: None)

    assert train.main(["--quotes", "none.parquet", "--unless-champion", "--promote"]) == 2
    assert "none.parquet" in capsys.readouterr().err


def test_a_model_that_is_not_promoted_has_no_use_for_the_champion(capsys):
    assert train.main(["--quotes", "none.parquet", "--unless-champion"]) == 2
    assert "--unless-champion" in capsys.readouterr().err


@pytest.mark.parametrize(("asked", "taken"), [("120", 120.0), ("30", 30.0), ("600", 300.0)])
def test_a_step_finer_than_the_configuration_s_replaces_it(tmp_path, asked, taken):
    """A coarser one is `spaced`'s, which asks whether the horizons have room."""
    coarse = tmp_path / "coarse.yaml"
    coarse.write_text("model: {kind: gru}\ndata: {step_s: 300, horizons_s: [600, 1800]}\n")
    given = train.options().parse_args(["--quotes", "a", "--config", str(coarse), "--step", asked])

    assert train.config_of(given).data.step_s == taken
