"""THE feature functions: what a smile says at one instant, and what a model sees of a window.

Training and streaming call the same functions on the same records, so they cannot differ.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from ml.calendar import YEAR_SECONDS, session_day, session_fraction
from ml.smile.grid import ATM_INDEX, GRID_Z
from ml.types import Floats, SmileSnapshot

INSTANT_FEATURES: tuple[str, ...] = (
    "log_tau",  # natural logarithm of years to expiry
    "atm_vol",
    "skew",  # volatility at z = −1 minus at z = +1
    "curvature",  # volatility at z = −1 plus at z = +1, minus twice at 0
    "fit_error",
    "half_spread",  # median half bid-ask spread of the accepted quotes, in volatility
    "quote_age_s",  # median age of the accepted quotes
    "accepted_share",  # of all quotes of the expiry, those not rejected
    "session_sin",  # time of day as an angle: half a turn from open to close
    "session_cos",
    "parity_gap",  # ln(forward / underlying)
    "forward_error",  # standard error of the forward, in σ_ATM √τ
)
WINDOW_FEATURES: tuple[str, ...] = (
    *(f"deviation_z{z:+.2f}" for z in GRID_Z),  # grid smile minus the window's filtered smile
    "log_atm_vol",
    "log_tau",
    "skew",
    "curvature",
    "half_spread",
    "forward_return",  # ln(F / F one row before), 0 in the first row
    "scaled_return",  # the same in units of σ_ATM √elapsed
    "return_to_now",  # ln(newest F / F), so that a smile fixed by strike can be seen
    "realised_over_implied",  # root of the window's realised variance so far, over σ_ATM
    "session_sin",
    "session_cos",
)
DEVIATIONS = slice(0, len(GRID_Z))
"""The window's columns that are the smile itself."""
FILTER_WEIGHT = 0.5
"""Weight of the newest smile in the filter that `window_input` subtracts."""
MAX_MISSING_SHARE = 0.3
"""A window with more rows than this without a smile is no input."""

_DOWN, _UP = ATM_INDEX - 4, ATM_INDEX + 4  # z = −1 and z = +1
_SLACK_S = 1e-6  # what a datetime loses as seconds since 1970


@dataclass(frozen=True, slots=True)
class SmileWindow:
    """Rows of one expiry at one step's distance, the newest last; W rows."""

    at: list[datetime]
    tau: Floats
    underlying: Floats
    forward: Floats
    atm_vol: Floats
    grid_vol: Floats
    """Shape (W, 17)."""
    features: Floats
    """`INSTANT_FEATURES`, shape (W, n)."""


def instant_features(snapshot: SmileSnapshot) -> Floats:
    """`INSTANT_FEATURES` of a smile, shape (n,): each finite, or NaN where it is unknown."""
    grid, quotes = snapshot.grid_vol, snapshot.quotes
    angle = np.pi * session_fraction(snapshot.at)
    rejected = sum(snapshot.rejects.values())
    with np.errstate(all="ignore"):
        deviation = snapshot.atm_vol * np.sqrt(snapshot.tau)
        values = np.array([
            np.log(snapshot.tau),
            snapshot.atm_vol,
            grid[_DOWN] - grid[_UP],
            grid[_DOWN] + grid[_UP] - 2 * grid[ATM_INDEX],
            snapshot.fit_error,
            _median(quotes.ask_iv - quotes.bid_iv) / 2,
            snapshot.quote_age_s,
            1 - rejected / np.float64(snapshot.quotes_total),
            np.sin(angle),
            np.cos(angle),
            np.log(snapshot.forward) - np.log(snapshot.underlying),
            snapshot.forward_error / np.float64(snapshot.forward * deviation),
        ])
    return np.where(np.isfinite(values), values, np.nan)


def filtered_smile(grid_vol: Floats, weight: float = FILTER_WEIGHT) -> Floats:
    """Exponentially weighted mean (17,) of the rows of `grid_vol` (W, 17), the newest last.

    A row's weight is (1 − `weight`)^(rows after it), normalised over the rows that are known,
    point by point; NaN where no row is.
    """
    known = np.isfinite(grid_vol)
    decay = (1.0 - weight) ** np.arange(len(grid_vol) - 1, -1, -1.0)
    weights = decay[:, None] * known
    total = weights.sum(axis=0)
    mean = (weights * np.where(known, grid_vol, 0.0)).sum(axis=0) / np.where(total > 0, total, 1.0)
    return np.where(total > 0, mean, np.nan)


def window_input(window: SmileWindow, filter_weight: float = FILTER_WEIGHT) -> Floats | None:
    """`WINDOW_FEATURES` of a window, shape (W, len(WINDOW_FEATURES)), always finite.

    None where too much is missing: the newest row has no complete smile, or more than
    `MAX_MISSING_SHARE` of the rows have none. Elsewhere a row without a smile repeats the one
    before it (the first known one, at the window's start), and so does each missing single
    value; a column unknown over the whole window is 0.
    """
    known = np.isfinite(window.grid_vol).all(axis=1) & (window.atm_vol > 0)
    known &= (window.forward > 0) & np.isfinite(window.forward)
    if not known[-1] or 1 - known.mean() > MAX_MISSING_SHARE:
        return None
    source = _last_known(known)
    forward, atm, grid = (
        values[source] for values in (window.forward, window.atm_vol, window.grid_vol)
    )
    named = dict(zip(INSTANT_FEATURES, window.features.T, strict=True))
    columns = [
        *(grid - filtered_smile(grid, filter_weight)).T,
        np.log(atm),
        named["log_tau"],
        named["skew"][source],
        named["curvature"][source],
        named["half_spread"][source],
        *_return_columns(forward, atm, window.at),
        named["session_sin"],
        named["session_cos"],
    ]
    return np.column_stack([_filled(column) for column in columns])


def window_indices(
    times_s: Floats, now_s: float, step_s: float, window: int, tolerance_s: float
) -> NDArray[np.intp] | None:
    """Indices (window,) of the rows that sample the past at `step_s`, the newest last.

    `times_s` are one expiry's row times, ascending, in seconds since 1970. Row i back is the
    latest at or before now − i · step and later than that minus `tolerance_s`. None if one is
    missing, or if the window would begin on another New York day than it ends.
    """
    targets = now_s - step_s * np.arange(window - 1, -1, -1.0)
    rows = np.searchsorted(times_s, targets + _SLACK_S, side="right") - 1
    if rows[0] < 0 or (times_s[rows] <= targets - tolerance_s).any():
        return None
    days = {session_day(datetime.fromtimestamp(times_s[row], UTC)) for row in rows[[0, -1]]}
    return rows if len(days) == 1 else None


def _return_columns(forward: Floats, atm: Floats, at: list[datetime]) -> tuple[Floats, ...]:
    seconds = np.array([moment.timestamp() for moment in at])
    elapsed = np.diff(seconds, prepend=seconds[0]) / YEAR_SECONDS
    change = np.diff(np.log(forward), prepend=np.log(forward[0]))
    moved = elapsed > 0
    deviation = np.where(moved, atm * np.sqrt(np.where(moved, elapsed, 1.0)), 1.0)
    so_far = np.cumsum(elapsed)
    realised = np.sqrt(np.cumsum(change**2) / np.where(so_far > 0, so_far, 1.0))
    return change, change / deviation, np.log(forward[-1] / forward), realised / atm


def _last_known(known: NDArray[np.bool_]) -> NDArray[np.intp]:
    """For each row the latest known one up to it; the first known one before that."""
    rows = np.where(known, np.arange(len(known)), np.argmax(known))
    return np.maximum.accumulate(rows)


def _filled(column: Floats) -> Floats:
    known = np.isfinite(column)
    return column[_last_known(known)] if known.any() else np.zeros_like(column)


def _median(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(np.sort(known)[len(known) // 2]) if len(known) else float("nan")
