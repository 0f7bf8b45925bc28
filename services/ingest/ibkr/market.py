"""What is watched of one symbol: its expiries, the lines chosen, and when to choose anew."""

from dataclasses import dataclass
from datetime import date, datetime

import structlog
from ib_insync import IB, Contract, Ticker

from services.common.messages import Right
from services.ingest.ibkr.contracts import ContractBook
from services.ingest.ibkr.hours import Hours
from services.ingest.ibkr.sampler import mid, spot
from services.ingest.ibkr.selection import (
    Ladder,
    Line,
    Plan,
    choose,
    nearest_first,
    rough_width,
    straddle_width,
)
from services.ingest.ibkr.subscriptions import Subscriptions

RIGHTS: tuple[Right, ...] = ("C", "P")
YEAR_SECONDS = 365 * 24 * 3600
log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Watched:
    """The underlying today."""

    ticker: Ticker
    hours: Hours
    day: date


class Market:
    """Keeps the subscriptions on the nearest expiries, around the money."""

    def __init__(self, ib: IB, symbol: str, expiries: int, subscriptions: Subscriptions) -> None:
        self._book = ContractBook(ib, symbol)
        self._count, self._subscriptions = expiries, subscriptions
        self._listed: list[date] = []
        self._plans: dict[date, Plan] = {}
        self.watched: Watched | None = None

    async def follow(self, at: datetime) -> Watched:
        """The underlying as of today; on a new day everything is asked again.

        Raises:
            NoContract: the symbol or its options do not exist.
        """
        if self.watched is None or self.watched.hours.day(at) != self.watched.day:
            self.watched = await self._begin_day(at, self.watched)
        return self.watched

    async def _begin_day(self, at: datetime, before: Watched | None) -> Watched:
        underlying = await self._book.underlying()
        self._book.forget()
        self._listed = await self._book.expiries(underlying)
        self._subscriptions.refused.clear()
        ticker = (await self._subscriptions.watch_underlying(underlying.contract)
                  if before is None else before.ticker)
        return Watched(ticker, underlying.hours, underlying.hours.day(at))

    async def recentre(self, at: datetime, watched: Watched) -> None:
        """Hold the lines that serve best now; without a price of the underlying, wait."""
        price = spot(watched.ticker)
        if price is None:
            return
        ladders, contracts = await self._ladders(at, watched.hours, price)
        plans = choose(ladders, price, self._subscriptions.budget, self._plans)
        changed = [str(day) for day, plan in plans.items() if self._plans.get(day) != plan]
        self._plans = plans
        await self._subscriptions.apply(nearest_first(plans), contracts)
        if changed:
            log.info("lines chosen", around=price, lines=self._subscriptions.held,
                     expiries=changed)

    async def _ladders(self, at: datetime, hours: Hours, price: float
                       ) -> tuple[list[Ladder], dict[Line, Contract]]:
        """The nearest expiries that have not passed, and the contract of each line."""
        ladders: list[Ladder] = []
        contracts: dict[Line, Contract] = {}
        for expiry in self._listed:
            seconds = (hours.close(expiry) - at).total_seconds()
            if len(ladders) == self._count or seconds <= 0:
                continue
            listed = await self._book.ladder(expiry)
            strikes = tuple(sorted({strike for strike, _ in listed
                                    if (strike, "C") in listed and (strike, "P") in listed}))
            if strikes:
                width = self._width(expiry, price) or rough_width(seconds / YEAR_SECONDS)
                ladders.append(Ladder(expiry, strikes, width))
                contracts.update({Line(expiry, strike, right): contract
                                  for (strike, right), contract in listed.items()})
        return ladders, contracts

    def _width(self, expiry: date, price: float) -> float | None:
        """By the straddle nearest the money, once it is quoted; till then as it was."""
        tickers = self._subscriptions.tickers
        strikes = {line.strike for line in tickers if line.expiry == expiry}
        if not strikes:
            return None
        strike = min(strikes, key=lambda strike: abs(strike - price))
        pair = [tickers.get(Line(expiry, strike, right)) for right in RIGHTS]
        call, put = (None if ticker is None else mid(ticker) for ticker in pair)
        if call is not None and put is not None:
            return straddle_width(call + put, price)
        return self._plans[expiry].width if expiry in self._plans else None
