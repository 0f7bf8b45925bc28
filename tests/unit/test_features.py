from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.features import (
    DEVIATIONS,
    INSTANT_FEATURES,
    SHORT_ROWS,
    SLOW_WEIGHT,
    WINDOW_FEATURES,
    SmileWindow,
    filtered_smile,
    instant_features,
    surface_features,
    term_slopes,
    window_indices,
    window_input,
)
from ml.smile.grid import ATM_INDEX, GRID_SIZE
from ml.smile.surface import build_smile
from tests.unit.chains import AT, FORWARD, SPOT, TAU, make_chain

NAN = float("nan")
ROWS = 10


def make_window(rows=ROWS, step_s=60.0, seed=0):
    random = np.random.default_rng(seed)
    at = [AT + timedelta(seconds=step_s * row) for row in range(rows)]
    forward = 600.0 * np.exp(np.cumsum(random.normal(0, 3e-4, rows)))
    grid = 0.2 + 0.01 * random.normal(size=(rows, GRID_SIZE))
    features = random.normal(size=(rows, len(INSTANT_FEATURES)))
    return SmileWindow(at, np.full(rows, 0.1), forward, forward, grid[:, ATM_INDEX], grid, features)


def column(window, name, **options):
    return window_input(window, **options)[:, WINDOW_FEATURES.index(name)]


def feature(smile, name):
    return instant_features(smile)[INSTANT_FEATURES.index(name)]


def test_instant_features_say_what_their_names_promise():
    smile = build_smile(make_chain())
    grid = smile.grid_vol
    assert feature(smile, "log_tau") == pytest.approx(np.log(TAU))
    assert feature(smile, "atm_vol") == smile.atm_vol
    assert feature(smile, "skew") == pytest.approx(grid[6] - grid[14])
    assert feature(smile, "curvature") == pytest.approx(grid[6] + grid[14] - 2 * grid[10])
    assert feature(smile, "parity_gap") == pytest.approx(np.log(FORWARD / SPOT), abs=1e-4)
    assert feature(smile, "accepted_share") == 1.0
    assert feature(smile, "quote_age_s") == 1.0
    assert 0 < feature(smile, "half_spread") < 0.01
    assert 0 < feature(smile, "forward_error") < 0.01


def test_time_of_day_is_half_a_turn_from_open_to_close():
    opening = replace(build_smile(make_chain()), at=datetime(2026, 8, 14, 13, 30, tzinfo=UTC))
    noon = replace(opening, at=datetime(2026, 8, 14, 16, 45, tzinfo=UTC))
    assert feature(opening, "session_cos") == pytest.approx(1.0)
    assert feature(noon, "session_cos") == pytest.approx(0.0, abs=1e-12)
    assert feature(noon, "session_sin") == pytest.approx(1.0)


def test_without_a_smile_features_are_missing_and_never_infinite():
    smile = build_smile(replace(make_chain(), delayed=True, underlying=0.0))
    found = instant_features(smile)
    assert found.shape == (len(INSTANT_FEATURES),)
    assert not np.isinf(found).any()
    assert np.isnan(feature(smile, "atm_vol"))
    assert feature(smile, "accepted_share") == 0.0
    assert feature(smile, "log_tau") == pytest.approx(np.log(TAU))


def test_the_term_slope_is_that_of_a_line_through_an_expiry_and_its_neighbours():
    tau = np.array([0.4, 0.1, 0.2])
    vol = np.array([0.23, 0.20, 0.22])

    near, middle, far = 0.02 / np.log(2), np.polyfit(np.log(tau), vol, 1)[0], 0.01 / np.log(2)
    assert term_slopes(tau, vol) == pytest.approx([far, near, middle])


@pytest.mark.parametrize(("tau", "vol", "known"), [
    ([], [], []),
    ([0.1], [0.2], [False]),
    ([0.1, 0.2], [0.2, NAN], [False, False]),
    ([0.1, NAN, 0.3], [0.2, 0.2, 0.3], [True, False, True]),
    ([0.1, 0.1], [0.2, 0.3], [False, False]),
    ([0.0, 0.1, 0.2], [0.2, 0.3, 0.2], [False, True, True]),
])
def test_an_expiry_without_a_neighbour_has_no_term_slope(tau, vol, known):
    found = term_slopes(np.array(tau, float), np.array(vol, float))
    assert np.isfinite(found).tolist() == known


def test_a_surface_gives_each_smile_its_features_and_its_slope():
    near = build_smile(make_chain())
    far = replace(near, tau=2 * near.tau, atm_vol=near.atm_vol + 0.02)
    found = surface_features([far, near])

    slope = INSTANT_FEATURES.index("term_slope")
    assert [one[slope] for one in found] == pytest.approx([0.02 / np.log(2)] * 2)
    for features, smile in zip(found, (far, near), strict=True):
        alone = instant_features(smile)
        assert np.isnan(alone[slope])
        assert np.array_equal(np.delete(features, slope), np.delete(alone, slope))
    assert surface_features([]) == []


def test_the_filter_weighs_the_newest_most_and_skips_what_is_missing():
    grid = np.array([[1.0, 1.0], [2.0, NAN], [4.0, 4.0]])
    assert filtered_smile(grid, 0.5) == pytest.approx([(1 + 4 + 16) / 7, (1 + 16) / 5])
    assert filtered_smile(grid, 1.0) == pytest.approx([4.0, 4.0])
    assert np.isnan(filtered_smile(np.full((3, 17), NAN), 0.5)).all()


@given(st.floats(0.01, 1.0), st.floats(0.05, 2.0))
def test_the_filter_of_a_still_smile_is_that_smile(weight, vol):
    assert filtered_smile(np.full((ROWS, 17), vol), weight) == pytest.approx(np.full(17, vol))


def test_window_input_measures_deviations_from_the_filtered_smile():
    window = make_window()
    found = window_input(window)
    assert found.shape == (ROWS, len(WINDOW_FEATURES))
    assert found[:, :17] == pytest.approx(window.grid_vol - filtered_smile(window.grid_vol))
    other = window_input(window, filter_weight=0.9)
    assert other[:, :17] == pytest.approx(window.grid_vol - filtered_smile(window.grid_vol, 0.9))


def test_window_returns_are_of_the_forward():
    window = make_window()
    log = np.log(window.forward)
    step = 60 / (365 * 86_400)
    assert column(window, "forward_return") == pytest.approx(np.diff(log, prepend=log[0]))
    assert column(window, "return_to_now") == pytest.approx(log[-1] - log)
    assert column(window, "scaled_return")[1:] == pytest.approx(
        np.diff(log) / (window.atm_vol[1:] * np.sqrt(step)))
    assert column(window, "realised_over_implied")[-1] == pytest.approx(
        np.sqrt((np.diff(log) ** 2).sum() / (9 * step)) / window.atm_vol[-1])


def test_squares_and_the_shorter_realised_variance_are_of_the_same_returns():
    window = make_window()
    squares = np.diff(np.log(window.forward)) ** 2
    year = 365 * 86_400

    assert column(window, "squared_return") == pytest.approx(column(window, "scaled_return") ** 2)
    lately = column(window, "short_realised_over_implied")
    assert lately[0] == 0.0
    assert lately[1] == pytest.approx(np.sqrt(squares[0] / (60 / year)) / window.atm_vol[1])
    assert lately[-1] == pytest.approx(
        np.sqrt(squares[-SHORT_ROWS:].sum() / (SHORT_ROWS * 60 / year)) / window.atm_vol[-1])


def test_slow_columns_are_against_a_weighted_mean_up_to_the_row():
    window = make_window()
    level = np.log(window.atm_vol)
    for row in (0, 3, ROWS - 1):
        weights = (1 - SLOW_WEIGHT) ** np.arange(row, -1, -1)
        mean = (weights * level[:row + 1]).sum() / weights.sum()
        assert column(window, "slow_atm")[row] == pytest.approx(level[row] - mean)
    skew, slow = column(window, "skew"), column(window, "slow_skew")
    assert slow[1] == pytest.approx((skew[1] - skew[0]) * (1 - SLOW_WEIGHT) / (2 - SLOW_WEIGHT))


def test_quote_age_is_on_a_log_scale_and_an_unknown_slope_is_zero():
    window = make_window()
    age, slope = (INSTANT_FEATURES.index(name) for name in ("quote_age_s", "term_slope"))
    window.features[:, age] = 59.0
    window.features[:, slope] = NAN

    assert column(window, "log_quote_age") == pytest.approx(np.full(ROWS, np.log(60.0)))
    assert (column(window, "term_slope") == 0.0).all()


def test_deviations_are_from_the_smile_that_forecasts_are_made_against():
    """Rows without a smile are no part of it, though they repeat the one before in the input."""
    window = make_window()
    window.grid_vol[4] = NAN
    expected = window.grid_vol - filtered_smile(window.grid_vol)
    found = window_input(window)[:, DEVIATIONS]

    assert np.delete(found, 4, axis=0) == pytest.approx(np.delete(expected, 4, axis=0))
    assert found[4] == pytest.approx(expected[3])


def test_the_past_of_a_window_does_not_depend_on_its_future():
    """All but the columns that are relative to the window's end, by definition."""
    window = make_window()
    changed = replace(window, forward=window.forward.copy(), features=window.features.copy())
    changed.forward[-1] *= 1.1
    changed.features[-1] += 1.0
    free = [place for place, name in enumerate(WINDOW_FEATURES)
            if name != "return_to_now" and not name.startswith("deviation")]
    assert window_input(changed)[:-1, free].tolist() == window_input(window)[:-1, free].tolist()


def test_a_row_without_a_smile_repeats_the_one_before():
    window, holed = make_window(), make_window()
    for row in (0, 5):
        holed.grid_vol[row] = holed.forward[row] = holed.atm_vol[row] = NAN
    found = window_input(holed)
    assert np.isfinite(found).all()
    assert column(holed, "log_atm_vol")[5] == np.log(window.atm_vol[4])
    assert column(holed, "log_atm_vol")[0] == np.log(window.atm_vol[1])
    assert column(holed, "forward_return")[5] == 0.0


def test_single_missing_values_repeat_and_an_unknown_column_is_zero():
    window = make_window()
    spread, sine = (INSTANT_FEATURES.index(name) for name in ("half_spread", "session_sin"))
    window.features[:, spread] = NAN
    window.features[3, sine] = NAN
    assert (column(window, "half_spread") == 0).all()
    assert column(window, "session_sin")[3] == window.features[2, sine]


@pytest.mark.parametrize("rows", [[ROWS - 1], [0, 1, 2, 3]])
def test_too_much_missing_is_no_input(rows):
    window = make_window()
    window.grid_vol[rows] = NAN
    assert window_input(window) is None


@pytest.mark.parametrize("rows", [10, 20, 40])
def test_as_much_may_be_missing_as_is_said(rows):
    window, most = make_window(rows), rows * 3 // 10
    window.grid_vol[:most] = NAN
    assert window_input(window) is not None
    window.grid_vol[most] = NAN
    assert window_input(window) is None


@pytest.mark.filterwarnings("error::RuntimeWarning")
@given(st.lists(st.tuples(st.integers(0, ROWS - 1), st.sampled_from(["forward", "features"]),
                          st.sampled_from([NAN, 0.0, np.inf, 0.5])), max_size=12))
def test_an_input_is_always_finite(changes):
    window = make_window()
    for row, name, value in changes:
        getattr(window, name)[row] = value
    found = window_input(window)
    assert found is None or np.isfinite(found).all()


def test_rows_are_the_latest_at_or_before_each_step():
    times = AT.timestamp() + np.arange(0.0, 601.0, 2.0)
    rows = window_indices(times, times[-1] + 1.0, 60.0, 10, 30.0)
    assert (times[-1] - times[rows]).tolist() == [1 + 60 * back - 1 for back in range(9, -1, -1)]


def test_a_row_within_the_tolerance_serves_and_an_older_one_does_not():
    now = AT.timestamp()
    times = now - np.array([89.0, 60.0, 0.0])
    assert window_indices(times, now + 29.9, 60.0, 2, 30.0).tolist() == [1, 2]
    assert window_indices(times[[0, 2]], now, 60.0, 2, 30.0).tolist() == [0, 1]
    assert window_indices(times[[0, 2]], now + 31.0, 60.0, 2, 30.0) is None
    assert window_indices(times[[0, 2]], now, 60.0, 2, 29.0) is None
    assert window_indices(times[:0], now, 60.0, 2, 30.0) is None


def test_a_window_stays_within_a_new_york_day():
    midnight = datetime(2026, 8, 15, 4, 0, tzinfo=UTC).timestamp()
    times = midnight + 60.0 * np.arange(-10, 11)
    assert window_indices(times, times[9], 60.0, 5, 30.0) is not None
    assert window_indices(times, times[11], 60.0, 5, 30.0) is None


@given(st.integers(0, 2_000), st.floats(0.0, 900.0))
def test_window_indices_agree_with_their_definition(seed, later):
    random = np.random.default_rng(seed)
    times = AT.timestamp() + np.sort(random.uniform(0, 900, 40)).round(3)
    now, step, tolerance = AT.timestamp() + later, 60.0, 30.0
    found = window_indices(times, now, step, 4, tolerance)
    expected = []
    for back in (3, 2, 1, 0):
        target = now - back * step
        fits = [row for row, at in enumerate(times) if target - tolerance < at <= target]
        expected.append(fits[-1] if fits else None)
    assert (found is None) if None in expected else (found.tolist() == expected)
