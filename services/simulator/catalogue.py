"""Which contracts a feed lists, found by whatever a client leaves as a wildcard.

An option's conId is built of the symbol's place among those served, the expiry, the right and
the strike in steps of 0.05, so it is the same in every run that serves the same symbols.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from ml import calendar
from services.simulator.feed import Feed, Option
from services.simulator.noise import key
from services.simulator.protocol import ContractRow, ContractSpec

KNOWN_STOCKS = {
    "SPY": (756733, "SPDR S&P 500 ETF TRUST", "ARCA"),
    "QQQ": (320227571, "INVESCO QQQ TRUST SERIES 1", "NASDAQ"),
    "IWM": (9579970, "ISHARES RUSSELL 2000 ETF", "ARCA"),
    "DIA": (73128548, "SPDR DJIA TRUST", "ARCA"),
}
EXCHANGES = ("SMART", "AMEX", "BATS", "BOX", "CBOE", "CBOE2", "EDGX", "EMERALD", "GEMINI", "ISE",
             "MEMX", "MERCURY", "MIAX", "NASDAQBX", "NASDAQOM", "PEARL", "PHLX", "PSE", "SAPPHIRE")
STOCK_EXCHANGES = ("SMART", "AMEX", "NYSE", "ARCA", "NASDAQ", "BATS", "IEX")
SESSION_DAYS = 6
_OPTION_IDS, _STRIKE_IDS = 330_000_000, 220_000


@dataclass(frozen=True, slots=True)
class Stock:
    """An underlying that the feed serves."""

    symbol: str


Contract = Stock | Option


class Catalogue:
    """The contracts of a feed, at any market time."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.symbols = feed.symbols
        self._known_hours: dict[date, str] = {}

    def all_listed(self, symbol: str, at: float) -> tuple[list[date], list[float]]:
        """Every expiry and every strike of any expiry, ascending."""
        expiries = self._feed.expiries(symbol, at)
        ladders = (self._feed.strikes(symbol, expiry, at) for expiry in expiries)
        return expiries, sorted({strike for ladder in ladders for strike in ladder})

    def find(self, spec: ContractSpec, at: float) -> list[Contract]:
        """Every listed contract that fits, in order of symbol, expiry, strike, right."""
        if spec.currency not in ("", "USD"):
            return []
        if spec.con_id and not spec.sec_type:
            return [*self._stocks(spec), *self._options(spec, at)]
        if spec.sec_type == "STK":
            return list(self._stocks(spec))
        return list(self._options(spec, at)) if spec.sec_type == "OPT" else []

    def _stocks(self, spec: ContractSpec) -> Iterator[Stock]:
        for symbol in self._feed.symbols:
            if (spec.symbol in ("", symbol) and spec.exchange in ("", *STOCK_EXCHANGES)
                    and spec.con_id in (0, stock_id(symbol))
                    and (spec.symbol or spec.con_id)):
                yield Stock(symbol)

    def _options(self, spec: ContractSpec, at: float) -> Iterator[Option]:
        if spec.exchange not in ("", *EXCHANGES):
            return
        for symbol in self._feed.symbols:
            if spec.symbol not in ("", symbol) or spec.trading_class not in ("", symbol):
                continue
            for expiry in self._feed.expiries(symbol, at):
                if f"{expiry:%Y%m%d}".startswith(spec.expiry):
                    yield from self._ladder(spec, symbol, expiry, at)

    def _ladder(self, spec: ContractSpec, symbol: str, expiry: date,
                at: float) -> Iterator[Option]:
        for strike in self._feed.strikes(symbol, expiry, at):
            if spec.strike not in (0.0, strike):
                continue
            for is_call in (True, False):
                option = Option(symbol, expiry, strike, is_call)
                if self._fits(spec, option):
                    yield option

    def _fits(self, spec: ContractSpec, option: Option) -> bool:
        return (spec.right in ("", "C" if option.is_call else "P")
                and spec.con_id in (0, self.option_id(option))
                and spec.local_symbol in ("", local_symbol(option)))

    def option_id(self, option: Option) -> int:
        """The option's conId."""
        place = self._feed.symbols.index(option.symbol) % 4
        days = option.expiry.toordinal() % 1024
        return _OPTION_IDS + ((place * 1024 + days) * 2 + option.is_call) * _STRIKE_IDS + round(
            option.strike * 20)

    def row(self, contract: Contract, at: float) -> ContractRow:
        """What contractDetails says of a contract."""
        hours = self._hours(at)
        con_id, name, primary = _stock_facts(contract.symbol)
        if isinstance(contract, Stock):
            return ContractRow(con_id, contract.symbol, "STK", "SMART", primary, contract.symbol,
                               contract.symbol, name, hours, hours, ",".join(STOCK_EXCHANGES))
        last_trade = calendar.expiry_instant(contract.expiry).astimezone(calendar.NEW_YORK)
        return ContractRow(
            self.option_id(contract), contract.symbol, "OPT", "SMART", "",
            local_symbol(contract), contract.symbol, name, hours, hours, ",".join(EXCHANGES),
            f"{contract.expiry:%Y%m%d}", f"{last_trade:%Y%m%d %H:%M:%S} America/New_York",
            contract.strike, "C" if contract.is_call else "P", "100", con_id)

    def _hours(self, at: float) -> str:
        today = calendar.session_day(datetime.fromtimestamp(at, UTC))
        if today not in self._known_hours:
            days = [today + timedelta(days=ahead) for ahead in range(SESSION_DAYS)]
            text = ";".join(f"{day:%Y%m%d}:{hours}" for day, hours in self._feed.sessions(days))
            self._known_hours = {today: text}
        return self._known_hours[today]


def _stock_facts(symbol: str) -> tuple[int, str, str]:
    """conId, long name and primary exchange."""
    return KNOWN_STOCKS.get(symbol) or (10_000_000 + key(symbol) % 90_000_000, symbol, "ARCA")


def stock_id(symbol: str) -> int:
    """An underlying's conId."""
    return _stock_facts(symbol)[0]


def local_symbol(option: Option) -> str:
    """The name of the Options Symbology Initiative: `SPY   260105C00600000`."""
    right = "C" if option.is_call else "P"
    return f"{option.symbol:<6}{option.expiry:%y%m%d}{right}{round(option.strike * 1000):08d}"
