"""Figures made of losses that are written down here, in squared basis points.

Four days, an instant each: the first two are fold 0 and of options to 2 days, the others fold 1 and
of 2 to 9 days. The best baseline of a horizon is the one over all days, not of a part of them.
"""

from math import sqrt

import numpy as np
import pytest

from ml.evaluation.records import BAND, LOSSES, MODEL, Buckets, Tally, averaged
from ml.evaluation.scores import EVERYTHING, as_metrics, summarise

FILTERED = "filtered_persistence"
NAMES = (MODEL, FILTERED, "ewma")
HORIZONS = (60, 300)
DAY_S = 86_400.0
NOON_S = 20_667 * DAY_S + 16 * 3600.0
"""A Monday, 3 August 2026, 12:00 in New York."""
ABSOLUTE, QLIKE = (3e-4, 5e-4, 4e-4), (0.1, 0.3, 0.2)
IN_BAND = dict(zip(BAND, (0.1, 0.45, 0.9, 2e-4, 8e-4, 0.85, 3e-4, 9e-4), strict=True))

# Squared errors by fold and horizon of the model, filtered persistence and the EWMA.
SQUARED = {(0, 0): (1.0, 6.0, 2.0), (1, 0): (2.0, 3.0, 5.0),  # in all 3, 9 and 7: the EWMA is best
           (0, 1): (4.0, 1.0, 8.0), (1, 1): (4.0, 7.0, 2.0)}  # in all 8, 8 and 10: it is not


def loss_row(squared):
    """The columns of one quote: each of the losses by name, then the band's."""
    assert LOSSES == ("squared", "absolute", "qlike")
    return np.array([[*(1e-8 * np.array(squared)), *ABSOLUTE, *QLIKE, *IN_BAND.values()]])


def tallied(squared_of=SQUARED.get, days=4):
    tally = Tally("gru", HORIZONS, 60.0, NAMES)
    for day in range(days):
        fold = 2 * day // days
        for horizon in range(2):
            buckets = Buckets(fold, horizon, np.array([NOON_S + day * DAY_S]), np.array([fold]),
                              np.array([1]))
            tally.add(buckets, np.array([0]), np.zeros(1), np.full(1, 6e-4),
                      loss_row(squared_of((fold, horizon))))
    return tally.records()


@pytest.fixture(scope="module")
def evaluation():
    return summarise(tallied())


def of_parts(parts, horizon_s=60):
    return {part.number: (part.rmse_bp, part.r2_filtered, part.r2_best)
            for part in parts if part.horizon_s == horizon_s}


NEAR = {0: (1.0, 1 - 1 / 6, 1 - 1 / 2), 1: (sqrt(2), 1 - 2 / 3, 1 - 2 / 5)}
"""By fold, one minute ahead: root mean square error, R² against filtered persistence and EWMA."""
FAR = {0: (2.0, 1 - 4 / 1, 1 - 4 / 1), 1: (2.0, 1 - 4 / 7, 1 - 4 / 7)}
"""Five minutes ahead filtered persistence is itself the best."""


def test_a_horizon_has_the_least_error_of_all_days_as_its_best(evaluation):
    near, far = evaluation.horizons
    assert (near.best, far.best) == ("ewma", FILTERED)
    assert near.rmse_bp == pytest.approx(sqrt(3 / 2))
    assert near.against("ewma").rmse_bp == pytest.approx(sqrt(7 / 2))
    assert near.against("ewma").r2 == pytest.approx(1 - 3 / 7)
    assert near.against(FILTERED).r2 == pytest.approx(1 - 3 / 9)
    assert far.against(FILTERED).r2 == 0.0
    assert far.against("ewma").r2 == pytest.approx(1 - 8 / 10)


def test_the_other_figures_of_a_horizon_are_those_told(evaluation):
    near = evaluation.horizons[0]
    rival = near.against("ewma")
    assert (near.mae_bp, rival.mae_bp) == (pytest.approx(3.0), pytest.approx(4.0))
    assert (near.qlike, rival.qlike) == (pytest.approx(0.1), pytest.approx(0.2))
    assert near.below == pytest.approx((0.1, 0.45, 0.9))
    assert (near.coverage, near.adaptive_coverage) == (pytest.approx(0.8), pytest.approx(0.85))
    assert (near.pinball_bp, near.adaptive_pinball_bp) == (pytest.approx(2.0), pytest.approx(3.0))
    assert (near.width_bp, near.adaptive_width_bp) == (pytest.approx(8.0), pytest.approx(9.0))
    assert (near.forecasts, near.quotes, near.instants) == (4, 4, 4)


@pytest.mark.parametrize(("horizon_s", "expected"), [(60, NEAR), (300, FAR)])
def test_folds_are_held_against_the_best_of_the_whole_horizon(evaluation, horizon_s, expected):
    assert of_parts(evaluation.folds, horizon_s) == {
        fold: pytest.approx(figures) for fold, figures in expected.items()}


@pytest.mark.parametrize(("horizon_s", "expected"), [(60, NEAR), (300, FAR)])
def test_so_are_days(evaluation, horizon_s, expected):
    assert of_parts(evaluation.over_time, horizon_s) == {
        day: pytest.approx(expected[day // 2]) for day in range(4)}


@pytest.mark.parametrize(("horizon_s", "expected"), [(60, NEAR), (300, FAR)])
def test_so_are_cells(evaluation, horizon_s, expected):
    for fold, maturity in enumerate(("to 2 days", "2 to 9 days")):
        single, combined = (
            next(cell for cell in evaluation.cells if cell.horizon_s == horizon_s
                 and (cell.moneyness, cell.maturity, cell.time_of_day) == (z, maturity, time))
            for z, time in ((EVERYTHING, EVERYTHING), ("z −0.5 to 0.5", "morning")))
        for cell in (single, combined):
            assert (cell.rmse_bp, cell.r2_filtered, cell.r2_best) == pytest.approx(expected[fold])
            _, filtered, ewma = SQUARED[fold, HORIZONS.index(horizon_s)]
            assert cell.baseline_rmse_bp == pytest.approx(
                {FILTERED: sqrt(filtered), "ewma": sqrt(ewma)})
            assert (cell.mae_bp, cell.coverage, cell.adaptive_coverage) == pytest.approx(
                (3.0, 0.8, 0.85))
            assert (cell.forecasts, cell.quotes) == (2, 2)


def test_parts_tell_when_they_were_and_what_the_band_held(evaluation):
    first, second = (part for part in evaluation.folds if part.horizon_s == 60)
    assert (first.from_s, first.until_s) == (NOON_S, NOON_S + DAY_S)
    assert (second.from_s, second.until_s) == (NOON_S + 2 * DAY_S, NOON_S + 3 * DAY_S)
    assert (first.forecasts, second.forecasts) == (2, 2)
    assert (first.coverage, first.adaptive_coverage) == pytest.approx((0.8, 0.85))


def test_few_days_are_cut_into_twelve_stretches_of_as_many_instants():
    tally, nowhere = Tally("gru", HORIZONS, 60.0, NAMES), np.zeros(36, int)
    tally.add(Buckets(0, 0, NOON_S + 60.0 * np.arange(36), nowhere, nowhere), np.arange(36),
              np.zeros(36), np.full(36, 6e-4), np.tile(loss_row((1.0, 6.0, 2.0)), (36, 1)))
    stretches = summarise(tally.records()).over_time
    assert [(one.number, one.from_s, one.until_s) for one in stretches] == [
        (number, NOON_S + 180.0 * number, NOON_S + 180.0 * number + 120.0) for number in range(12)]


def test_metrics_name_the_figures_by_horizon_and_fold(evaluation):
    metrics = as_metrics(evaluation)
    expected = {
        "r2_filtered_60s": 1 - 3 / 9, "r2_best_60s": 1 - 3 / 7, "r2_best_300s": 0.0,
        "ewma_rmse_bp_300s": sqrt(10 / 2), "mae_bp_60s": 3.0, "qlike_60s": 0.1,
        "pinball_bp_60s": 2.0, "coverage_60s": 0.8, "adaptive_coverage_60s": 0.85,
        "fold0_r2_best_60s": 1 - 1 / 2, "fold1_r2_best_60s": 1 - 2 / 5,
        "fold1_r2_filtered_60s": 1 - 2 / 3, "fold0_r2_best_300s": 1 - 4 / 1}
    assert {name: metrics[name] for name in expected} == pytest.approx(expected)


def test_the_p_value_in_the_metrics_is_against_the_best():
    """The model is better than the EWMA every day, than filtered persistence only on average."""
    losses = iter(np.tile([[1.0, 9.0, 2.0], [1.0, 0.5, 2.2]], (40, 1)).repeat(2, axis=0))
    evaluation = summarise(tallied(lambda place: next(losses), days=40))
    near = evaluation.horizons[0]
    assert near.best == "ewma"
    assert as_metrics(evaluation)["p_best_60s"] == near.against("ewma").p_value < 1e-6
    assert near.against(FILTERED).p_value > 1e-6


def test_luck_of_half_an_hour_is_less_evidence_the_longer_the_horizon():
    """The model is better in 12 half hours of 16: of forecasts a minute long, and half an hour."""
    better = np.array([1, 1, 0, 1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 1], bool).repeat(30)
    values = np.where(better[:, None], loss_row((0.7, 2.0, 1.0)), loss_row((1.3, 2.0, 1.0)))
    tally, nowhere = Tally("gru", (60, 1800), 60.0, NAMES), np.zeros(480, int)
    for horizon in range(2):
        tally.add(Buckets(0, horizon, NOON_S + 60.0 * np.arange(480), nowhere, nowhere),
                  np.arange(480), np.zeros(480), np.full(480, 6e-4), values)

    near, far = (one.against("ewma") for one in summarise(tally.records()).horizons)

    assert near.r2 == far.r2 == pytest.approx(0.15)
    assert near.statistic < 0.0
    assert near.p_value < 0.01 < far.p_value
    assert far.r2_upper - far.r2_lower > 2.0 * (near.r2_upper - near.r2_lower)


def test_seeds_are_averaged_in_cells_and_bands_too():
    other = tallied(lambda place: np.array(SQUARED[place]) * (3.0, 1.0, 1.0))
    both = summarise(averaged([tallied(), other]))
    near = both.horizons[0]
    assert near.rmse_bp == pytest.approx(sqrt(2 * 3 / 2))  # 1 and 3 times the squared error
    assert near.against("ewma").rmse_bp == pytest.approx(sqrt(7 / 2))
    assert near.coverage == pytest.approx(0.8)
    cell = next(cell for cell in both.cells if cell.horizon_s == 60 and cell.maturity == "to 2 days"
                and cell.moneyness == cell.time_of_day == EVERYTHING)
    assert (cell.rmse_bp, cell.r2_best) == pytest.approx((sqrt(2 * 1), 1 - 2 / 2))
