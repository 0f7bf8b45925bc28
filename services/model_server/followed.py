"""One alias in the registry, and the model that it points at."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from ml.errors import RegistryError, UnavailableError
from ml.quiet_mlflow import masked
from ml.registry import LoadedModel, find_alias, load_version, warm
from services.common.metrics import MODEL_RELOADS, MODEL_VERSION

log = structlog.stdlib.get_logger(__name__)
FIRST_REST_S, LONGEST_REST_S = 10.0, 600.0


@dataclass(frozen=True, slots=True)
class Rest:
    """A version that can't be loaded, and until when it is left alone."""

    version: str
    seconds: float
    until: float


class Followed:
    """Keeps up with an alias; whatever goes wrong, the model of before stays.

    A version that can't be loaded is tried again after a pause that doubles every time, and told
    of once. Where the alias is gone, the model stays too if it `outlives` it.
    """

    def __init__(self, name: str, alias: str, tracking_uri: str, *, outlives: bool,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._name, self._alias, self._uri = name, alias, tracking_uri
        self._outlives, self._clock = outlives, clock
        self._rest: Rest | None = None
        self._told: object = None
        self.model: LoadedModel | None = None

    def refresh(self, loaded: LoadedModel | None = None) -> None:
        """Load what the alias points at, unless that is here already or is `loaded`."""
        version = None
        try:
            version = find_alias(self._name, self._alias, self._uri)
            self._follow(version, loaded)
        except (RegistryError, UnavailableError) as error:
            self.tell_once(str(error), (type(error), version or str(error)))

    def tell_once(self, trouble: str, what: object) -> None:
        """Warn of trouble, unless it is the same as was told last."""
        if what == self._told:
            return
        self._told = what
        log.warning("nothing to serve" if self.model is None else "still serving the last",
                    model=self._name, alias=self._alias, reason=trouble)

    def _follow(self, version: str | None, loaded: LoadedModel | None) -> None:
        if version is None:
            self._lose()
        elif self.model is None or self.model.version != version:
            self._take(version, loaded)

    def _lose(self) -> None:
        if not self._outlives:
            self.model = None
            MODEL_VERSION.labels(self._name, self._alias).set(0.0)
            return
        raise RegistryError(f"no version of {self._name} at {masked(self._uri)} has the alias "
                            f"{self._alias}")

    def _take(self, version: str, loaded: LoadedModel | None) -> None:
        if loaded is None or loaded.version != version:
            loaded = self._load(version)
            if loaded is None:
                return
        self.model, self._told = loaded, None
        MODEL_VERSION.labels(self._name, self._alias).set(float(version))
        log.info("model loaded", model=self._name, alias=self._alias, version=version,
                 kind=loaded.contract.kind)

    def _load(self, version: str) -> LoadedModel | None:
        """The version, warm; None while it rests after a failure."""
        rest = self._rest if self._rest and self._rest.version == version else None
        if rest is not None and self._clock() < rest.until:
            return None
        try:
            model = warm(load_version(self._name, version, self._uri))
        except RegistryError:
            seconds = FIRST_REST_S if rest is None else min(2.0 * rest.seconds, LONGEST_REST_S)
            self._rest = Rest(version, seconds, self._clock() + seconds)
            raise
        MODEL_RELOADS.inc()
        return model
