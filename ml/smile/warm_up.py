"""`python -m ml.smile.warm_up`: compile all kernels of the smile once, so that no start waits.

The machine code is kept where `ml.compiled` says, for this machine's kind of processor.
"""

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np

from ml.calendar import year_fraction
from ml.pricing import black
from ml.smile.surface import build_surface
from ml.types import ChainQuotes

_AT = datetime(2026, 8, 14, 15, 0, tzinfo=UTC)
_EXPIRIES = (date(2026, 9, 4), date(2026, 9, 25), date(2026, 10, 16))
_SPOT = 600.0
_VOLS = (0.16, 0.30, 0.17)  # falling total variance: the repair is compiled too


def main() -> None:
    """Build an American and a European surface, each cold and warm."""
    for symbol in ("SPY", "SPX"):
        chains = [replace(chain, symbol=symbol) for chain in map(_chain, _EXPIRIES, _VOLS)]
        build_surface(chains, build_surface(chains))


def _chain(expiry: date, vol: float) -> ChainQuotes:
    tau = year_fraction(_AT, expiry)
    strike = np.repeat(_SPOT * np.exp(np.linspace(-3, 2, 30) * vol * tau**0.5), 2)
    is_call = np.arange(60) % 2 == 0
    mid = black.price(_SPOT, strike, tau, vol, is_call)
    return ChainQuotes("SPY", expiry, _AT, _SPOT, strike, is_call, mid * 0.99, mid * 1.01,
                       np.ones(60))


if __name__ == "__main__":
    main()
