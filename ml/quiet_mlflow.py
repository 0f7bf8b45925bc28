"""MLflow, imported with its telemetry and progress bars off, with short patience and plain words.

It reads these variables while it is imported, so nothing here may import it elsewhere first.
"""

import os
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

from ml.errors import RegistryError, UnavailableError

for _name, _value in (
    ("MLFLOW_DISABLE_TELEMETRY", "true"),
    ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
    ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2"),
    ("MLFLOW_HTTP_REQUEST_TIMEOUT", "10"),
    ("GIT_PYTHON_REFRESH", "quiet"),
):
    os.environ.setdefault(_name, _value)

import mlflow  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.entities.model_registry import RegisteredModel  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.models import infer_signature  # noqa: E402

__all__ = ["MlflowClient", "MlflowException", "RegisteredModel", "infer_signature", "mlflow",
           "shortened", "spoken"]
_MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_NO_ANSWER = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE")


@contextmanager
def spoken(tracking_uri: str) -> Iterator[None]:
    """MLflow's errors in our own words.

    Raises:
        UnavailableError: MLflow does not answer.
        RegistryError: what was asked for is not there, or MLflow refuses.
    """
    try:
        yield
    except MlflowException as error:
        sentence = shortened(str(error))
        if error.error_code in _MISSING:
            raise RegistryError(f"MLflow at {tracking_uri}: {sentence}") from error
        if error.error_code in _NO_ANSWER:
            raise UnavailableError(f"MLflow at {tracking_uri} does not answer: {sentence}") \
                from error
        raise RegistryError(f"MLflow at {tracking_uri} refuses: {sentence}") from error


def shortened(text: str) -> str:
    """At most 200 characters of a text, in one line."""
    return textwrap.shorten(text, 200, placeholder=" …")
