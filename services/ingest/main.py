"""Ingest: quotes of a gateway or a recording, sampled into `option-chain`."""

import asyncio
from contextlib import ExitStack, aclosing

import structlog

from ml.errors import SmileError
from services.common import health, lifecycle, logs, settings
from services.common.errors import SettingsError
from services.common.lifecycle import Stop
from services.common.produce import Producer
from services.ingest.cadence import Patience
from services.ingest.publish import Publisher
from services.ingest.settings import IngestSettings
from services.ingest.source import Source, UserMistake

log = structlog.stdlib.get_logger(__name__)


def main() -> None:
    """Run until the source ends or SIGTERM: exit 0; 2 for a user's mistake."""
    lifecycle.run(run, (UserMistake, SmileError))


def run() -> None:
    """Settings, resources, loop, close."""
    setting = settings.load(IngestSettings)
    logs.set_up("ingest", setting.log_level)
    stop = Stop().on_signals()
    heartbeat = health.Heartbeat()
    with ExitStack() as stack:
        stack.enter_context(health.serve(setting.metrics_port, heartbeat))
        producer = stack.enter_context(Producer(setting.kafka_bootstrap, setting.kafka_options))
        patience = Patience(stop, heartbeat)
        asyncio.run(ingest(setting, Publisher(producer, patience), patience))


async def ingest(setting: IngestSettings, publisher: Publisher, patience: Patience) -> None:
    """Publish every instant of the source until it ends or it is time to stop."""
    source = open_source(setting, patience)
    async with aclosing(source.instants()) as instants:
        async for slices in instants:
            await publisher.publish(slices)
            if patience.stop:
                break
    log.info("stopped" if patience.stop else "the source has ended", quotes=publisher.quotes,
             messages=publisher.messages, instants=publisher.instants)


def open_source(setting: IngestSettings, patience: Patience) -> Source:
    """The source that the settings name; only its own libraries are loaded.

    Raises:
        SettingsError: a recording is asked for but not named.
    """
    if setting.source == "tws":
        from services.ingest.ibkr.source import TwsSource
        return TwsSource(setting, patience)
    if not setting.recording:
        raise SettingsError("SMILE_RECORDING is not set; SMILE_SOURCE=recording needs the path "
                            "of a quotes file")
    from services.ingest.recording import RecordingSource
    return RecordingSource(setting.recording, setting.speed, setting.label, patience)
