"""MLflow, imported with its telemetry and progress bars off, with short patience and plain words.

It reads these variables while it is imported, so nothing here may import it elsewhere first.
"""

import logging
import os
import re
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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

__all__ = ["MlflowClient", "MlflowException", "RegisteredModel", "infer_signature", "masked",
           "mlflow", "refuse_new", "say_when_waiting", "shortened", "spoken"]
_MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_NO_ANSWER = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE")
_SQLITE = "sqlite:///"
_USER_INFO = re.compile(r"(?<=://)[^/\s]+@")


@contextmanager
def spoken(tracking_uri: str) -> Iterator[None]:
    """MLflow's errors in our own words.

    Raises:
        UnavailableError: MLflow does not answer.
        RegistryError: what was asked for is not there, or MLflow refuses.
    """
    place = masked(tracking_uri)
    try:
        yield
    except MlflowException as error:
        sentence = shortened(str(error))
        if error.error_code in _MISSING:
            raise RegistryError(f"MLflow at {place}: {sentence}") from error
        if error.error_code in _NO_ANSWER:
            raise UnavailableError(f"MLflow at {place} does not answer: {sentence}") from error
        raise RegistryError(f"MLflow at {place} refuses: {sentence}") from error
    except ModuleNotFoundError as error:
        raise RegistryError(f"MLflow at {place} needs a package that is not installed: "
                            f"{error.name}") from error
    except OSError as error:
        raise RegistryError(f"MLflow at {place}: {shortened(str(error))}") from error


def say_when_waiting(tracking_uri: str) -> None:
    """One line on standard error, from now on, whenever MLflow has to be asked again."""
    requests = logging.getLogger("urllib3.connectionpool")
    for before in [each for each in requests.handlers if isinstance(each, _Waiting)]:
        requests.removeHandler(before)
    requests.addHandler(_Waiting(tracking_uri))


class _Waiting(logging.Handler):
    """Says of a request's first retry, as urllib3 logs it, whose answer is waited for."""

    def __init__(self, tracking_uri: str) -> None:
        super().__init__(logging.WARNING)
        self._place = masked(tracking_uri)

    def emit(self, record: logging.LogRecord) -> None:
        """A record's arguments are what is left to try, with what was tried, and why it failed."""
        match record.args:
            case (left, reason, *_) if len(getattr(left, "history", ())) == 1:
                print(f"waiting for MLflow at {self._place}: {shortened(str(reason))}",
                      file=sys.stderr, flush=True)


def refuse_new(tracking_uri: str) -> None:
    """Refuse a sqlite registry that is not there, which MLflow would make for whoever but reads.

    Raises:
        RegistryError: there is no such file.
    """
    path = tracking_uri.removeprefix(_SQLITE).split("?")[0]
    if tracking_uri.startswith(_SQLITE) and not Path(path).is_file():
        raise RegistryError(f"there is no registry at {tracking_uri}")


def shortened(text: str) -> str:
    """At most 200 characters of a text, in one line, without passwords of addresses."""
    return textwrap.shorten(masked(text), 200, placeholder=" …")


def masked(text: str) -> str:
    """A text with users and passwords of the addresses in it hidden.

    >>> masked("http://bob:secret@host:5000")
    'http://***@host:5000'
    """
    return _USER_INFO.sub("***@", text)
