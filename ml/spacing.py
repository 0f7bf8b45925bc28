"""Settings for quotes of any step: a file of five-minute bars has no rows a minute apart."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from ml.args import DataArgs
from ml.quotes.merged import spacing_s, survey

SESSION_S = 6.5 * 3600
"""A whole session, which a window with its horizon must fit in."""


def spacing_of(paths: Sequence[str | Path], until: datetime | None = None) -> float:
    """Seconds between the instants of the coarsest source that are not later than `until`, at
    least 1; NaN if none has two.

    Raises:
        QuotesFileError: a path is no source of quotes.
    """
    return spacing_s(survey(paths, until))


def at_spacing(args: DataArgs, rows_s: float) -> DataArgs:
    """The settings for rows `rows_s` seconds apart: unchanged unless that is more than the step.

    Else the step is theirs, horizons shorter than it are dropped (one and two steps if none is
    left), and a window takes at most half a session. Of the defaults, 300 s leave the horizons
    300, 900 and 1800 s; 1800 s leave 1800 s, with a window of 6 rows.
    """
    if not rows_s > args.step_s:
        return args
    step_s = float(round(rows_s))
    horizons = tuple(one for one in args.horizons_s if one >= step_s)
    window = min(args.window, max(2, int(SESSION_S / step_s / 2)))
    return msgspec.structs.replace(args, step_s=step_s, window=window,
                                   horizons_s=horizons or (int(step_s), 2 * int(step_s)))
