"""Which quotes are fit to make a smile of, and why the others are not."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.compiled import compiled
from ml.types import Bools, ChainQuotes, Floats

REASONS: Final = (
    "delayed",  # the feed is a delayed one
    "sentinel",  # a value that stands for "none" (−1, 1e308), or an impossible strike
    "no_quote",  # neither bid nor ask
    "one_sided",  # bid or ask missing
    "zero_bid",
    "crossed",  # bid above ask
    "locked",  # bid at ask
    "stale",  # older than the limit, or by that much from the future
    "too_wide",  # spread beyond the limit, of the price or of the volatility
    "below_intrinsic",  # ask below the discounted intrinsic value
    "off_parity",  # its pair's forward is far off that of all other strikes
    "no_vol",  # no volatility gives the mid price: it is beyond the option's bounds
    "outlier",  # far off the smile that all others agree on
    "too_few",  # nothing wrong with it, but too few such quotes on the expiry for a smile
)
"""Every reason; a quote is counted under the first that applies."""
Codes = NDArray[np.int8]
"""Per quote: `ACCEPTED`, or the reason's code."""
ACCEPTED: Final = 0
CODE: Final = {reason: code for code, reason in enumerate(REASONS, start=1)}

_SENTINEL, _NO_QUOTE, _ONE_SIDED = CODE["sentinel"], CODE["no_quote"], CODE["one_sided"]
_ZERO_BID, _CROSSED, _LOCKED = CODE["zero_bid"], CODE["crossed"], CODE["locked"]
_STALE, _TOO_WIDE = CODE["stale"], CODE["too_wide"]
_ABSURD = 1e7  # no listed option or strike is dearer


@dataclass(frozen=True, slots=True)
class QuoteLimits:
    """What a quote must keep to be accepted."""

    max_age_s: float = 900.0
    """A quote is streamed when it changes, so that far strikes stand for minutes and still hold."""
    max_spread: float = 1.0
    """Ask − bid as a share of the mid."""
    wide_allowed: float = 0.10
    """Spread in currency that is never too wide: cheap options cannot be quoted tighter."""
    max_vol_spread: float = 0.75
    """Ask − bid in volatility as a share of the mid's volatility."""
    accept_delayed: bool = False


def screen(quotes: ChainQuotes, limits: QuoteLimits) -> Codes:
    """The code of each quote by itself, shape (n,)."""
    if quotes.delayed and not limits.accept_delayed:
        return np.full(len(quotes.strike), CODE["delayed"], dtype=np.int8)
    return _screen(
        np.asarray(quotes.strike, dtype=np.float64), np.asarray(quotes.bid, dtype=np.float64),
        np.asarray(quotes.ask, dtype=np.float64),
        np.asarray(quotes.quote_age_s, dtype=np.float64),
        limits.max_age_s, limits.max_spread, limits.wide_allowed,
    ).astype(np.int8)


@compiled
def _screen(
    strike: Floats, bid: Floats, ask: Floats, age_s: Floats,
    max_age_s: float, max_spread: float, wide_allowed: float,
) -> NDArray[np.int64]:
    codes = np.zeros(len(bid), dtype=np.int64)
    for i in range(len(bid)):
        spread, mid = ask[i] - bid[i], 0.5 * (ask[i] + bid[i])
        if _is_sentinel(bid[i]) or _is_sentinel(ask[i]) or not 0.0 < strike[i] <= _ABSURD:
            codes[i] = _SENTINEL
        elif math.isnan(bid[i]) and math.isnan(ask[i]):
            codes[i] = _NO_QUOTE
        elif math.isnan(bid[i]) or math.isnan(ask[i]):
            codes[i] = _ONE_SIDED
        elif bid[i] == 0.0:
            codes[i] = _ZERO_BID
        elif spread < 0.0:
            codes[i] = _CROSSED
        elif spread == 0.0:
            codes[i] = _LOCKED
        elif abs(age_s[i]) > max_age_s:
            codes[i] = _STALE
        elif spread > wide_allowed and spread > max_spread * mid:
            codes[i] = _TOO_WIDE
    return codes


@compiled
def _is_sentinel(value: float) -> bool:
    return value < 0.0 or value > _ABSURD


def below_intrinsic(quotes: ChainQuotes, forward: float, discount: float) -> Bools:
    """Whether each quote's ask is below its discounted intrinsic value, shape (n,)."""
    side = np.where(quotes.is_call, 1.0, -1.0)
    with np.errstate(all="ignore"):
        return np.asarray(quotes.ask < discount * side * (forward - quotes.strike))


def too_wide_in_vol(bid_iv: Floats, mid_iv: Floats, ask_iv: Floats, limits: QuoteLimits) -> Bools:
    """Whether the spread in volatility is beyond the limit; an unknown side counts as the mid."""
    low = np.where(np.isnan(bid_iv), mid_iv, bid_iv)
    high = np.where(np.isnan(ask_iv), mid_iv, ask_iv)
    return np.asarray(high - low > limits.max_vol_spread * mid_iv)


def mark(codes: Codes, where: Bools, reason: str) -> Codes:
    """`codes` with `reason` where asked and no other reason stands."""
    marked = codes.copy()
    marked[(codes == ACCEPTED) & where] = CODE[reason]
    return marked


def count(codes: Codes) -> dict[str, int]:
    """Number of quotes by reason, those of no reason left out, in the order of `REASONS`."""
    counts = np.bincount(codes, minlength=len(REASONS) + 1)[1:]
    return {reason: int(n) for reason, n in zip(REASONS, counts, strict=True) if n}
