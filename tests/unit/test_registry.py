from pathlib import Path

import numpy as np
import pytest

from ml import registry
from ml.errors import RegistryError, UnavailableError
from ml.quiet_mlflow import MlflowClient, mlflow
from tests.unit.damaged_model import add_damaged_version, truncate
from tests.unit.small_model import make_forecaster, windows


def register(uri, seed=0, name="smile"):
    return registry.register(make_forecaster(seed), windows(2), {"fit.epochs": 3},
                             {"r2_60s": 0.01, "coverage_60s": float("nan")}, name, uri)


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """A registry on sqlite with version 1 of `smile` as champion."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"
    assert register(uri) == "1"
    return uri


@pytest.fixture(scope="module")
def loaded(uri):
    return registry.load_champion("smile", "champion", uri)


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
    assert len(run.data.params["git_commit"]) in (40, len("unknown"))
    assert run.data.metrics == {"r2_60s": 0.01}


def test_a_new_registration_becomes_the_champion_and_the_old_one_stays(uri):
    assert register(uri, seed=5, name="other") == "1"
    assert register(uri, seed=6, name="other") == "2"

    assert registry.champion_version("other", "champion", uri) == "2"
    assert registry.load_version("other", "1", uri).contract == make_forecaster(5).contract


@pytest.mark.parametrize(("name", "alias"), [("smile", "challenger"), ("frown", "champion")])
def test_an_alias_or_model_that_is_not_there_is_named(uri, name, alias):
    with pytest.raises(RegistryError, match=alias if name == "smile" else name):
        registry.load_champion(name, alias, uri)


def test_a_registry_that_does_not_answer_is_unavailable(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    with pytest.raises(UnavailableError, match=r"http://127\.0\.0\.1:1 does not answer"):
        registry.champion_version("smile", "champion", "http://127.0.0.1:1")


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
        registry.register(make_forecaster(), windows(1), {}, {}, "smile", uri)
