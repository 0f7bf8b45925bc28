"""How every service starts and ends: signals set a flag, errors become one sentence."""

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import structlog

from services.common.errors import ServiceError, SettingsError


class Stop:
    """Set by SIGTERM and SIGINT; loops ask it, and sleep on it."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def on_signals(self) -> "Stop":
        """Install the handlers; call from the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._event.set()

    def set(self) -> None:
        self._event.set()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep up to `seconds`; True at once when it is time to stop."""
        return self._event.wait(seconds)


def run(main: Callable[[], None], user_errors: tuple[type[Exception], ...] = ()) -> NoReturn:
    """Run `main` and exit: 0 when it ends, 2 for a user's mistake, 1 for a failure of ours.

    Settings errors and `user_errors` are a user's mistake; other service errors print their
    sentence; anything else keeps its traceback, for it is a bug.
    """
    log = structlog.stdlib.get_logger("main")
    mistakes: tuple[type[Exception], ...] = (SettingsError, *user_errors)
    try:
        main()
    except mistakes as error:
        log.error(str(error))
        sys.exit(2)
    except ServiceError as error:
        log.error(str(error))
        sys.exit(1)
    sys.exit(0)
