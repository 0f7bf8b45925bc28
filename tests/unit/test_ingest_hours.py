"""Sessions from contract details."""

from datetime import UTC, date, datetime

from services.ingest.ibkr.hours import parse_hours

TEXT = "20261126:CLOSED;20261127:0930-20261127:1300;20261130:0930-20261130:1600"


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def test_open_from_the_first_instant_to_before_the_last() -> None:
    hours = parse_hours(TEXT, "America/New_York")
    assert [hours.is_open(moment) for moment in (
        at(27, 14, 29), at(27, 14, 30), at(27, 17, 59), at(27, 18), at(26, 16))] == [
            False, True, True, False, False]


def test_the_next_session_is_known_as_far_as_it_is_listed() -> None:
    hours = parse_hours(TEXT, "America/New_York")
    assert hours.next_open(at(26, 16)) == at(27, 14, 30)
    assert hours.next_open(at(27, 18)) == at(30, 14, 30)
    assert hours.next_open(at(30, 15)) is None


def test_expiries_end_with_the_session_and_else_at_four() -> None:
    hours = parse_hours(TEXT, "US/Eastern")
    assert hours.close(date(2026, 11, 27)) == at(27, 18)
    assert hours.close(date(2026, 7, 17)) == datetime(2026, 7, 17, 20, tzinfo=UTC)


def test_days_are_those_of_the_exchange() -> None:
    assert parse_hours(TEXT, "America/New_York").day(at(27, 3)) == date(2026, 11, 26)


def test_the_short_form_and_unknown_zones_are_understood() -> None:
    assert parse_hours("20261127:0930-1300", "Nowhere/Land").is_open(at(27, 15))


def test_without_any_session_the_market_counts_as_open() -> None:
    assert parse_hours("", "America/New_York").is_open(at(27, 3))
    assert parse_hours("nonsense;20261127:rubbish-1", "").sessions == ()
