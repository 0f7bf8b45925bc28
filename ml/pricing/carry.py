"""What holding the underlying costs and pays until an expiry: rate, borrow, cash dividends.

The underlying grows at rate − borrow between ex-dividend instants and drops by the cash amount at
each, so that its forward is (S − Σ dᵢ e^(−g tᵢ)) e^(g τ) with g = rate − borrow, over the
dividends with 0 < tᵢ ≤ τ (Hull, "Options, Futures, and Other Derivatives", ch. 5).
"""

from dataclasses import dataclass, field

import numpy as np

from ml.types import Floats

MAX_RATE = 10.0
"""Of rate and borrow, either sign: 1,000 % a year, beyond which it is a slip of units."""


def _none() -> Floats:
    return np.empty(0)


@dataclass(frozen=True, slots=True)
class Carry:
    """Rates per year, continuously compounded (ACT/365), and known cash dividends.

    Raises ValueError where a number is not finite or a rate absurd, a dividend is negative, or
    times descend.

    >>> carry = Carry(0.04, 0.0, np.array([0.1]), np.array([1.8]))
    >>> round(carry.forward(500.0, 0.25), 4)
    503.2143
    """

    rate: float
    borrow: float = 0.0
    """Continuous yield: what a lender of the underlying earns, or a fund pays."""
    dividend_times: Floats = field(default_factory=_none)
    """Years to each ex-dividend instant, ascending, shape (m,)."""
    dividend_amounts: Floats = field(default_factory=_none)
    """Currency per share, shape (m,)."""

    def __post_init__(self) -> None:
        times, amounts = self.dividend_times, self.dividend_amounts
        if not (abs(self.rate) <= MAX_RATE and abs(self.borrow) <= MAX_RATE):
            raise ValueError("Rate and borrow must be decimals per year, within ±10.")
        if times.ndim != 1 or times.shape != amounts.shape:
            raise ValueError("Dividend times and amounts must be arrays of one length.")
        if not (np.isfinite(times).all() and np.isfinite(amounts).all()):
            raise ValueError("Dividend times and amounts must be finite.")
        if (np.diff(times) < 0).any():
            raise ValueError("Dividend times must ascend.")
        if (amounts < 0).any():
            raise ValueError("A dividend can't be negative.")

    def discount(self, tau: float) -> float:
        """Value today of 1 paid in `tau` years.

        >>> round(Carry(0.04).discount(0.5), 6)
        0.980199
        """
        return _exp(-self.rate * tau)

    def dividends_value(self, tau: float) -> float:
        """What the dividends of the next `tau` years take off the underlying's price today.

        >>> carry = Carry(0.04, 0.0, np.array([0.1, 0.9]), np.array([1.8, 1.8]))
        >>> round(carry.dividends_value(0.25), 6)
        1.792814
        """
        counted = (self.dividend_times > 0) & (self.dividend_times <= tau)
        growth = self.rate - self.borrow
        with np.errstate(all="ignore"):
            factors = np.exp(-growth * self.dividend_times[counted])
            return float((self.dividend_amounts[counted] * factors).sum())

    def forward(self, spot: float, tau: float) -> float:
        """Price today for delivery in `tau` years."""
        growth = _exp((self.rate - self.borrow) * tau)
        return (spot - self.dividends_value(tau)) * growth

    def spot(self, forward: float, tau: float) -> float:
        """The price of the underlying at which `forward` is the forward; inverse of `forward`."""
        return forward * _exp((self.borrow - self.rate) * tau) + self.dividends_value(tau)


def _exp(exponent: float) -> float:
    with np.errstate(all="ignore"):
        return float(np.exp(exponent))
