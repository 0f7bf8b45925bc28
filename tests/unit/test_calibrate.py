import numpy as np
import pytest

from ml import calibrate
from ml.calibrate import band_factors, baseline_band, change_sizes, shrinkage
from ml.dataset import make_dataset
from ml.errors import TrainingDataError
from ml.folds import Part
from ml.forecaster import calibrated, drawn
from ml.spread import spread
from tests.unit.judged import ARGS
from tests.unit.smiles import make_history
from tests.unit.test_contract import make_contract

POINTS = np.ones(17)


def changes(count, seed=0):
    return np.random.default_rng(seed).normal(0.0, 1e-3, (count, 1, 17))


def weight(excess, missed, horizon_s=60, points=POINTS):
    at_s = 60.0 * np.arange(len(excess))
    return float(shrinkage(excess, missed, at_s, (horizon_s,), points)[0])


def test_a_network_that_is_right_is_believed_wholly():
    assert weight(changes(200), changes(200)) == pytest.approx(1.0)


def test_one_that_says_too_much_is_shrunk():
    assert weight(4 * changes(400), changes(400)) == pytest.approx(0.25)


def test_one_that_is_noise_is_silenced():
    silent = [weight(changes(400, seed), changes(400, seed + 100)) for seed in range(20)]

    assert np.mean(silent) < 0.02


def test_too_short_a_part_is_no_evidence():
    assert weight(changes(40), changes(40), horizon_s=1800) == 0.0
    assert weight(changes(29), changes(29)) == 0.0
    assert weight(changes(30), changes(30)) == pytest.approx(1.0)


def test_forecasts_that_share_their_future_are_one_piece_of_evidence():
    random = np.random.default_rng(0)
    excess = random.normal(size=(400, 1, 1)).repeat(17, axis=2)
    missed = 0.3 * excess + random.normal(size=(40, 1, 1)).repeat(10, axis=0)

    assert weight(excess, missed, horizon_s=600) < weight(excess, missed, horizon_s=60)


def test_unknown_changes_are_no_evidence_for_or_against():
    missed = changes(200)
    excess = missed.copy()
    missed[::3], excess[::3] = np.nan, 5.0

    assert weight(excess, missed) == pytest.approx(1.0)


def test_errors_count_where_the_quotes_are():
    missed, excess = changes(200), changes(200)
    excess[:, :, 8:] *= -1.0
    near = np.where(np.arange(17) < 8, 1.0, 0.0)

    assert weight(excess, missed, points=near) == pytest.approx(1.0)
    assert weight(excess, missed, points=1.0 - near) == 0.0


def test_a_median_is_drawn_to_its_anchor_and_the_band_goes_along():
    quantiles = np.tile(np.array([-1.0, 2.0, 4.0])[None, None, :, None], (2, 2, 1, 17)) * 1e-3
    contract = make_contract(shrinkage=(0.5, 0.0), band_factor=(2.0, 1.0))

    change = calibrated(quantiles, np.full((2, 2, 17), 1e-3), contract)

    assert change[0, 0, :, 0] == pytest.approx([-4.5e-3, 1.5e-3, 5.5e-3])
    assert change[1, 1, :, 3] == pytest.approx([-2e-3, 1e-3, 3e-3])


def test_drawing_wholly_or_not_at_all_ends_at_anchor_or_network():
    quantiles, anchor = np.random.default_rng(0).normal(size=(3, 2, 3, 17)), np.zeros((3, 2, 17))

    assert drawn(quantiles, anchor, np.ones(2)) == pytest.approx(quantiles)
    assert drawn(quantiles, anchor, np.zeros(2))[:, :, 1] == pytest.approx(anchor)


@pytest.fixture(scope="module")
def dataset():
    return make_dataset([make_history(days=2, minutes=90, expiries=1, noise=5e-4)], ARGS)


def whole(dataset):
    return Part(np.arange(len(dataset.samples)), dataset.samples.target >= 0)


def test_bands_are_made_to_hold_the_share_of_quotes_that_is_wanted(dataset):
    part = whole(dataset)
    band = 1e-4 * np.array([-1.0, 0.0, 1.0])[:, None] * np.ones(17)
    quantiles = np.broadcast_to(band, (len(part), 2, 3, 17))

    factors = band_factors(quantiles, dataset, part, 0.9)

    assert (factors > 1.0).all()
    wider = band_factors(quantiles * factors[None, :, None, None], dataset, part, 0.9)
    assert wider == pytest.approx(1.0, abs=0.02)


def blind(part, *places):
    """The part, its targets at these horizons never seen."""
    known = part.known.copy()
    known[:, places] = False
    return Part(part.places, known)


@pytest.mark.parametrize(("unseen", "taken", "sentence"), [
    (1, 0, "no quote 300 s ahead was observed in a calibration part: its bands take the factor of "
     "60 s"),
    (0, 1, "no quote 60 s ahead was observed in a calibration part: its bands take the factor of "
     "300 s")])
def test_a_horizon_without_an_observed_quote_takes_its_neighbours_factor(
        dataset, unseen, taken, sentence, caplog):
    part = whole(dataset)
    quantiles = np.zeros((len(part), 2, 3, 17)) + 1e-4 * np.array([-1.0, 0.0, 1.0])[:, None]
    calibrate._tell.cache_clear()

    factors = [band_factors(quantiles, dataset, blind(part, unseen), 0.9) for _ in range(2)]

    own = band_factors(quantiles, dataset, part, 0.9)
    assert [one.tolist() for one in factors] == [[own[taken]] * 2] * 2
    assert caplog.messages == [sentence]


def test_without_any_observed_quote_there_are_no_factors(dataset):
    part = whole(dataset)

    with pytest.raises(TrainingDataError, match="the calibration part holds no observed quote"):
        band_factors(np.zeros((len(part), 2, 3, 17)), dataset, blind(part, 0, 1), 0.9)


def test_the_fallback_band_is_wider_for_the_longer_horizon(dataset):
    band = baseline_band(dataset, whole(dataset), whole(dataset), 0.9)

    assert band.shape == (2, 17)
    assert (band[1] > band[0]).all() and (band > 0).all()


def test_sizes_are_quantiles_by_point_and_the_horizons_own_where_there_is_none():
    change = np.full((4, 1, 17), np.nan)
    change[:, 0, 0] = [1.0, -2.0, 3.0, -4.0]

    assert change_sizes(change, 0.5)[0].tolist() == [2.5] * 17
    assert np.isnan(change_sizes(change * np.nan, 0.5)).all()


def test_spread_keeps_first_and_last_and_no_more_than_asked():
    part = Part(np.arange(100), np.ones((100, 2), bool))

    some = spread(part, 7)

    assert len(some) == 7 and some.places[[0, -1]].tolist() == [0, 99]
    assert len(spread(part, 1000)) == 100
