"""Trained, registered, promoted and rolled back with a real registry, on a made-up market."""

import pytest

from ml import promote, registry, train
from ml.args import DataArgs
from ml.dataset import make_dataset
from ml.quiet_mlflow import MlflowClient
from tests.unit.smiles import make_history

ANY_QUOTES = ["--quotes", "made-up"]


@pytest.fixture(scope="module")
def dataset():
    """Noisy smiles, on which a filtered smile is surely better than the newest one."""
    return make_dataset([make_history(days=5, minutes=90, noise=1e-3)],
                        DataArgs(folds=1))


@pytest.fixture
def uri(tmp_path, monkeypatch, dataset):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr(train, "spaced", lambda config, *asked: config)
    for command in (train, promote):
        monkeypatch.setattr(command, "dataset_of", lambda *asked: dataset)
    return uri


def champion(uri):
    return registry.find_alias("smile", "champion", uri)


def tags(uri, version):
    return MlflowClient(uri).get_model_version("smile", version).tags


def test_a_history_of_models(uri, capsys):
    """A poor first model by force, a better one, the first one not again; and back."""
    assert train.main([*ANY_QUOTES, "--model", "persistence", "--force", "the first one"]) == 0
    assert champion(uri) == "1"
    assert tags(uri, "1")["forced_reason"] == "the first one"
    assert tags(uri, "1")["gate"].startswith("refused: worse than ")

    assert train.main([*ANY_QUOTES, "--model", "ewma", "--register"]) == 0
    assert (champion(uri), registry.find_alias("smile", "challenger", uri)) == ("1", "2")
    assert promote.main([*ANY_QUOTES, "--force", "a trial"]) == 0
    assert champion(uri) == "2"

    MlflowClient(uri).set_registered_model_alias("smile", "challenger", "1")
    assert promote.main(ANY_QUOTES) == promote.REFUSED
    assert champion(uri) == "2"
    said = " ".join(capsys.readouterr().out.split())
    assert "not better than the champion" in said and "; it stays challenger" in said

    assert promote.main(["--rollback"]) == 0
    assert champion(uri) == "1"

    _check_run(MlflowClient(uri))


def _check_run(client):
    """What the second training left."""
    version = client.get_model_version("smile", "2")
    run = client.get_run(version.run_id)
    assert run.data.params["model.kind"] == "ewma"
    assert run.data.metrics["fold.rmse_bp_60s"] == pytest.approx(
        run.data.metrics["ewma_rmse_bp_60s"], rel=1e-3)
    files = {file.path for file in client.list_artifacts(version.run_id)}
    assert files >= {"model_card.md", "evaluation.json", "plots"}
    assert version.description.startswith("# smile: ewma")
