"""Which forecasts are judged, when, and what the next bands learn from it."""

from datetime import date, timedelta

import numpy as np
import pytest

from ml.band_tracker import BandTracker, LastScale, Standing
from ml.bands import Quoted, rate
from tests.unit.predictor_rows import EXPIRY, START

OTHER = date(2027, 1, 15)
HORIZONS = (60, 300)
MISSED = np.exp(rate(60, 60.0) * 0.9)
HELD = np.exp(rate(60, 60.0) * -0.1)


def at(seconds):
    return START + timedelta(seconds=seconds)


def standing(made_s, horizon_s=60, shadow=False, expiry=EXPIRY, half=0.01):
    smile = np.full(17, 0.2)
    return Standing((shadow, horizon_s), expiry, at(made_s), at(made_s + horizon_s), smile,
                    smile - half, smile + half)


def quoted(vol):
    return Quoted(0.1, 0.2, np.array([0.0]), np.array([vol]))


INSIDE, OUTSIDE = quoted(0.2), quoted(0.5)


@pytest.fixture
def tracker():
    return BandTracker(60.0, HORIZONS)


def scale(tracker, seconds, shadow=False):
    """Of the shortest horizon."""
    return tracker.scales(at(seconds), shadow)[0]


@pytest.mark.parametrize(("seen", "factor"), [(OUTSIDE, MISSED), (INSIDE, HELD)])
def test_a_forecast_teaches_its_line_from_the_step_after_its_outcome(tracker, seen, factor):
    tracker.issued([standing(0)])
    tracker.observe(EXPIRY, at(60), seen)

    assert scale(tracker, 119) == 1.0
    assert tracker.scales(at(120)) == pytest.approx([factor, 1.0])


@pytest.mark.parametrize(("seconds", "seen"), [(59, OUTSIDE), (91, OUTSIDE), (60, None)],
                         ids=["too early", "too late", "no smile"])
def test_no_outcome_in_time_teaches_nothing(tracker, seconds, seen):
    tracker.issued([standing(0)])
    tracker.observe(EXPIRY, at(seconds), seen)

    assert scale(tracker, 600) == 1.0


def test_a_row_without_a_smile_leaves_the_next_one_to_judge(tracker):
    tracker.issued([standing(0)])
    tracker.observe(EXPIRY, at(60), None)
    tracker.observe(EXPIRY, at(62), OUTSIDE)
    tracker.observe(EXPIRY, at(64), OUTSIDE)

    assert scale(tracker, 120) == pytest.approx(MISSED)


def test_the_first_forecast_of_each_expiry_in_a_step_is_judged_and_no_other(tracker):
    for seconds, half in ((0, 0.01), (20, 1.0)):
        tracker.issued([standing(seconds, half=half)])
        tracker.issued([standing(seconds, expiry=OTHER, half=half)])
    for seconds in (60, 80):
        for expiry in (EXPIRY, OTHER):
            tracker.observe(expiry, at(seconds), OUTSIDE)

    assert scale(tracker, 120) == pytest.approx(MISSED)


def test_an_expiry_is_judged_on_its_own_quotes(tracker):
    tracker.issued([standing(0)])
    tracker.observe(OTHER, at(60), OUTSIDE)

    assert scale(tracker, 120) == 1.0


def test_the_shadow_has_a_scale_of_its_own(tracker):
    tracker.issued([standing(0, half=1.0), standing(0, shadow=True)])
    tracker.observe(EXPIRY, at(60), OUTSIDE)

    assert scale(tracker, 120) == pytest.approx(HELD)
    assert scale(tracker, 120, shadow=True) == pytest.approx(MISSED)


def test_a_forecast_without_a_band_is_not_judged(tracker):
    tracker.issued([standing(0, half=np.nan)])
    tracker.observe(EXPIRY, at(60), OUTSIDE)

    assert scale(tracker, 120) == 1.0


def test_a_last_scale_is_where_its_line_goes_on(tracker):
    tracker.begin({(False, 60): LastScale(at(0), 2.5)})
    assert scale(tracker, 86_400) == 2.5

    tracker.issued([standing(86_400)])
    tracker.observe(EXPIRY, at(86_460), OUTSIDE)
    assert scale(tracker, 86_520) == pytest.approx(2.5 * MISSED)


def test_a_shadow_that_was_long_away_begins_anew(tracker):
    tracker.begin({(False, 60): LastScale(at(0), 2.5), (True, 60): LastScale(at(0), 3.0)})
    tracker.issued([standing(601)])

    assert scale(tracker, 601) == 2.5
    assert scale(tracker, 601, shadow=True) == 1.0
