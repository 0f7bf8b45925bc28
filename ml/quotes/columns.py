"""Columns of a quotes file and their conversion to one type each, refusing what is wrong.

A message names the file, the column and the first bad row, counted from 1 without the header.
"""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml.errors import QuotesFileError
from ml.types import Bools

KEY = ("ts", "symbol", "expiry", "strike", "right")
NUMBERS = ("bid", "ask", "bid_size", "ask_size", "underlying_bid", "underlying_ask")
REQUIRED = (*KEY, *NUMBERS)
OPTIONAL_NUMBERS = ("volume", "open_interest")
OPTIONAL = (*OPTIONAL_NUMBERS, "settlement", "quote_time")
COLUMNS = (*REQUIRED, *OPTIONAL)
RIGHTS = ("C", "P")
SETTLEMENTS = ("AM", "PM")
FIRST_DAY, END_DAY = date(1970, 1, 1), date(2200, 1, 1)
"""Times (UTC) and expiries are from the first to before the end: no calendar goes beyond."""
BEYOND = f"must be from {FIRST_DAY} to before {END_DAY}"
INDEX = "__index_level_"
"""What pandas adds when part of a frame is written: row numbers of no meaning."""
LONGEST_SHOWN = 80
"""Characters of a wrong value that a message shows."""
OFFSET = r"(?:Z|z|[+-]\d{2}:?\d{2})$"


def convert(frame: pd.DataFrame, source: str) -> pd.DataFrame:
    """The frame with every column in its type; columns in the order of `COLUMNS`.

    The index must count the file's rows from 0, for messages.

    Raises:
        QuotesFileError: naming `source`, the column and the first bad row.
    """
    _check_names([str(name) for name in frame.columns], source)
    converters: dict[str, Callable[[pd.Series, str], pd.Series]] = {
        "ts": _times, "symbol": _symbols, "expiry": _expiries, "strike": _strikes,
        "right": _rights, "settlement": _settlements, "quote_time": _quote_times}
    return pd.DataFrame({name: converters.get(name, _numbers)(frame[name], source)
                         for name in COLUMNS if name in frame.columns}, copy=False)


def refuse(source: str, column: pd.Series, bad: Bools, why: str) -> None:
    """Raise if any row of a column is bad, naming the first and what stands there."""
    if not bad.any():
        return
    at = int(np.flatnonzero(bad)[0])
    value = column.iloc[at]
    is_empty = pd.api.types.is_scalar(value) and pd.isna(value)
    shown = "is empty" if is_empty else f"is {str(value)[:LONGEST_SHOWN]!r}"
    raise QuotesFileError(f"{source}: column `{column.name}`, row {int(column.index[at]) + 1} "
                          f"{shown}: {why}")


def _check_names(names: list[str], source: str) -> None:
    missing = [name for name in REQUIRED if name not in names]
    unknown = [name for name in names if name not in COLUMNS and not name.startswith(INDEX)]
    if len(missing) > len(REQUIRED) // 2:
        raise QuotesFileError(f"{source}: not a quotes file; of its required columns "
                              f"{', '.join(f'`{name}`' for name in missing)} are missing")
    if missing:
        hint = f" (it has an unknown `{unknown[0]}`)" if unknown else ""
        raise QuotesFileError(f"{source}: column `{missing[0]}` is missing{hint}")
    if unknown:
        raise QuotesFileError(f"{source}: unknown column `{unknown[0]}`; known are "
                              f"{', '.join(COLUMNS)}")


def _times(column: pd.Series, source: str) -> pd.Series:
    times = _quote_times(column, source)
    refuse(source, column, times.isna().to_numpy(), "every row needs its time")
    return times


def _quote_times(column: pd.Series, source: str) -> pd.Series:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        times = column.dt.tz_convert("UTC").astype("datetime64[us, UTC]")
        refuse(source, column, _beyond(times), BEYOND)
        return times
    if pd.api.types.is_datetime64_dtype(column.dtype):
        raise QuotesFileError(f"{source}: column `{column.name}` has no time zone; it must be "
                              "in UTC")
    codes, values = _distinct(column, source)
    text = pd.Series([str(value) for value in values], dtype=object)
    naive = ~text.str.contains(OFFSET, regex=True).to_numpy(dtype=bool)
    parsed = pd.to_datetime(text, utc=True, errors="coerce", format="ISO8601")
    bad = parsed.isna().to_numpy()
    refuse(source, column, (codes >= 0) & _take(bad, codes), "not an ISO time")
    refuse(source, column, (codes >= 0) & _take(naive, codes),
           "no time zone; write UTC, such as 2015-12-24T14:31:00Z")
    parsed = parsed.astype("datetime64[us, UTC]")
    refuse(source, column, (codes >= 0) & _take(_beyond(parsed), codes), BEYOND)
    return pd.Series(parsed.array.take(codes, allow_fill=True), index=column.index)


def _beyond(times: pd.Series) -> Bools:
    first, end = (pd.Timestamp(day, tz="UTC") for day in (FIRST_DAY, END_DAY))
    within: Bools = (times.isna() | times.between(first, end, inclusive="left")).to_numpy()
    return ~within


def _symbols(column: pd.Series, source: str) -> pd.Series:
    codes, values = _distinct(column, source)
    names = [str(value).strip() for value in values]
    bad = np.array([not 1 <= len(name) <= 64 or "\0" in name for name in names], dtype=bool)
    refuse(source, column, (codes < 0) | _take(bad, codes),
           "a symbol has 1 to 64 characters, none of them NUL")
    return _category(codes, names, column)


def _expiries(column: pd.Series, source: str) -> pd.Series:
    codes, values = _distinct(column, source)
    dates = [_as_date(value) for value in values]
    bad = np.array([day is None for day in dates], dtype=bool)
    refuse(source, column, (codes < 0) | _take(bad, codes), "not a date such as 2015-12-24")
    beyond = np.array([not FIRST_DAY <= day < END_DAY for day in dates if day], dtype=bool)
    refuse(source, column, _take(beyond, codes), BEYOND)
    return _category(codes, dates, column)


def _as_date(value: object) -> date | None:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value)[:10]) if len(str(value)) in (10, 19) else None
    except ValueError:
        return None


def _strikes(column: pd.Series, source: str) -> pd.Series:
    strikes = _floats(column, source)
    values = strikes.to_numpy()
    refuse(source, column, ~(np.isfinite(values) & (values > 0)),
           "a strike is a finite number above 0")
    return strikes


def _numbers(column: pd.Series, source: str) -> pd.Series:
    numbers = _floats(column, source)
    refuse(source, column, np.isinf(numbers.to_numpy()), "leave a missing number empty")
    return numbers


def _floats(column: pd.Series, source: str) -> pd.Series:
    if pd.api.types.is_float_dtype(column.dtype) or pd.api.types.is_integer_dtype(column.dtype):
        return pd.Series(column.to_numpy(dtype=np.float64, na_value=np.nan), column.index)
    text = column.astype(object)
    numbers = pd.to_numeric(text, errors="coerce").astype(np.float64)
    refuse(source, column, (numbers.isna() & text.notna()).to_numpy(), "not a number")
    return numbers


def _rights(column: pd.Series, source: str) -> pd.Series:
    return _choice(column, source, RIGHTS, "a right is C or P")


def _settlements(column: pd.Series, source: str) -> pd.Series:
    column = column.astype(object).where(column.notna(), "PM")
    return _choice(column, source, SETTLEMENTS, "a settlement is AM or PM")


def _choice(column: pd.Series, source: str, choices: tuple[str, ...], why: str) -> pd.Series:
    codes, values = _distinct(column, source)
    place = {name: at for at, name in enumerate(choices)}
    places = np.array([place.get(str(value), -1) for value in values], dtype=np.int8)
    refuse(source, column, (codes < 0) | _take(places < 0, codes), why)
    coded = pd.Categorical.from_codes(_take(places, codes), list(choices))
    return pd.Series(coded, index=column.index)


def _distinct(column: pd.Series, source: str) -> tuple[NDArray[np.intp], list[Any]]:
    """Codes (-1 where missing) and the distinct values, so that texts are parsed once each."""
    if column.dtype == object:
        nested = [not pd.api.types.is_scalar(value) for value in column]
        refuse(source, column, np.array(nested, dtype=np.bool_), "not a single value")
    codes, values = pd.factorize(column)
    return codes, list(values)


def _take(values: NDArray[Any], codes: NDArray[np.intp]) -> NDArray[Any]:
    return values[codes] if len(values) else np.zeros(len(codes), dtype=values.dtype)


def _category(codes: NDArray[np.intp], values: list[Any], column: pd.Series) -> pd.Series:
    """An ordered category; values that became equal are merged."""
    names = sorted(set(values))
    place = {name: at for at, name in enumerate(names)}
    places = np.array([place[value] for value in values], dtype=np.int32)
    coded = pd.Categorical.from_codes(_take(places, codes), pd.Index(names, dtype=object),
                                      ordered=True)
    return pd.Series(coded, index=column.index)
