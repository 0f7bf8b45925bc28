"""Which New York day an instant is of: the days that folds are made of, and that are counted."""

import numpy as np
import pandas as pd

from ml.calendar import NEW_YORK
from ml.types import Floats, Ints


def days(at_s: Floats) -> Ints:
    """The number, from 0 and without gaps, of the New York date of epoch seconds (n,).

    >>> days(np.array([0.0, 4 * 3600.0, 6 * 3600.0]))  # 19:00, 23:00 and 1:00 on the next day
    array([0, 0, 1])
    """
    local = pd.to_datetime(at_s, unit="s", utc=True).tz_convert(NEW_YORK).tz_localize(None)
    return np.unique(local.normalize(), return_inverse=True)[1]
