"""Market time by wall time."""

import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from services.ingest.ibkr.clock import GatewayClock, WallClock

NOON = datetime(2015, 12, 24, 17, 0, tzinfo=UTC)


async def test_wall_time_is_its_own() -> None:
    assert await WallClock().read(1_450_976_400.0) == NOON
    assert WallClock().at(1_450_976_400.25) == NOON + timedelta(seconds=0.25)


async def test_gateway_time_runs_at_the_recordings_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, answers = [1000.0], [NOON, NOON + timedelta(seconds=120)]

    async def answer() -> datetime:
        return answers.pop(0)

    monkeypatch.setattr(time, "time", lambda: wall[0])
    clock = GatewayClock(SimpleNamespace(reqCurrentTimeAsync=answer))  # type: ignore[arg-type]
    assert await clock.read(1000.0) == NOON and clock.at(990.0) == NOON
    wall[0] = 1002.0
    assert await clock.read(1002.0) == NOON + timedelta(seconds=120)
    assert [clock.at(wall) - NOON for wall in (999.0, 1000.5, 1002.0, 1003.0)] == [
        timedelta(seconds=at) for at in (0, 30, 120, 120)]
