"""The forwards of all expiries of one symbol at one instant.

Each expiry's own put-call parity comes first. All together make a term structure, which gives
every expiry its discount and, where exercise is American, the rate, borrow and dividends at which
the premium of early exercise is taken off both sides before parity is read again. An expiry whose
own parity is weak leans on what the others say.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.pricing.carry import Carry
from ml.pricing.conventions import Conventions
from ml.pricing.early_exercise import american_forwards
from ml.pricing.forward import Pairs, make_pairs, parity_discounts, parity_forwards
from ml.pricing.off_parity import beyond_parity, off_sides
from ml.pricing.term import TermStructure, discounts_of, fit_rate, fit_term, rate_belief
from ml.types import Bools, Floats, ForwardSource

Integers = NDArray[np.int64]

STRONG: Final = 3.0
"""An expiry keeps its own forward where its standard error is at most so many times that of what
the other expiries say. From there to twice as much a blend by precision fades in, without a jump.
The smile is drawn of the same quotes as the forward: with its own, even somewhat off, calls and
puts tell one volatility."""

_ENOUGH = 3  # pairs whose median is believed rather than the spot
_FACTOR = 2.0  # by which a pair's forward may be off the median one, or else is no pair


@dataclass(frozen=True, slots=True)
class PairQuotes:
    """The strikes of one expiry whose call and put are both accepted; arrays have shape (n,)."""

    expiry: date
    tau: float
    """Years to the expiry's instant; NaN if it is past."""
    strike: Floats
    call_bid: Floats
    call_ask: Floats
    put_bid: Floats
    put_ask: Floats


@dataclass(frozen=True, slots=True)
class ExpiryForward:
    """What is known of one expiry's forward."""

    forward: float
    error: float
    """Standard error, in currency."""
    discount: float
    borrow: float
    """Rate minus growth, per year."""
    source: ForwardSource
    carry: Carry
    """Rate, borrow and dividends for pricing this expiry's options."""
    pairs: int
    """How many pairs its own parity rests on."""
    gap: float
    """Own parity minus what the other expiries say, in standard errors; NaN if one is missing."""
    off_calls: Floats
    """Strikes whose call quote is far beyond what parity allows: stale, or adjusted."""
    off_puts: Floats
    """Strikes whose put quote is."""


@dataclass(frozen=True, slots=True)
class ImpliedForwards:
    """The forwards of all expiries given, in their order, and what ties them together."""

    expiries: tuple[ExpiryForward | None, ...]
    """None where there is nothing to tell it from, or the expiry is past."""
    term: TermStructure | None


@dataclass(frozen=True, slots=True)
class _Quotes:
    """All expiries' pairs one after the other, as given; arrays have shape (n,)."""

    expiry: Integers
    """Number of the expiry that a row belongs to."""
    strike: Floats
    call_mid: Floats
    put_mid: Floats
    call_half: Floats
    put_half: Floats
    """Half the bid-ask spreads."""
    deviation: Floats
    """Standard deviation of C − P: a mid is as uncertain as a uniform variable in its spread."""


def implied_forwards(
    at: datetime, chains: Sequence[PairQuotes], spot: float, style: Conventions
) -> ImpliedForwards:
    """Forwards and term structure of `chains`, the expiries of one symbol at the instant `at`.

    `spot` is the quoted one, NaN if unknown; it counts where the forwards are few. Never raises on
    bad quotes: an expiry that nothing can be told of gives None.
    """
    if not chains:
        return ImpliedForwards((), None)
    with np.errstate(all="ignore"):
        taus = np.array([chain.tau if 0 < chain.tau < math.inf else math.nan for chain in chains])
        quotes = _collect(chains, spot)
        pairs = make_pairs(quotes.expiry, len(taus), quotes.strike, quotes.call_mid,
                           quotes.put_mid, quotes.deviation)
        solve = american_forwards if style.is_american else _european
        fits, premium_error, term = solve(at, pairs, taus, spot, style)
        if term is None:
            return ImpliedForwards((None,) * len(chains), None)
        found = [_resolved(*known, term) for known in zip(
            fits.tolist(), premium_error.tolist(), term.left_out.tolist(), taus.tolist(),
            strict=True)]
        return ImpliedForwards(_with_off_quotes(found, term, quotes, fits[:, 3], taus, style), term)


def resolve(
    own: float, own_error: float, others: float, others_error: float
) -> tuple[float, float, ForwardSource]:
    """An expiry's forward and standard error from its own parity and from the other expiries.

    `own` is NaN without usable pairs. Its parity alone counts where its error is at most `STRONG`
    times the others'; beyond, both are weighed by precision, which fades in until it is twice that.
    What they disagree by is part of a blend's error.

    >>> resolve(100.0, 0.01, 100.1, 0.05)
    (100.0, 0.01, 'parity')
    >>> resolve(100.0, 0.2, 100.1, 0.05)[2]
    'blend'
    """
    if not math.isfinite(own):
        return others, others_error, "term structure"
    fade = (own_error / others_error - STRONG) / STRONG if others_error > 0 else 1.0
    if not fade > 0 or not math.isfinite(others):
        return own, own_error, "parity"
    share = min(fade, 1.0) * own_error**2 / (own_error**2 + others_error**2)
    variance = ((1 - share) * own_error) ** 2 + (share * others_error) ** 2
    variance += share * (1 - share) * (others - own) ** 2
    return own + share * (others - own), math.sqrt(variance), "blend"


def _collect(chains: Sequence[PairQuotes], spot: float) -> _Quotes:
    counts = [len(chain.strike) for chain in chains]
    expiry = np.repeat(np.arange(len(chains)), counts)
    strike, call_bid, call_ask, put_bid, put_ask = (
        np.concatenate([getattr(chain, name) for chain in chains]).astype(np.float64)
        for name in ("strike", "call_bid", "call_ask", "put_bid", "put_ask"))
    call_half, put_half = (call_ask - call_bid) / 2, (put_ask - put_bid) / 2
    call_mid, put_mid = call_bid + call_half, put_bid + put_half
    deviation = np.sqrt((call_half**2 + put_half**2) / 3)
    deviation[_absurd(strike + call_mid - put_mid, spot)] = np.inf
    return _Quotes(expiry, strike, call_mid, put_mid, call_half, put_half, deviation)


def _absurd(single: Floats, spot: float) -> Bools:
    """Whether a pair's forward is off by a factor; the spot judges where there are few pairs."""
    known = single[np.isfinite(single) & (single > 0)]
    centre = float(np.median(known)) if len(known) >= _ENOUGH else spot
    return np.asarray(np.abs(np.log(single / centre)) > math.log(_FACTOR))


def _european(
    at: datetime, pairs: Pairs, taus: Floats, spot: float, style: Conventions
) -> tuple[Floats, Floats, TermStructure | None]:
    """As `american_forwards`: first the discounts, then the forwards by them."""
    slope, error, _ = parity_discounts(pairs, np.exp(-style.rate * taus))
    rate = fit_rate(taus, (slope, error), rate_belief(style))
    fits, _ = parity_forwards(pairs, *discounts_of(rate, taus))
    term = fit_term(at, taus, fits[:, 0], fits[:, 1], spot, style, (slope, error))
    return fits, np.zeros(len(taus)), term


def _resolved(
    fit: list[float], premium_error: float, left_out: list[float], tau: float, term: TermStructure
) -> ExpiryForward | None:
    if not tau > 0:
        return None
    own, own_error, count, _ = fit
    others, others_error = left_out
    forward, error, source = resolve(own, own_error, others, others_error)
    if not (forward > 0 and math.isfinite(forward + error)):
        return None
    carry = term.carry_at(tau)
    return ExpiryForward(
        forward=forward, error=math.hypot(error, premium_error), discount=carry.discount(tau),
        borrow=carry.borrow, source=source, carry=carry, pairs=int(count),
        gap=(own - others) / math.hypot(own_error, others_error), off_calls=np.empty(0),
        off_puts=np.empty(0))


def _with_off_quotes(
    found: Sequence[ExpiryForward | None], term: TermStructure, quotes: _Quotes, straddles: Floats,
    taus: Floats, style: Conventions,
) -> tuple[ExpiryForward | None, ...]:
    """The forwards with the quotes that contradict them."""
    growth, _, dividends = term.drivers(taus)
    forward, discount, borrow = np.array([
        (one.forward, one.discount, one.borrow) if one else (math.nan,) * 3 for one in found]).T
    spot = forward * np.exp(-growth * taus) + dividends
    known = np.array([forward, discount, spot, dividends, np.exp(-borrow * taus)])
    half = quotes.call_half + quotes.put_half
    off = beyond_parity(quotes.strike, quotes.call_mid - quotes.put_mid, half,
                        straddles[quotes.expiry], known[:, quotes.expiry], style.is_american)
    marked = list(found)
    for number in np.unique(quotes.expiry[off]).tolist():
        rows = np.flatnonzero(quotes.expiry == number)
        one, strike = marked[number], quotes.strike[rows]
        if one is not None:
            calls, puts = off_sides(
                off[rows], strike, quotes.call_mid[rows], quotes.put_mid[rows],
                quotes.call_half[rows], quotes.put_half[rows], float(taus[number]), one.forward,
                one.discount)
            marked[number] = replace(one, off_calls=strike[calls], off_puts=strike[puts])
    return tuple(marked)
