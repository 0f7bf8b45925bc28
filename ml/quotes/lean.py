"""Importer of a QuantConnect Lean folder: option quote bars by minute, and the underlying's.

The folder holds `YYYYMMDD_quote_american.zip` (one CSV per contract) and
`underlying_YYYYMMDD_quote.zip`, for one day or several. A bar's closing quote is known only when
the bar is over, so that `ts` is the bar's start plus one minute.

A bar is blank on a side that nobody changed in its minute, and a minute without any change has no
bar. The quote stands all the same, so each side is carried on to the day's last bar or until it
is quoted anew; `quote_time` says since when the quote has stood.
"""

import io
import re
import zipfile
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml.errors import QuotesFileError
from ml.quotes.format import order_quotes
from ml.types import Bools, Floats

NEW_YORK = ZoneInfo("America/New_York")
BAR = pd.Timedelta(minutes=1)
PRICE_SCALE = 10_000.0
CONTRACT = re.compile(r"(?P<day>\d{8})_(?P<symbol>.+)_minute_quote_(?:american|european)_"
                      r"(?P<right>call|put)_(?P<strike>\d+)_(?P<expiry>\d{8})\.csv")
CHAIN_ZIP = re.compile(r"(?P<day>\d{8})_quote_(?:american|european)\.zip")
BAR_COLUMNS = ("start_ms", "bid_open", "bid_high", "bid_low", "bid_close", "bid_size",
               "ask_open", "ask_high", "ask_low", "ask_close", "ask_size")
BAR_LINE = re.compile(rb"\d+(?:,[\d.eE+-]*){10}")
Member = tuple[str, list[bytes]]
Places = NDArray[np.intp]
Instants = NDArray[np.datetime64]


@dataclass(frozen=True, slots=True)
class Contract:
    """What a CSV's name in the zip says."""

    day: date
    symbol: str
    right: str
    strike: float
    expiry: date


def import_lean(folder: str | Path) -> pd.DataFrame:
    """The quotes of a Lean folder: one row per contract and minute, from its first bar on.

    The minutes are those at which any contract or, between them, the underlying has a bar. Nothing
    is carried over from one day to another.

    Raises:
        QuotesFileError: naming the zip and the file in it that is not as Lean writes it.
    """
    folder = Path(folder)
    zips = sorted(path for path in folder.glob("*.zip") if CHAIN_ZIP.fullmatch(path.name))
    if not zips:
        raise QuotesFileError(f"{folder}: no Lean option quotes such as "
                              "20151224_quote_american.zip")
    days = [_import_day(path) for path in zips]
    return order_quotes(pd.concat(days, ignore_index=True), str(folder))


def parse_name(name: str, where: str) -> Contract:
    """The contract of a CSV by its name.

    Raises:
        QuotesFileError: the name is not Lean's.
    """
    match = CONTRACT.fullmatch(name)
    if match is None:
        raise QuotesFileError(f"{where}: {name!r} is not the name of a contract's minute quotes")
    return Contract(_day(match["day"], where), match["symbol"].upper(),
                    match["right"][0].upper(), int(match["strike"]) / PRICE_SCALE,
                    _day(match["expiry"], where))


def _day(text: str, where: str) -> date:
    try:
        return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007  a date has no zone
    except ValueError as error:
        raise QuotesFileError(f"{where}: {text} is not a date") from error


def _import_day(path: Path) -> pd.DataFrame:
    day = _day(path.name[:8], str(path))
    members = _members(path)
    contracts = [parse_name(name, str(path)) for name, _ in members]
    strays = {contract.day for contract in contracts} - {day}
    if strays:
        raise QuotesFileError(f"{path}: holds bars of {min(strays)}")
    bars = _bars(members, day, path)
    underlying = _underlying(path.parent / f"underlying_{day:%Y%m%d}_quote.zip", day)
    standing = _standing(bars, _instants(bars["ts"], underlying["ts"]))
    quotes = standing.join(pd.DataFrame(contracts).drop(columns="day"), on="member")
    return _with_underlying(quotes.drop(columns="member"), underlying)


def _members(path: Path) -> list[Member]:
    """Name and non-blank lines of each file in a zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [(name, [line for line in archive.read(name).splitlines() if line.strip()])
                       for name in sorted(archive.namelist())]
    except (zipfile.BadZipFile, OSError) as error:
        raise QuotesFileError(f"{path}: not a readable zip file: {error}") from error
    if not any(lines for _, lines in members):
        raise QuotesFileError(f"{path}: holds no quotes")
    return members


def _bars(members: list[Member], day: date, path: Path) -> pd.DataFrame:
    """One row per bar: `member` (its place), `ts`, and the closing quote in currency."""
    lines_of_all = [line for _, lines in members for line in lines]
    try:
        if any(line.count(b",") != len(BAR_COLUMNS) - 1 for line in lines_of_all):
            raise ValueError("a bar has eleven fields")
        bars = pd.read_csv(io.BytesIO(b"\n".join(lines_of_all)), header=None,
                           names=list(BAR_COLUMNS), dtype=np.float64)
        if bars["start_ms"].isna().any():
            raise ValueError("a bar has no time")
    except ValueError as error:
        raise QuotesFileError(f"{path}: {_culprit(members)}: not Lean quote bars") from error
    return pd.DataFrame({
        "member": np.repeat(np.arange(len(members)), [len(lines) for _, lines in members]),
        "ts": _known_at(bars["start_ms"], day),
        "bid": bars["bid_close"] / PRICE_SCALE, "ask": bars["ask_close"] / PRICE_SCALE,
        "bid_size": bars["bid_size"].where(bars["bid_close"].notna()),
        "ask_size": bars["ask_size"].where(bars["ask_close"].notna())})


def _culprit(members: list[Member]) -> str:
    """Where the first line stands that is not a bar."""
    for name, lines in members:
        for number, line in enumerate(lines, 1):
            if not BAR_LINE.fullmatch(line.strip()):
                return f"{name}, line {number}"
    return "some line"


def _known_at(start_ms: pd.Series, day: date) -> pd.Series:
    """The end of each bar in UTC; starts are read off a New York clock on `day`."""
    local = pd.Timestamp(day) + pd.to_timedelta(start_ms, unit="ms")
    zoned = local.dt.tz_localize(NEW_YORK, ambiguous=True, nonexistent="shift_forward")
    return zoned.dt.tz_convert("UTC") + BAR


def _instants(quoted: pd.Series, underlying: pd.Series) -> Instants:
    """The minutes that get rows: those of any bar, from the first to the last of an option."""
    session = underlying[underlying.between(quoted.min(), quoted.max())]
    return np.unique(_moments(pd.concat([quoted, session])))


def _standing(bars: pd.DataFrame, instants: Instants) -> pd.DataFrame:
    """The quotes that stand at each instant: one row per contract, from its first bar on."""
    bars = bars.sort_values(["member", "ts"], kind="stable", ignore_index=True)
    where = bars["member"].to_numpy(), np.searchsorted(instants, _moments(bars["ts"]))
    begun, bid, ask = (_latest(where, known, len(instants)) for known in (
        np.ones(len(bars), dtype=np.bool_), bars["bid"].notna(), bars["ask"].notna()))
    member, minute = np.nonzero(begun >= 0)
    bid, ask = bid[member, minute], ask[member, minute]
    # Whoever changes one side of a quote sends both: the other side is as fresh.
    changed = np.maximum(bid, ask)
    times = np.where(changed < 0, np.datetime64("NaT"), _moments(bars["ts"])[changed])
    return pd.DataFrame({
        "member": member, "ts": pd.Series(instants[minute]).dt.tz_localize("UTC"),
        "bid": _taken(bars["bid"], bid), "ask": _taken(bars["ask"], ask),
        "bid_size": _taken(bars["bid_size"], bid), "ask_size": _taken(bars["ask_size"], ask),
        "quote_time": pd.Series(times).dt.tz_localize("UTC")})


def _latest(where: tuple[Places, Places], known: Bools | pd.Series, instants: int) -> Places:
    """For each contract and instant its latest bar that is known, -1 before the first one.

    `where` has each bar's contract and instant; both ascend, and so do the bars' places.
    """
    bars = np.flatnonzero(known)
    contract, instant = where[0][bars], where[1][bars]
    table = np.full((where[0].max() + 1, instants), -1)
    table[contract, instant] = bars
    return np.maximum.accumulate(table, axis=1)


def _taken(column: pd.Series, places: Places) -> Floats:
    return np.where(places < 0, np.nan, column.to_numpy()[places])


def _moments(times: pd.Series) -> Instants:
    moments: Instants = times.to_numpy(dtype="datetime64[us]")
    return moments


def _underlying(path: Path, day: date) -> pd.DataFrame:
    """The underlying's bars in time order, the last one of each instant."""
    bars = _bars(_members(path), day, path)
    return bars.drop_duplicates("ts", keep="last").sort_values("ts")


def _with_underlying(quotes: pd.DataFrame, underlying: pd.DataFrame) -> pd.DataFrame:
    """The underlying's quote as known at each `ts`: the latest bar that was over by then."""
    at = np.searchsorted(_moments(underlying["ts"]), _moments(quotes["ts"]), "right") - 1
    sides = {f"underlying_{side}": np.where(at < 0, np.nan, underlying[side].to_numpy()[at])
             for side in ("bid", "ask")}
    return quotes.assign(**sides)
