"""Sessions of an instrument, as its contract details give them."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

NEW_YORK = ZoneInfo("America/New_York")
REGULAR_CLOSE = time(16, 0)


@dataclass(frozen=True, slots=True)
class Session:
    """From the first to the last instant of trade, UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Hours:
    """The sessions that are known, in order: those of today and some days ahead."""

    zone: ZoneInfo
    sessions: tuple[Session, ...]

    def is_open(self, at: datetime) -> bool:
        """Whether `at` is in a session; True if no session is known at all."""
        return not self.sessions or any(part.start <= at < part.end for part in self.sessions)

    def next_open(self, at: datetime) -> datetime | None:
        """The start of the first session after `at`, if it is known."""
        return min((part.start for part in self.sessions if part.start > at), default=None)

    def day(self, at: datetime) -> date:
        """The exchange's own date."""
        return at.astimezone(self.zone).date()

    def close(self, day: date) -> datetime:
        """When options that expire on `day` do: the session's end, by default 16:00 New York."""
        ends = [part.end for part in self.sessions if self.day(part.end) == day]
        return max(ends) if ends else datetime.combine(day, REGULAR_CLOSE, NEW_YORK)


def parse_hours(text: str, zone: str) -> Hours:
    """Hours from `20260813:0930-20260813:1600;20260815:CLOSED`.

    A zone that is not known counts as New York; a part that can't be read is left out.

    >>> parse_hours("20260813:0930-20260813:1600", "America/New_York").sessions[0].end.hour
    20
    """
    known = _zone(zone)
    sessions = (_session(part, known) for part in text.split(";"))
    return Hours(known, tuple(sorted((part for part in sessions if part is not None),
                                     key=lambda part: part.start)))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return NEW_YORK


def _session(text: str, zone: ZoneInfo) -> Session | None:
    start, _, end = text.strip().partition("-")
    if ":" not in end:
        end = f"{start.partition(':')[0]}:{end}"
    try:
        return Session(_instant(start, zone), _instant(end, zone))
    except ValueError:
        return None


def _instant(text: str, zone: ZoneInfo) -> datetime:
    return datetime.strptime(text, "%Y%m%d:%H%M").replace(tzinfo=zone).astimezone(UTC)
