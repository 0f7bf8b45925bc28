"""What the predictor remembers: windows out of a bounded past."""

from datetime import date, timedelta
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from ml.features import INSTANT_FEATURES
from services.predictor.history import Histories
from services.predictor.sample import sample
from tests.unit.predictor_rows import EXPIRY, SHAPE, START, feature_row, minute, nothing_before


def told(rows, histories=None, shape=SHAPE):
    """The history after these rows."""
    histories = Histories(nothing_before) if histories is None else histories
    histories.prepare(rows, shape.step_s, shape.window)
    return [histories.add(row) for row in rows][-1]


def test_ten_minutes_of_rows_are_a_window():
    history = told([feature_row(minute(i), 0.2 + i / 100) for i in range(10)])

    window = history.window(60.0, 10)

    assert window.at == [minute(i) for i in range(10)]
    assert window.grid_vol[:, 0] == pytest.approx([0.2 + i / 100 for i in range(10)])
    assert window.features.shape == (10, len(INSTANT_FEATURES))


def test_rows_of_two_seconds_are_sampled_at_the_models_step():
    history = told([feature_row(START + timedelta(seconds=2 * i)) for i in range(300)])

    at = history.window(60.0, 10).at

    assert {later - earlier for earlier, later in pairwise(at)} == {
        timedelta(seconds=60)}
    assert at[-1] == START + timedelta(seconds=598)


def test_too_short_a_history_is_no_window_but_has_its_recent_smiles():
    history = told([feature_row(minute(i), 0.2 + i / 100) for i in range(3)])

    recent = history.recent(60.0, 10)

    assert history.window(60.0, 10) is None
    assert np.isnan(recent[:7]).all()
    assert recent[7:, 0] == pytest.approx([0.2, 0.21, 0.22])


def test_a_gap_is_no_window():
    rows = [feature_row(minute(i)) for i in range(12) if i != 6]

    history = told(rows)

    assert history.window(60.0, 10) is None
    assert np.isnan(history.recent(60.0, 10)).all(axis=1).sum() == 1


def test_the_past_is_bounded_by_the_window():
    history = told([feature_row(minute(i)) for i in range(200)])

    assert len(history.samples) == 11


def test_a_row_without_a_smile_is_a_gap_in_the_values_not_in_the_window():
    rows = [feature_row(minute(i), reason="too few quotes" if i == 5 else None)
            for i in range(10)]

    history = told(rows)

    assert history.has_smile_now()
    assert np.isnan(history.window(60.0, 10).grid_vol).all(axis=1).tolist() == [
        i == 5 for i in range(10)]


def test_a_newest_row_without_a_smile_is_known_as_such():
    history = told([feature_row(minute(0)), feature_row(minute(1), reason="too few quotes")])

    assert not history.has_smile_now()


def test_a_row_of_other_features_is_no_sample():
    row = msgspec.structs.replace(feature_row(minute(0)), features=[0.1])

    assert sample(row) is None
    assert not told([row]).has_smile_now()


def test_the_first_row_of_a_key_brings_its_past_from_the_table():
    asked = []

    def load(before, span_s):
        asked.append((dict(before), span_s))
        return {("SPY", "simulated", EXPIRY): [sample(feature_row(minute(i))) for i in range(9)]}

    history = told([feature_row(minute(9))], Histories(load))

    assert asked == [({("SPY", "simulated", EXPIRY): minute(9)}, 630.0)]
    assert history.window(60.0, 10) is not None


def test_rows_of_another_source_are_another_past():
    asked = []
    histories = Histories(lambda before, span_s: asked.append(before) or {})
    simulated = [feature_row(minute(i), 0.2) for i in range(3)]
    live = [feature_row(minute(i, 10), 0.4, source="live") for i in range(3)]
    rows = [row for both in zip(simulated, live, strict=True) for row in both]

    recent = told(rows, histories).recent(60.0, 10)

    assert recent[7:, 0].tolist() == [0.4] * 3
    assert asked == [{("SPY", "simulated", EXPIRY): minute(0),
                      ("SPY", "live", EXPIRY): minute(0, 10)}]


def test_delayed_rows_of_a_live_feed_are_part_of_its_past():
    rows = [feature_row(minute(i), source="delayed" if i == 5 else "live",
                        reason="too few quotes" if i == 5 else None) for i in range(10)]

    history = told(rows)

    assert np.isnan(history.window(60.0, 10).grid_vol).all(axis=1).tolist() == [
        i == 5 for i in range(10)]


def test_rows_that_follow_need_no_table():
    asked = []
    histories = Histories(lambda before, span_s: asked.append(before) or {})
    for i in range(5):
        told([feature_row(minute(i))], histories)

    assert len(asked) == 1


@pytest.mark.parametrize("later", [minute(4), minute(3), minute(7)],
                         ids=["same again", "older", "after a pause"])
def test_a_row_that_does_not_follow_brings_the_table_s_past(later):
    asked = []
    histories = Histories(lambda before, span_s: asked.append(before) or {})
    told([feature_row(minute(i)) for i in range(5)], histories)
    told([feature_row(later)], histories)

    assert [list(before.values()) for before in asked] == [[START], [later]]


def test_a_row_read_again_within_a_batch_sees_nothing_later_than_itself():
    rows = [feature_row(minute(i), 0.2 + i / 100) for i in (0, 1, 2, 1)]

    history = told(rows)

    assert [one.at for one in history.samples] == [minute(0), minute(1)]


def test_the_number_of_keys_is_bounded_the_oldest_going_first():
    histories = Histories(nothing_before, limit=2)
    for i, expiry in enumerate([EXPIRY, date(2027, 1, 15), date(2027, 2, 19)]):
        told([feature_row(minute(i), expiry=expiry)], histories)

    assert len(histories) == 2
    with pytest.raises(KeyError):
        histories.add(feature_row(minute(3)))
