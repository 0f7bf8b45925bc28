"""The registry: a run per training in MLflow, and a model that is one loadable thing.

The artifact of a registered model holds the exported network (`torch.export`), its
`StandardScaler` and its contract, so that none of them can be paired with another's. A new version
is the challenger; `ml.promote` makes it the champion.
"""

import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import joblib
import numpy as np
import sklearn
import torch

from ml import contract as contracts
from ml.errors import ModelContractError, RegistryError, UnavailableError
from ml.features import WINDOW_FEATURES
from ml.forecaster import Forecaster, raw, scaled
from ml.provenance import source_code
from ml.quiet_mlflow import (
    MlflowClient,
    MlflowException,
    infer_signature,
    mlflow,
    shortened,
    spoken,
)
from ml.smile.grid import GRID_Z
from ml.types import Floats

CHAMPION = "champion"
CHALLENGER = "challenger"
EXPERIMENT = "smile"
EXTRA = "extra_files"
"""MLflow's name of the folder that they go to."""
SCALER_FILE = "scaler.joblib"
CONTRACT_FILE = "contract.json"
CARD_FILE = "model_card.md"
REQUIREMENTS = [f"torch=={torch.__version__.split('+')[0]}", f"numpy=={np.__version__}",
                f"scikit-learn=={sklearn.__version__}"]
LONGEST_DESCRIPTION = 5000
"""Characters of a version's description that MLflow's tables hold."""
WARM_UP_BATCHES = (1, 32)


@dataclass(frozen=True, slots=True)
class Record:
    """What a run leaves beside its model."""

    params: Mapping[str, object] = field(default_factory=dict)
    """The whole configuration, flat."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Over all folds; what is not finite is left out."""
    folds: Sequence[Mapping[str, float]] = ()
    """The metrics of each fold, oldest first: `fold.<name>` with the fold's number as step."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Plots and reports by their path in the run, e.g. `plots/coverage.svg`."""
    card: str = ""
    """The model card, Markdown; it is also the version's description."""


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


def ready(name: str, tracking_uri: str) -> None:
    """Find out whether a model of this name can be registered, without doing so.

    Raises:
        UnavailableError: MLflow does not answer.
        RegistryError: MLflow refuses, for example the name.
    """
    find_alias(name, CHALLENGER, tracking_uri)
    with spoken(tracking_uri):
        _experiment(MlflowClient(tracking_uri), tracking_uri)


def register(forecaster: Forecaster, example: Floats, record: Record, tracking_uri: str) -> str:
    """Log a run with its model, and make the model the challenger of its name; its version.

    `example` are two or more windows (B, W, F): an example of one would fix the batch at one.

    Raises:
        UnavailableError: MLflow does not answer.
        RegistryError: MLflow refuses.
    """
    if len(example) < 2:
        raise ValueError("the example needs two windows or more")
    name = forecaster.contract.name
    with spoken(tracking_uri), tempfile.TemporaryDirectory() as folder:
        client = MlflowClient(tracking_uri)
        mlflow.set_tracking_uri(tracking_uri)
        with mlflow.start_run(experiment_id=_experiment(client, tracking_uri)) as run:
            _log_record(client, run.info.run_id, forecaster.contract, record)
            version = _log_model(forecaster, example, Path(folder))
        client.update_model_version(name, version, record.card[:LONGEST_DESCRIPTION])
        client.set_registered_model_alias(name, CHALLENGER, version)
    return version


def _log_record(client: MlflowClient, run: str, contract: contracts.ModelContract,
                record: Record) -> None:
    mlflow.log_params({**record.params, "data_fingerprint": contract.data_fingerprint,
                       **source_code()})
    mlflow.log_metrics(_finite(record.metrics))
    for number, metrics in enumerate(record.folds):
        mlflow.log_metrics({f"fold.{key}": value for key, value in _finite(metrics).items()},
                           step=number)
    for place, content in {CARD_FILE: record.card.encode(), **record.files}.items():
        _log_file(client, run, Path(place), content)


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {key: float(value) for key, value in metrics.items() if np.isfinite(value)}


def _log_file(client: MlflowClient, run: str, place: Path, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / place.name
        file.write_bytes(content)
        client.log_artifact(run, str(file), None if place.parent == Path() else str(place.parent))


def _log_model(forecaster: Forecaster, example: Floats, folder: Path) -> str:
    joblib.dump(forecaster.scaler, folder / SCALER_FILE)
    (folder / CONTRACT_FILE).write_bytes(contracts.to_json(forecaster.contract))
    network = forecaster.network
    if not isinstance(network, torch.nn.Module):
        raise TypeError("only a torch module can be registered")
    network.cpu().eval()
    windows = scaled(forecaster.scaler, example)
    # Left to MLflow, a network that fails on its example would show as a model without signature.
    signature = infer_signature(windows, raw(network, forecaster.scaler, example))
    with warnings.catch_warnings():
        # torch's own recurrent layers keep such attributes; the export is right (tested).
        warnings.filterwarnings("ignore", "The tensor attributes .*_flat_weights")
        info = mlflow.pytorch.log_model(
            network, name="model", registered_model_name=forecaster.contract.name,
            serialization_format="pt2", input_example=windows, signature=signature,
            extra_files=[str(folder / SCALER_FILE), str(folder / CONTRACT_FILE)],
            pip_requirements=REQUIREMENTS)
    return str(info.registered_model_version)


def alias_version(name: str, alias: str, tracking_uri: str) -> str:
    """The version that an alias points at.

    Raises:
        RegistryError: there is no such model or alias.
        UnavailableError: MLflow does not answer.
    """
    with spoken(tracking_uri):
        return str(MlflowClient(tracking_uri).get_model_version_by_alias(name, alias).version)


def find_alias(name: str, alias: str, tracking_uri: str) -> str | None:
    """The version that an alias points at, None without such a model or alias.

    Raises:
        RegistryError: MLflow refuses.
        UnavailableError: MLflow does not answer.
    """
    with spoken(tracking_uri):
        try:
            model = MlflowClient(tracking_uri).get_registered_model(name)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
    version = model.aliases.get(alias)
    return None if version is None else str(version)


def load_alias(name: str, alias: str, tracking_uri: str) -> LoadedModel:
    """The model that an alias points at, with its scaler and contract.

    Raises:
        RegistryError: there is no such model or alias, it is not a model of ours, or damaged.
        UnavailableError: MLflow does not answer.
    """
    return load_version(name, alias_version(name, alias, tracking_uri), tracking_uri)


def load_version(name: str, version: str, tracking_uri: str) -> LoadedModel:
    """One version of a registered model; raises as `load_alias`."""
    with _loading(name, version), tempfile.TemporaryDirectory() as folder:
        with spoken(tracking_uri):
            mlflow.set_tracking_uri(tracking_uri)
            path = Path(mlflow.artifacts.download_artifacts(
                artifact_uri=f"models:/{name}/{version}", dst_path=folder))
        if not (path / EXTRA / CONTRACT_FILE).exists():
            raise RegistryError(f"version {version} of {name} has no {CONTRACT_FILE}: it was not "
                                "registered by ml.train")
        return LoadedModel(_read(path), version)


def usable(model: LoadedModel) -> LoadedModel:
    """The model, if this code can ask it: trained on its features and grid, and able to forecast.

    Raises:
        ModelContractError: it is trained on others.
        RegistryError: it can't forecast.
    """
    fitting(model)
    return warm(model)


def fitting(model: LoadedModel) -> LoadedModel:
    """The model, if it is trained on the features and the grid of this code.

    Raises:
        ModelContractError: it is not; says of which version, and what differs.
    """
    try:
        model.contract.check(model.contract.step_s, GRID_Z, WINDOW_FEATURES)
    except ModelContractError as error:
        raise ModelContractError(f"version {model.version}: {error}") from error
    return model


def warm(model: LoadedModel) -> LoadedModel:
    """The model after its first calls, which take longer than all that follow.

    Raises:
        RegistryError: it can't forecast.
    """
    own = model.contract
    for batch in WARM_UP_BATCHES:
        changes = _tried(model, np.zeros((batch, own.window, len(own.feature_names))))
        shape = (batch, len(own.horizons_s), len(own.quantiles), len(own.grid_z))
        if changes.shape != shape or not np.isfinite(changes).all():
            raise RegistryError(f"version {model.version} of {own.name} can't forecast: its "
                                f"answer is not {shape} finite numbers")
    return model


def _tried(model: LoadedModel, windows: Floats) -> Floats:
    try:
        return model.predict(windows)
    except Exception as error:  # an exported network that does not fit its contract raises anything
        raise RegistryError(
            f"version {model.version} of {model.contract.name} can't forecast: "
            + shortened(f"{type(error).__name__}: {error}")) from error


def _read(path: Path) -> Forecaster:
    """The parts of a downloaded model."""
    return Forecaster(mlflow.pytorch.load_model(str(path)), joblib.load(path / EXTRA / SCALER_FILE),
                      contracts.from_json((path / EXTRA / CONTRACT_FILE).read_bytes()))


@contextmanager
def _loading(name: str, version: str) -> Iterator[None]:
    """Whatever stops one version from being loaded, in our own words."""
    try:
        yield
    except (RegistryError, UnavailableError):
        raise
    except Exception as error:  # damaged pickles and archives raise whatever they like
        sentence = shortened(f"{type(error).__name__}: {error}")
        raise RegistryError(f"version {version} of {name} can't be loaded: {sentence}") from error


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
