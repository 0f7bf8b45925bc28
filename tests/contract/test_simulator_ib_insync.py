"""An unmodified ib_insync client against the simulator: requests and market data."""

import asyncio
import math
from datetime import date
from functools import partial

import numpy as np
import pytest
from ib_insync import IB, Option, Stock

from services.simulator.feed import Option as Listed
from services.simulator.market import SyntheticMarket
from tests.contract.gateway import (
    START,
    TICK_S,
    client,
    codes,
    near_the_money,
    running,
    spy,
    stream,
    until,
)


async def test_connects_and_qualifies_the_underlying():
    async with running() as gateway, client(gateway) as ib:
        contract = await spy(ib)
        assert contract.conId == 756733
        assert contract.primaryExchange == "ARCA"
        assert ib.client.serverVersion() == 176
        assert (await ib.reqCurrentTimeAsync()).timestamp() == START
        await until(lambda: len(ib.errors) >= 3)
        assert codes(ib) == [2104, 2106, 2158]
        assert [value.tag for value in ib.accountValues()] == ["NetLiquidation"]


async def test_lists_expiries_and_one_request_gives_a_ladder():
    async with running() as gateway, client(gateway, readonly=True) as ib:
        chains = await ib.reqSecDefOptParamsAsync("SPY", "", "STK", 756733)
        (chain,) = [row for row in chains
                    if row.exchange == "SMART" and row.tradingClass == "SPY"]
        assert len(chains) > 20
        assert chain.expirations[0] == "20261123"
        details = await ib.reqContractDetailsAsync(
            Option("SPY", "20261204", exchange="SMART", currency="USD"))
        contracts = [item.contract for item in details]
        assert {contract.strike for contract in contracts} <= set(chain.strikes)
        assert {contract.right for contract in contracts} == {"C", "P"}
        assert len({contract.conId for contract in contracts}) == len(contracts) > 200
        assert details[0].timeZoneId == "America/New_York"
        assert details[0].liquidSessions()[0].start.hour == 0
        assert details[0].lastTradeTime == "16:00:00"


async def test_one_option_qualifies_by_its_fields_and_by_its_id():
    async with running() as gateway, client(gateway) as ib:
        by_fields = Option("SPY", "20261204", 600, "P", "SMART")
        await ib.qualifyContractsAsync(by_fields)
        by_id = Option(conId=by_fields.conId, exchange="SMART")
        await ib.qualifyContractsAsync(by_id)
        assert by_id.localSymbol == by_fields.localSymbol == "SPY   261204P00600000"


async def test_streams_ninety_options_as_the_market_has_them():
    async with running() as gateway, client(gateway) as ib:
        underlying = ib.reqMktData(await spy(ib), "")
        tickers = stream(ib, await near_the_money(ib, gateway, 90))
        assert await until(lambda: all(ticker.modelGreeks for ticker in tickers))
        for gateway.clock.at in (START + 1, START + 7):
            expected = dict(market_quotes(gateway, tickers))
            assert await until(partial(shows, tickers, expected)), "ticks differ"
        stock = gateway.feed.stock("SPY", np.array(int(gateway.clock.at)))
        assert (underlying.bid, underlying.ask) == (stock.bid, stock.ask)
        spot = pytest.approx(underlying.marketPrice(), abs=0.02)
        assert await until(lambda: all(ticker.modelGreeks.undPrice in (None, spot)
                                       for ticker in tickers))


def market_quotes(gateway, tickers):
    listed = [Listed("SPY", date.fromisoformat(ticker.contract.lastTradeDateOrContractMonth),
                     ticker.contract.strike, ticker.contract.right == "C") for ticker in tickers]
    now = gateway.feed.batch(listed).quotes(np.array(int(gateway.clock.at)))
    for place, ticker in enumerate(tickers):
        sides = [-1.0 if math.isnan(side[place]) else side[place] for side in (now.bid, now.ask)]
        yield ticker.contract.conId, (*sides, now.volume[place], now.open_interest[place])


def shows(tickers, expected):
    return quotes(tickers) == expected


def quotes(tickers):
    return {ticker.contract.conId: (
        ticker.bid, ticker.ask, ticker.volume,
        ticker.callOpenInterest if ticker.contract.right == "C" else ticker.putOpenInterest)
        for ticker in tickers}


async def test_greeks_come_after_the_quotes_and_some_are_sentinels():
    async with running() as gateway, client(gateway) as ib:
        tickers = stream(ib, await near_the_money(ib, gateway, 90))
        assert await until(lambda: any(ticker.bid > 0 for ticker in tickers))
        assert not any(ticker.modelGreeks for ticker in tickers)
        assert await until(lambda: all(ticker.modelGreeks for ticker in tickers))
        unknown = [ticker for ticker in tickers if ticker.modelGreeks.impliedVol is None]
        assert 0 < len(unknown) < 15
        assert {ticker.modelGreeks.vega for ticker in unknown} == {-2.0}


async def test_lines_beyond_the_cap_get_101_and_a_cancel_frees_one():
    async with running(lines=20) as gateway, client(gateway) as ib:
        contracts = await near_the_money(ib, gateway, 24)
        stream(ib, contracts)
        assert await until(lambda: codes(ib).count(101) == 4)
        ib.cancelMktData(contracts[0])
        ticker = ib.reqMktData(contracts[-1], "", False)
        assert await until(lambda: not math.isnan(ticker.bid))


async def test_requests_beyond_the_rate_get_100_and_three_strikes_end_the_session():
    async with running() as gateway, client(gateway) as ib:
        ib.client.MaxRequests = 0
        for strike in range(1, 4):
            for _ in range(120):
                if ib.client.isConnected():
                    ib.client.reqMarketDataType(1)
            if strike < 3:
                assert await until(lambda: 100 in codes(ib))
                assert ib.isConnected()
                ib.errors.clear()
                await asyncio.sleep(1.1)
        assert await until(lambda: not ib.isConnected())


async def test_a_client_id_in_use_is_refused():
    async with running() as gateway, client(gateway, client_id=5):
        second = IB()
        seen = []
        second.errorEvent += lambda req_id, code, text, contract: seen.append(code)
        with pytest.raises((ConnectionError, TimeoutError)):
            await second.connectAsync("127.0.0.1", gateway.port, clientId=5, timeout=1)
        assert seen == [326]
        async with client(gateway, client_id=6) as third:
            assert third.isConnected()


async def test_unknown_contracts_get_200():
    async with running() as gateway, client(gateway) as ib:
        assert await ib.reqContractDetailsAsync(Stock("NOPE", "SMART", "USD")) == []
        assert await ib.reqContractDetailsAsync(
            Option("SPY", "20261204", 600.13, "C", "SMART")) == []
        ib.reqMktData(Option("SPY", "20261205", 600, "C", "SMART", currency="USD"))
        assert await until(lambda: codes(ib).count(200) == 3)


async def test_bad_requests_are_refused_by_their_id():
    async with running() as gateway, client(gateway) as ib:
        contract = await spy(ib)
        ticker = ib.reqMktData(contract, "233", snapshot=True)
        ib.client.cancelMktData(4711)
        ib.client.send(1, 11, 4712, "broken")
        ib.client.send(900, 1)
        assert await until(lambda: {321, 300, 320} <= set(codes(ib)))
        assert math.isnan(ticker.bid)
        assert (4711, 300) in ib.errors and (4712, 321) in ib.errors


async def test_delayed_data_is_marked_and_fifteen_minutes_old():
    async with running() as gateway, client(gateway) as ib:
        ib.reqMarketDataType(3)
        ticker = ib.reqMktData(await spy(ib), "")
        assert await until(lambda: not math.isnan(ticker.bid))
        assert ticker.marketDataType == 3
        assert ticker.bid == gateway.feed.stock("SPY", np.array(int(START) - 900)).bid


async def test_a_snapshot_ends_after_its_delay_and_frees_its_line():
    async with running(lines=1) as gateway, client(gateway) as ib:
        (ticker,) = await ib.reqTickersAsync(await spy(ib))
        assert ticker.bid > 0
        assert gateway.lines_in_use() == 0


async def test_one_minute_bars_agree_with_the_stream():
    async with running() as gateway, client(gateway) as ib:
        rows = await ib.reqHistoricalDataAsync(
            await spy(ib), "", "3600 S", "1 min", "MIDPOINT", useRTH=False, formatDate=2)
        assert len(rows) == 60
        first = int(rows[0].date.timestamp())
        assert rows[0].open == pytest.approx(
            gateway.feed.stock("SPY", np.array(first)).mid, abs=1e-4)
        assert all(row.low <= min(row.open, row.close) for row in rows)
        expired = Option("SPY", "20261120", 600, "C", "SMART")
        assert not await ib.reqHistoricalDataAsync(
            expired, "", "3600 S", "1 min", "MIDPOINT", useRTH=False)
        assert 162 in codes(ib)


async def test_matching_symbols():
    feed = SyntheticMarket(7, ("SPY", "QQQ"))
    async with running(feed=feed) as gateway, client(gateway) as ib:
        (found,) = await ib.reqMatchingSymbolsAsync("qq")
        assert found.contract.symbol == "QQQ"
        assert found.derivativeSecTypes == ["OPT"]


async def test_two_runs_with_one_seed_send_equal_ticks():
    assert await ticks_of_one_run() == await ticks_of_one_run()


async def ticks_of_one_run():
    async with running() as gateway, client(gateway) as ib:
        tickers = stream(ib, await near_the_money(ib, gateway, 20))
        assert await until(lambda: all(not math.isnan(ticker.bid) for ticker in tickers))
        seen = []
        for gateway.clock.at in range(int(START) + 1, int(START) + 12):
            await asyncio.sleep(3 * TICK_S)
            seen.append([(ticker.bid, ticker.bidSize, ticker.ask, ticker.askSize, ticker.last)
                         for ticker in tickers])
        return seen
