"""The predictor: `option-features` → `predicted_smile` and `predicted-smile`."""

import logging
from contextlib import ExitStack
from functools import partial

from services.common import logs
from services.common.consume import Stage, run_stage
from services.common.database import Database
from services.common.health import Heartbeat, serve
from services.common.lifecycle import Stop
from services.common.messages import OPTION_FEATURES, FeatureRow
from services.common.produce import Producer
from services.common.settings import load
from services.predictor.bands import Bands
from services.predictor.forecast import Shape
from services.predictor.history import Histories
from services.predictor.model_client import ModelClient
from services.predictor.reload import load_samples
from services.predictor.reload_bands import load_bands
from services.predictor.settings import PredictorSettings
from services.predictor.step import PredictorStage


def main() -> None:
    """Run the predictor until a signal."""
    settings = load(PredictorSettings)
    logs.set_up("predictor", settings.log_level)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it has a line for every request
    run(settings, Stop().on_signals())


def run(settings: PredictorSettings, stop: Stop) -> None:
    """Run the predictor until `stop`."""
    heartbeat = Heartbeat()
    shape = Shape.plain(settings.step_s, settings.window, settings.filter_weight,
                        settings.horizons_s)
    with ExitStack() as stack:
        stack.enter_context(serve(settings.metrics_port, heartbeat))
        database = stack.enter_context(Database(settings.database_url, "predictor"))
        producer = stack.enter_context(Producer(settings.kafka_bootstrap, settings.kafka_options))
        model = stack.enter_context(ModelClient(
            settings.model_server_url, settings.model_timeout_seconds,
            settings.model_retry_seconds))
        histories = Histories(partial(load_samples, database))
        bands = Bands(partial(load_bands, database))
        predictor = PredictorStage(database, producer, model, histories, bands, shape)
        stage = Stage("predictor", OPTION_FEATURES, FeatureRow, predictor.step,
                      settings.predictor_batch, settings.predictor_batch_seconds)
        run_stage(stage, settings, producer, stop, heartbeat)
