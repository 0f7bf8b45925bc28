"""From a message on `option-chain` to the chain of quotes that `ml.smile` works on."""

from datetime import datetime

import numpy as np

from ml.types import ChainQuotes, Floats
from services.common.messages import ChainSlice, Column


def chain_quotes(chain: ChainSlice) -> ChainQuotes:
    """The quotes of one slice; missing values are NaN, the underlying is its mid or last price.

    Of a contract listed twice the last line counts, as in the table.
    """
    last = sorted({contract: line for line, contract
                   in enumerate(zip(chain.strike, chain.right, strict=True))}.values())
    return ChainQuotes(
        symbol=chain.symbol,
        expiry=chain.expiry,
        at=chain.sampled_at,
        underlying=underlying_price(chain),
        strike=np.array(chain.strike, dtype=np.float64)[last],
        is_call=np.array([right == "C" for right in chain.right], dtype=np.bool_)[last],
        bid=floats(chain.bid)[last],
        ask=floats(chain.ask)[last],
        quote_age_s=_ages(chain.quote_time, chain.sampled_at)[last],
        settlement=chain.settlement,
        delayed=chain.source == "delayed",
    )


def underlying_price(chain: ChainSlice) -> float:
    """Mid of the underlying, else its last price, else NaN.

    A bid of 99.0 and an ask of 101.0 give 100.0; a crossed or one-sided market gives the last.
    """
    bid, ask = chain.underlying_bid, chain.underlying_ask
    if bid is not None and ask is not None and 0.0 < bid <= ask:
        return (bid + ask) / 2
    return float("nan") if chain.underlying_last is None else chain.underlying_last


def floats(column: Column) -> Floats:
    """A column as an array, null as NaN."""
    return np.array(column, dtype=np.float64)


def _ages(times: list[datetime | None], at: datetime) -> Floats:
    nan = float("nan")
    ages = [nan if time is None else (at - time).total_seconds() for time in times]
    return np.array(ages, dtype=np.float64)
