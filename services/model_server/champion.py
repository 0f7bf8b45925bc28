"""The model that the alias points at, loaded and kept current by a thread."""

import threading
from collections.abc import Callable

import structlog

from ml.errors import RegistryError, UnavailableError
from ml.registry import LoadedModel, champion_version, load_version
from services.common.metrics import MODEL_RELOADS, MODEL_VERSION

log = structlog.stdlib.get_logger(__name__)


class Champion:
    """Follows an alias: waits for it to exist, and loads the new version whenever it moves.

    A version that can't be loaded leaves the one before in place.
    """

    def __init__(self, name: str, alias: str, tracking_uri: str, poll_s: float) -> None:
        self._name, self._alias, self._uri, self._poll_s = name, alias, tracking_uri, poll_s
        self._stop = threading.Event()
        self._told: object = None
        self._thread = threading.Thread(target=self._follow, name="champion", daemon=True)
        self.model: LoadedModel | None = None
        """None until the first one is loaded."""

    def start(self) -> "Champion":
        """Follow the alias from a thread of its own."""
        self._thread.start()
        return self

    @property
    def follows(self) -> bool:
        """False once the thread has ended, whatever the reason."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End the thread at its next turn."""
        self._stop.set()

    def refresh(self) -> None:
        """Load what the alias points at, unless it is loaded.

        Trouble is logged once: per version, where it is one version's.
        """
        version = ""
        try:
            version = champion_version(self._name, self._alias, self._uri)
            self._load_if_new(version)
            self._told = None
        except (RegistryError, UnavailableError) as error:
            self._tell_once(str(error), (type(error), version or str(error)))

    def _follow(self) -> None:
        _turn_until(self._stop, self._poll_s, self.refresh)

    def _load_if_new(self, version: str) -> None:
        if self.model is not None and self.model.version == version:
            return
        self.model = load_version(self._name, version, self._uri)
        MODEL_VERSION.labels(self._name, self._alias).set(float(version))
        MODEL_RELOADS.inc()
        log.info("model loaded", model=self._name, version=version,
                 kind=self.model.contract.kind)

    def _tell_once(self, trouble: str, what: object) -> None:
        if what == self._told:
            return
        self._told = what
        log.warning("no champion to serve" if self.model is None else "still serving the last",
                    model=self._name, alias=self._alias, reason=trouble,
                    retry_seconds=self._poll_s)


def _turn_until(stop: threading.Event, seconds: float, turn: Callable[[], None]) -> None:
    while not stop.is_set():
        turn()
        stop.wait(seconds)
