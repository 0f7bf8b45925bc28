"""The champion's contract, asked of a model server over HTTP."""

import http.client
import urllib.error
import urllib.request
from dataclasses import dataclass

import msgspec

from ml.contract import ModelContract, from_json
from ml.errors import ModelContractError, UnavailableError

PATH = "/contract"


@dataclass(frozen=True, slots=True)
class Served:
    """The champion that is served now."""

    contract: ModelContract
    version: str


class _Versioned(msgspec.Struct, frozen=True):
    """Of the answer, what is not the contract itself."""

    model_version: str


def served(url: str, timeout_s: float) -> Served:
    """The champion's contract and version, from the model server at this base URL.

    Raises:
        UnavailableError: the server is away or late, or has no champion yet.
        ModelContractError: its answer is no contract that we can read.
    """
    body = _post(url.rstrip("/") + PATH, timeout_s)
    try:
        version = msgspec.json.decode(body, type=_Versioned).model_version
    except msgspec.MsgspecError as error:
        raise ModelContractError(f"the model server at {url} tells no version: {error}") from error
    return Served(from_json(body), version)


def _post(url: str, timeout_s: float) -> bytes:
    try:
        request = urllib.request.Request(url, data=b"{}", method="POST",
                                         headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        raise UnavailableError(f"the model server is not ready (HTTP {error.code})") from error
    # A URLError is an OSError; a URL that makes no sense is a ValueError.
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UnavailableError(f"the model server at {url} can't be reached: {reason}") from error
