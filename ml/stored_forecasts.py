"""Forecasts of the past from the table `predicted_smile`."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import psycopg2

from ml.errors import UnavailableError
from ml.types import Floats

_QUERY = """
SELECT expiry, made_at, horizon_s, target_at, model_name, model_version, role, band_scale,
       smile, lower, upper
FROM predicted_smile
WHERE symbol = %(symbol)s AND made_at >= %(first)s AND made_at < %(end)s
  AND (%(source)s::text IS NULL OR source = %(source)s)
ORDER BY made_at, expiry, role = 'baseline', model_name, horizon_s"""


@dataclass(frozen=True, slots=True)
class StoredForecast:
    """One forecast of one symbol, as it was stored; smile and band are (17,)."""

    expiry: date
    made_at: datetime
    horizon_s: int
    target_at: datetime
    model_name: str
    model_version: str
    role: str
    band_scale: float
    """NaN in rows from before bands had one."""
    smile: Floats
    lower: Floats
    upper: Floats


def forecasts_between(url: str, symbol: str, source: str | None, first: datetime,
                      end: datetime) -> Iterator[StoredForecast]:
    """A symbol's forecasts made from `first` to before `end`, in order of time.

    Raises:
        UnavailableError: the database does not answer.
    """
    values = {"symbol": symbol, "source": source, "first": first, "end": end}
    try:
        connection = psycopg2.connect(url, application_name="trainer", connect_timeout=5)
        try:
            with connection, connection.cursor("forecasts") as cursor:
                cursor.execute(_QUERY, values)
                for *key, scale, smile, lower, upper in cursor:
                    known = np.nan if scale is None else scale
                    yield StoredForecast(*key, known,  # type: ignore[call-arg]
                                         *(np.array(column, dtype=np.float64)
                                           for column in (smile, lower, upper)))
        finally:
            connection.close()
    except psycopg2.Error as error:
        reason = " ".join(str(error).split())
        raise UnavailableError(f"the forecasts can't be read from the database: {reason}") \
            from error
