"""Forecasts' losses on observed quotes, and the figures made of them."""

from dataclasses import replace

import numpy as np
import pytest

from ml.bands import RATE
from ml.baselines import changes, held_by_strike, on_grid
from ml.errors import TrainingDataError
from ml.evaluation import forecasts as forecasting
from ml.evaluation.collect import collect, pinball
from ml.evaluation.records import MODEL, MONEYNESS, Buckets, Tally, averaged, columns
from ml.evaluation.scores import EVERYTHING, as_metrics, summarise
from ml.features import DEVIATIONS
from ml.smile.grid import vol_at
from tests.unit.judged import constant, dataset, walked
from tests.unit.smiles import make_history


@pytest.fixture(scope="module")
def data():
    return dataset()


@pytest.fixture(scope="module")
def records(data):
    return collect(walked(data), data)


@pytest.fixture(scope="module")
def evaluation(records):
    return summarise(records)


def scored(data, horizon):
    """Places of samples that have a target in a test part."""
    for one in walked(data):
        part = one.fold.test
        known = part.known[:, horizon]
        yield from zip(part.places[known], data.samples.target[part.places[known], horizon],
                       strict=True)


def rmse_bp(data, horizon, curve_of):
    """Root mean square error, smile by smile; every forecast weighs the same."""
    means = []
    for place, target in scored(data, horizon):
        seen = data.observations
        k, mid, _ = seen.quotes(target)
        used = on_grid(k, seen.atm_vol[target], seen.tau[target])
        error = curve_of(place, target)(k[used]) - mid[used]
        means.append(np.mean(error**2))
    return 1e4 * np.sqrt(np.mean(means)), len(means)


@pytest.mark.parametrize("name", ["persistence", "ewma", "ar", "kalman"])
def test_a_baselines_error_is_that_of_each_of_its_smiles(data, evaluation, name):
    own = next(one for one in walked(data)[0].forecaster.contract.baselines if one.name == name)

    def curve_of(place, target):
        samples = data.samples
        moved = changes(own, samples.windows[place:place + 1, :, DEVIATIONS])[0, 1]
        return lambda k: vol_at(samples.filtered[place] + moved, data.observations.tau[target], k)

    expected, count = rmse_bp(data, 1, curve_of)
    assert evaluation.horizons[1].against(name).rmse_bp == pytest.approx(expected, rel=1e-9)
    assert evaluation.horizons[1].forecasts == count


def test_sticky_strike_moves_with_the_forward(data, evaluation):
    def curve_of(place, target):
        seen, row = data.observations, data.samples.row[place]
        return held_by_strike(seen.grid_vol[row], seen.tau[row], seen.forward[row],
                              seen.forward[target])

    expected, _ = rmse_bp(data, 1, curve_of)
    assert evaluation.horizons[1].against("sticky_strike").rmse_bp == pytest.approx(expected)


def test_no_change_is_filtered_persistence_and_no_evidence(evaluation):
    for one in evaluation.horizons:
        rival = one.against("filtered_persistence")
        assert one.rmse_bp == pytest.approx(rival.rmse_bp)
        assert (rival.r2, rival.r2_lower, rival.r2_upper) == (0.0, 0.0, 0.0)
        assert np.isnan(rival.p_value)


def test_a_perfect_forecast_has_no_error_and_beats_every_baseline(data):
    by_window = {window[:, :DEVIATIONS.stop].tobytes(): change for window, change
                 in zip(data.samples.windows, data.samples.change, strict=True)}

    def say(windows):
        known = np.array([by_window[one[:, :DEVIATIONS.stop].tobytes()] for one in windows])
        return constant()(windows) + np.nan_to_num(known)[:, :, None]

    for one in summarise(collect(walked(data, say), data)).horizons:
        best = one.against(one.best)
        assert one.rmse_bp < 0.05
        assert one.coverage == 1.0
        assert best.r2 == pytest.approx(1.0, abs=1e-3)
        assert best.p_value < 0.01


def test_the_test_and_r2_agree_on_which_forecast_is_better():
    # Better at 320 instants of one forecast, worse at 80 of twelve.
    count = np.where(np.arange(400) % 5 == 0, 12, 1)
    error = np.random.default_rng(0).uniform(0.9, 1.1, count.sum()) * 1e-4
    names = (MODEL, "filtered_persistence")
    values = np.zeros((len(error), columns(names)))
    values[:, 0], values[:, 1] = np.where(count == 1, 0.8, 1.25).repeat(count) * error, error
    tally, nowhere = Tally("gru", (60,), 60.0, names), np.zeros(len(error), int)
    tally.add(Buckets(0, 0, 60.0 * np.arange(400).repeat(count), nowhere, nowhere),
              np.arange(len(error)), np.zeros(len(error)), np.full(len(error), 0.01), values)

    [rival] = summarise(tally.records()).horizons[0].rivals
    assert rival.r2 < 0.0 < rival.statistic
    assert rival.p_value < 0.05


def test_the_best_baseline_is_the_one_with_the_least_error(evaluation):
    for one in evaluation.horizons:
        assert one.against(one.best).rmse_bp == min(rival.rmse_bp for rival in one.rivals)


def test_coverage_is_the_share_of_quotes_within_the_band(data):
    nothing, wide = (summarise(collect(walked(data, constant(half_width=width)), data)).horizons[0]
                     for width in (0.0, 0.5))
    assert nothing.coverage < 0.01
    assert wide.coverage == 1.0
    assert wide.width_bp == pytest.approx(10_000.0)


def test_too_narrow_a_band_is_widened_live(evaluation):
    longer = evaluation.horizons[1]
    assert longer.coverage < 0.85
    assert abs(longer.adaptive_coverage - 0.9) < abs(longer.coverage - 0.9)
    assert longer.adaptive_width_bp > longer.width_bp


def test_the_bands_scale_goes_on_from_fold_to_fold(data):
    narrow = [forecasting.Forecasts(
        one.fold.number, one.fold.test.places, one.fold.test.known,
        one.forecaster.predict(data.samples.windows[one.fold.test.places]).astype(np.float32),
        (), (0.05, 0.5, 0.95)) for one in walked(data, constant(half_width=1e-4))]
    first, second = forecasting.band_scales(narrow, data)
    assert first[0].tolist() == [1.0, 1.0]
    assert (second[0] > 1.5).all()


@pytest.mark.parametrize(("horizon", "steps"), [(0, 1), (1, 5)])
def test_a_bands_scale_learns_of_a_target_in_the_step_after_it(data, horizon, steps):
    """Not when the forecast is made; of a band without width every quote is missed, not a tenth."""
    one = walked(data)[0]
    part = one.fold.test
    nothing = np.zeros((len(part), 2, 3, 17), np.float32)
    [scale] = forecasting.band_scales([forecasting.Forecasts(
        0, part.places, part.known, nothing, (), (0.05, 0.5, 0.95))], data)
    after = np.rint((data.samples.at_s[part.places] - data.samples.at_s[part.places[0]]) / 60.0)

    assert (scale[after <= steps, horizon] == 1.0).all()
    assert np.log(scale[after == steps + 1, horizon]) == pytest.approx(
        RATE / np.sqrt(steps) * (1.0 - 0.1), rel=1e-6)


def test_how_much_is_taken_at_a_time_changes_nothing(data, records, monkeypatch):
    monkeypatch.setattr(forecasting, "PIECE", 37)
    again = collect(walked(data), data)
    assert again.at_s.tolist() == records.at_s.tolist()
    assert again.sums == pytest.approx(records.sums)
    assert again.cell_sums == pytest.approx(records.cell_sums)


def test_quotes_beyond_the_grid_are_not_scored(evaluation):
    def stretched(series):
        return replace(series, quotes=[
            replace(one, log_moneyness=np.append(one.log_moneyness[:-1], 9.0))
            for one in series.quotes])

    data = dataset([stretched(one) for one in make_history(days=5, minutes=120, expiries=2)])
    near = summarise(collect(walked(data), data)).horizons[0]
    assert near.quotes == 23 * near.forecasts
    assert evaluation.horizons[0].quotes == 24 * evaluation.horizons[0].forecasts


def test_nothing_observed_is_refused(data):
    blind = replace(data, samples=replace(
        data.samples, target=np.full_like(data.samples.target, -1)))
    with pytest.raises(TrainingDataError, match="nothing to score"):
        collect(walked(data), blind)


def test_cells_of_a_horizon_make_up_the_whole(evaluation):
    for one in evaluation.horizons:
        cells = [cell for cell in evaluation.cells if cell.horizon_s == one.horizon_s]
        by_time = [cell for cell in cells if cell.time_of_day != EVERYTHING
                   and cell.moneyness == EVERYTHING]
        assert sum(cell.forecasts for cell in by_time) == one.forecasts
        mean = sum(cell.rmse_bp**2 * cell.forecasts for cell in by_time) / one.forecasts
        assert np.sqrt(mean) == pytest.approx(one.rmse_bp)
        by_strike = [cell for cell in cells if cell.moneyness in MONEYNESS
                     and cell.maturity == EVERYTHING]
        assert sum(cell.quotes for cell in by_strike) == one.quotes


def test_folds_and_stretches_make_up_the_whole(evaluation):
    near = evaluation.horizons[0]
    for parts in (evaluation.folds, evaluation.over_time):
        own = [part for part in parts if part.horizon_s == 60]
        assert sum(part.forecasts for part in own) == near.forecasts
        mean = sum(part.rmse_bp**2 * part.forecasts for part in own) / near.forecasts
        assert np.sqrt(mean) == pytest.approx(near.rmse_bp)
    assert {part.number for part in evaluation.folds} == {0, 1}


def test_half_spreads_have_their_median_within_a_per_cent(evaluation):
    assert all(one.half_spread_bp == pytest.approx(6.0, rel=0.01) for one in evaluation.horizons)


def test_seeds_are_averaged_by_their_losses(data, records):
    off = collect(walked(data, constant(middle=1e-3)), data)
    both = averaged([records, off])
    means = [one.losses(MODEL, "squared").sum() for one in (records, off, both)]
    assert means[2] == pytest.approx((means[0] + means[1]) / 2)
    assert both.losses("ewma", "squared") == pytest.approx(records.losses("ewma", "squared"))


def test_metrics_are_flat_finite_and_named_by_horizon(evaluation):
    metrics = as_metrics(evaluation)
    assert metrics["rmse_bp_300s"] == evaluation.horizons[1].rmse_bp
    assert metrics["ewma_rmse_bp_60s"] == evaluation.horizons[0].against("ewma").rmse_bp
    assert metrics["fold1_rmse_bp_60s"] == evaluation.folds[2].rmse_bp
    assert all(np.isfinite(value) for value in metrics.values())


def test_pinball_is_that_computed_by_hand():
    edges, mid = np.array([[0.18], [0.20], [0.22]]), np.array([0.21])
    found = pinball(edges, mid, (0.05, 0.5, 0.95))
    assert found == pytest.approx([(0.0015 + 0.005 + 0.0005) / 3])
