"""One batch of `option-features`: forecasts of each row, to the table and the topic."""

import time
from datetime import UTC, datetime
from typing import Any

import numpy as np
import structlog

from ml.features import filtered_smile, window_input
from services.common import metrics
from services.common.database import Database, upsert
from services.common.errors import ServiceError, Unavailable
from services.common.messages import PREDICTED_SMILE, FeatureRow, Forecast
from services.common.produce import Producer
from services.predictor.answer import SHORT, Answer, Said, Silence, forecasts
from services.predictor.forecast import Case, Shape
from services.predictor.history import Histories
from services.predictor.model_client import ModelClient
from services.predictor.reply import Changes

TABLE = "predicted_smile"
KEY = ("symbol", "expiry", "made_at", "horizon_s", "model_name")
COLUMNS = tuple(name for name in Forecast.__struct_fields__ if name != "schema")
log = structlog.stdlib.get_logger(__name__)
LONGEST_LATENCY_S = 60.0
"""A sample older than this is replayed, or of a feed with a clock of its own: what it took is not
known. How far a live feed has fallen behind is to be seen at each hop."""


class PredictorStage:
    """Holds the recent past of each smile and the line to the model server."""

    def __init__(self, database: Database, producer: Producer, model: ModelClient,
                 histories: Histories, default: Shape) -> None:
        self._database, self._producer = database, producer
        self._model, self._histories, self._default = model, histories, default
        self._speaker: tuple[str, str] | None = ("", "")

    def step(self, rows: list[FeatureRow]) -> None:
        """Forecast from every row, in order; upsert, then publish.

        Raises:
            Unavailable: the database or the broker can't take them now. The model server being
                away is no reason: the baseline stands in.
        """
        made = self.forecast(rows)
        values = [table_row(forecast) for forecast in made]
        with self._database.transaction() as cursor:
            upsert(cursor, TABLE, KEY, COLUMNS, values)
        for forecast in made:
            self._producer.send(PREDICTED_SMILE, forecast)
        _count(made)

    def forecast(self, rows: list[FeatureRow]) -> list[Forecast]:
        """The forecasts of every row that has a smile, each from what was known at its time."""
        started = time.perf_counter()
        shape = self._shape()
        self._histories.prepare(rows, shape.step_s, shape.window)
        cases = [case for row in rows if (case := self._case(row, shape)) is not None]
        answers = self._ask(cases)
        latency_ms = (time.perf_counter() - started) * 1000
        return [forecast for case, answer in zip(cases, answers, strict=True)
                for forecast in forecasts(case, shape, answer, latency_ms)]

    def _shape(self) -> Shape:
        """The champion's, or the settings' until one is known."""
        try:
            return Shape.of(self._model.learn())
        except ServiceError:
            known = self._model.contract
            return self._default if known is None else Shape.of(known)

    def _case(self, row: FeatureRow, shape: Shape) -> Case | None:
        """What a row gives to forecast from; None where it has no smile."""
        history = self._histories.add(row)
        if not history.has_smile_now():
            return None
        window = history.window(shape.step_s, shape.window)
        values = None if window is None else window_input(window, shape.filter_weight)
        recent = history.recent(shape.step_s, shape.window)
        return Case(row, filtered_smile(recent, shape.filter_weight), values)

    def _ask(self, cases: list[Case]) -> list[Answer]:
        """The model's answer to each case, from one call for all that have a window."""
        windows = [case.window for case in cases if case.window is not None]
        changes, silence = None, SHORT
        if windows:
            try:
                changes = self._model.changes(np.stack(windows))
            except Unavailable as error:
                silence = Silence(str(error), "unavailable")
            except ServiceError as error:
                silence = Silence(str(error), "refused")
            self._tell(changes, silence)
        if changes is None:
            return [SHORT if case.window is None else silence for case in cases]
        said = iter(changes.change)
        return [SHORT if case.window is None else Said(changes, next(said)) for case in cases]

    def _tell(self, changes: Changes | None, silence: Silence) -> None:
        """Log when the model falls silent, and when it speaks again or another one does."""
        speaker = None if changes is None else (changes.model_name, changes.model_version)
        if speaker == self._speaker:
            return
        self._speaker = speaker
        if changes is None:
            log.warning("the baseline stands in", why=silence.why)
        else:
            log.info("the model forecasts", model=changes.model_name,
                     version=changes.model_version)


def table_row(forecast: Forecast) -> tuple[Any, ...]:
    """The values of `COLUMNS`."""
    return tuple(getattr(forecast, name) for name in COLUMNS)


def _count(made: list[Forecast]) -> None:
    now = datetime.now(UTC)
    metrics.ROWS.labels("predictor", TABLE).inc(len(made))
    for forecast in made:
        metrics.FORECASTS.labels(forecast.role).inc()
        metrics.REPAIRED.inc(forecast.repaired)
        if (latency_s := pipeline_seconds(forecast, now)) is not None:
            metrics.PIPELINE_SECONDS.observe(latency_s)


def pipeline_seconds(forecast: Forecast, now: datetime) -> float | None:
    """From the sample to its committed forecast; None where the wall clock does not tell."""
    seconds = (now - forecast.made_at).total_seconds()
    if forecast.source == "recorded" or abs(seconds) >= LONGEST_LATENCY_S:
        return None
    return max(0.0, seconds)
