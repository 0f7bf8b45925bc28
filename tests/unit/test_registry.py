from pathlib import Path

import numpy as np
import pytest

from ml import registry
from ml.errors import RegistryError, UnavailableError
from ml.quiet_mlflow import MlflowClient, mlflow, spoken
from ml.registry import Record
from tests.unit.damaged_model import add_damaged_version, truncate
from tests.unit.small_model import make_forecaster, windows

RECORD = Record(params={"fit.epochs": 3}, metrics={"r2_60s": 0.01, "coverage_60s": float("nan")},
                folds=({"r2_60s": -0.02}, {"r2_60s": 0.04, "coverage_60s": float("inf")}),
                files={"plots/r2.svg": b"<svg/>", "report.html": b"<html/>"}, card="# A model")


def register(uri, seed=0):
    return registry.register(make_forecaster(seed), windows(2), RECORD, uri)


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """A registry on sqlite with version 1 of `smile` as challenger."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"
    assert register(uri) == "1"
    return uri


@pytest.fixture(scope="module")
def loaded(uri):
    return registry.load_alias("smile", "challenger", uri)


@pytest.mark.parametrize("batch", [1, 2, 32])
def test_the_loaded_model_answers_as_the_registered_one(loaded, batch):
    some = windows(batch, seed=7)

    change = loaded.predict(some)

    assert change.shape == (batch, 2, 3, 17)
    assert change == pytest.approx(make_forecaster().predict(some), abs=1e-9)
    assert np.abs(change[:, :, 1]).max() > 1e-5


def test_network_scaler_and_contract_are_one_artifact(loaded):
    original = make_forecaster()

    assert loaded.version == "1"
    assert loaded.contract == original.contract
    assert loaded.forecaster.scaler.mean_ == pytest.approx(original.scaler.mean_)


def test_the_run_says_what_went_in_and_what_came_out(uri):
    client = MlflowClient(uri)
    run = client.get_run(client.get_model_version("smile", "1").run_id)

    assert run.data.params["fit.epochs"] == "3"
    assert run.data.params["data_fingerprint"] == make_forecaster().contract.data_fingerprint
    assert run.data.params.keys() >= {"git_commit", "git_dirty"}
    assert run.data.metrics == {"r2_60s": 0.01, "fold.r2_60s": 0.04}


def test_the_run_has_each_folds_metrics_in_order(uri):
    client = MlflowClient(uri)
    run = client.get_model_version("smile", "1").run_id

    history = client.get_metric_history(run, "fold.r2_60s")

    assert [(metric.step, metric.value) for metric in history] == [(0, -0.02), (1, 0.04)]


def test_plots_and_card_are_with_the_run_and_the_card_is_the_description(uri, tmp_path):
    client = MlflowClient(uri)
    version = client.get_model_version("smile", "1")

    for file, content in {**RECORD.files, "model_card.md": b"# A model"}.items():
        assert Path(client.download_artifacts(version.run_id, file, tmp_path)).read_bytes() \
            == content
    assert version.description == "# A model"


def test_a_new_registration_becomes_the_challenger_and_the_old_one_stays(uri, loaded):
    version = register(uri, seed=5)

    assert version != loaded.version
    assert registry.find_alias("smile", "challenger", uri) == version
    assert registry.find_alias("smile", "champion", uri) is None
    assert registry.load_version("smile", "1", uri).contract == loaded.contract


def test_an_alias_of_a_model_that_is_not_there_is_none(uri):
    assert registry.find_alias("frown", "champion", uri) is None


@pytest.mark.parametrize(("name", "alias"), [("smile", "champion"), ("frown", "champion")])
def test_an_alias_or_model_that_is_not_there_is_named(uri, name, alias):
    with pytest.raises(RegistryError, match=alias if name == "smile" else name):
        registry.load_alias(name, alias, uri)


@pytest.mark.parametrize("ask", [registry.alias_version, registry.find_alias])
def test_a_registry_that_does_not_answer_is_unavailable(monkeypatch, ask):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    with pytest.raises(UnavailableError, match=r"http://127\.0\.0\.1:1 does not answer"):
        ask("smile", "champion", "http://127.0.0.1:1")


@pytest.mark.parametrize(("uri", "sentence"), [
    ("http://bob:hunter2@127.0.0.1:1", "MLflow at http://***@127.0.0.1:1 does not answer: API"),
    ("sqlite:////proc/none/mlflow.db", "MLflow at sqlite:////proc/none/mlflow.db: ")])
def test_an_address_of_no_use_is_a_sentence_without_its_password(monkeypatch, uri, sentence):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    with pytest.raises((RegistryError, UnavailableError)) as caught:
        registry.find_alias("smile", "champion", uri)

    assert str(caught.value).startswith(sentence)
    assert "hunter2" not in str(caught.value)


def test_a_databases_driver_that_is_not_installed_is_named():
    with pytest.raises(RegistryError, match=r"postgresql://\*\*\*@host needs a package that is not "
                                            "installed: psycopg"), \
            spoken("postgresql://bob:hunter2@host"):
        raise ModuleNotFoundError("No module named 'psycopg'", name="psycopg")


def test_a_model_not_of_ours_is_refused(uri, tmp_path):
    (tmp_path / "note.txt").write_text("not a model")
    client = MlflowClient(uri)
    mlflow.set_tracking_uri(uri)
    with mlflow.start_run(experiment_id=client.get_experiment_by_name("smile").experiment_id):
        mlflow.log_artifact(str(tmp_path / "note.txt"), "thing")
        source = mlflow.get_artifact_uri("thing")
    client.create_registered_model("stranger")
    version = client.create_model_version("stranger", source).version

    with pytest.raises(RegistryError, match=r"stranger has no contract\.json"):
        registry.load_version("stranger", str(version), uri)


@pytest.mark.parametrize(("damage", "file"), [
    (truncate, "scaler.joblib"), (Path.unlink, "scaler.joblib"), (truncate, "*.pt2"),
    (truncate, "contract.json"), (truncate, "MLmodel"),
])
def test_a_damaged_version_is_named(uri, tmp_path, damage, file):
    version = add_damaged_version(uri, tmp_path, damage, file)

    with pytest.raises(RegistryError, match=f"^version {version} of smile can't be loaded: "):
        registry.load_version("smile", version, uri)


def test_an_example_of_one_window_is_refused_since_it_would_fix_the_batch(uri):
    with pytest.raises(ValueError, match="two windows"):
        registry.register(make_forecaster(), windows(1), RECORD, uri)
