"""European implied volatility and American premiums: time an option beside peers, and errors.

Peers that are not installed are named and left out (`pip install lbriv pyvolr vollib` in an
environment of your own). Times are of the processor, so that threads don't help.
"""

import os
import statistics
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import QuantLib as ql

from benchmarks._american_peer import priced
from ml.pricing import black
from ml.pricing.american import american_implied_vol, american_price, early_exercise_premium
from ml.pricing.carry import Carry
from ml.pricing.implied import implied_vol
from ml.types import Bools, Floats

OPTIONS = 100_000
REPEATS = 15
FORWARD, TAU = 100.0, 0.5
SPOT, RATE, BORROW, DIVIDEND = 640.0, 0.04, 0.003, 1.8
EXPIRIES, STRIKES = 30, 167


def main() -> None:
    """Print each figure and its ratio to ours."""
    os.environ["RAYON_NUM_THREADS"] = "1"
    _european()
    _premiums()
    _chain()


def median_seconds(run: Callable[[], object], repeats: int = REPEATS) -> float:
    """Median processor time of `run`, of all its threads, after one run that doesn't count."""
    run()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return statistics.median(times)


def _european() -> None:
    random = np.random.default_rng(0)
    vol = random.uniform(0.05, 1.0, OPTIONS)
    strike = FORWARD * np.exp(random.uniform(-2.5, 2.5, OPTIONS) * vol * np.sqrt(TAU))
    is_call = strike >= FORWARD
    price = black.price(FORWARD, strike, TAU, vol, is_call)
    print(f"European implied volatility, {OPTIONS:,} options out of the money (aim 500 ns)")
    ours = 0.0
    for name, solve, count in _solvers(price, strike, is_call, vol):
        if solve is None:
            print(f"  {name:<34} not installed")
            continue
        nanoseconds = 1e9 * median_seconds(solve, REPEATS if count == OPTIONS else 3) / count
        ours = ours or nanoseconds
        error = np.nanmax(np.abs(np.asarray(solve()) - vol[:count]))
        print(f"  {name:<34} {nanoseconds:8,.0f} ns   {nanoseconds / ours:6.1f} times ours"
              f"   largest error {error:.0e}")


def _solvers(
    price: Floats, strike: Floats, is_call: Bools, vol: Floats
) -> list[tuple[str, Callable[[], object] | None, int]]:
    few = 2_000
    return [
        ("ml.pricing.implied", lambda: implied_vol(price, FORWARD, strike, TAU, is_call), OPTIONS),
        ("iv-engine, normalised prices only", _iv_engine(price, strike, is_call), OPTIONS),
        ("lbriv", _lbriv(price, strike, is_call), OPTIONS),
        ("pyvolr", _pyvolr(price, strike, is_call), OPTIONS),
        ("QuantLib, one by one", _quantlib(price, strike, is_call, few), few),
        ("vollib, one by one", _vollib(price, strike, is_call, few), few),
    ]


def _iv_engine(price: Floats, strike: Floats, is_call: Bools) -> Callable[[], object] | None:
    if not find_spec("iv_engine"):
        return None
    peer = import_module("iv_engine")
    normalised = price / np.sqrt(FORWARD * strike)
    x = np.where(is_call, 1.0, -1.0) * np.log(FORWARD / strike)
    return lambda: np.asarray(
        peer.normalised_implied_volatilities(normalised, x, True, False)) / np.sqrt(TAU)


def _lbriv(price: Floats, strike: Floats, is_call: Bools) -> Callable[[], object] | None:
    if not find_spec("lbriv"):
        return None
    peer = import_module("lbriv")
    sides = [(np.flatnonzero(is_call), 1), (np.flatnonzero(~is_call), -1)]
    inputs = [(rows, price[rows], strike[rows], side) for rows, side in sides]

    def solve() -> Floats:
        found = np.empty(len(price))
        for rows, prices, strikes, side in inputs:
            total = peer.vectorized_implied_vol_strikes(prices, FORWARD, strikes, side)
            found[rows] = total / np.sqrt(TAU)
        return found

    return solve


def _pyvolr(price: Floats, strike: Floats, is_call: Bools) -> Callable[[], object] | None:
    if not find_spec("pyvolr"):
        return None
    peer = import_module("pyvolr")
    flag = np.where(is_call, "c", "p")
    return lambda: peer.black76.implied_vol(
        price, flag, FORWARD, strike, TAU, 0.0, on_error="ignore")


def _quantlib(
    price: Floats, strike: Floats, is_call: Bools, count: int
) -> Callable[[], object] | None:
    rows = [(ql.Option.Call if call else ql.Option.Put, k, FORWARD, p) for call, k, p in zip(
        is_call[:count], strike[:count].tolist(), price[:count].tolist(), strict=True)]
    solve = ql.blackFormulaImpliedStdDevLiRS
    return lambda: np.array([solve(*row) for row in rows]) / np.sqrt(TAU)


def _vollib(
    price: Floats, strike: Floats, is_call: Bools, count: int
) -> Callable[[], object] | None:
    if not find_spec("vollib"):
        return None
    solve = import_module("vollib.black.implied_volatility").implied_volatility
    rows = [(p, FORWARD, k, 0.0, TAU, "c" if call else "p") for call, k, p in zip(
        is_call[:count], strike[:count].tolist(), price[:count].tolist(), strict=True)]
    return lambda: np.array([solve(*row) for row in rows])


def _premiums() -> None:
    days = 182
    tau, strike = days / 365, np.linspace(0.85, 1.1, 100) * SPOT
    print("American price out of the money, half a year")
    for name, times in (("no dividends", []), ("two dividends", [45 / 365, 136 / 365])):
        carry = Carry(RATE, BORROW, np.array(times), np.full(len(times), DIVIDEND))
        forward = carry.forward(SPOT, tau)
        is_call = strike >= forward
        seconds = median_seconds(
            lambda forward=forward, is_call=is_call, carry=carry: early_exercise_premium(
                forward, strike, tau, 0.2, is_call, carry))
        options = [priced(SPOT, float(k), days, 0.2, bool(call), carry)
                   for k, call in zip(strike, is_call, strict=True)]
        found = american_price(forward, strike, tau, 0.2, is_call, carry)
        peer = median_seconds(lambda options=options: [_again(*each) for each in options], 3)
        gap = np.abs(found - [option.NPV() for option, _ in options]).max() / SPOT
        print(f"  {name:<15} {1e6 * seconds / 100:7.1f} µs, QuantLib {1e6 * peer / 100:8.1f} µs:"
              f" {peer / seconds:6.1f} times ours; largest difference {gap:.0e} of the spot")


def _again(option: ql.VanillaOption, quote: ql.SimpleQuote) -> float:
    quote.setValue(quote.value() + 1e-12)
    return float(option.NPV())


def _chain() -> None:
    """Bid, mid and ask of a SPY-like chain, as the pipeline de-Americanises it."""
    chain = [_expiry(days) for days in (*range(1, 11), *np.linspace(14, 730, 20).round())]
    arguments = [each[:-1] for each in chain]
    seconds = median_seconds(lambda: [american_implied_vol(*each) for each in arguments], 7)
    count = EXPIRIES * STRIKES
    errors = np.concatenate([np.abs(american_implied_vol(*each[:-1]) - each[-1]).ravel()
                             for each in chain])
    print(f"Bid, mid and ask of {count:,} American options out of the money, {EXPIRIES} expiries:"
          f" {1e3 * seconds:.0f} ms (aim 80), {1e6 * seconds / count:.1f} µs an option;"
          f" round trip within {1e4 * np.nanmax(errors):.1f} bp")
    _, strike, tau, is_call, carry = arguments[18][1:]
    option, quote = priced(SPOT, float(strike[40]), round(365 * tau), 0.2, bool(is_call[40]), carry)
    peer = median_seconds(lambda: _again(option, quote), 5)
    print(f"  one single price by QuantLib's grid takes {1e6 * peer:,.0f} µs,"
          f" {peer * count / seconds:,.0f} times our three volatilities")


def _expiry(days: float) -> tuple[Floats, float, Floats, float, Bools, Carry, Floats]:
    tau = float(days) / 365
    times = np.arange(30, days, 91) / 365
    carry = Carry(RATE, BORROW, times, np.full(len(times), DIVIDEND))
    forward, z = carry.forward(SPOT, tau), np.linspace(-2.5, 2.5, STRIKES)
    strike = forward * np.exp(z * 0.15 * np.sqrt(tau))
    mid = np.maximum(0.15 * (1 - 0.12 * z + 0.03 * z**2), 0.06)
    vol = np.stack([mid - 0.002, mid, mid + 0.002])
    is_call = strike >= forward
    price = np.stack([american_price(forward, strike, tau, row, is_call, carry) for row in vol])
    return price, forward, strike, tau, is_call, carry, vol
