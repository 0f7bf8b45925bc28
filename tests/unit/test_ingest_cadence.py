"""The cadence holds to multiples of the clock, and waiting never misses a stop."""

import time

from hypothesis import given
from hypothesis import strategies as st

from services.common.health import Heartbeat
from services.common.lifecycle import Stop
from services.ingest.cadence import Patience, next_multiple


@given(st.floats(1.4e9, 2e9), st.sampled_from([0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 60.0]))
def test_ticks_are_multiples_after_now_and_at_most_one_step_away(now: float, step: float) -> None:
    tick = next_multiple(now, step)
    assert now < tick <= now + step * 1.001 + 1e-6
    assert abs(tick / step - round(tick / step)) < 1e-4


async def test_sleeping_ends_at_once_when_it_is_time_to_stop() -> None:
    stop = Stop()
    stop.set()
    assert await Patience(stop, Heartbeat()).sleep(3600) is True


async def test_sleeping_beats_the_heart() -> None:
    heartbeat = Heartbeat(limit_s=3600)
    heartbeat._last = time.monotonic() - 100
    assert await Patience(Stop(), heartbeat).sleep(0) is False
    assert heartbeat.age_s() < 100
