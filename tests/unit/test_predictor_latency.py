"""Which forecasts say how long the pipeline takes."""

from datetime import timedelta

import msgspec
import numpy as np
import pytest

from services.predictor.forecast import Case, Origin, forecasts, stand_in
from services.predictor.step import pipeline_seconds
from tests.unit.predictor_rows import SHAPE, START, feature_row

CASE = Case(feature_row(START), np.full(17, 0.2), np.full((10, 17), 0.2), None)
FORECAST = forecasts(CASE, SHAPE, stand_in(CASE, SHAPE, Origin("1", "baseline", 1.0)),
                     np.ones(4))[0]


@pytest.mark.parametrize("source", ["live", "delayed", "simulated"])
@pytest.mark.parametrize(("after_s", "took"), [
    (0.3, 0.3), (59.0, 59.0), (-0.01, 0.0), (60.0, None), (600.0, None), (-3600.0, None)])
def test_the_latency_of_a_fresh_sample_is_known_and_no_other(source, after_s, took):
    forecast = msgspec.structs.replace(FORECAST, source=source)

    assert pipeline_seconds(forecast, START + timedelta(seconds=after_s)) == took


def test_a_recording_has_no_latency():
    forecast = msgspec.structs.replace(FORECAST, source="recorded")

    assert pipeline_seconds(forecast, START) is None
