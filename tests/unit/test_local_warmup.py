from datetime import UTC, datetime, timedelta

from local.warmup import begin

NOW = datetime(2026, 8, 3, 15, tzinfo=UTC)
STEP = timedelta(minutes=1)


def test_an_empty_table_is_filled_as_far_back_as_allowed():
    assert begin(NOW, None, timedelta(hours=1), STEP) == NOW - timedelta(hours=1)


def test_a_short_stop_is_filled_from_the_last_sample_on():
    last = NOW - timedelta(minutes=20)
    assert begin(NOW, last, timedelta(hours=1), STEP) == last + STEP


def test_a_long_stop_is_not_filled_whole():
    last = NOW - timedelta(days=2)
    assert begin(NOW, last, timedelta(hours=1), STEP) == NOW - timedelta(hours=1)
