"""Versions of a registered model that something happened to."""

from collections.abc import Callable
from pathlib import Path

from ml.quiet_mlflow import MlflowClient, mlflow

Damage = Callable[[Path], object]


def truncate(file: Path) -> None:
    """Keep the first hundred bytes, as of a write that was cut."""
    file.write_bytes(file.read_bytes()[:100])


def add_damaged_version(uri: str, folder: Path, damage: Damage, file: str) -> str:
    """A new version of `smile`: version 1 with one file of its artifact damaged."""
    mlflow.set_tracking_uri(uri)
    copy = Path(mlflow.artifacts.download_artifacts(
        artifact_uri="models:/smile/1", dst_path=str(folder)))
    [found] = copy.rglob(file)
    damage(found)
    return str(MlflowClient(uri).create_model_version("smile", copy.as_uri()).version)
