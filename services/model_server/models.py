"""Champion and shadow, kept current by a thread.

A new version is loaded and warmed beside the old one; then one assignment puts it in place, and a
request ends with the pair that it began with. So no request is dropped, and none waits.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ml.contract import ModelContract
from ml.registry import CHALLENGER, LoadedModel
from ml.types import Floats
from services.common.errors import ServiceError
from services.model_server.aside import Aside
from services.model_server.followed import Followed
from services.model_server.settings import SHADOW_SECONDS

INPUT = ("step_s", "window", "filter_weight", "grid_z", "feature_names", "horizons_s", "quantiles")
"""What champion and shadow must have in common to answer the same windows."""


class NoForecast(ServiceError):
    """The champion has no answer that anyone could use."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Who answers, and who is only listened to."""

    champion: LoadedModel
    shadow: LoadedModel | None = None
    aside: Aside = field(default_factory=Aside, repr=False, compare=False)
    """Where the shadow answers."""

    def changes(self, windows: Floats) -> Floats:
        """What the champion makes of windows (B, W, F).

        Raises:
            NoForecast: that is not finite.
        """
        changes = self.champion.predict(windows)
        if not np.isfinite(changes).all():
            raise NoForecast(f"version {self.champion.version} of {self.champion.contract.name} "
                             "answers with numbers that are not finite")
        return changes

    def shadow_changes(self, windows: Floats) -> Floats | None:
        """What the shadow makes of windows (B, W, F); None without one.

        A shadow that fails or is late is never the champion's harm, see `Aside`.
        """
        return None if self.shadow is None else self.aside.changes(self.shadow, windows)


class Models:
    """The models that two aliases point at; the challenger is the champion's shadow."""

    def __init__(self, name: str, alias: str, tracking_uri: str, poll_s: float,
                 shadow_s: float = SHADOW_SECONDS,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._champion = Followed(name, alias, tracking_uri, outlives=True, clock=clock)
        self._challenger = Followed(name, CHALLENGER, tracking_uri, outlives=False, clock=clock)
        self._poll_s, self._shadow_s, self._stop = poll_s, shadow_s, threading.Event()
        self._thread = threading.Thread(target=self._follow, name="models", daemon=True)
        self.pair: Pair | None = None
        """None until the first champion is loaded."""

    def start(self) -> "Models":
        """Follow the aliases from a thread of its own."""
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
        """Take whatever has changed in the registry.

        A challenger that was promoted is champion at once, for it is loaded already.
        """
        self._champion.refresh(self._challenger.model)
        self._join()
        self._challenger.refresh()
        self._join()

    def _follow(self) -> None:
        while not self._stop.is_set():
            self.refresh()
            self._stop.wait(self._poll_s)

    def _join(self) -> None:
        champion = self._champion.model
        if champion is None:
            return
        shadow, before = self._shadow(champion), self.pair
        if before is not None and before.shadow is shadow:
            self.pair = Pair(champion, shadow, before.aside)
            return
        # With a thread of its own: the last shadow may hang in its.
        self.pair = Pair(champion, shadow, Aside(self._shadow_s))
        if before is not None:
            before.aside.stop()

    def _shadow(self, champion: LoadedModel) -> LoadedModel | None:
        model = self._challenger.model
        if model is None or model.version == champion.version:
            return None
        unlike = difference(model.contract, champion.contract)
        if unlike is None:
            return model
        self._challenger.tell_once(f"version {model.version} has another {unlike} than the "
                                   f"champion, version {champion.version}: it is no shadow",
                                   (model.version, champion.version))
        return None


def difference(one: ModelContract, other: ModelContract) -> str | None:
    """The first field of `INPUT` in which two contracts differ."""
    differing = (name for name in INPUT if getattr(one, name) != getattr(other, name))
    return next(differing, None)
