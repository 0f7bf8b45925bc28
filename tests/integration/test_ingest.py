"""The ingest on a real broker: every recorded quote once, and the chain of a real TWS session."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from confluent_kafka import Consumer, TopicPartition

from ml.quotes.format import read_quotes, write_quotes
from ml.quotes.lean import import_lean
from services.common import messages
from services.common.messages import OPTION_CHAIN, ChainSlice

REPOSITORY = Path(__file__).parents[2]
DEADLINE_S = 120.0


@contextmanager
def process(log: Path, *command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A service of ours, its log in a file; ended with the test."""
    with log.open("wb") as errors:
        running = subprocess.Popen([sys.executable, "-m", *command], cwd=REPOSITORY,
                                   stderr=errors, env={**os.environ, "SMILE_METRICS_PORT": "0",
                                                       **environment})
        try:
            yield running
        finally:
            running.kill()
            running.wait()


def until(what: str, found: Callable[[], object], log: Path) -> object:
    """What `found` returns as soon as it is true; fails with the log at the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if result := found():
            return result
        time.sleep(0.1)
    raise AssertionError(f"no {what}:\n{log.read_text()}")


def events(log: Path, name: str) -> list[dict[str, object]]:
    """Lines of a JSON log with this event."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


def read_topic(bootstrap: str, symbol: str) -> list[ChainSlice]:
    """All messages of a symbol, in the order of their partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": uuid.uuid4().hex})
    places = consumer.list_topics(OPTION_CHAIN, 30).topics[OPTION_CHAIN].partitions
    found: list[ChainSlice] = []
    for partition in places:
        start, end = consumer.get_watermark_offsets(TopicPartition(OPTION_CHAIN, partition))
        consumer.assign([TopicPartition(OPTION_CHAIN, partition, start)])
        while start < end:
            message = consumer.poll(30)
            assert message is not None and message.error() is None
            start = message.offset() + 1
            if message.key() == symbol.encode():
                found.append(messages.decode(message.value(), ChainSlice))
    consumer.close()
    return found


def as_rows(parts: list[ChainSlice]) -> pd.DataFrame:
    """The quotes of messages, one per row."""
    return pd.DataFrame(
        [(part.sampled_at, part.expiry, *row) for part in parts
         for row in zip(part.strike, part.right, part.bid, part.ask, part.bid_size,
                        part.ask_size, strict=True)],
        columns=["ts", "expiry", "strike", "right", "bid", "ask", "bid_size", "ask_size"])


@pytest.fixture
def goog(shared_data: Path, tmp_path: Path) -> tuple[str, Path]:
    """The real half day under a symbol of its own, and its file."""
    symbol = f"G{uuid.uuid4().hex[:6].upper()}"
    quotes = import_lean(shared_data / "lean_goog_2015-12-24").assign(symbol=symbol)
    write_quotes(quotes, tmp_path / "goog.parquet")
    return symbol, tmp_path / "goog.parquet"


def test_every_quote_of_a_real_recording_is_in_the_topic_once(
        kafka_bootstrap: str, goog: tuple[str, Path], tmp_path: Path) -> None:
    symbol, path = goog
    log = tmp_path / "ingest.log"
    with process(log, "services.ingest", SMILE_KAFKA_BOOTSTRAP=kafka_bootstrap,
                 SMILE_SOURCE="recording", SMILE_RECORDING=str(path)) as ingest:
        assert ingest.wait(DEADLINE_S) == 0, log.read_text()
    recorded = read_quotes(path)
    parts = read_topic(kafka_bootstrap, symbol)
    rows = as_rows(parts)
    assert len(rows) == len(recorded) == 462_454
    assert not rows.duplicated(["ts", "expiry", "strike", "right"]).any()
    for name in ("strike", "bid", "ask", "bid_size", "ask_size"):
        assert rows[name].astype(float).sum() == pytest.approx(recorded[name].sum(), rel=1e-12)
    times = [part.sampled_at for part in parts]
    assert times == sorted(times)
    (ended,) = events(log, "the source has ended")
    assert (ended["quotes"], ended["messages"]) == (len(rows), len(parts))


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[int]:
    """Port of a simulated gateway."""
    log = tmp_path / "simulator.log"
    with process(log, "services.simulator", "serve", "--port", "0", "--symbols", "SPY,QQQ"):
        until("gateway", lambda: events(log, "gateway is up"), log)
        yield int(str(events(log, "gateway is up")[0]["port"]))


def test_a_gateways_chain_is_sampled_at_the_cadence_until_the_stop(
        kafka_bootstrap: str, gateway: int, tmp_path: Path) -> None:
    log = tmp_path / "ingest.log"
    before = len(read_topic(kafka_bootstrap, "QQQ"))
    with process(log, "services.ingest", SMILE_KAFKA_BOOTSTRAP=kafka_bootstrap,
                 SMILE_SYMBOL="QQQ", SMILE_GATEWAY_PORT=str(gateway), SMILE_SAMPLE_SECONDS="0.5",
                 SMILE_SOURCE_LABEL="simulated", SMILE_LINES="41", SMILE_EXPIRIES="2") as ingest:
        until("samples", lambda: len(read_topic(kafka_bootstrap, "QQQ")) >= before + 8, log)
        ingest.send_signal(signal.SIGTERM)
        assert ingest.wait(DEADLINE_S) == 0, log.read_text()
    parts = read_topic(kafka_bootstrap, "QQQ")[before:]
    (stopped,) = events(log, "stopped")
    assert stopped["messages"] == len(parts)
    for part in parts:
        check_slice(part)
    assert len({part.expiry for part in parts}) == 2
    # Half of them each, but for what the expiry of today, narrow late in the day, has no use for.
    lines = Counter[datetime]()
    for part in parts:
        lines[part.sampled_at] += len(part.strike)
    assert max(lines.values()) == 40
    assert sum(bid is not None for bid in parts[-1].bid) > 10


def check_slice(part: ChainSlice) -> None:
    """What holds for every slice of the simulated gateway."""
    assert part.source == "simulated" and part.slices <= 2
    assert part.sampled_at.timestamp() % 0.5 == 0
    assert part.underlying_bid is not None and part.underlying_ask is not None
    keys = list(zip(part.strike, part.right, strict=True))
    assert len(keys) == len(set(keys)) <= 40
    assert all(moment is not None and moment <= part.sampled_at for moment in part.quote_time)
    assert all(value is None or value > 0 for value in (*part.bid, *part.ask, *part.vendor_iv))


@pytest.fixture
def replaying_gateway(goog: tuple[str, Path], tmp_path: Path) -> Iterator[int]:
    """Port of a simulated gateway that plays the real half day in 42 seconds."""
    log = tmp_path / "simulator.log"
    with process(log, "services.simulator", "serve", "--port", "0", "--recording", str(goog[1]),
                 "--speed", "300", "--tick-seconds", "0.1"):
        until("gateway", lambda: events(log, "gateway is up"), log)
        yield int(str(events(log, "gateway is up")[0]["port"]))


def test_a_real_half_day_comes_through_the_gateway_as_it_was_quoted(
        kafka_bootstrap: str, goog: tuple[str, Path], replaying_gateway: int,
        tmp_path: Path) -> None:
    symbol, path = goog
    log = tmp_path / "ingest.log"
    recorded = read_quotes(path)
    end = recorded["ts"].max()
    with process(log, "services.ingest", SMILE_KAFKA_BOOTSTRAP=kafka_bootstrap,
                 SMILE_SYMBOL=symbol, SMILE_GATEWAY_PORT=str(replaying_gateway),
                 SMILE_CLOCK="gateway", SMILE_SAMPLE_SECONDS="0.5") as ingest:
        until("sample of the last minutes", lambda: any(
            end - part.sampled_at < pd.Timedelta(minutes=10)
            for part in read_topic(kafka_bootstrap, symbol)), log)
        ingest.send_signal(signal.SIGTERM)
        assert ingest.wait(DEADLINE_S) == 0, log.read_text()
    parts = read_topic(kafka_bootstrap, symbol)
    quoted = first_quoted(recorded)
    rows = as_rows(parts).dropna(subset=["bid", "ask"])
    assert len(rows) > 1000
    assert len({part.sampled_at for part in parts}) > 20
    for row in rows.itertuples():
        assert quoted[row.expiry, row.strike, row.right, row.bid, row.ask] <= row.ts


def first_quoted(recorded: pd.DataFrame) -> dict[tuple[object, ...], pd.Timestamp]:
    """When each contract was first quoted at each pair of prices."""
    keys = ["expiry", "strike", "right", "bid", "ask"]
    two_sided = recorded.dropna(subset=["bid", "ask"]).astype(
        {"expiry": object, "right": object})
    return {tuple(row[:-1]): row[-1] for row in two_sided.sort_values("ts").drop_duplicates(keys)[
        [*keys, "ts"]].itertuples(index=False)}


def test_an_unknown_symbol_is_one_sentence_and_exit_code_2(
        kafka_bootstrap: str, gateway: int, tmp_path: Path) -> None:
    log = tmp_path / "ingest.log"
    with process(log, "services.ingest", SMILE_KAFKA_BOOTSTRAP=kafka_bootstrap,
                 SMILE_SYMBOL="NOPE", SMILE_GATEWAY_PORT=str(gateway)) as ingest:
        assert ingest.wait(DEADLINE_S) == 2
    assert "no stock or fund NOPE" in log.read_text() and "Traceback" not in log.read_text()


def test_a_gateway_that_is_not_there_is_tried_again_and_named(
        kafka_bootstrap: str, tmp_path: Path) -> None:
    log = tmp_path / "ingest.log"
    with process(log, "services.ingest", SMILE_KAFKA_BOOTSTRAP=kafka_bootstrap,
                 SMILE_GATEWAY_PORT="1") as ingest:
        until("second try", lambda: len(events(log, "no feed")) >= 2, log)
        ingest.send_signal(signal.SIGTERM)
        assert ingest.wait(DEADLINE_S) == 0
    assert "127.0.0.1:1: nothing listens there" in str(events(log, "no feed")[0]["reason"])
