"""Which quotes are fit to make a smile of, and why the others are not."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.types import Bools, ChainQuotes, Floats

REASONS: Final = (
    "delayed",  # the feed is a delayed one
    "sentinel",  # a value that stands for "none" (−1, 1e308), or an impossible strike
    "no_quote",  # neither bid nor ask
    "one_sided",  # bid or ask missing
    "zero_bid",
    "crossed",  # bid above ask
    "locked",  # bid at ask
    "stale",  # older than the limit
    "too_wide",  # spread beyond the limit, of the price or of the volatility
    "below_intrinsic",  # ask below the discounted intrinsic value
    "no_vol",  # no volatility gives the mid price: it is beyond the option's bounds
    "outlier",  # far off the smile that all others agree on
)
"""Every reason code; a quote is counted under the first that applies."""
Codes = NDArray[np.str_]
ACCEPTED = ""

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
    """Reason code of each quote by itself, shape (n,); `ACCEPTED` where there is none."""
    bid, ask = quotes.bid, quotes.ask
    with np.errstate(all="ignore"):
        spread = ask - bid
        mid = (bid + ask) / 2
        tests = {
            "delayed": np.full(bid.shape, quotes.delayed and not limits.accept_delayed),
            "sentinel": _sentinel(bid) | _sentinel(ask) | ~_plausible(quotes.strike),
            "no_quote": np.isnan(bid) & np.isnan(ask),
            "one_sided": np.isnan(bid) | np.isnan(ask),
            "zero_bid": bid == 0,
            "crossed": spread < 0,
            "locked": spread == 0,
            "stale": quotes.quote_age_s > limits.max_age_s,
            "too_wide": (spread > limits.wide_allowed) & (spread > limits.max_spread * mid),
        }
    return np.select(list(tests.values()), list(tests), default=ACCEPTED)


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
    return np.where((codes == ACCEPTED) & where, reason, codes)


def count(codes: Codes) -> dict[str, int]:
    """Number of quotes by reason code, those of no reason left out, in the order of `REASONS`."""
    return {reason: n for reason in REASONS if (n := int((codes == reason).sum()))}


def _sentinel(values: Floats) -> Bools:
    return (values < 0) | (values > _ABSURD)


def _plausible(strike: Floats) -> Bools:
    return (strike > 0) & (strike <= _ABSURD)
