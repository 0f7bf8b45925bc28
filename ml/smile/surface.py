"""THE smile function: all expiries of one symbol at one instant, from quotes to smiles.

The streaming stage, the trainer and the command line call it with the same quotes and get the
same smiles.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np

from ml.pricing.conventions import Conventions, conventions
from ml.pricing.forwards import implied_forwards
from ml.pricing.term import TermStructure
from ml.smile import draft as making
from ml.smile import ssvi
from ml.smile.curve import fit_bumps
from ml.smile.draft import Draft
from ml.smile.filter import QuoteLimits
from ml.smile.repair import Repaired, repair
from ml.smile.snapshot import with_curve, without_curve
from ml.types import ChainQuotes, RawSvi, SmileCurve, SmileSnapshot

_LIMITS = QuoteLimits()


@dataclass(frozen=True, slots=True)
class Surface:
    """The smiles of one symbol at one instant, by expiry, and what holds them together."""

    symbol: str
    at: datetime
    smiles: tuple[SmileSnapshot, ...]
    term: TermStructure | None
    """Rate, borrow and dividends that the forwards imply; None without two usable forwards."""

    def warm_starts(self) -> dict[date, RawSvi]:
        """Each expiry's fit, for the surface of the next instant to start from."""
        return {smile.expiry: smile.svi for smile in self.smiles if smile.svi is not None}


def build_surface(
    chains: Sequence[ChainQuotes],
    previous: Surface | None = None,
    style: Conventions | None = None,
    limits: QuoteLimits = _LIMITS,
) -> Surface:
    """Smiles of `chains`, the expiries of one symbol at one instant.

    Filter, forwards, volatilities, SVI and its smooth correction expiry by expiry; then arbitrage
    is looked for and repaired across them. `previous`, the surface of an instant before, lends
    its fits as starts. Bad quotes never raise: a smile's `reason` says why there is none. The
    curves are also read beyond the quoted strikes, where Lee's bounds keep them sane;
    `grid_observed` tells the two apart. Quotes in the money, or beyond the grid by more than 1.5
    standard deviations, are neither rejected nor used.

    Raises:
        ValueError: no chains, or chains of two symbols, two instants or twice of one expiry.
    """
    chains = sorted(chains, key=lambda chain: chain.expiry)
    _refuse_mixture(chains)
    style = conventions(chains[0].symbol) if style is None else style
    warm = {} if previous is None else previous.warm_starts()
    with np.errstate(all="ignore"):
        drafts = [making.begin(chain, limits) for chain in chains]
        drafts, term = _with_forwards(drafts, style)
        drafts = [making.with_points(draft, style, limits) for draft in drafts]
        drafts = [making.with_curve(draft, warm.get(draft.quotes.expiry)) for draft in drafts]
        return Surface(chains[0].symbol, chains[0].at, _smiles(drafts), term)


def build_smile(
    quotes: ChainQuotes,
    style: Conventions | None = None,
    limits: QuoteLimits = _LIMITS,
) -> SmileSnapshot:
    """The smile of an expiry that stands alone; see `build_surface`."""
    style = conventions(quotes.symbol) if style is None else style
    return build_surface([quotes], None, style, limits).smiles[0]


def _refuse_mixture(chains: Sequence[ChainQuotes]) -> None:
    if not chains:
        raise ValueError("a surface needs the quotes of one expiry at least")
    if len({(chain.symbol, chain.at) for chain in chains}) > 1:
        raise ValueError("a surface is of one symbol at one instant")
    if len({chain.expiry for chain in chains}) < len(chains):
        raise ValueError("a surface takes each expiry once")


def _with_forwards(
    drafts: Sequence[Draft], style: Conventions
) -> tuple[list[Draft], TermStructure | None]:
    quotes = drafts[0].quotes
    pairs = [making.pairs(draft) for draft in drafts]
    found = implied_forwards(quotes.at, pairs, quotes.underlying, style)
    if found.term is not None and found.term.spot_off:
        drafts = [replace(draft, quotes=replace(draft.quotes, underlying=float("nan")))
                  for draft in drafts]
    return [making.with_forward(draft, forward)
            for draft, forward in zip(drafts, found.expiries, strict=True)], found.term


def _smiles(drafts: Sequence[Draft]) -> tuple[SmileSnapshot, ...]:
    """The records of all drafts, those with a curve checked and repaired together."""
    made = [draft for draft in drafts if draft.curve is not None]
    repaired = _repaired(made)
    smiles = {
        draft.quotes.expiry: with_curve(draft, *each)
        for draft, *each in zip(made, repaired.curves, repaired.checks_after,
                                repaired.violations_before, repaired.moved.tolist(), strict=True)
    }
    return tuple(smiles.get(draft.quotes.expiry) or without_curve(draft) for draft in drafts)


def _repaired(drafts: Sequence[Draft]) -> Repaired:
    curves = [_with_bumps(draft) for draft in drafts]
    tau = np.array([draft.tau for draft in drafts])
    trust = np.array([1.0 / making.typical_error(draft) ** 2 for draft in drafts])
    return repair(curves, tau, trust, lambda: _ssvi_slices(drafts))


def _ssvi_slices(drafts: Sequence[Draft]) -> list[RawSvi] | None:
    """One SSVI surface through the points of all expiries, slice by slice."""
    surface = ssvi.fit([
        ssvi.Slice(draft.tau, draft.points.log_moneyness, draft.points.mid_iv**2 * draft.tau,
                   making.point_weights(draft))
        for draft in drafts])
    return None if surface is None else [ssvi.raw(surface, at) for at in range(len(drafts))]


def _with_bumps(draft: Draft) -> SmileCurve:
    points = draft.points
    assert draft.curve is not None
    return fit_bumps(draft.curve, points.log_moneyness, points.mid_iv**2 * draft.tau,
                     making.point_weights(draft))
