"""Which model the server has, as the registry's aliases move."""

import time
from itertools import pairwise

import pytest
import torch

from ml.errors import RegistryError, UnavailableError
from ml.registry import LoadedModel
from services.model_server import followed
from services.model_server.models import Models
from tests.unit.small_model import broken_forecaster, make_forecaster, windows


class Broken:
    """A forecaster that has a contract, and no forecast."""

    contract = make_forecaster().contract

    def predict(self, windows):
        raise ValueError("shapes differ")


class Slow:
    """A forecaster that takes its time."""

    def __init__(self, forecaster):
        self.forecaster, self.contract = forecaster, forecaster.contract

    def predict(self, windows):
        time.sleep(0.2)
        return self.forecaster.predict(windows)


class Registry:
    """What `Followed` asks of the registry; `trouble` is raised in place of an answer."""

    def __init__(self, monkeypatch):
        self.aliases, self.trouble = {"champion": "1"}, None
        self.loads, self.damaged, self.contracts, self.forecasters = [], {}, {}, {}
        self.now, self.told = 0.0, []
        monkeypatch.setattr(followed, "find_alias", self.find_alias)
        monkeypatch.setattr(followed, "load_version", self.load_version)
        monkeypatch.setattr(followed.log, "warning",
                            lambda words, **more: self.told.append(more["reason"]))

    def find_alias(self, name, alias, uri):
        if self.trouble is not None:
            raise self.trouble
        return self.aliases.get(alias)

    def load_version(self, name, version, uri):
        self.loads.append(version)
        if version in self.damaged:
            raise self.damaged[version](f"version {version} can't be loaded")
        forecaster = self.forecasters.get(version) \
            or make_forecaster(int(version), **self.contracts.get(version, {}))
        return LoadedModel(forecaster, version)


@pytest.fixture
def registry(monkeypatch):
    return Registry(monkeypatch)


@pytest.fixture
def models(registry):
    return Models("smile", "champion", "http://nowhere", 0.01, clock=lambda: registry.now)


def served(models):
    """Versions of champion and shadow."""
    pair = models.pair
    return pair and (pair.champion.version, pair.shadow and pair.shadow.version)


def test_the_first_version_is_loaded_once_and_kept(registry, models):
    models.refresh()
    models.refresh()

    assert served(models) == ("1", None)
    assert registry.loads == ["1"]


def test_a_moved_alias_is_followed_also_back(registry, models):
    for version in ("1", "2", "1"):
        registry.aliases["champion"] = version
        models.refresh()
        assert served(models) == (version, None)
    assert registry.loads == ["1", "2", "1"]


def test_without_a_champion_nothing_is_served_and_it_is_looked_for_again(registry, models):
    registry.aliases = {"challenger": "1"}
    models.refresh()
    models.refresh()
    assert models.pair is None
    assert registry.told == ["no version of smile at http://nowhere has the alias champion"]

    registry.aliases = {"champion": "1"}
    models.refresh()
    assert served(models) == ("1", None)


def test_a_registry_that_goes_away_leaves_both_models_in_place(registry, models):
    registry.aliases["challenger"] = "2"
    models.refresh()
    registry.trouble = UnavailableError("no answer")
    models.refresh()

    assert served(models) == ("1", "2")


def test_a_champion_without_its_alias_stays(registry, models):
    models.refresh()
    registry.aliases = {}
    models.refresh()

    assert served(models) == ("1", None)


def test_the_challenger_is_the_shadow_while_it_is_one(registry, models):
    models.refresh()
    registry.aliases["challenger"] = "2"
    models.refresh()
    assert served(models) == ("1", "2")

    del registry.aliases["challenger"]
    models.refresh()
    assert served(models) == ("1", None)


def test_a_promoted_shadow_answers_without_being_loaded_again(registry, models):
    registry.aliases["challenger"] = "2"
    models.refresh()
    registry.aliases = {"champion": "2"}
    models.refresh()

    assert served(models) == ("2", None)
    assert registry.loads == ["1", "2"]


def test_a_champion_is_not_its_own_shadow(registry, models):
    registry.aliases["challenger"] = "1"
    models.refresh()

    assert served(models) == ("1", None)


@pytest.mark.parametrize(("field", "value"), [
    ("step_s", 2.0), ("filter_weight", 0.3), ("grid_z", tuple(range(17))),
    ("horizons_s", (60, 900))])
def test_a_challenger_of_another_input_or_output_is_no_shadow_and_that_is_told_once(
        registry, models, field, value):
    registry.aliases["challenger"] = "2"
    registry.contracts["2"] = {field: value}
    models.refresh()
    models.refresh()

    assert served(models) == ("1", None)
    assert registry.told == [f"version 2 has another {field} than the champion, version 1: it is "
                             "no shadow"]


def test_a_damaged_version_is_told_once_and_a_good_one_that_follows_is_served(registry, models):
    registry.damaged = dict.fromkeys(("2", "3"), RegistryError)
    seen = []
    for version in ("1", "2", "2", "3", "4"):
        registry.aliases["champion"] = version
        models.refresh()
        seen.append(models.pair.champion.version)

    assert seen == ["1", "1", "1", "1", "4"]
    assert registry.told == ["version 2 can't be loaded", "version 3 can't be loaded"]


def test_a_damaged_version_is_tried_ever_more_seldom(registry, models):
    registry.damaged = {"1": RegistryError}
    tried = []
    for _ in range(1000):
        before = len(registry.loads)
        models.refresh()
        tried += [registry.now] * (len(registry.loads) - before)
        registry.now += 5.0

    assert tried[:5] == [0.0, 10.0, 30.0, 70.0, 150.0]
    assert max(later - sooner for sooner, later in pairwise(tried)) == 600.0
    assert registry.told == ["version 1 can't be loaded"]


def test_a_version_that_can_not_be_reached_is_tried_every_time(registry, models):
    registry.damaged = {"1": UnavailableError}
    models.refresh()
    models.refresh()
    registry.damaged = {}
    models.refresh()

    assert registry.loads == ["1"] * 3
    assert served(models) == ("1", None)


def test_a_version_that_loads_but_can_not_forecast_does_not_come_in(registry, models):
    models.refresh()
    registry.aliases["champion"], registry.forecasters["2"] = "2", Broken()
    models.refresh()

    assert served(models) == ("1", None)
    assert registry.told == ["version 2 of smile can't forecast: ValueError: shapes differ"]


def test_a_version_that_answers_nan_does_not_come_in(registry, models):
    models.refresh()
    registry.aliases["champion"] = "2"
    registry.forecasters["2"] = broken_forecaster(
        lambda windows: torch.full((len(windows), 2, 3, 17), torch.nan))
    models.refresh()

    assert served(models) == ("1", None)
    [told] = registry.told
    assert "version 2 of smile can't forecast: its answer is not" in told


def test_a_shadow_keeps_its_thread_and_the_next_one_has_its_own(registry, models):
    registry.aliases["challenger"] = "2"
    models.refresh()
    first = models.pair.aside
    models.refresh()
    assert models.pair.aside is first

    registry.aliases["challenger"] = "3"
    models.refresh()
    assert models.pair.aside is not first


def test_the_registrys_password_is_not_told(registry):
    registry.aliases = {}
    Models("smile", "champion", "http://bob:hunter2@nowhere", 0.01).refresh()

    assert registry.told == ["no version of smile at http://***@nowhere has the alias champion"]


def test_a_damaged_challenger_leaves_the_champion_alone(registry, models):
    registry.aliases["challenger"], registry.damaged["2"] = "2", RegistryError
    models.refresh()
    registry.aliases["champion"] = "3"
    models.refresh()

    assert served(models) == ("3", None)


def test_different_troubles_are_told_each(registry, models):
    for trouble in ("no answer", "no answer", "no room"):
        registry.trouble = RegistryError(trouble)
        models._champion.refresh()

    assert registry.told == ["no answer", "no room"]


def test_it_follows_until_it_is_stopped(registry, models):
    assert not models.follows
    models.start()
    assert models.follows
    models.stop()
    models._thread.join(10)
    assert not models.follows


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_unforeseen_end_of_the_thread_shows(registry, models):
    registry.trouble = MemoryError("no room")
    models.start()
    models._thread.join(10)
    assert not models.follows


@pytest.mark.parametrize(("shadow_s", "answers"), [(10.0, True), (0.01, False)])
def test_a_shadow_is_waited_for_as_long_as_is_said(registry, shadow_s, answers):
    registry.aliases["challenger"] = "2"
    registry.forecasters["2"] = Slow(make_forecaster(2))
    models = Models("smile", "champion", "http://nowhere", 0.01, shadow_s)
    models.refresh()

    assert (models.pair.shadow_changes(windows(2)) is not None) == answers
    models.pair.aside.stop()
