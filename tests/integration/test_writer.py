"""The writer on real Kafka and a real database: nothing lost, nothing doubled."""

import pytest

from local.postgres import PostgresServer
from services.common import messages
from services.common.messages import DEAD_LETTER, OPTION_CHAIN
from services.common.produce import Producer
from services.writer import main as writer
from services.writer.settings import WriterSettings
from sql.migrate import apply
from tests.integration.pipeline import (
    CONTRACTS,
    START,
    Tables,
    eventually,
    group_at_end,
    minutes,
    new_symbol,
    of_symbol,
    publish,
    read_all,
    running,
)


@pytest.fixture
def writer_settings(kafka_bootstrap, database_url):
    return WriterSettings(kafka_bootstrap=kafka_bootstrap, database_url=database_url,
                          kafka_group=group_at_end(kafka_bootstrap, OPTION_CHAIN),
                          metrics_port=0)


def test_a_redelivery_doubles_nothing(kafka_bootstrap, writer_settings, tables, symbol):
    chains = minutes(symbol, 30)
    publish(kafka_bootstrap, OPTION_CHAIN, chains + chains[::-1] + chains)
    marker = new_symbol()
    publish(kafka_bootstrap, OPTION_CHAIN, minutes(marker, 1))
    with running(writer.run, writer_settings):
        eventually(lambda: tables.count("spy_option_chain", marker) == 2 * CONTRACTS
                   and tables.count("spy_option_chain", symbol) >= 60 * CONTRACTS)

    assert tables.count("spy_option_chain", symbol) == 60 * CONTRACTS


def test_every_value_arrives_as_it_was_sent(kafka_bootstrap, writer_settings, tables, symbol):
    (sent, _) = minutes(symbol, 1)
    publish(kafka_bootstrap, OPTION_CHAIN, [sent])
    with running(writer.run, writer_settings):
        eventually(lambda: tables.count("spy_option_chain", symbol) == CONTRACTS)

    stored = tables.rows(
        'SELECT strike, "right", bid, ask, last, sampled_at, underlying_bid, source, settlement '
        "FROM spy_option_chain WHERE symbol = %s", symbol)
    assert sorted(stored) == sorted(
        (strike, right, bid, ask, None, START, sent.underlying_bid, "recorded", "PM")
        for strike, right, bid, ask
        in zip(sent.strike, sent.right, sent.bid, sent.ask, strict=True))


@pytest.mark.parametrize(("bad", "reason"), [
    (b'{"schema": 1, "symbol": 5}', "symbol"),
    (b"not JSON", "JSON"),
    (messages.encode(minutes("A\0B", 1)[0]), "symbol"),
], ids=["another schema", "not JSON", "a text that no table holds"])
def test_a_bad_message_goes_to_the_dead_letters_and_the_writer_goes_on(
        kafka_bootstrap, writer_settings, tables, symbol, bad, reason):
    first, second = minutes(symbol, 1)
    publish(kafka_bootstrap, OPTION_CHAIN, [first])
    with Producer(kafka_bootstrap) as producer:
        producer.send_bytes(OPTION_CHAIN, symbol.encode(), bad, {})
    publish(kafka_bootstrap, OPTION_CHAIN, [second])
    with running(writer.run, writer_settings):
        eventually(lambda: tables.count("spy_option_chain", symbol) == 2 * CONTRACTS)

    (letter,) = read_all(kafka_bootstrap, DEAD_LETTER, of_symbol(symbol))
    headers = {name: value.decode() for name, value in letter.headers()}
    assert letter.value() == bad
    assert headers["topic"] == OPTION_CHAIN and headers["service"] == "writer"
    assert reason in headers["error"]
    assert headers["offset"].isdigit() and headers["partition"].isdigit()


def test_nothing_is_lost_when_the_database_ends_the_writer_s_connections(
        kafka_bootstrap, writer_settings, tables, symbol):
    chains = minutes(symbol, 60)

    def end_connection():
        return tables.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'writer' AND datname = current_database()")

    with running(writer.run, writer_settings):
        for first in range(0, len(chains), 30):
            publish(kafka_bootstrap, OPTION_CHAIN, chains[first:first + 30])
            eventually(end_connection)
        eventually(lambda: tables.count("spy_option_chain", symbol) == len(chains) * CONTRACTS)


def test_a_restarted_database_is_waited_for(kafka_bootstrap, tmp_path, symbol):
    chains = minutes(symbol, 5)
    with PostgresServer(tmp_path / "own", durable=False) as server:
        apply(server.url)
        url, port = server.url, server.port
        settings = WriterSettings(kafka_bootstrap=kafka_bootstrap, database_url=url,
                                  kafka_group=group_at_end(kafka_bootstrap, OPTION_CHAIN),
                                  metrics_port=0)
        run = running(writer.run, settings)
        run.__enter__()
        publish(kafka_bootstrap, OPTION_CHAIN, chains[:2])
        eventually(lambda: Tables(url).count("spy_option_chain", symbol) == 2 * CONTRACTS)
    publish(kafka_bootstrap, OPTION_CHAIN, chains[2:])
    with PostgresServer(tmp_path / "own", port=port, durable=False):
        eventually(lambda: Tables(url).count("spy_option_chain", symbol) == 10 * CONTRACTS)
        run.__exit__(None, None, None)
