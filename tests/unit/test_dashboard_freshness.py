"""Ages that are true of live feeds and of replays."""

from datetime import UTC, datetime, timedelta

import pytest

from dashboard.freshness import Age, Freshness

NOW = datetime(2025, 12, 16, 15, 30, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=400)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("behind_s", "state"), [(1, "fresh"), (30, "late"), (61, "stale")])
def test_a_live_sample_is_as_old_as_the_wall_clock_says(behind_s: int, state: str):
    age = Freshness().age("SPY", NOW - timedelta(seconds=behind_s), "live", NOW)
    assert (age.seconds, age.state) == (behind_s, state)


def test_a_recording_has_no_age_until_it_moves():
    clock = Clock()
    freshness = Freshness(clock)
    assert freshness.age("GOOG", LONG_AGO, "recorded", NOW).state == "replay"
    clock.now += 2
    assert freshness.age("GOOG", LONG_AGO + timedelta(seconds=60), "recorded", NOW).state == "fresh"
    clock.now += 30
    stopped = freshness.age("GOOG", LONG_AGO + timedelta(seconds=60), "recorded", NOW)
    assert (stopped.seconds, stopped.state) == (30, "late")


def test_a_simulator_on_the_wall_clock_is_known_at_once_and_stale_when_it_stopped_yesterday():
    assert Freshness().age("SPY", NOW - timedelta(seconds=2), "simulated", NOW).state == "fresh"
    assert Freshness().age("SPY", NOW - timedelta(days=1), "simulated", NOW).state == "stale"


def test_a_simulator_with_a_clock_of_its_own_is_fresh_while_it_moves():
    freshness = Freshness()
    ahead = NOW + timedelta(hours=5)
    assert freshness.age("SPY", ahead, "simulated", NOW).state == "replay"
    assert freshness.age("SPY", ahead + timedelta(seconds=2), "simulated", NOW).state == "fresh"


def test_symbols_are_told_apart():
    freshness = Freshness(Clock())
    freshness.age("A", LONG_AGO, "recorded", NOW)
    freshness.age("B", LONG_AGO, "recorded", NOW)
    assert freshness.age("A", NOW, "recorded", NOW).state == "fresh"
    assert freshness.age("B", LONG_AGO, "recorded", NOW).state == "replay"


@pytest.mark.parametrize(("seconds", "text"), [
    (1.23, "1.2 s"), (45.0, "45 s"), (300.0, "5 min"), (7200.0, "2 h"), (4 * 86400.0, "4 d"),
    (None, "replay")])
def test_an_age_reads_in_a_few_characters(seconds: float | None, text: str):
    assert Age(seconds, "fresh").text == text
