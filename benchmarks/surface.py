"""Quotes to surface, the whole step: from 10,000 to 100,000 contracts, beside a plain stack.

The plain stack does the least that gives smiles at all: a forward as the median of parity,
QuantLib's implied volatility option by option, and scipy's least squares for SVI. Times are of
the processor, on one core.
"""

import resource
import statistics
import time
from dataclasses import replace

import numpy as np
import QuantLib
from scipy.optimize import least_squares
from threadpoolctl import threadpool_limits

from benchmarks._chain import AT, chains
from ml.calendar import year_fraction
from ml.pricing.conventions import Conventions, conventions
from ml.smile.surface import build_surface
from ml.types import ChainQuotes, Floats

EXPIRIES = 30
CONTRACTS = (10_000, 30_000, 100_000)
ROUNDS = 9
_AMERICAN = conventions("XYZ")
_EUROPEAN = replace(_AMERICAN, exercise="european")


def main() -> None:
    """Print medians, their ratio to the plain stack's, growth with contracts, and memory."""
    with threadpool_limits(1):
        _measure()


def _measure() -> None:
    for name, style, aim in (("European", _EUROPEAN, 60), ("American", _AMERICAN, 200)):
        quotes = chains(EXPIRIES, CONTRACTS[0], style.is_american)
        plain, took = _plain_stack(quotes), _median(quotes, style)
        print(f"{name}, {EXPIRIES} expiries, {CONTRACTS[0]} contracts  {took * 1e3:7.1f} ms "
              f"(aim {aim}); the plain stack {plain * 1e3:.0f} ms, ratio {plain / took:.0f}")
        for contracts in CONTRACTS[1:]:
            more = _median(chains(EXPIRIES, contracts, style.is_american), style)
            print(f"    {contracts} contracts {more * 1e3:7.1f} ms, "
                  f"{more / took:.1f} times as long for {contracts / CONTRACTS[0]:.0f} times")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"memory of this process at most {peak:.0f} MB (aim 500)")


def _median(quotes: list[ChainQuotes], style: Conventions) -> float:
    """Seconds of one warm step, each with quotes that moved a little since the one before."""
    surface = build_surface(quotes, None, style)
    times = []
    for number in range(1, ROUNDS + 1):
        moved = [_moved(chain, number) for chain in quotes]
        start = time.process_time()
        surface = build_surface(moved, surface, style)
        times.append(time.process_time() - start)
    made = sum(smile.reason is None for smile in surface.smiles)
    assert made == len(quotes), f"only {made} of {len(quotes)} smiles were made"
    return statistics.median(times)


def _moved(chain: ChainQuotes, number: int) -> ChainQuotes:
    """The same chain with each quote a cent up or down."""
    random = np.random.default_rng(number)
    step = random.integers(-1, 2, len(chain.bid)) * 0.01
    return replace(chain, bid=np.maximum(chain.bid + step, 0.0), ask=chain.ask + step)


def _plain_stack(quotes: list[ChainQuotes]) -> float:
    start = time.process_time()
    for chain in quotes:
        _plain_smile(chain)
    return time.process_time() - start


def _plain_smile(chain: ChainQuotes) -> Floats:
    tau, mid = year_fraction(AT, chain.expiry), (chain.bid + chain.ask) / 2
    calls, puts = mid[chain.is_call], mid[~chain.is_call]
    strikes = chain.strike[chain.is_call]
    near = np.argsort(np.abs(calls - puts))[:9]
    forward = float(np.median((strikes + calls - puts)[near]))
    chosen = chain.is_call == (chain.strike >= forward)
    strike, price = chain.strike[chosen], mid[chosen]
    vol = np.array([_quantlib_vol(*option, forward, tau)
                    for option in zip(strike, price, strict=True)])
    k, w = np.log(strike / forward), vol**2 * tau
    found = least_squares(lambda p: _raw(p, k) - w, (w.min(), 0.1, -0.5, 0.0, 0.1),
                          bounds=((-1, 0, -1, -2, 1e-3), (2, 2, 1, 2, 5)))
    return np.asarray(found.x)


def _quantlib_vol(strike: float, price: float, forward: float, tau: float) -> float:
    side = QuantLib.Option.Call if strike >= forward else QuantLib.Option.Put
    try:
        deviation = QuantLib.blackFormulaImpliedStdDev(side, strike, forward, price)
    except RuntimeError:  # no volatility gives this price
        deviation = 0.2 * np.sqrt(tau)
    return float(deviation / np.sqrt(tau))


def _raw(p: Floats, k: Floats) -> Floats:
    a, b, rho, m, sigma = p
    x = k - m
    return np.asarray(a + b * (rho * x + np.sqrt(x**2 + sigma**2)))
