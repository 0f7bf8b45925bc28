"""Contracts of an underlying and its options, asked of the gateway once and then kept."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeVar

import structlog
from ib_insync import IB, Contract, ContractDetails, Option, Stock
from ib_insync.wrapper import RequestError

from services.common.errors import Unavailable
from services.common.messages import Right
from services.ingest.ibkr.codes import Meaning, meaning_of
from services.ingest.ibkr.hours import Hours, parse_hours
from services.ingest.source import UserMistake

ANSWER_SECONDS = 30.0
CURRENCY, EXCHANGE = "USD", "SMART"
T = TypeVar("T")
Ladder = dict[tuple[float, Right], Contract]
log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Underlying:
    """The qualified contract and its sessions."""

    contract: Contract
    hours: Hours


class NoContract(UserMistake):
    """The gateway knows no such contract."""


class ContractBook:
    """What the gateway has said of one symbol; Contract objects are reused."""

    def __init__(self, ib: IB, symbol: str) -> None:
        self._ib, self._symbol = ib, symbol
        self._ladders: dict[date, Ladder] = {}

    def forget(self) -> None:
        """Ask again for ladders: strikes are listed every day."""
        self._ladders.clear()

    async def underlying(self) -> Underlying:
        """The stock or fund.

        Raises:
            NoContract: there is none of this symbol.
        """
        wanted = Stock(self._symbol, EXCHANGE, CURRENCY)
        details = await _answer(self._ib.reqContractDetailsAsync(wanted),
                                f"a stock or fund {self._symbol} in {CURRENCY}")
        contracts = _contracts(details)
        if not contracts:
            raise NoContract(f"the gateway knows no stock or fund {self._symbol} in {CURRENCY}; "
                             "check SMILE_SYMBOL")
        contracts[0].exchange = EXCHANGE
        return Underlying(contracts[0], parse_hours(details[0].liquidHours, details[0].timeZoneId))

    async def expiries(self, underlying: Underlying) -> list[date]:
        """All listed expiries of the symbol's own trading class, ascending.

        Raises:
            NoContract: it has no options.
        """
        rows = await _answer(
            self._ib.reqSecDefOptParamsAsync(self._symbol, "", underlying.contract.secType,
                                             underlying.contract.conId),
            f"options of {self._symbol}")
        texts = {text for row in rows for text in row.expirations
                 if row.exchange == EXCHANGE and row.tradingClass == self._symbol}
        if not texts:
            raise NoContract(f"the gateway lists no options of {self._symbol} on {EXCHANGE}; "
                             "check SMILE_SYMBOL")
        return sorted(_date(text) for text in texts)

    async def ladder(self, expiry: date) -> Ladder:
        """The contracts of an expiry by strike and right; empty if there are none."""
        if expiry not in self._ladders:
            self._ladders[expiry] = await self._ask_ladder(expiry)
        return self._ladders[expiry]

    async def _ask_ladder(self, expiry: date) -> Ladder:
        wanted = Option(self._symbol, f"{expiry:%Y%m%d}", 0.0, "", EXCHANGE, currency=CURRENCY,
                        tradingClass=self._symbol)
        try:
            details = await _answer(self._ib.reqContractDetailsAsync(wanted),
                                    f"{self._symbol} options of {expiry}")
        except NoContract as error:
            log.warning("expiry left out", reason=str(error))
            return {}
        return {(contract.strike, _right(contract)): contract for contract in _contracts(details)}


async def _answer(request: Awaitable[T], what: str) -> T:
    try:
        return await asyncio.wait_for(request, ANSWER_SECONDS)
    except TimeoutError as error:
        raise Unavailable(f"the gateway did not answer within {ANSWER_SECONDS:g} s: {what}"
                          ) from error
    except RequestError as error:
        if meaning_of(error.code) is Meaning.NO_CONTRACT:
            raise NoContract(f"the gateway knows no {what.removeprefix('a ')}; "
                             "check SMILE_SYMBOL") from error
        raise Unavailable(f"the gateway refused {what}: {error.code} {error.message}") from error


def _contracts(details: list[ContractDetails]) -> list[Contract]:
    return [detail.contract for detail in details if detail.contract is not None]


def _date(text: str) -> date:
    return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007  a date has no zone


def _right(contract: Contract) -> Right:
    return "C" if contract.right in ("C", "CALL") else "P"
