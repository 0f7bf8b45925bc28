"""The model server, over HTTP: its contract, and the change of each smile that it forecasts."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

import httpx
import structlog

from ml.contract import ModelContract, from_json
from ml.errors import ModelContractError
from ml.features import WINDOW_FEATURES
from ml.smile.grid import GRID_Z
from ml.types import Floats
from services.common import forecast_wire as wire
from services.common import metrics
from services.common.errors import ServiceError, Unavailable
from services.predictor.reply import (
    Changes,
    ModelRefused,
    Reply,
    Versioned,
    checked,
    read,
    read_reply,
    shadow_of,
)

CONTRACT = "/contract"
JSON = "application/json"
log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """A champion's contract and version."""

    contract: ModelContract
    version: str


@dataclass(frozen=True, slots=True)
class Pair:
    """What the champion says of some windows, and its shadow where there is one."""

    champion: Changes
    shadow: Changes | None


class ModelClient:
    """Asks the model server, and after a failed call leaves it alone for `retry_s`.

    `known` is the champion as last known; None before it was ever known.
    """

    def __init__(self, url: str, timeout_s: float, retry_s: float,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._http = httpx.Client(base_url=url, timeout=timeout_s)
        self._timeout_s, self._retry_s, self._clock = timeout_s, retry_s, clock
        self._rest_until = -math.inf
        self._failure: ServiceError = Unavailable("the model server was not asked yet")
        self._current = False
        self._shadow_trouble: str | None = None
        self.known: Known | None = None

    def __enter__(self) -> "ModelClient":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._http.close()

    def learn(self) -> Known:
        """The champion's contract and version, fetched unless known to be current.

        Raises:
            Unavailable: the server is away or late, or was so a moment ago.
            ModelRefused: its model is not for this grid or these features.
        """
        if self.known is not None and self._current:
            return self.known
        with self._guard():
            body = self._post(CONTRACT, b"{}", JSON)
            contract = from_json(body)
            contract.check(contract.step_s, GRID_Z, WINDOW_FEATURES)
            self.known = Known(contract, read(body, Versioned).model_version)
            self._current = True
            return self.known

    def changes(self, windows: Floats) -> Pair:
        """The change of each smile by windows (B, W, F), in one call.

        Raises:
            Unavailable: the server is away or late, or was so a moment ago.
            ModelRefused: it refused the windows, or its answer does not fit them.
        """
        known = self.learn()
        contract = known.contract
        request = wire.Request(step_s=contract.step_s, grid_z=contract.grid_z,
                               feature_names=contract.feature_names, windows=wire.pack(windows))
        with self._guard():
            with metrics.MODEL_SERVER_SECONDS.time():
                body = self._post(wire.PATH, wire.encode(request), wire.MEDIA_TYPE)
            reply = read_reply(body)
            if reply.champion.model_version != known.version:
                contract = self._relearn(contract)
            champion = checked(reply.champion, "champion", contract, len(windows))
        return Pair(champion, self._shadow(reply, contract, len(windows)))

    def _shadow(self, reply: Reply, contract: ModelContract, windows: int) -> Changes | None:
        """The challenger's word; none where it is wrong, for it must not harm the champion."""
        try:
            shadow = shadow_of(reply, contract, windows)
        except ModelRefused as error:
            metrics.SHADOWS_REFUSED.inc()
            if str(error) != self._shadow_trouble:
                log.warning("the shadow is not heard", why=str(error))
            self._shadow_trouble = str(error)
            return None
        self._shadow_trouble = None
        return shadow

    def _relearn(self, asked: ModelContract) -> ModelContract:
        """The contract of a champion that came meanwhile, if the same was asked of it."""
        self._current = False
        contract = self.learn().contract
        if _shape(contract) != _shape(asked):
            raise ModelRefused("the model changed to one with another step, window, filter or "
                               "horizons")
        return contract

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """After a failure let the server rest, and ask it anew what it is."""
        if self._clock() < self._rest_until:
            raise self._failure
        try:
            yield
        except (httpx.HTTPError, ModelContractError, ServiceError) as error:
            self._failure = self._sentence(error)
            self._rest_until = self._clock() + self._retry_s
            self._current = False
            raise self._failure from error

    def _post(self, path: str, body: bytes, media_type: str) -> bytes:
        answer = self._http.post(path, content=body, headers={"Content-Type": media_type})
        if answer.status_code in (502, 503, 504):
            raise Unavailable(f"the model server is not ready (HTTP {answer.status_code})")
        if not answer.is_success:
            text = " ".join(answer.text.split())[:200]
            raise ModelRefused(f"the model server refused: HTTP {answer.status_code} {text}")
        return answer.content

    def _sentence(self, error: Exception) -> ServiceError:
        if isinstance(error, ServiceError):
            return error
        if isinstance(error, ModelContractError):
            return ModelRefused(str(error))
        if isinstance(error, httpx.TimeoutException):
            return Unavailable(f"the model server took more than {self._timeout_s:g} s")
        return Unavailable(f"the model server can't be reached: {error}")


def _shape(contract: ModelContract) -> tuple[object, ...]:
    return contract.step_s, contract.window, contract.filter_weight, contract.horizons_s
