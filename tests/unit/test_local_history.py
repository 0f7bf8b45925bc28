from datetime import UTC, datetime, timedelta

import pytest

from local.history import period

SESSION = timedelta(hours=6.5)


@pytest.mark.parametrize(("before", "closes"), [
    ("2026-08-04T20:00Z", "2026-08-04T20:00Z"),  # at the very close
    ("2026-08-04T19:59Z", "2026-08-03T20:00Z"),  # a minute before it
    ("2026-08-04T04:30Z", "2026-08-03T20:00Z"),  # New York's night
    ("2026-08-03T12:00Z", "2026-07-31T20:00Z"),  # Monday morning
    ("2026-11-27T23:00Z", "2026-11-27T18:00Z"),  # a half day
])
def test_the_newest_session_that_has_closed_is_taken(before, closes):
    begin, end = period(datetime.fromisoformat(before), SESSION)
    assert end == datetime.fromisoformat(closes)
    assert begin.astimezone(UTC).time().isoformat() in ("13:30:00", "14:30:00")


def test_a_shorter_history_is_the_end_of_the_session():
    begin, end = period(datetime(2026, 8, 4, 21, tzinfo=UTC), timedelta(hours=3))
    assert end - begin == timedelta(hours=3)
