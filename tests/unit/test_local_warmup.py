from datetime import UTC, datetime, timedelta

from local.warmup import begin, legs

NOW = datetime(2026, 8, 3, 15, tzinfo=UTC)
STEP = timedelta(minutes=1)


def test_an_empty_table_is_filled_as_far_back_as_allowed():
    assert begin(NOW, None, timedelta(hours=1), STEP) == NOW - timedelta(hours=1)


def test_a_short_stop_is_filled_from_the_last_sample_on():
    last = NOW - timedelta(minutes=20)
    assert begin(NOW, last, timedelta(hours=1), STEP) == last + STEP / 3


def test_a_long_stop_is_not_filled_whole():
    last = NOW - timedelta(days=2)
    assert begin(NOW, last, timedelta(hours=1), STEP) == NOW - timedelta(hours=1)


def samples(start):
    return [leg.start + step * leg.step for leg in legs(start, NOW, STEP)
            for step in range(int((leg.end - leg.start) / leg.step) + 1)]


def test_every_second_of_the_first_live_minutes_finds_its_window_filled():
    filled = samples(NOW - timedelta(hours=1))
    for second in range(60):
        looked_for = [NOW + timedelta(seconds=second) - lag * STEP for lag in range(1, 11)]
        ages = [min(at - sample for sample in filled if sample <= at) for at in looked_for]

        assert max(ages) < STEP / 2


def test_the_legs_hold_every_instant_once_and_end_now():
    filled = samples(NOW - timedelta(hours=1))

    assert filled == sorted(set(filled))
    assert filled[0] == NOW - timedelta(hours=1)
    assert filled[-1] == NOW


def test_a_short_gap_is_filled_densely_throughout():
    assert [leg.step for leg in legs(NOW - timedelta(minutes=5), NOW, STEP)] == [STEP / 3]
