"""The features stage: `option-chain` → `option_features` and `option-features`."""

from contextlib import ExitStack

from services.common import logs
from services.common.consume import Stage, run_stage
from services.common.database import Database
from services.common.health import Heartbeat, serve
from services.common.lifecycle import Stop
from services.common.messages import OPTION_CHAIN, ChainSlice
from services.common.produce import Producer
from services.common.settings import load
from services.features.instant import awaited
from services.features.settings import FeaturesSettings, conventions_of
from services.features.step import FeaturesStage


def main() -> None:
    """Run the features stage until a signal."""
    settings = load(FeaturesSettings)
    logs.set_up("features", settings.log_level)
    run(settings, Stop().on_signals())


def run(settings: FeaturesSettings, stop: Stop) -> None:
    """Run the features stage until `stop`."""
    heartbeat = Heartbeat()
    with ExitStack() as stack:
        stack.enter_context(serve(settings.metrics_port, heartbeat))
        database = stack.enter_context(Database(settings.database_url, "features"))
        producer = stack.enter_context(Producer(settings.kafka_bootstrap, settings.kafka_options))
        features = FeaturesStage(database, producer, conventions_of(settings))
        stage = Stage("features", OPTION_CHAIN, ChainSlice, features.step,
                      settings.features_batch, settings.features_batch_seconds, awaited)
        run_stage(stage, settings, producer, stop, heartbeat)
