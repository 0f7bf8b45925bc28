"""The forwards on real chains: what they must agree with, whoever made the quotes."""

import os
from pathlib import Path

import numpy as np
import pytest

from ml.calendar import year_fraction
from ml.pricing.conventions import conventions
from ml.pricing.forwards import PairQuotes, implied_forwards
from ml.pricing.implied import implied_vol
from ml.pricing.parity import european_pairs
from ml.quotes.format import iter_chains
from ml.quotes.lean import import_lean
from ml.quotes.snapshot import import_snapshot

DATA = Path(os.environ.get("SMILE_TEST_DATA",
                           Path(__file__).parents[2].parent / "shared" / "data"))
SPY, GOOG = DATA / "spy_chain_2026-08", DATA / "lean_goog_2015-12-24"


def pairs_of(chain) -> PairQuotes:
    """Strikes whose both sides are quoted, uncrossed, and no wider than half their price."""
    spread = chain.ask - chain.bid
    good = (chain.bid > 0) & (spread > 0) & (spread < np.maximum(0.5 * chain.ask, 0.1))
    calls, puts = (np.flatnonzero(good & (chain.is_call == side)) for side in (True, False))
    strike, call, put = np.intersect1d(
        chain.strike[calls], chain.strike[puts], return_indices=True)
    calls, puts = calls[call], puts[put]
    return PairQuotes(chain.expiry, year_fraction(chain.at, chain.expiry), strike,
                      chain.bid[calls], chain.ask[calls], chain.bid[puts], chain.ask[puts])


def instants(frame, every=1):
    """Per instant its symbol, spot, pairs and forwards."""
    chains = list(iter_chains(frame))
    for at in sorted({chain.at for chain in chains})[::every]:
        now = [chain for chain in chains if chain.at == at]
        pairs = [pairs_of(chain) for chain in now]
        style = conventions(now[0].symbol)
        yield pairs, implied_forwards(at, pairs, now[0].underlying, style)


def side_gaps(pairs, found):
    """Call minus put volatility near the money, premium taken off, of expiries past two days."""
    for chain, one in zip(pairs, found.expiries, strict=True):
        if one is None or not chain.tau > 2 / 365:
            continue
        mids = (chain.call_bid + chain.call_ask) / 2, (chain.put_bid + chain.put_ask) / 2
        out = np.where(chain.strike >= one.forward, *mids)
        vol = implied_vol(out, one.forward, chain.strike, chain.tau,
                          chain.strike >= one.forward, one.discount)
        at_money = vol[np.argmin(np.abs(chain.strike - one.forward))]
        near = np.abs(np.log(chain.strike / one.forward)) <= at_money * np.sqrt(chain.tau)
        near &= ~np.isin(chain.strike, np.append(one.off_calls, one.off_puts))
        strike, vol = chain.strike[near], vol[near]
        call, put = european_pairs(strike, mids[0][near], mids[1][near], vol, chain.tau,
                                   one.forward, one.carry)
        yield (implied_vol(call, one.forward, strike, chain.tau, True, one.discount)
               - implied_vol(put, one.forward, strike, chain.tau, False, one.discount))


@pytest.mark.skipif(not SPY.exists(), reason=f"real SPY quotes are not at {SPY}")
def test_spy_forwards_carry_and_dividend_are_plausible_and_both_sides_agree():
    gaps = []
    for pairs, found in instants(import_snapshot(SPY)):
        term = found.term
        assert 0.03 < term.rate_at(0.2) < 0.055
        assert abs(term.spot_gap) < 1e-3
        assert 1.6 < term.dividends[0] < 2.5
        assert {one.source for one in found.expiries} == {"parity"}
        gaps += list(side_gaps(pairs, found))
    assert np.nanmedian(np.abs(np.concatenate(gaps))) < 10e-4
    assert np.median([np.nanmedian(np.abs(gap)) for gap in gaps]) < 10e-4


@pytest.mark.skipif(not GOOG.exists(), reason=f"real GOOG quotes are not at {GOOG}")
def test_goog_forwards_have_the_rate_of_the_day_and_no_dividend():
    gaps = []
    for pairs, found in instants(import_lean(GOOG), every=30):
        term = found.term
        assert 0.005 < term.rate_at(1.0) < 0.015
        assert abs(term.borrow_at(1.0)) < 0.008
        assert abs(term.spot_gap) < 2e-3
        assert not term.dividends.size
        assert all(one.error < 3e-3 * one.forward for one in found.expiries if one)
        gaps += list(side_gaps(pairs, found))
    # Mids of quotes 50 to 300 bp wide don't agree better, whatever the forward.
    assert np.nanmedian(np.abs(np.concatenate(gaps))) < 16e-4
