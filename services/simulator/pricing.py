"""True prices, spreads and greeks of a batch of options, as arrays of one broadcast shape."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from ml import calendar
from ml.pricing import black
from ml.types import Bools, Floats
from services.simulator.feed import ModelGreeks, Option
from services.simulator.noise import Keys
from services.simulator.paths import Steps
from services.simulator.surface import MarketState

RATE, DIVIDEND_YIELD = 0.04, 0.012
SPREAD_VOL = 0.0005
"""Half-spread at the money in volatility."""
SPREAD_INTRINSIC = 2e-4
"""What deep in-the-money options add, as a share of the intrinsic value."""


@dataclass(frozen=True, slots=True)
class Contracts:
    """What is constant about options; arrays (n,)."""

    keys: Keys
    strike: Floats
    is_call: Bools
    expires: Steps

    @staticmethod
    def of(options: Sequence[Option], keys: Keys) -> "Contracts":
        expires = [int(calendar.expiry_instant(option.expiry).timestamp()) for option in options]
        return Contracts(
            keys, np.array([option.strike for option in options], dtype=np.float64),
            np.array([option.is_call for option in options], dtype=bool),
            np.array(expires, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Terms:
    """Black's arguments and result, of one shape; NaN from the expiry's instant on."""

    spot: Floats
    forward: Floats
    strike: Floats
    is_call: Bools
    tau: Floats
    vol: Floats
    price: Floats
    moneyness: Floats
    """z = ln(K/F) / (σ_ATM √τ)."""

    @staticmethod
    def of(contracts: Contracts, state: MarketState, spot: Floats, tau: Floats) -> "Terms":
        """Prices at `spot` and years `tau`, floored as in `ml.calendar` (a minute)."""
        tau = np.where(tau > 0, np.maximum(tau, calendar.MIN_TAU), np.nan)
        forward = spot * np.exp((RATE - DIVIDEND_YIELD) * tau)
        k = np.log(contracts.strike / forward)
        vol = np.sqrt(state.total_variance(k, tau) / tau)
        price = black.price(forward, contracts.strike, tau, vol, contracts.is_call,
                            np.exp(-RATE * tau))
        return Terms(spot, forward, contracts.strike, contracts.is_call, tau, vol, price,
                     k / np.sqrt(state.atm_total_variance(tau)))


def half_spread(terms: Terms) -> Floats:
    """Half of the bid-ask spread before rounding, in currency."""
    side = np.where(terms.is_call, 1.0, -1.0)
    intrinsic = np.maximum(side * (terms.forward - terms.strike), 0.0)
    in_vol = SPREAD_VOL * (1.0 + 0.5 * np.minimum(terms.moneyness**2, 16.0))
    vega = black.vega(terms.forward, terms.strike, terms.tau, terms.vol,
                      np.exp(-RATE * terms.tau))
    half: Floats = in_vol * vega + SPREAD_INTRINSIC * intrinsic
    return half


def model_greeks(terms: Terms, known: Bools) -> ModelGreeks:
    """Greeks to the spot of the true price, NaN where not `known`."""
    total = terms.vol * np.sqrt(terms.tau)
    upper = np.log(terms.forward / terms.strike) / total + 0.5 * total
    side = np.where(terms.is_call, 1.0, -1.0)
    carry, discount = np.exp(-DIVIDEND_YIELD * terms.tau), np.exp(-RATE * terms.tau)
    density = np.exp(-0.5 * upper**2) / np.sqrt(2.0 * np.pi)
    decay = -carry * terms.spot * density * terms.vol / (2.0 * np.sqrt(terms.tau))
    holding = side * (DIVIDEND_YIELD * terms.spot * carry * ndtr(side * upper)
                      - RATE * terms.strike * discount * ndtr(side * (upper - total)))
    values = (terms.vol, side * carry * ndtr(side * upper), terms.price,
              carry * density / (terms.spot * total),
              0.01 * carry * terms.spot * density * np.sqrt(terms.tau),
              (decay + holding) / 365.0, np.broadcast_to(terms.spot, terms.price.shape))
    return ModelGreeks(*(np.where(known, value, np.nan) for value in values))
