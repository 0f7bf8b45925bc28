"""One batch of `option-features`: forecasts of each row, to the table and the topic."""

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import structlog

from ml.features import filtered_smile, window_input
from services.common import metrics
from services.common.database import Database
from services.common.errors import ServiceError, Unavailable
from services.common.messages import PREDICTED_SMILE, FeatureRow, Forecast
from services.common.produce import Producer
from services.predictor import bands
from services.predictor.answer import SHORT, Answer, Said, Silence, model_word, word
from services.predictor.bands import Bands
from services.predictor.forecast import Case, Shape, forecasts
from services.predictor.history import Histories
from services.predictor.model_client import Known, ModelClient, Pair
from services.predictor.order import in_order
from services.predictor.save import TABLE, save

log = structlog.stdlib.get_logger(__name__)
LONGEST_LATENCY_S = 60.0
"""A sample older than this is replayed, or of a feed with a clock of its own: what it took is not
known. How far a live feed has fallen behind is to be seen at each hop."""


class PredictorStage:
    """Holds the recent past of each smile and its bands, and the line to the model server."""

    def __init__(self, database: Database, producer: Producer, model: ModelClient,
                 histories: Histories, bands: Bands, default: Shape) -> None:
        self._database, self._producer = database, producer
        self._model, self._histories, self._bands = model, histories, bands
        self._default = default
        self._shape_of: tuple[Known, Shape] | None = None
        self._speaker: tuple[str, str] | None = ("", "")
        self._stood_in: Counter[str] = Counter()
        """How many of the forecasts last made are a baseline's, by why."""

    def step(self, rows: list[FeatureRow]) -> None:
        """Forecast from every row, in order; write, then publish.

        Raises:
            Unavailable: the database or the broker can't take them now. The model server being
                away is no reason: the baseline stands in.
        """
        for part in in_order(rows):
            made = self.forecast(part)
            with self._database.transaction() as cursor:
                save(cursor, made)
            for forecast in made:
                self._producer.send(PREDICTED_SMILE, forecast)
            _count(made, self._stood_in)
        self._bands.publish()

    def forecast(self, rows: list[FeatureRow]) -> list[Forecast]:
        """The forecasts of every row that has a smile, each from what was known at its time.

        Each symbol's rows are in time order.
        """
        started = time.perf_counter()
        self._stood_in.clear()
        shape = self._shape()
        self._histories.prepare(rows, shape.step_s, shape.window)
        self._bands.prepare(rows, shape)
        cases = [self._case(row, shape) for row in rows]
        answers = iter(self._ask([case for case in cases if case is not None]))
        latency_ms = (time.perf_counter() - started) * 1000
        return [forecast for row, case in zip(rows, cases, strict=True)
                for forecast in self._of_row(row, case, shape, answers, latency_ms)]

    def _of_row(self, row: FeatureRow, case: Case | None, shape: Shape,
                answers: Iterator[Answer], latency_ms: float) -> list[Forecast]:
        """The forecasts of one row, after what it shows of earlier ones was learnt."""
        tracker = self._bands.take(row)
        if case is None:
            return []
        answer = next(answers)
        made = forecasts(case, shape, word(case, shape, answer, latency_ms),
                         tracker.scales(row.ts))
        if isinstance(answer, Silence):
            self._stood_in[answer.reason] += len(made)
        elif answer.shadow is not None:
            made += forecasts(case, shape, model_word(answer.shadow, latency_ms),
                              tracker.scales(row.ts, shadow=True))
        tracker.issued(map(bands.standing, made))
        return made

    def _shape(self) -> Shape:
        """The champion's, or the settings' until one is known."""
        try:
            known = self._model.learn()
        except ServiceError:
            if self._model.known is None:
                return self._default
            known = self._model.known
        if self._shape_of is None or self._shape_of[0] is not known:
            self._shape_of = known, Shape.of(known.contract, known.version)
        return self._shape_of[1]

    def _case(self, row: FeatureRow, shape: Shape) -> Case | None:
        """What a row gives to forecast from; None where it has no smile."""
        history = self._histories.add(row)
        if not history.has_smile_now():
            return None
        window = history.window(shape.step_s, shape.window)
        values = None if window is None else window_input(window, shape.filter_weight)
        recent = history.recent(shape.step_s, shape.window) if window is None else window.grid_vol
        return Case(row, filtered_smile(recent, shape.filter_weight), recent, values)

    def _ask(self, cases: list[Case]) -> list[Answer]:
        """The model's answer to each case, from one call for all that have a window."""
        windows = [case.window for case in cases if case.window is not None]
        pair, silence = None, SHORT
        if windows:
            try:
                pair = self._model.changes(np.stack(windows))
            except Unavailable as error:
                silence = Silence(str(error), "unavailable")
            except ServiceError as error:
                silence = Silence(str(error), "refused")
            self._tell(pair, silence)
        if pair is None:
            return [SHORT if case.window is None else silence for case in cases]
        said = _each(pair)
        return [SHORT if case.window is None else next(said) for case in cases]

    def _tell(self, pair: Pair | None, silence: Silence) -> None:
        """Log when the model falls silent, and when it speaks again or another one does."""
        speaker = None if pair is None else (pair.champion.model_name, pair.champion.model_version)
        if speaker == self._speaker:
            return
        self._speaker = speaker
        if pair is None:
            log.warning("the baseline stands in", why=silence.why)
        else:
            log.info("the model forecasts", model=pair.champion.model_name,
                     version=pair.champion.model_version)


def _each(pair: Pair) -> Iterator[Said]:
    """What is said of each window."""
    for place, change in enumerate(pair.champion.change):
        shadow = pair.shadow
        yield Said(pair.champion, change,
                   None if shadow is None else Said(shadow, shadow.change[place]))


def _count(made: list[Forecast], stood_in: Counter[str]) -> None:
    now = datetime.now(UTC)
    metrics.ROWS.labels("predictor", TABLE).inc(len(made))
    for reason, count in stood_in.items():
        metrics.FALLBACKS.labels(reason).inc(count)
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
