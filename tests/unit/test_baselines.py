import numpy as np
import pytest

from ml import baselines
from ml.smile.grid import GRID_Z, grid_log_moneyness, vol_at
from tests.unit.smiles import SHAPE, make_history

TAU = 30 / 365


@pytest.fixture
def window():
    series = make_history(days=1, minutes=20, expiries=1)[0]
    return series.window(np.arange(10))


def test_persistence_holds_the_latest_smile(window):
    assert baselines.persistence(window).tolist() == window.grid_vol[-1].tolist()


def test_filtered_persistence_weighs_the_newest_most(window):
    filtered = baselines.filtered_persistence(window, 0.5)
    weights = 0.5 ** np.arange(9, -1, -1)

    assert filtered == pytest.approx(weights @ window.grid_vol / weights.sum())


def test_filtered_persistence_of_weight_one_is_persistence(window):
    assert baselines.filtered_persistence(window, 1.0) == pytest.approx(window.grid_vol[-1])


def test_sticky_strike_leaves_each_strike_its_volatility(window):
    forward, tau = window.forward[-1], window.tau[-1]
    strikes = forward * np.array([0.97, 0.99, 1.0, 1.01])
    moved = forward * 1.01

    forecast = baselines.sticky_strike(window, moved)(np.log(strikes / moved))

    assert forecast == pytest.approx(vol_at(window.grid_vol[-1], tau, np.log(strikes / forward)))


def test_sticky_strike_is_persistence_while_the_forward_stays(window):
    k = np.linspace(-0.05, 0.03, 9)
    forecast = baselines.sticky_strike(window, window.forward[-1])(k)

    assert forecast == pytest.approx(
        baselines.grid_curve(window.grid_vol[-1], window.tau[-1])(k))


def test_score_is_the_root_mean_square_error():
    smile = np.full(17, 0.20)

    assert baselines.score_smile(smile, TAU, np.array([-0.05, 0.0]), np.array([0.21, 0.18])) \
        == pytest.approx(np.sqrt((0.01**2 + 0.02**2) / 2))


def test_score_leaves_unknown_quotes_out():
    smile = np.full(17, 0.20)

    assert baselines.score_smile(smile, TAU, np.zeros(2), np.array([0.21, np.nan])) \
        == pytest.approx(0.01)


def test_score_of_no_quote_is_unknown():
    assert np.isnan(baselines.score_smile(np.full(17, 0.2), TAU, np.empty(0), np.empty(0)))


def test_on_grid_is_by_the_observed_smiles_own_moneyness():
    scale = 0.2 * np.sqrt(TAU)

    inside = baselines.on_grid(np.array([-2.6, -2.5, 0.0, 1.5, 1.6]) * scale, 0.2, TAU)

    assert inside.tolist() == [False, True, True, True, False]


def test_band_edges_pass_through_their_grid_points():
    smile, edge = 0.2 * SHAPE, 0.2 * SHAPE - np.linspace(0.01, 0.02, len(GRID_Z))
    points = grid_log_moneyness(smile, TAU)

    assert baselines.band_at(edge, smile, TAU, points) == pytest.approx(edge)


def test_a_band_of_constant_width_follows_the_smile_between_grid_points():
    smile = 0.2 * SHAPE
    between = grid_log_moneyness(smile, TAU)[:-1] + 0.001

    band = baselines.band_at(smile - 0.01, smile, TAU, between)

    assert band == pytest.approx(vol_at(smile, TAU, between) - 0.01)
