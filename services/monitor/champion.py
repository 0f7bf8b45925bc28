"""The contract of the model that is served, asked for now and then."""

import math
import time
from collections.abc import Callable

import structlog

from ml.errors import ModelContractError
from services.common.errors import Unavailable
from services.common.model_contract import Served, served

TIMEOUT_S = 2.0
AGAIN_S = 5.0
"""After a question that nobody answered, how long not to ask again."""
PATIENCE_S = 300.0
"""Servers start later than monitors; beyond this there may never be a champion."""
log = structlog.stdlib.get_logger(__name__)


class Champion:
    """What is served, as last known; None before it ever was, or where no server is named."""

    def __init__(self, url: str, every_s: float, clock: Callable[[], float] = time.monotonic,
                 ask: Callable[[str, float], Served] = served) -> None:
        self._url, self._every_s, self._clock, self._ask = url, every_s, clock, ask
        self._next = -math.inf
        self._patient_until = clock() + PATIENCE_S
        self._known: Served | None = None
        self._away = False

    def now(self) -> Served | None:
        """The champion; while the server is away it is the one before."""
        if self._url and self._clock() >= self._next:
            answered = self._refresh()
            self._next = self._clock() + (self._every_s if answered
                                          else min(AGAIN_S, self._every_s))
        return self._known

    @property
    def awaited(self) -> bool:
        """Whether the first word of a champion may still come.

        What is scored before it never learns what the champion's baselines would have held.
        """
        return bool(self._url) and self._known is None and self._clock() < self._patient_until

    def _refresh(self) -> bool:
        try:
            known = self._ask(self._url, TIMEOUT_S)
        except (Unavailable, ModelContractError) as error:
            if not self._away:
                log.warning("no new word of the champion; its baselines stay as they were",
                            why=str(error))
            self._away = True
            return False
        if self._known is None or known.version != self._known.version:
            log.info("the champion", model=known.contract.name, version=known.version)
        self._away, self._known = False, known
        return True
