"""A recording as a source: every quote once, at its own time."""

from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from ml.errors import QuotesFileError
from ml.quotes.format import order_quotes, write_quotes
from services.common import messages
from services.common.health import Heartbeat
from services.common.lifecycle import Stop
from services.common.messages import ChainSlice, Source
from services.ingest import recording
from services.ingest.cadence import Patience
from services.ingest.recording import LONGEST_GAP, Pace, RecordingSource, chain_slices
from tests.unit.quotes_data import FAR, NEAR, T0, T1, quotes_frame


async def play(path: Path, stop: Stop | None = None,
               label: Source = "recorded") -> list[list[ChainSlice]]:
    source = RecordingSource(path, 0, label, Patience(stop or Stop(), Heartbeat()))
    return [slices async for slices in source.instants()]


async def test_every_quote_is_played_once_in_order_of_time(tmp_path: Path) -> None:
    write_quotes(quotes_frame(), tmp_path / "q.parquet")
    instants = await play(tmp_path / "q.parquet")
    parts = [part for slices in instants for part in slices]
    assert [(part.sampled_at, part.expiry) for part in parts] == [
        (T0, NEAR), (T0, FAR), (T1, NEAR), (T1, FAR)]
    got = [(part.sampled_at, part.expiry, *row) for part in parts
           for row in zip(part.strike, part.right, part.ask_size, strict=True)]
    wanted = order_quotes(quotes_frame(), "memory")
    assert got == list(wanted[["ts", "expiry", "strike", "right", "ask_size"]].itertuples(
        index=False, name=None))


async def test_a_message_says_what_was_known(tmp_path: Path) -> None:
    frame = quotes_frame(volume=[1, 2, 3, 4, 5, None], settlement="AM", underlying_ask=None)
    write_quotes(frame, tmp_path / "q.parquet")
    part = (await play(tmp_path / "q.parquet"))[0][1]
    assert (part.source, part.settlement, part.slice, part.slices) == ("recorded", "AM", 2, 2)
    assert (part.bid, part.ask) == ([None, 1.5], [1.1, None])
    assert (part.underlying_bid, part.underlying_ask) == (748.0, None)
    assert part.volume == [4.0, 5.0] and part.open_interest == [None, None]
    assert part.quote_time == [T0, T0]
    assert messages.decode(messages.encode(part), ChainSlice) == part


async def test_a_quote_keeps_the_time_it_stands_since(tmp_path: Path) -> None:
    since = T0 - pd.Timedelta(seconds=90)
    write_quotes(quotes_frame(quote_time=[T1, T0, since, None, T0, T1]), tmp_path / "q.parquet")
    near, far = (await play(tmp_path / "q.parquet"))[0]
    assert near.quote_time == [since, T0] and far.quote_time == [None, T0]
    assert type(near.quote_time[0]) is datetime
    assert messages.decode(messages.encode(far), ChainSlice) == far


async def test_messages_say_what_they_are_told_of_their_source(tmp_path: Path) -> None:
    write_quotes(quotes_frame(), tmp_path / "q.parquet")
    instants = await play(tmp_path / "q.parquet", label="simulated")
    assert {part.source for slices in instants for part in slices} == {"simulated"}


def test_slices_count_each_symbol_for_itself() -> None:
    frame = pd.concat([quotes_frame(), quotes_frame(symbol="SPY").iloc[:1]], ignore_index=True)
    ordered = order_quotes(frame, "memory")
    slices = chain_slices(ordered[ordered["ts"] == T1], "memory", "recorded")
    assert [(part.symbol, part.slice, part.slices) for part in slices] == [
        ("GOOG", 1, 2), ("GOOG", 2, 2), ("SPY", 1, 1)]


def test_a_chain_too_large_for_a_message_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MOST_QUOTES", 1)
    with pytest.raises(QuotesFileError, match="GOOG 2015-12-31 has 2 quotes"):
        chain_slices(order_quotes(quotes_frame(), "memory"), "memory", "recorded")


def test_the_largest_chain_fits_a_message() -> None:
    strikes = [10_000.0 + at for at in range(recording.MOST_QUOTES)]
    frame = pd.DataFrame({"ts": T0, "symbol": "SPX", "expiry": NEAR, "strike": strikes,
                          "right": "C", "bid": 1234.55, "ask": 1234.65, "bid_size": 1234.0,
                          "ask_size": 1234.0, "underlying_bid": 1.0, "underlying_ask": 1.0,
                          "volume": 12345.0, "open_interest": 123456.0})
    (part,) = chain_slices(order_quotes(frame, "memory"), "memory", "recorded")
    assert len(messages.encode(part)) < 1_000_000


async def test_stopping_ends_the_recording(tmp_path: Path) -> None:
    write_quotes(quotes_frame(), tmp_path / "q.parquet")
    stop = Stop()
    stop.set()
    assert await play(tmp_path / "q.parquet", stop) == []


async def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text("hello")
    with pytest.raises(QuotesFileError, match="not a quotes file"):
        await play(tmp_path / "q.txt")


def test_the_pace_follows_market_time_at_its_speed() -> None:
    pace = Pace(speed=60.0)
    assert [pace.moment(market, 1000.0) for market in (50.0, 110.0, 170.0)] == [1000, 1001, 1002]


def test_a_night_is_played_as_a_short_gap() -> None:
    pace = Pace(speed=10.0)
    pace.moment(0.0, 1000.0)
    assert pace.moment(60_000.0, 1000.0) == 1000.0 + LONGEST_GAP / 10


def test_speed_nought_never_waits() -> None:
    pace = Pace(speed=0.0)
    assert [pace.moment(at, 7.0) for at in (0.0, 1e6)] == [7.0, 7.0]
