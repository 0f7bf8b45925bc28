"""Made-up pairs of all expiries of a symbol, whose forwards and carry are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np

from ml.calendar import year_fraction
from ml.pricing import black
from ml.pricing.american import early_exercise_premium
from ml.pricing.carry import Carry
from ml.pricing.dividends import Dividend, years_to_ex
from ml.pricing.forwards import PairQuotes

AT = datetime(2026, 8, 14, 15, 0, tzinfo=UTC)
SPOT = 776.0
EXPIRIES = tuple(date.fromisoformat(day) for day in (
    "2026-08-17", "2026-08-21", "2026-08-28", "2026-09-11", "2026-09-18", "2026-09-25",
    "2026-10-16", "2026-11-20", "2026-12-18", "2027-01-15", "2027-03-19", "2027-05-21"))
DIVIDENDS = tuple(Dividend(date.fromisoformat(day), amount) for day, amount in (
    ("2026-09-18", 1.9), ("2026-12-18", 2.05), ("2027-03-19", 1.85)))


@dataclass(frozen=True)
class Market:
    """What the quotes are made of."""

    rate: float = 0.04
    borrow: float = 0.0
    dividends: tuple[Dividend, ...] = ()
    american: bool = False
    expiries: Sequence[date] = EXPIRIES
    spot: float = SPOT
    half_spread: float = 0.03
    noise: float = 1.0
    """Of mids, as a share of what a uniform variable within the spread has."""
    count: int = 31

    def taus(self) -> list[float]:
        return [year_fraction(AT, expiry) for expiry in self.expiries]

    def carry(self) -> Carry:
        times = years_to_ex(AT, [dividend.ex_date for dividend in self.dividends])
        return Carry(self.rate, self.borrow, np.array(times),
                     np.array([dividend.amount for dividend in self.dividends]))

    def forwards(self) -> np.ndarray:
        return np.array([self.carry().forward(self.spot, tau) for tau in self.taus()])

    def chains(self, seed: int = 0) -> list[PairQuotes]:
        random = np.random.default_rng(seed)
        return [self._chain(expiry, tau, random)
                for expiry, tau in zip(self.expiries, self.taus(), strict=True)]

    def _chain(self, expiry: date, tau: float, random: np.random.Generator) -> PairQuotes:
        """Strikes on whole numbers, out to 1.7 deviations."""
        forward, carry = self.carry().forward(self.spot, tau), self.carry()
        reach = 1.7 * 0.15 * np.sqrt(tau)
        strike = np.unique(np.round(forward * np.exp(np.linspace(-reach, reach, self.count))))
        vol = 0.15 - 0.3 * np.log(strike / forward)
        sides = []
        for is_call in (True, False):
            mid = black.price(forward, strike, tau, vol, is_call, carry.discount(tau))
            if self.american:
                mid = mid + early_exercise_premium(forward, strike, tau, vol, is_call, carry)
            half = self.half_spread * (1 + mid / 20)
            mid = mid + self.noise * half * random.uniform(-1, 1, len(strike))
            sides += [mid - half, mid + half]
        return PairQuotes(expiry, tau, strike, *sides)
