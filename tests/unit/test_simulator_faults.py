"""Reading a fault script, and the rate limit."""

import pytest

from services.simulator.errors import BadFault
from services.simulator.faults import Event, play, script
from services.simulator.limits import RateLimit


def test_a_script_is_put_in_order_and_what_ends_by_itself_ends():
    assert script(["1102@90s", "1100@60", "", "silence@5s+2.5s", "restart@7"]) == [
        Event(5.0, "silence"), Event(7.0, "go_down"), Event(7.5, "speak"),
        Event(17.0, "come_up"), Event(60.0, "lose"), Event(90.0, "restore_kept")]


@pytest.mark.parametrize("bad", ["1100", "1100@", "1100@x", "nope@5", "cut@5+3", "1100@-4"])
def test_a_fault_that_cant_be_read_is_named(bad):
    with pytest.raises(BadFault, match=bad.replace("+", r"\+")):
        script([bad])


async def test_events_are_done_in_turn():
    done = []

    async def do(action):
        done.append(action)

    await play(script(["cut@0.02", "1100@0"]), do)
    assert done == ["lose", "cut"]


def rate_limit():
    now = [0.0]
    return RateLimit(lambda: now[0]), now


def test_fifty_messages_a_second_are_admitted_for_ever():
    limit, now = rate_limit()
    for _ in range(1000):
        now[0] += 0.02
        assert limit.admit()
    assert limit.strikes == 0


def test_a_burst_of_forty_five_each_second_read_late_is_admitted():
    limit, now = rate_limit()
    for second in range(10):
        now[0] = second + (0.3 if second % 2 else 0.0)
        assert all(limit.admit() for _ in range(35))
    assert not limit.strikes


def test_the_fifty_first_is_dropped_and_a_second_is_one_strike():
    limit, _ = rate_limit()
    assert [limit.admit() for _ in range(70)] == [True] * 50 + [False] * 20
    assert limit.strikes == 1 and not limit.out


def test_the_third_strike_is_out():
    limit, now = rate_limit()
    for second in range(3):
        now[0] = 1.5 * second
        while limit.admit():
            pass
    assert limit.out
