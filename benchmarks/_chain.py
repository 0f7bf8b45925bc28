"""A made-up chain as large as SPY's: many expiries, SSVI smiles, bids and asks on the cent."""

from datetime import UTC, date, datetime, timedelta

import numpy as np

from ml.calendar import session_bounds, year_fraction
from ml.pricing import black
from ml.pricing.american import early_exercise_premium
from ml.pricing.carry import Carry
from ml.types import ChainQuotes, Floats

AT = datetime(2026, 8, 14, 15, 0, tzinfo=UTC)
SPOT, RATE = 640.0, 0.04
_REACH = (-4.0, 2.5)  # standard deviations that the strikes of an expiry span
_ETA, _RHO = 1.6, -0.65
_TICK = 0.01


def chains(expiries: int, contracts: int, american: bool) -> list[ChainQuotes]:
    """`contracts` quotes over `expiries` dates from 3 days to about two years out."""
    random = np.random.default_rng(7)
    per_expiry = contracts // (2 * expiries)
    return [_chain(expiry, per_expiry, american, random) for expiry in _dates(expiries)]


def _dates(count: int) -> list[date]:
    """Sessions at about geometric distances: daily at first, months apart in the end."""
    sessions = [day for day in (AT.date() + timedelta(days=n) for n in range(3, 760))
                if session_bounds(day)]
    places = np.geomspace(1, len(sessions), count).astype(int) - 1
    for number in range(1, count):
        places[number] = max(places[number], places[number - 1] + 1)
    return [sessions[place] for place in places]


def _chain(
    expiry: date, strikes: int, american: bool, random: np.random.Generator
) -> ChainQuotes:
    tau = year_fraction(AT, expiry)
    forward, discount = SPOT * np.exp(RATE * tau), float(np.exp(-RATE * tau))
    deviation = 0.16 * np.sqrt(tau)
    strike = np.repeat(forward * np.exp(np.linspace(*_REACH, strikes) * deviation), 2)
    is_call = np.arange(2 * strikes) % 2 == 0
    vol = np.sqrt(_ssvi(np.log(strike / forward), deviation**2) / tau)
    mid = black.price(forward, strike, tau, vol, is_call, discount)
    if american:
        mid += early_exercise_premium(forward, strike, tau, vol, is_call, Carry(RATE))
    half = 0.01 + 0.004 * mid * random.uniform(0.5, 1.5, len(mid))
    bid = np.maximum(np.floor((mid - half) / _TICK) * _TICK, 0.0)
    ask = np.ceil((mid + half) / _TICK) * _TICK
    return ChainQuotes("XYZ", expiry, AT, SPOT, strike, is_call, bid, ask,
                       np.ones(len(strike)))


def _ssvi(log_moneyness: Floats, theta: float) -> Floats:
    """Gatheral and Jacquier (2014), eq. 4.1, with φ(θ) = η / √(θ (1 + θ))."""
    x = _ETA / np.sqrt(theta * (1 + theta)) * log_moneyness
    return np.asarray(theta / 2 * (1 + _RHO * x + np.sqrt((x + _RHO) ** 2 + 1 - _RHO**2)))
