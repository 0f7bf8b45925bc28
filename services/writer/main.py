"""The writer: `option-chain` → `spy_option_chain`."""

from contextlib import ExitStack
from functools import partial

from services.common import logs
from services.common.consume import Stage, run_stage
from services.common.database import Database
from services.common.health import Heartbeat, serve
from services.common.lifecycle import Stop
from services.common.messages import OPTION_CHAIN, ChainSlice
from services.common.produce import Producer
from services.common.settings import load
from services.writer.settings import WriterSettings
from services.writer.step import write


def main() -> None:
    """Run the writer until a signal."""
    settings = load(WriterSettings)
    logs.set_up("writer", settings.log_level)
    run(settings, Stop().on_signals())


def run(settings: WriterSettings, stop: Stop) -> None:
    """Run the writer until `stop`."""
    heartbeat = Heartbeat()
    with ExitStack() as stack:
        stack.enter_context(serve(settings.metrics_port, heartbeat))
        database = stack.enter_context(Database(settings.database_url, "writer"))
        producer = stack.enter_context(Producer(settings.kafka_bootstrap, settings.kafka_options))
        stage = Stage("writer", OPTION_CHAIN, ChainSlice, partial(write, database),
                      settings.writer_batch, settings.writer_batch_seconds)
        run_stage(stage, settings, producer, stop, heartbeat)
