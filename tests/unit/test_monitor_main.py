"""The monitor's turns while what it needs is away."""

import pytest

from services.common.errors import Unavailable
from services.common.health import Heartbeat
from services.monitor import main


class Scripted:
    """Monitor, watch and champion in one: raises what each turn's script says."""

    def __init__(self, *script):
        self.script, self.clocks = list(script), ()

    def step(self, *_):
        if self.script and (trouble := self.script.pop(0)):
            raise Unavailable(trouble)
        return False

    def now(self):
        return None


class Idle:
    """A watch that sees nothing."""

    def step(self, *_):
        return None


@pytest.fixture
def told(monkeypatch):
    lines = []
    for level in ("warning", "info"):
        monkeypatch.setattr(main.log, level, lambda words, **more: lines.append(
            (words, *more.values())))
    return lines


def test_what_is_waited_for_is_told_once_and_when_it_is_back(told):
    script = Scripted("the database is away", "the database is away", "it starts up", None, None)
    heartbeat, waiting = Heartbeat(), []
    for _ in range(5):
        main.turn(script, Idle(), script, None, heartbeat)
        waiting.append(heartbeat.waiting)

    assert waiting == ["the database is away", "the database is away", "it starts up", "", ""]
    assert told == [("will try again, until it succeeds", "the database is away"),
                    ("will try again, until it succeeds", "it starts up"),
                    ("goes on", "it starts up")]
