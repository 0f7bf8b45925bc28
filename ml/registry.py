"""The registry: a run per training in MLflow, and a model that is one loadable thing.

The artifact of a registered model holds the exported network (`torch.export`), its
`StandardScaler` and its contract, so that none of them can be paired with another's.
"""

import subprocess
import tempfile
import textwrap
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import sklearn
import torch

from ml import contract as contracts
from ml.errors import RegistryError, UnavailableError
from ml.forecaster import Forecaster, scaled
from ml.quiet_mlflow import MlflowClient, MlflowException, mlflow
from ml.types import Floats

CHAMPION = "champion"
EXPERIMENT = "smile"
EXTRA = "extra_files"
"""MLflow's name of the folder that they go to."""
SCALER_FILE = "scaler.joblib"
CONTRACT_FILE = "contract.json"
REQUIREMENTS = [f"torch=={torch.__version__.split('+')[0]}", f"numpy=={np.__version__}",
                f"scikit-learn=={sklearn.__version__}"]
_MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_NO_ANSWER = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE")


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A registered model, ready to forecast."""

    forecaster: Forecaster
    version: str

    @property
    def contract(self) -> contracts.ModelContract:
        """What it was trained for."""
        return self.forecaster.contract

    def predict(self, windows: Floats) -> Floats:
        """Windows (B, W, F) to changes (B, H, 3, 17); see `Forecaster.predict`."""
        return self.forecaster.predict(windows)


def register(forecaster: Forecaster, example: Floats, params: Mapping[str, object],
             metrics: Mapping[str, float], name: str, tracking_uri: str) -> str:
    """Log a run with its model, register the model and make it the champion; its version.

    `example` are two or more windows (B, W, F): an example of one would fix the batch at one.

    Raises:
        UnavailableError: MLflow does not answer.
        RegistryError: MLflow refuses.
    """
    if len(example) < 2:
        raise ValueError("the example needs two windows or more")
    with _spoken(tracking_uri), tempfile.TemporaryDirectory() as folder:
        client = MlflowClient(tracking_uri)
        mlflow.set_tracking_uri(tracking_uri)
        with mlflow.start_run(experiment_id=_experiment(client, tracking_uri)):
            mlflow.log_params({**params, "data_fingerprint": forecaster.contract.data_fingerprint,
                               "git_commit": _git_commit()})
            mlflow.log_metrics({key: value for key, value in metrics.items()
                                if np.isfinite(value)})
            version = _log_model(forecaster, example, name, Path(folder))
        client.set_registered_model_alias(name, CHAMPION, version)
    return version


def _log_model(forecaster: Forecaster, example: Floats, name: str, folder: Path) -> str:
    joblib.dump(forecaster.scaler, folder / SCALER_FILE)
    (folder / CONTRACT_FILE).write_bytes(contracts.to_json(forecaster.contract))
    network = forecaster.network
    if not isinstance(network, torch.nn.Module):
        raise TypeError("only a torch module can be registered")
    with warnings.catch_warnings():
        # torch's own recurrent layers keep such attributes; the export is right (tested).
        warnings.filterwarnings("ignore", "The tensor attributes .*_flat_weights")
        info = mlflow.pytorch.log_model(
            network.cpu().eval(), name="model", registered_model_name=name,
            serialization_format="pt2", input_example=scaled(forecaster.scaler, example),
            extra_files=[str(folder / SCALER_FILE), str(folder / CONTRACT_FILE)],
            pip_requirements=REQUIREMENTS)
    return str(info.registered_model_version)


def champion_version(name: str, alias: str, tracking_uri: str) -> str:
    """The version that an alias points at.

    Raises:
        RegistryError: there is no such model or alias.
        UnavailableError: MLflow does not answer.
    """
    with _spoken(tracking_uri):
        return str(MlflowClient(tracking_uri).get_model_version_by_alias(name, alias).version)


def load_champion(name: str, alias: str, tracking_uri: str) -> LoadedModel:
    """The model that an alias points at, with its scaler and contract.

    Raises:
        RegistryError: there is no such model or alias, it is not a model of ours, or damaged.
        UnavailableError: MLflow does not answer.
    """
    return load_version(name, champion_version(name, alias, tracking_uri), tracking_uri)


def load_version(name: str, version: str, tracking_uri: str) -> LoadedModel:
    """One version of a registered model; raises as `load_champion`."""
    with _loading(name, version), tempfile.TemporaryDirectory() as folder:
        with _spoken(tracking_uri):
            mlflow.set_tracking_uri(tracking_uri)
            path = Path(mlflow.artifacts.download_artifacts(
                artifact_uri=f"models:/{name}/{version}", dst_path=folder))
        if not (path / EXTRA / CONTRACT_FILE).exists():
            raise RegistryError(f"version {version} of {name} has no {CONTRACT_FILE}: it was not "
                                "registered by ml.train")
        return LoadedModel(_read(path), version)


def _read(path: Path) -> Forecaster:
    """The parts of a downloaded model."""
    return Forecaster(mlflow.pytorch.load_model(str(path)), joblib.load(path / EXTRA / SCALER_FILE),
                      contracts.read(path / EXTRA / CONTRACT_FILE))


@contextmanager
def _loading(name: str, version: str) -> Iterator[None]:
    """Whatever stops one version from being loaded, in our own words."""
    try:
        yield
    except (RegistryError, UnavailableError):
        raise
    except Exception as error:  # damaged pickles and archives raise whatever they like
        sentence = _shortened(f"{type(error).__name__}: {error}")
        raise RegistryError(f"version {version} of {name} can't be loaded: {sentence}") from error


@contextmanager
def _spoken(tracking_uri: str) -> Iterator[None]:
    """MLflow's errors in our own words."""
    try:
        yield
    except MlflowException as error:
        sentence = _shortened(str(error))
        if error.error_code in _MISSING:
            raise RegistryError(f"MLflow at {tracking_uri}: {sentence}") from error
        if error.error_code in _NO_ANSWER:
            raise UnavailableError(f"MLflow at {tracking_uri} does not answer: {sentence}") \
                from error
        raise RegistryError(f"MLflow at {tracking_uri} refuses: {sentence}") from error


def _shortened(text: str) -> str:
    return textwrap.shorten(text, 200, placeholder=" …")


def _experiment(client: MlflowClient, tracking_uri: str) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    return str(client.create_experiment(EXPERIMENT, _artifact_location(tracking_uri)))


def _artifact_location(tracking_uri: str) -> str | None:
    """Beside a sqlite file; a server knows its own."""
    if not tracking_uri.startswith("sqlite:///"):
        return None
    folder = Path(tracking_uri.removeprefix("sqlite:///")).resolve().parent
    return (folder / "artifacts").as_uri()


def _git_commit() -> str:
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent,
                              capture_output=True, text=True, check=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
