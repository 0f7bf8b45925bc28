"""THE feature functions: what a smile says at one instant, and what a model sees of a window.

Training and streaming call the same functions on the same records, so they cannot differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ml.calendar import YEAR_SECONDS, session_day, session_fraction
from ml.smile.grid import ATM_INDEX, GRID_Z
from ml.types import Bools, Floats, SmileSnapshot

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
    "term_slope",  # of at-the-money volatility by ln τ over this expiry and its neighbours
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
    "log_quote_age",  # ln(1 + median age of the quotes in seconds)
    "term_slope",
    "squared_return",  # scaled_return squared
    "short_realised_over_implied",  # as above, of the last `SHORT_ROWS` rows up to each
    "slow_atm",  # log_atm_vol minus its slow mean up to the row, weight `SLOW_WEIGHT` a row
    "slow_skew",  # the same of skew …
    "slow_curvature",  # … and of curvature
)
DEVIATIONS = slice(0, len(GRID_Z))
"""The window's columns that are the smile itself."""
FILTER_WEIGHT = 0.5
"""Weight of the newest smile in the filter that `window_input` subtracts."""
SLOW_WEIGHT = 0.15
"""Weight of the newest row in the slow means of a window."""
SHORT_ROWS = 3
"""Rows of the shorter realised variance."""
MAX_MISSING_SHARE = 0.3
"""A window with more rows than this without a smile is no input."""

_PLACES = {name: place for place, name in enumerate(INSTANT_FEATURES)}
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


def surface_features(smiles: Sequence[SmileSnapshot]) -> list[Floats]:
    """`INSTANT_FEATURES` of all smiles of one symbol at one instant, each (n,), in their order."""
    slopes = term_slopes(np.array([smile.tau for smile in smiles]),
                         np.array([smile.atm_vol for smile in smiles]))
    return [instant_features(smile, slope)
            for smile, slope in zip(smiles, slopes.tolist(), strict=True)]


def term_slopes(tau: Floats, atm_vol: Floats) -> Floats:
    """Slope of at-the-money volatility by ln τ at each of E expiries, (E,).

    It is that of the least-squares line through an expiry, the next shorter and the next longer
    one that have a smile; NaN for an expiry without a smile, or alone. Volatilities of 0.20 at
    τ = 0.1 and 0.22 at 0.2 have the slope 0.02 / ln 2 = 0.0289.
    """
    slopes = np.full(len(tau), np.nan)
    with np.errstate(all="ignore"):
        level = np.log(tau)
    known = np.flatnonzero(np.isfinite(level) & (atm_vol > 0) & np.isfinite(atm_vol))
    order = known[np.argsort(level[known], kind="stable")]
    for place, row in enumerate(order):
        near = order[max(place - 1, 0):place + 2]
        x = level[near] - level[near].mean()
        if x.any():
            slopes[row] = x @ atm_vol[near] / (x @ x)
    return slopes


def instant_features(snapshot: SmileSnapshot, term_slope: float = np.nan) -> Floats:
    """`INSTANT_FEATURES` of a smile, shape (n,): each finite, or NaN where it is unknown.

    The slope takes the other expiries to know: see `surface_features`.
    """
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
            term_slope,
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


def deviations(grid_vol: Floats, filtered: Floats, known: Bools | None = None) -> Floats:
    """Smiles (W, 17) less what they are filtered to, (17,), which forecasts are changes against.

    A row that is not `known`, by default one without a whole smile, repeats the one before it;
    those before the first known one count as that. Levels of 0.20, none and 0.23 that are filtered
    to 0.22 deviate by −0.02, −0.02 and 0.01.
    """
    whole = np.isfinite(grid_vol).all(axis=1) if known is None else known
    return np.asarray(grid_vol[_last_known(np.asarray(whole))] - filtered)


def window_input(window: SmileWindow, filter_weight: float = FILTER_WEIGHT) -> Floats | None:
    """`WINDOW_FEATURES` of a window, shape (W, len(WINDOW_FEATURES)), always finite.

    None where too much is missing: the newest row has no complete smile, or more than
    `MAX_MISSING_SHARE` of the rows have none. Elsewhere a row without a smile repeats the one
    before it (the first known one, at the window's start), and so does each missing single
    value; a column unknown over the whole window is 0.
    """
    known = np.isfinite(window.grid_vol).all(axis=1) & (window.atm_vol > 0)
    known &= (window.forward > 0) & np.isfinite(window.forward)
    if not known[-1] or np.count_nonzero(~known) > MAX_MISSING_SHARE * len(known):
        return None
    source = _last_known(known)
    forward, atm = window.forward[source], window.atm_vol[source]
    clock = _columns(window, ("log_tau", "session_sin", "session_cos"))
    smile = _columns(window, ("skew", "curvature", "half_spread", "quote_age_s",
                              "term_slope"))[source]
    log_tau, sine, cosine = _filled(clock).T
    skew, curvature, half_spread, age, slope = _filled(smile).T
    moves, variances = _return_columns(forward, atm, window.at)
    shape = np.column_stack([np.log(atm), skew, curvature])
    return np.column_stack([
        deviations(window.grid_vol, filtered_smile(window.grid_vol, filter_weight), known),
        np.log(atm), log_tau, skew, curvature, half_spread, *moves, sine, cosine,
        np.log1p(np.maximum(age, 0.0)), slope, *variances, shape - _slow_means(len(shape)) @ shape,
    ])


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


def _columns(window: SmileWindow, names: Sequence[str]) -> Floats:
    return window.features[:, [_PLACES[name] for name in names]]


def _return_columns(forward: Floats, atm: Floats,
                    at: list[datetime]) -> tuple[tuple[Floats, ...], tuple[Floats, ...]]:
    """Returns with the realised volatility so far; squared, and of the last rows only."""
    seconds = np.array([moment.timestamp() for moment in at])
    elapsed = np.diff(seconds, prepend=seconds[0]) / YEAR_SECONDS
    change = np.diff(np.log(forward), prepend=np.log(forward[0]))
    moved = elapsed > 0
    deviation = np.where(moved, atm * np.sqrt(np.where(moved, elapsed, 1.0)), 1.0)
    scaled = change / deviation
    square = change**2
    so_far, lately = ([of(square), of(elapsed)] for of in (np.cumsum, _short_sum))
    long, short = (np.sqrt(total / np.where(over > 0, over, 1.0)) / atm
                   for total, over in (so_far, lately))
    return (change, scaled, np.log(forward[-1] / forward), long), (scaled**2, short)


def _short_sum(values: Floats) -> Floats:
    """Sums of each row and those before it, `SHORT_ROWS` in all."""
    total = values.copy()
    for back in range(1, min(SHORT_ROWS, len(values))):
        total[back:] += values[:-back]
    return total


@lru_cache(maxsize=16)
def _slow_means(rows: int) -> Floats:
    """Weights (W, W) of the slow mean up to each row, newest heaviest."""
    back = np.subtract.outer(np.arange(rows), np.arange(rows))
    weights = np.where(back >= 0, (1.0 - SLOW_WEIGHT) ** np.abs(back), 0.0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _last_known(known: Bools) -> NDArray[np.intp]:
    """For each row the latest known one up to it; the first known one before that."""
    rows = np.where(known, np.arange(len(known)), np.argmax(known))
    return np.maximum.accumulate(rows)


def _filled(columns: Floats) -> Floats:
    """Columns (W, n) whose missing values repeat the one before, or the first; 0 if none is."""
    known = np.isfinite(columns)
    rows = np.where(known, np.arange(len(columns))[:, None], np.argmax(known, axis=0))
    filled = np.take_along_axis(columns, np.maximum.accumulate(rows, axis=0), axis=0)
    return np.where(known.any(axis=0), filled, 0.0)


def _median(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(np.sort(known)[len(known) // 2]) if len(known) else float("nan")
