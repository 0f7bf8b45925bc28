"""True prices, spreads and greeks of a batch of options, as arrays of one broadcast shape."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr

from ml import calendar
from ml.pricing import black
from ml.types import Bools, Floats
from services.simulator.feed import ModelGreeks, Option
from services.simulator.holding import RATE, Holding
from services.simulator.noise import Keys
from services.simulator.paths import YEAR_S, Steps
from services.simulator.surface import MarketState

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
    """What prices are made of and what comes out, of one shape; NaN from the expiry on."""

    spot: Floats
    forward: Floats
    strike: Floats
    is_call: Bools
    tau: Floats
    vol: Floats
    discount: Floats
    growth: Floats
    """Forward per unit of spot."""
    deviation: Floats
    """σ_ATM √τ."""
    price: Floats
    """European."""

    @staticmethod
    def of(contracts: Contracts, state: MarketState, spot: Floats, holding: Holding,
           steps: Steps) -> "Terms":
        """Terms at `steps`; years are floored as in `ml.calendar` (a minute)."""
        tau = (contracts.expires - steps) / YEAR_S
        tau = np.where(tau > 0, np.maximum(tau, calendar.MIN_TAU), np.nan)
        growth, discount = np.exp(holding.growth * tau), np.exp(-RATE * tau)
        forward = (spot - holding.value(steps, contracts.expires)) * growth
        vol = np.sqrt(state.total_variance(np.log(contracts.strike / forward), tau) / tau)
        price = black.price(forward, contracts.strike, tau, vol, contracts.is_call, discount)
        return Terms(spot, forward, contracts.strike, contracts.is_call, tau, vol, discount,
                     growth, np.sqrt(state.atm_total_variance(tau)), price)

    @property
    def moneyness(self) -> Floats:
        """z = ln(K/F) / (σ_ATM √τ)."""
        z: Floats = np.log(self.strike / self.forward) / self.deviation
        return z

    @property
    def side(self) -> Floats:
        """1 for calls, −1 for puts."""
        return np.where(self.is_call, 1.0, -1.0)

    def with_exercise(self, premium: Floats) -> "Terms":
        """With the price that the right to exercise now or later, worth `premium`, makes."""
        now = self.side * (self.spot - self.strike)
        return replace(self, price=np.maximum(self.price + premium, now))


def half_spread(terms: Terms) -> Floats:
    """Half of the bid-ask spread before rounding, in currency."""
    intrinsic = np.maximum(terms.side * (terms.forward - terms.strike), 0.0)
    in_vol = SPREAD_VOL * (1.0 + 0.5 * np.minimum(terms.moneyness**2, 16.0))
    vega = black.vega(terms.forward, terms.strike, terms.tau, terms.vol, terms.discount)
    half: Floats = in_vol * vega + SPREAD_INTRINSIC * intrinsic
    return half


def model_greeks(terms: Terms, holding: Holding, slope: Floats, known: Bools) -> ModelGreeks:
    """The true volatility, price and delta to the spot, NaN where not `known`.

    `slope` is the premium's by the forward. Gamma, vega and theta leave the premium out.
    """
    root = np.sqrt(terms.tau)
    total = terms.vol * root
    upper = np.log(terms.forward / terms.strike) / total + 0.5 * total
    side, spot = terms.side, np.broadcast_to(terms.spot, terms.price.shape)
    exercised, paid = ndtr(side * upper), ndtr(side * (upper - total))
    density = terms.discount * np.exp(-0.5 * upper**2) / np.sqrt(2.0 * np.pi)
    decay = -terms.forward * density * terms.vol / (2.0 * root)
    holds = RATE * terms.forward - holding.growth * terms.growth * spot
    holds = side * terms.discount * (holds * exercised - RATE * terms.strike * paid)
    values = (terms.vol, terms.growth * (side * terms.discount * exercised + slope), terms.price,
              terms.growth**2 * density / (terms.forward * total),
              0.01 * terms.forward * density * root, (decay + holds) / 365.0, spot)
    return ModelGreeks(*(np.where(known, value, np.nan) for value in values))
