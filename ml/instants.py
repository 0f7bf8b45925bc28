"""Surfaces one after the other, each made from the one before it: for streaming and training.

Both go through `Surfaces`, so that the same instants in the same order come out the same.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import date, datetime

from ml.pricing import conventions as symbols
from ml.pricing.conventions import Conventions
from ml.smile.surface import Surface, build_surface
from ml.types import ChainQuotes

ConventionsOf = Callable[[str], Conventions]
"""The conventions of a symbol."""
MOST_SYMBOLS = 256


class Surfaces:
    """The last surface of each symbol, of at most `limit` of them; expired ones are dropped."""

    def __init__(self, conventions_of: ConventionsOf = symbols.conventions,
                 limit: int = MOST_SYMBOLS) -> None:
        self._conventions_of, self._limit = conventions_of, limit
        self._last: OrderedDict[str, Surface] = OrderedDict()
        self._day = date.min

    def build(self, chains: Sequence[ChainQuotes]) -> Surface:
        """The surface of one symbol's chains at one instant; it is the next one's `previous`.

        Of chains of the same expiry the last counts. A surface that is not earlier, as when an
        instant is read again, is no start for this one.
        """
        latest = sorted({chain.expiry: chain for chain in chains}.items())
        symbol, at = chains[0].symbol, chains[0].at
        surface = build_surface([chain for _, chain in latest], self._before(symbol, at),
                                self._conventions_of(symbol))
        self._keep(surface)
        return surface

    def _before(self, symbol: str, at: datetime) -> Surface | None:
        last = self._last.get(symbol)
        return last if last is not None and last.at < at else None

    def _keep(self, surface: Surface) -> None:
        if surface.at.date() > self._day:
            self._drop_before(surface.at.date())
        self._last.pop(surface.symbol, None)
        self._last[surface.symbol] = surface
        if len(self._last) > self._limit:
            self._last.popitem(last=False)

    def _drop_before(self, day: date) -> None:
        self._day = day
        for symbol, surface in list(self._last.items()):
            if all(smile.expiry < day for smile in surface.smiles):
                del self._last[symbol]

    def __len__(self) -> int:
        return len(self._last)
