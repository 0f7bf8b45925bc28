"""What all commands of `ml` share: how a mistake ends, what an instant is, needed variables."""

import argparse
import os
import sys
from collections.abc import Callable
from datetime import datetime

from ml.errors import ConfigError, SmileError, UnavailableError

DATABASE_URL = "SMILE_DATABASE_URL"
TRACKING_URI = "MLFLOW_TRACKING_URI"


def guarded(action: Callable[[argparse.Namespace], int | None],
            options: argparse.Namespace) -> int:
    """Run a command, and give the exit code that it returns, 0 for None; a foreseen error becomes
    one line and a code: 1 where something needed does not answer, 2 for a user's mistake."""
    try:
        return action(options) or 0
    except UnavailableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except SmileError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def required(variable: str, option: str) -> str:
    """A setting of the environment that an option needs; raises ConfigError by its name."""
    value = os.environ.get(variable, "")
    if not value:
        raise ConfigError(f"{variable} is not set; {option} needs it")
    return value


def reason(text: str) -> str:
    """An option's reason; an empty one is refused."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the reason is empty")
    return text.strip()


def instant(text: str) -> datetime:
    """An option's instant; one without a time zone is refused."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 2015-12-24T15:30Z"
                                         ) from None
    if at.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no time zone; add Z for UTC")
    return at
