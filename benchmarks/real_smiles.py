"""Smiles of real quotes, judged as a desk would: by expiry bucket, fit, parity and arbitrage.

Needs the real quotes of the tests (`SMILE_TEST_DATA`, or ../shared/data beside the project).
"""

import itertools
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from ml.pricing import black
from ml.pricing.conventions import Conventions, conventions
from ml.pricing.forwards import implied_forwards
from ml.quotes.format import iter_chains
from ml.quotes.lean import import_lean
from ml.quotes.snapshot import import_snapshot
from ml.smile import draft as making
from ml.smile.desk import rich_cheap
from ml.smile.draft import Draft
from ml.smile.filter import QuoteLimits
from ml.smile.surface import Surface, build_surface
from ml.types import ChainQuotes, Floats, SmileSnapshot

DATA = Path(os.environ.get("SMILE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
BUCKETS = ((0, 2), (2, 10), (10, 35), (35, 100), (100, 1000))
"""Days to expiry."""
GOOG_EVERY = 10
"""Minutes between the surfaces of GOOG that are looked at."""
_NEAR = (-2.5, 1.5)
_SECONDS = 8.0  # for the search of one expiry's best convex curve


@dataclass(frozen=True, slots=True)
class Judged:
    """One smile beside its quotes; volatilities in basis points."""

    days: float
    inside: int
    strikes: int
    near_inside: int
    near_strikes: int
    fit_bp: float
    half_spread_bp: float
    side_gaps_bp: Floats
    """Differences of call and put volatility of the same strike within 1 in z."""
    repaired: tuple[str, ...]
    clean: bool
    ceiling: float
    """Most near strikes that any convex curve of prices can have inside bid-ask; NaN unsought."""


def main() -> None:
    """A table per data set."""
    if not DATA.is_dir():
        print(f"no real quotes at {DATA}: set SMILE_TEST_DATA", file=sys.stderr)
        return
    for folder in sorted((DATA / "spy_chain_2026-08").glob("*/meta.json")):
        print(f"SPY {folder.parent.name}, one snapshot")
        _table([judged for surface, chains in surfaces(import_snapshot(folder.parent))
                for judged in _judge(surface, chains, ceiling=True)])
    print(f"GOOG 2015-12-24, every {GOOG_EVERY} minutes of the half day")
    goog = surfaces(import_lean(DATA / "lean_goog_2015-12-24"))
    _table([judged for number, (surface, chains) in enumerate(goog) if number % GOOG_EVERY == 5
            for judged in _judge(surface, chains, ceiling=False)])


def surfaces(quotes: pd.DataFrame) -> Iterator[tuple[Surface, list[ChainQuotes]]]:
    """The surface of each instant, each started from the one before."""
    surface: Surface | None = None
    for _, group in itertools.groupby(iter_chains(quotes), key=lambda chain: chain.at):
        chains = list(group)
        surface = build_surface(chains, surface)
        yield surface, chains


def _judge(surface: Surface, chains: Sequence[ChainQuotes], ceiling: bool) -> Iterator[Judged]:
    for smile, gaps in zip(
            surface.smiles, side_gaps_of_strikes(chains, surface.smiles), strict=True):
        if smile.curve is None:
            continue
        beside = rich_cheap(smile)
        z = smile.quotes.log_moneyness / (smile.atm_vol * smile.tau**0.5)
        near = (z >= _NEAR[0]) & (z <= _NEAR[1])
        yield Judged(
            smile.tau * 365, int(beside.inside.sum()), len(z), int(beside.inside[near].sum()),
            int(near.sum()), smile.fit_error * 1e4, float(np.nanmedian(beside.half_spread)) * 1e4,
            gaps * 1e4, smile.repaired,
            smile.butterfly_ok and smile.calendar_ok and smile.lee_ok,
            best_convex(smile, near) if ceiling else float("nan"))


def side_gaps_of_strikes(
    chains: Sequence[ChainQuotes], smiles: Sequence[SmileSnapshot], reach: float = 1.0
) -> Iterator[Floats]:
    """Per expiry beyond two days |call − put| volatility of the same strike, |z| ≤ `reach`."""
    style = conventions(chains[0].symbol)
    drafts = [making.begin(chain, QuoteLimits()) for chain in chains]
    found = implied_forwards(chains[0].at, [making.pairs(draft) for draft in drafts],
                             chains[0].underlying, style)
    for draft, forward, smile in zip(drafts, found.expiries, smiles, strict=True):
        if smile.curve is None or smile.tau * 365 < 2:
            yield np.empty(0)
        else:
            yield _side_gaps(making.with_forward(draft, forward), smile, style, reach)


def _side_gaps(
    draft: Draft, smile: SmileSnapshot, style: Conventions, reach: float
) -> Floats:
    pair = making.pairs(draft)
    z = np.log(pair.strike / smile.forward) / (smile.atm_vol * smile.tau**0.5)
    near = np.abs(z) <= reach
    call, put = (making.quoted_vols(draft, ((bid + ask) / 2)[near], pair.strike[near],
                                    np.full(int(near.sum()), is_call), style)
                 for is_call, bid, ask in ((True, pair.call_bid, pair.call_ask),
                                           (False, pair.put_bid, pair.put_ask)))
    gaps = np.abs(call - put)
    return np.asarray(gaps[np.isfinite(gaps)])


def best_convex(smile: SmileSnapshot, near: np.ndarray) -> float:
    """Largest share of the near strikes that one convex, falling curve of call prices can meet.

    A mixed-integer programme: as few bid-ask intervals missed as possible.
    """
    points = smile.quotes
    strike = points.strike[near]
    bid = np.where(np.isnan(points.bid_iv), 0.0, points.bid_iv)[near]
    low, high = (black.price(smile.forward, strike, smile.tau, vol, True)
                 for vol in (bid, points.ask_iv[near]))
    n, most = len(strike), float(np.nanmax(high))
    inside = sparse.vstack([
        sparse.hstack([sparse.eye(n), -most * sparse.eye(n)]),
        sparse.hstack([-sparse.eye(n), -most * sparse.eye(n)])])
    slopes = sparse.diags_array([-1 / np.diff(strike), 1 / np.diff(strike)], offsets=[0, 1],
                                shape=(n - 1, n))
    falling = sparse.hstack([slopes, sparse.csr_array((n - 1, n))])
    steeper = sparse.diags_array([1.0, -1.0], offsets=[0, 1], shape=(n - 2, n - 1)) @ slopes
    convex = sparse.hstack([steeper, sparse.csr_array((n - 2, n))])
    found = milp(
        np.r_[np.zeros(n), np.ones(n)], integrality=np.r_[np.zeros(n), np.ones(n)],
        bounds=Bounds(0, np.r_[np.full(n, np.inf), np.ones(n)]),
        constraints=LinearConstraint(
            sparse.vstack([inside, falling, convex]).tocsr(), -np.inf,
            np.r_[high, -low, np.zeros(n - 1), np.zeros(n - 2)]),
        options={"time_limit": _SECONDS})
    return float("nan") if found.x is None else 1 - found.mip_dual_bound / n


def _table(smiles: Sequence[Judged]) -> None:
    print(f"{'days':>9} {'smiles':>6} {'strikes':>8} {'inside':>7} {'near':>7} {'ceiling':>8} "
          f"{'fit bp':>7} {'half-spread':>12} {'call-put bp':>12}  violations before -> after")
    for low, high in (*BUCKETS, (BUCKETS[0][0], BUCKETS[-1][1])):
        chosen = [one for one in smiles if low <= one.days < high]
        if chosen:
            print(_line(f"{low}-{high}", chosen))


def _line(name: str, smiles: Sequence[Judged]) -> str:
    strikes, near = sum(one.strikes for one in smiles), sum(one.near_strikes for one in smiles)
    ceiling = sum(one.ceiling * one.near_strikes for one in smiles) / near
    before = Counter(kind for one in smiles for kind in one.repaired)
    after = sum(not one.clean for one in smiles)
    return (f"{name:>9} {len(smiles):>6} {strikes:>8} "
            f"{sum(one.inside for one in smiles) / strikes:>7.1%} "
            f"{sum(one.near_inside for one in smiles) / near:>7.1%} "
            f"{'-' if np.isnan(ceiling) else format(ceiling, '.1%'):>8} "
            f"{_median(smiles, 'fit_bp'):>7.1f} {_median(smiles, 'half_spread_bp'):>12.1f} "
            f"{_side_gap(smiles):>12}  "
            f"{before['butterfly']} butterfly, {before['calendar']} calendar, "
            f"{before['lee']} Lee -> {after}")


def _side_gap(smiles: Sequence[Judged]) -> str:
    gaps = np.concatenate([one.side_gaps_bp for one in smiles])
    return format(np.median(gaps), ".1f") if len(gaps) else "-"


def _median(smiles: Sequence[Judged], name: str) -> float:
    return float(np.nanmedian([getattr(one, name) for one in smiles]))


if __name__ == "__main__":
    main()
