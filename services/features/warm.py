"""The last fit of each smile, from which the next one starts."""

from collections import OrderedDict
from datetime import date

from ml.types import RawSvi, SmileSnapshot

Key = tuple[str, date]


class WarmStarts:
    """The last SVI per (symbol, expiry), at most `limit` of them; expired ones are dropped."""

    def __init__(self, limit: int = 4096) -> None:
        self._limit = limit
        self._fits: OrderedDict[Key, RawSvi] = OrderedDict()
        self._day = date.min

    def get(self, symbol: str, expiry: date) -> RawSvi | None:
        """The last fit, if there is one."""
        return self._fits.get((symbol, expiry))

    def keep(self, smile: SmileSnapshot) -> None:
        """Remember this smile's fit; after one without a fit the next begins from nothing."""
        if smile.at.date() > self._day:
            self._drop_before(smile.at.date())
        key = (smile.symbol, smile.expiry)
        self._fits.pop(key, None)
        if smile.svi is not None:
            self._fits[key] = smile.svi
        if len(self._fits) > self._limit:
            self._fits.popitem(last=False)

    def _drop_before(self, day: date) -> None:
        self._day = day
        for key in [key for key in self._fits if key[1] < day]:
            del self._fits[key]

    def __len__(self) -> int:
        return len(self._fits)
