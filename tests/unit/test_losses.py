"""Losses of forecasts on quotes of round numbers, against what a reader can work out.

Every smile is flat at 20 %. The model forecasts no change, with a band from 18 to 22 %, 16 to 24 %
with its live scale of 2; persistence says 21 % and the tuned EWMA 20.5 %.
"""

from datetime import date, datetime
from math import log, sqrt

import numpy as np
import pytest

from ml.args import DataArgs
from ml.baselines import LinearBaseline
from ml.calendar import NEW_YORK
from ml.dataset import Dataset, Observations, Samples
from ml.evaluation.collect import add
from ml.evaluation.forecasts import Forecasts
from ml.evaluation.records import MODEL, Tally
from ml.evaluation.scores import EVERYTHING, summarise
from ml.features import DEVIATIONS, WINDOW_FEATURES

NAMES = (MODEL, "filtered_persistence", "persistence", "ewma")
BASELINES = (LinearBaseline(name="persistence", base=((0.0, 1.0),)),
             LinearBaseline(name="ewma", base=((0.5, 0.5),)))
QUANTILES = (0.05, 0.5, 0.95)
NOON = (12, 0)
MONTH = 30.0
"""Days to expiry."""


def at(hour, minute, day=3):
    """Epoch seconds of a New York time in August 2026, by default on Monday the 3rd."""
    return datetime(2026, 8, day, hour, minute, tzinfo=NEW_YORK).timestamp()


def judged(*forecasts):
    """The figures of forecasts: a New York time, days to expiry, and quotes of z and mid."""
    times, days, quotes = zip(*forecasts, strict=True)
    data = history([at(*time) for time in times], np.array(days) / 365.0, quotes)
    count = len(forecasts)
    change = np.broadcast_to(np.array([-0.02, 0.0, 0.02])[:, None], (count, 1, 3, 17))
    made = Forecasts(0, np.arange(count), np.ones((count, 1), bool), change.astype(np.float32),
                     BASELINES, QUANTILES)
    tally = Tally("gru", (60,), 60.0, NAMES)
    add(tally, made, np.full((count, 1), 2.0), data)
    return summarise(tally.records())


def history(at_s, tau, quotes):
    """A sample per forecast: rows where they are made, then the rows of their targets."""
    count, sizes = len(at_s), [len(one) for one in quotes]
    z, mid = np.concatenate(quotes).T
    rows = Observations(
        at_s=np.concatenate([at_s, np.add(at_s, 60.0)]), tau=np.tile(tau, 2),
        forward=np.full(2 * count, 640.0), atm_vol=np.full(2 * count, 0.2),
        grid_vol=np.full((2 * count, 17), 0.2),
        starts=np.concatenate([np.zeros(count, int), [0], np.cumsum(sizes)]),
        log_moneyness=z * 0.2 * np.sqrt(np.repeat(tau, sizes)), mid_iv=mid,
        half_spread=np.full(len(mid), 6e-4))
    windows = np.zeros((count, 2, len(WINDOW_FEATURES)))
    windows[:, 1, DEVIATIONS] = 0.01
    samples = Samples(
        at_s=np.array(at_s), windows=windows, filtered=np.full((count, 17), 0.2),
        change=np.zeros((count, 1, 17)), key=np.zeros(count, int), row=np.arange(count),
        target=count + np.arange(count)[:, None])
    return Dataset(samples, rows, (("SPY", date(2026, 9, 2)),),
                   DataArgs(window=2, horizons_s=(60,)))


@pytest.fixture(scope="module")
def four():
    """One forecast, judged on quotes below its band, in its halves and above it."""
    quotes = [(0.0, 0.17), (0.2, 0.19), (0.4, 0.21), (0.5, 0.23)]
    return judged((NOON, MONTH, quotes)).horizons[0]


def test_errors_are_those_of_the_quotes(four):
    # Off by −3, −1, 1 and 3 vol points.
    assert four.rmse_bp == pytest.approx(1e4 * sqrt((9 + 1 + 1 + 9) / 4 * 1e-4), rel=1e-6)
    assert four.mae_bp == pytest.approx(1e2 * (3 + 1 + 1 + 3) / 4, rel=1e-6)
    assert (four.forecasts, four.quotes, four.instants) == (1, 4, 1)


def test_qlike_is_of_variances(four):
    # r − ln r − 1 of r = (mid / 0.2)², which is 0.7225, 0.9025, 1.1025 and 1.3225.
    assert four.qlike == pytest.approx((0.04754 + 0.00509 + 0.00492 + 0.04297) / 4, abs=1e-5)


def test_baselines_have_losses_of_their_own(four):
    # Persistence is off by −4, −2, 0 and 2 vol points, the EWMA by −3.5, −1.5, 0.5 and 2.5.
    newest, average = four.against("persistence"), four.against("ewma")
    assert newest.rmse_bp == pytest.approx(1e2 * sqrt((16 + 4 + 0 + 4) / 4), rel=1e-6)
    assert newest.mae_bp == pytest.approx(1e2 * (4 + 2 + 0 + 2) / 4, rel=1e-6)
    assert average.mae_bp == pytest.approx(1e2 * (3.5 + 1.5 + 0.5 + 2.5) / 4, rel=1e-6)
    ratios = [(mid / 0.21) ** 2 for mid in (0.17, 0.19, 0.21, 0.23)]
    assert newest.qlike == pytest.approx(sum(one - log(one) - 1.0 for one in ratios) / 4, rel=1e-6)
    # Mean squares 5 against 6.
    assert newest.r2 == pytest.approx(1.0 - 5 / 6, rel=1e-6)


def test_shares_below_each_edge_are_counted(four):
    assert four.below == (0.25, 0.5, 0.75)
    assert four.coverage == 0.5
    assert four.adaptive_coverage == 1.0


def test_pinball_is_of_the_band_as_calibrated_and_of_the_live_one(four):
    # Each of a mid 1 or 3 points off the median: lower edge, median, upper edge; in vol points.
    static = (0.05 * 1 + 0.5 * 1 + 0.05 * 3, 0.95 * 1 + 0.5 * 3 + 0.05 * 5)
    live = (0.05 * 3 + 0.5 * 1 + 0.05 * 5, 0.05 * 1 + 0.5 * 3 + 0.05 * 7)
    assert four.pinball_bp == pytest.approx(1e2 * sum(static) / 2 / 3, rel=1e-5)
    assert four.adaptive_pinball_bp == pytest.approx(1e2 * sum(live) / 2 / 3, rel=1e-5)


def test_widths_are_from_edge_to_edge(four):
    assert four.width_bp == pytest.approx(400.0, rel=1e-5)
    assert four.adaptive_width_bp == pytest.approx(800.0, rel=1e-5)


def test_a_mid_on_the_edge_is_within_the_band():
    one = judged((NOON, MONTH, [(0.0, 0.2)])).horizons[0]
    assert one.below == (0.0, 0.0, 1.0)
    assert one.coverage == 1.0


def test_every_forecast_weighs_the_same_whatever_its_quotes():
    one = judged((NOON, MONTH, [(0.0, 0.21)]), (NOON, MONTH, [(0.0, 0.22)] * 3)).horizons[0]
    assert one.mae_bp == pytest.approx((100.0 + 200.0) / 2, rel=1e-6)
    assert one.rmse_bp == pytest.approx(1e2 * sqrt((1 + 4) / 2), rel=1e-6)
    assert (one.forecasts, one.quotes, one.instants) == (2, 4, 1)


def errors(evaluation, bucket):
    """Mean absolute errors in bp of the cells that are told apart by this bucket alone."""
    others = {"moneyness", "maturity", "time_of_day"} - {bucket}
    return {getattr(cell, bucket): round(cell.mae_bp, 3) for cell in evaluation.cells
            if all(getattr(cell, other) == EVERYTHING for other in others)}


def test_quotes_are_told_apart_by_moneyness():
    quotes = [(-2.0, 0.201), (-1.0, 0.202), (0.0, 0.203), (1.0, 0.204)]
    assert errors(judged((NOON, MONTH, quotes)), "moneyness") == {
        "z under −1.5": 10.0, "z −1.5 to −0.5": 20.0, "z −0.5 to 0.5": 30.0, "z over 0.5": 40.0}


def test_forecasts_are_told_apart_by_days_to_expiry():
    days = (1.0, 5.0, 20.0, 60.0, 200.0)
    made = [(NOON, left, [(0.0, 0.201 + place * 1e-3)]) for place, left in enumerate(days)]
    assert errors(judged(*made), "maturity") == {
        "to 2 days": 10.0, "2 to 9 days": 20.0, "9 to 35 days": 30.0, "35 to 100 days": 40.0,
        "over 100 days": 50.0}


def test_forecasts_are_told_apart_by_how_much_of_the_session_has_passed():
    # Of 390 minutes from 9:30 on: 15, 150, 270 and 375; Sunday has none.
    times = ((9, 45), NOON, (14, 0), (15, 45), (12, 0, 2))
    made = [(time, MONTH, [(0.0, 0.201 + place * 1e-3)]) for place, time in enumerate(times)]
    assert errors(judged(*made), "time_of_day") == {
        "opening": 10.0, "morning": 20.0, "afternoon": 30.0, "closing": 40.0, "no session": 50.0}
