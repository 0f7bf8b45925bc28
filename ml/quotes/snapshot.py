"""Importer of a snapshot folder: one chain taken at one moment, `SYMBOL.csv.gz` + `meta.json`.

`meta.json` says when (`utc`) and at what price of the underlying (`spot_live`); the CSV's own
`spot` is that of another session and is left alone. A zero price means no quote.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ml.errors import QuotesFileError
from ml.quotes.format import order_quotes

NAMES = {"expiry": "expiry", "strike": "strike", "type": "right", "bid": "bid", "ask": "ask",
         "volume": "volume", "openInterest": "open_interest"}


def import_snapshot(folder: str | Path) -> pd.DataFrame:
    """The quotes of a snapshot folder, or of all snapshots in a folder of them.

    Raises:
        QuotesFileError: naming the file and what is wrong in it.
    """
    folder = Path(folder)
    metas = sorted([*folder.glob("meta.json"), *folder.glob("*/meta.json")])
    if not metas:
        raise QuotesFileError(f"{folder}: no snapshot; a meta.json is missing")
    frames = [_import_chain(meta, path) for meta in metas
              for path in sorted(meta.parent.glob("*.csv.gz"))]
    if not frames:
        raise QuotesFileError(f"{folder}: no chain such as SPY.csv.gz beside meta.json")
    return order_quotes(pd.concat(frames, ignore_index=True), str(folder))


def _import_chain(meta: Path, path: Path) -> pd.DataFrame:
    symbol = path.name.removesuffix(".csv.gz")
    at, spot = _moment(meta, symbol)
    quotes = _columns(path)
    for side in ("bid", "ask"):
        quotes[side] = quotes[side].where(quotes[side] != 0)
    return quotes.assign(ts=at, symbol=symbol, bid_size=np.nan, ask_size=np.nan,
                         underlying_bid=spot, underlying_ask=spot)


def _moment(meta: Path, symbol: str) -> tuple[pd.Timestamp, float]:
    """The snapshot's instant in UTC and the underlying's price then."""
    try:
        facts: dict[str, Any] = json.loads(meta.read_bytes())
        at = pd.Timestamp(facts["utc"])
        spot = float(facts["tickers"][symbol]["spot_live"])
    except KeyError as error:
        raise QuotesFileError(f"{meta}: {error} is missing for {symbol}") from error
    except (OSError, ValueError, TypeError) as error:
        raise QuotesFileError(f"{meta}: not a snapshot's description: {error}") from error
    if at.tzinfo is None:
        raise QuotesFileError(f"{meta}: `utc` {facts['utc']!r} has no time zone")
    return at.tz_convert("UTC").as_unit("us"), spot


def _columns(path: Path) -> pd.DataFrame:
    try:
        raw = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise QuotesFileError(f"{path}: not a readable CSV file: {error}") from error
    for name in NAMES:
        if name not in raw.columns:
            raise QuotesFileError(f"{path}: column `{name}` is missing")
    return raw[list(NAMES)].rename(columns=NAMES)
