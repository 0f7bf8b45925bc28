"""The shadow's answer, computed aside, so that the champion's never waits for it for long."""

import queue
import threading
import time
from collections.abc import Callable

import numpy as np
import structlog

from ml.registry import LoadedModel
from ml.types import Floats
from services.common.metrics import SHADOW_FAILURES
from services.model_server.settings import SHADOW_SECONDS

log = structlog.stdlib.get_logger(__name__)
REST_S = 10.0
"""How long a shadow is not asked that was late or failed."""
Answer = Floats | Exception


class Aside:
    """Asks a model in a thread of its own.

    A model that fails, answers what is not finite, or is late is told of once until it answers
    again, and not asked for a while; nor is it asked while it still works on an answer nobody
    waits for.
    """

    def __init__(self, budget_s: float = SHADOW_SECONDS, rest_s: float = REST_S,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._budget_s, self._rest_s, self._clock = budget_s, rest_s, clock
        self._asked: queue.SimpleQueue[tuple[LoadedModel, Floats] | None] = queue.SimpleQueue()
        self._said: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._late, self._until = False, 0.0
        self._told: type[Exception] | None = None
        self._turn, self._door = threading.Lock(), threading.Lock()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def changes(self, model: LoadedModel, windows: Floats) -> Floats | None:
        """What the model makes of windows (B, W, F); None where it does not say so in time."""
        if not self._turn.acquire(timeout=self._budget_s):
            return None  # it is busy with another request
        try:
            return self._answer(model, windows)
        finally:
            self._turn.release()

    def stop(self) -> None:
        """End the thread after what it was asked; who asks later gets no answer, at once."""
        with self._door:
            self._stopped = True
            self._asked.put(None)

    def _answer(self, model: LoadedModel, windows: Floats) -> Floats | None:
        if self._clock() < self._until or self._busy() or not self._ask(model, windows):
            return None
        said = self._wait()
        if isinstance(said, Exception):
            self._rest(model, said)
            return None
        self._told = None
        return said

    def _ask(self, model: LoadedModel, windows: Floats) -> bool:
        """Whether anyone is there to answer."""
        with self._door:
            if self._stopped:
                return False
            self._start()
            self._asked.put((model, windows))
            return True

    def _wait(self) -> Answer:
        try:
            said = self._said.get(timeout=self._budget_s)
        except queue.Empty:
            self._late = True
            return TimeoutError(f"no answer within {self._budget_s:g} s")
        if isinstance(said, Exception) or np.isfinite(said).all():
            return said
        return ValueError("an answer that is not finite")

    def _busy(self) -> bool:
        """Whether it still works on what was given up; if not any more, that answer is dropped."""
        if self._late and not self._said.empty():
            self._said.get()
            self._late = False
        return self._late

    def _rest(self, model: LoadedModel, trouble: Exception) -> None:
        """Leave it alone for a while, and tell why, unless that kind of trouble is known."""
        SHADOW_FAILURES.inc()
        self._until = self._clock() + self._rest_s
        if self._told is not type(trouble):
            self._told = type(trouble)
            log.warning("the shadow can't answer", version=model.version, rests_s=self._rest_s,
                        reason=f"{type(trouble).__name__}: {trouble}")

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None:
            model, windows = asked
            try:
                self._said.put(model.predict(windows))
            except Exception as error:  # a network raises whatever it likes
                self._said.put(error)
