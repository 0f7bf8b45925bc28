"""What the served model is trained for, asked of the model server."""

import http.client
import urllib.error
import urllib.request
from dataclasses import dataclass

import msgspec

from ml.contract import ModelContract, from_json
from ml.errors import ModelContractError
from services.common.errors import Unavailable

PATH = "/contract"


@dataclass(frozen=True, slots=True)
class Served:
    """The champion that is served now."""

    contract: ModelContract
    version: str


class _Versioned(msgspec.Struct, frozen=True):
    """Of the answer, what is not the contract itself."""

    model_version: str


def fetch(url: str, timeout_s: float) -> ModelContract:
    """The champion's contract, from the model server at this base URL; raises as `served`."""
    return served(url, timeout_s).contract


def served(url: str, timeout_s: float) -> Served:
    """The champion's contract and version, from the model server at this base URL.

    Raises:
        Unavailable: the server is away or late, or has no champion yet.
        ModelContractError: its answer is no contract that we can read.
    """
    body = _post(url.rstrip("/") + PATH, timeout_s)
    try:
        version = msgspec.json.decode(body, type=_Versioned).model_version
    except msgspec.MsgspecError as error:
        raise ModelContractError(f"the model server at {url} tells no version: {error}") from error
    return Served(from_json(body), version)


def _post(url: str, timeout_s: float) -> bytes:
    request = urllib.request.Request(url, data=b"{}", method="POST",
                                     headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        raise Unavailable(f"the model server is not ready (HTTP {error.code})") from error
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        reason = getattr(error, "reason", error)
        raise Unavailable(f"the model server at {url} can't be reached: {reason}") from error
