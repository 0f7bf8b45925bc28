"""The contract of the model that is served, asked for now and then."""

import math
import time
from collections.abc import Callable

import structlog

from ml.errors import ModelContractError
from services.common.errors import Unavailable
from services.common.model_contract import Served, served

TIMEOUT_S = 2.0
log = structlog.stdlib.get_logger(__name__)


class Champion:
    """What is served, as last known; None before it ever was, or where no server is named."""

    def __init__(self, url: str, every_s: float, clock: Callable[[], float] = time.monotonic,
                 ask: Callable[[str, float], Served] = served) -> None:
        self._url, self._every_s, self._clock, self._ask = url, every_s, clock, ask
        self._next = -math.inf
        self._known: Served | None = None
        self._away = False

    def now(self) -> Served | None:
        """The champion; while the server is away it is the one before."""
        if self._url and self._clock() >= self._next:
            self._refresh()
            self._next = self._clock() + self._every_s
        return self._known

    def _refresh(self) -> None:
        try:
            known = self._ask(self._url, TIMEOUT_S)
        except (Unavailable, ModelContractError) as error:
            if not self._away:
                log.warning("no new word of the champion; its baselines stay as they were",
                            why=str(error))
            self._away = True
            return
        if self._known is None or known.version != self._known.version:
            log.info("the champion", model=known.contract.name, version=known.version)
        self._away, self._known = False, known
