"""A shadow that is late or fails, and what is told of it."""

import threading

import numpy as np
import pytest

from ml.registry import LoadedModel
from services.model_server import aside
from services.model_server.aside import Aside

LONG_S = 30.0
ANSWER = np.zeros((1, 2, 3, 17))


class Model:
    """Answers what is set here, or raises it; the first answer waits for `gate`."""

    def __init__(self):
        self.contract, self.answer, self.asked = None, ANSWER, 0
        self.gate = threading.Event()
        self.gate.set()

    def predict(self, windows):
        self.asked += 1
        self.gate.wait(LONG_S)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Listened:
    """A shadow by a clock of its own, and what was told of it."""

    def __init__(self, monkeypatch, budget_s=LONG_S):
        self.model, self.now, self.told = Model(), 100.0, []
        self.loaded = LoadedModel(self.model, "4")
        self.aside = Aside(budget_s, 10.0, clock=lambda: self.now)
        monkeypatch.setattr(aside.log, "warning", lambda words, **more: self.told.append(
            more["reason"]))

    def ask(self):
        return self.aside.changes(self.loaded, ANSWER)

    def ask_after_a_rest(self, answer):
        self.model.answer = answer
        self.now += 11.0
        return self.ask()


@pytest.fixture
def shadow(monkeypatch):
    listened = Listened(monkeypatch)
    yield listened
    listened.aside.stop()


@pytest.fixture
def late(monkeypatch):
    """One that answers nobody until its gate is opened."""
    listened = Listened(monkeypatch, budget_s=0.01)
    listened.model.gate.clear()
    yield listened
    listened.model.gate.set()
    listened.aside.stop()


def test_it_answers(shadow):
    assert shadow.ask() is ANSWER
    assert shadow.told == []


def test_one_that_was_stopped_is_neither_asked_nor_waited_for_nor_told(shadow):
    shadow.ask()
    shadow.aside.stop()

    assert shadow.ask() is None
    assert (shadow.model.asked, shadow.told) == (1, [])


def test_nobody_waits_for_one_that_is_late_and_it_is_told_once(late):
    assert [late.ask() for _ in range(3)] == [None] * 3
    late.now += 11.0
    assert late.ask() is None

    assert late.model.asked == 1
    assert late.told == ["TimeoutError: no answer within 0.01 s"]


def test_it_is_asked_again_after_a_rest_and_its_late_answer_is_nobodys(late):
    late.ask()
    late.model.answer = np.ones((1, 2, 3, 17))
    late.model.gate.set()
    while late.aside._said.empty():
        pass
    late.aside._budget_s = LONG_S

    assert late.ask() is None  # it rests
    assert late.ask_after_a_rest(ANSWER) is ANSWER


@pytest.mark.parametrize(("answer", "sentence"), [
    (RuntimeError("no such kernel"), "RuntimeError: no such kernel"),
    (ANSWER * np.nan, "ValueError: an answer that is not finite")])
def test_one_that_fails_rests_and_is_told(shadow, answer, sentence):
    shadow.model.answer = answer
    assert [shadow.ask() for _ in range(3)] == [None] * 3

    assert shadow.model.asked == 1
    assert shadow.told == [sentence]


def test_the_same_trouble_is_told_once_however_it_is_worded_and_anew_after_recovery(shadow):
    for number in range(5):
        assert shadow.ask_after_a_rest(RuntimeError(f"no room at {number}")) is None
    assert shadow.told == ["RuntimeError: no room at 0"]

    assert shadow.ask_after_a_rest(ANSWER) is ANSWER
    shadow.ask_after_a_rest(RuntimeError("no room at 5"))
    assert shadow.told == ["RuntimeError: no room at 0", "RuntimeError: no room at 5"]
