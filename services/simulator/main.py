"""The simulator's command line: `serve` a gateway, or write the market's `history`."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import structlog

from ml.errors import SmileError
from services.common import health, lifecycle, logs
from services.common.settings import load
from services.simulator import cli
from services.simulator.clock import MarketClock
from services.simulator.errors import SimulatorError
from services.simulator.faults import Event, script
from services.simulator.feed import Feed
from services.simulator.gateway import Gateway
from services.simulator.market import SyntheticMarket
from services.simulator.outages import Outages
from services.simulator.settings import SimulatorSettings, parse_time

log = structlog.stdlib.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    options = cli.parser(serve, write_history).parse_args(arguments)
    lifecycle.run(lambda: options.run(options), (SmileError, SimulatorError))


def serve(options: argparse.Namespace) -> None:
    """A gateway, until SIGTERM or SIGINT."""
    settings = load(SimulatorSettings, cli.environment(options))
    logs.set_up("simulator", settings.log_level)
    events = script(settings.simulator_fault)
    feed = _feed(settings)
    begins = settings.begins()
    clock = MarketClock(feed.begins() if begins is None else begins, settings.simulator_speed)
    feed.expiries(feed.symbols[0], clock.now())  # reads the exchange calendar: a second, once
    heartbeat = health.Heartbeat()
    with health.serve(settings.metrics_port, heartbeat):
        asyncio.run(_serve(Gateway(settings, feed, clock), events, heartbeat))


async def _serve(gateway: Gateway, events: list[Event], heartbeat: health.Heartbeat) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    outages = Outages(gateway, events)
    await gateway.open()
    log.info("gateway is up", host=gateway.settings.simulator_host, port=gateway.port,
             symbols=gateway.feed.symbols)
    try:
        await _turns(gateway, stop, heartbeat)
    finally:
        await outages.stop()
        await gateway.close()
        log.info("gateway is down")


async def _turns(gateway: Gateway, stop: asyncio.Event, heartbeat: health.Heartbeat) -> None:
    loop = asyncio.get_running_loop()
    turn = loop.time()
    while not stop.is_set():
        gateway.tick()
        heartbeat.beat()
        turn = max(turn + gateway.settings.simulator_tick_seconds, loop.time())
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), turn - loop.time())


def _feed(settings: SimulatorSettings) -> Feed:
    if not settings.simulator_recording:
        return _market(settings)
    # Imported here: a gateway on the synthetic market needs no pandas.
    from services.simulator.recording import Recording
    return Recording(settings.simulator_recording)


def _market(settings: SimulatorSettings) -> SyntheticMarket:
    symbols = tuple(symbol.upper() for symbol in settings.simulator_symbols)
    return SyntheticMarket(settings.simulator_seed, symbols, settings.simulator_hours == "always")


def _span(options: argparse.Namespace) -> tuple[datetime, datetime]:
    """From when to when."""
    end = datetime.now(UTC).replace(second=0, microsecond=0) if options.end is None else \
        parse_time(options.end, "--to")
    begin = end - timedelta(hours=options.past) if options.begin is None else \
        parse_time(options.begin, "--from")
    return begin, end


def write_history(options: argparse.Namespace) -> None:
    """A quotes file of the synthetic market."""
    # Imported here: a gateway on the synthetic market needs no pandas.
    from ml.quotes.format import write_quotes
    from services.simulator.history import history_frame, instants

    settings = load(SimulatorSettings, cli.environment(options))
    begin, end = _span(options)
    market = _market(settings)
    frame = history_frame(market, instants(begin, end, options.step), options.expiries)
    write_quotes(frame, options.output)
    sys.stdout.write(f"{options.output}: {len(frame)} quotes at {frame['ts'].nunique()} "
                     f"instants\n")
