import socket

import numpy as np
import pytest
from pydantic import ValidationError

from ml.errors import ModelContractError, RegistryError, UnavailableError
from ml.features import WINDOW_FEATURES
from ml.registry import LoadedModel
from ml.smile.grid import GRID_Z
from services.common.errors import SettingsError
from services.model_server import api, champion, main
from services.model_server.champion import Champion
from services.model_server.settings import load
from tests.unit.small_model import make_forecaster, windows

REQUEST = {"step_s": 60.0, "grid_z": GRID_Z.tolist(), "feature_names": list(WINDOW_FEATURES)}


def request(some, **other):
    return api.ForecastRequest.model_validate({**REQUEST, "windows": some, **other})


@pytest.fixture
def model():
    return LoadedModel(make_forecaster(), "3")


class Registry:
    """What `Champion` asks of the registry; `trouble` is raised in place of an answer."""

    def __init__(self, monkeypatch):
        self.version, self.trouble, self.loads, self.damaged = "1", None, [], set()
        monkeypatch.setattr(champion, "champion_version", self.champion_version)
        monkeypatch.setattr(champion, "load_version", self.load_version)

    def champion_version(self, name, alias, uri):
        if self.trouble is not None:
            raise self.trouble
        return self.version

    def load_version(self, name, version, uri):
        self.loads.append(version)
        if version in self.damaged:
            raise RegistryError(f"version {version} can't be loaded: try {len(self.loads)}")
        return LoadedModel(make_forecaster(int(version)), version)


@pytest.fixture
def registry(monkeypatch):
    return Registry(monkeypatch)


@pytest.fixture
def followed(registry):
    return Champion("smile", "champion", "http://nowhere", 0.01)


def test_the_answer_is_the_models_with_its_name_and_version(model):
    some = windows(2)

    answer = api.forecast(model, request(some.tolist()))

    assert (answer.model_name, answer.model_version, answer.role) == ("smile", "3", "champion")
    assert answer.horizons_s == [60, 300]
    assert np.array(answer.change) == pytest.approx(model.predict(some))


@pytest.mark.parametrize(("change", "sentence"), [
    ({"step_s": 2.0}, "a step of 60 s, not 2 s"),
    ({"grid_z": [0.0, 1.0]}, "17 points"),
    ({"feature_names": ["volume"]}, "unknown volume"),
    ({"windows": []}, "one or more windows of 4 rows of 28 numbers"),
    ({"windows": [[[1.0]]]}, "one or more windows of 4 rows of 28 numbers"),
])
def test_what_the_model_is_not_trained_for_is_refused(model, change, sentence):
    with pytest.raises(ModelContractError, match=sentence):
        api.forecast(model, request(**{"some": windows(1).tolist(), **change}))


@pytest.mark.parametrize("bad", [None, "high", float("nan"), float("inf")])
def test_only_finite_numbers_pass(bad):
    with pytest.raises(ValidationError, match="windows"):
        request([[[bad]]])


def test_the_first_version_is_loaded_and_kept(registry, followed):
    followed.refresh()
    followed.refresh()

    assert followed.model.version == "1"
    assert registry.loads == ["1"]


def test_a_moved_alias_is_followed_also_back(registry, followed):
    for version in ("1", "2", "1"):
        registry.version = version
        followed.refresh()
        assert followed.model.version == version
    assert registry.loads == ["1", "2", "1"]


def test_a_missing_alias_leaves_nothing_and_is_tried_again(registry, followed):
    registry.trouble = RegistryError("no alias champion")
    followed.refresh()
    assert followed.model is None

    registry.trouble = None
    followed.refresh()
    assert followed.model.version == "1"


def test_a_registry_that_goes_away_leaves_the_model_in_place(registry, followed):
    followed.refresh()
    registry.trouble = UnavailableError("no answer")
    followed.refresh()

    assert followed.model.version == "1"


def test_the_same_trouble_is_told_once(registry, followed, monkeypatch):
    told = []
    monkeypatch.setattr(champion.log, "warning", lambda *words, **more: told.append(more["reason"]))
    for trouble in ("no alias", "no alias", "no answer"):
        registry.trouble = RegistryError(trouble)
        followed.refresh()

    assert told == ["no alias", "no answer"]


def test_a_damaged_version_is_told_once_and_a_good_one_that_follows_is_served(
        registry, followed, monkeypatch):
    told = []
    monkeypatch.setattr(champion.log, "warning", lambda *words, **more: told.append(more["reason"]))
    registry.damaged = {"2", "3"}
    served = []
    for version in ("1", "2", "2", "3", "4"):
        registry.version = version
        followed.refresh()
        served.append(followed.model.version)

    assert served == ["1", "1", "1", "1", "4"]
    assert told == ["version 2 can't be loaded: try 2", "version 3 can't be loaded: try 4"]


def test_it_follows_until_it_is_stopped(registry, followed):
    assert not followed.follows
    followed.start()
    assert followed.follows
    followed.stop()
    followed._thread.join(10)
    assert not followed.follows


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_unforeseen_end_of_the_thread_shows(registry, followed):
    registry.trouble = MemoryError("no room")
    followed.start()
    followed._thread.join(10)
    assert not followed.follows


def test_settings_name_what_is_missing():
    with pytest.raises(SettingsError, match="MLFLOW_TRACKING_URI is not set"):
        load({})


def test_settings_refuse_a_bad_port():
    with pytest.raises(SettingsError, match="SMILE_MODEL_SERVER_PORT"):
        load({"MLFLOW_TRACKING_URI": "http://x", "SMILE_MODEL_SERVER_PORT": "high"})


def test_settings_have_the_designs_names():
    settings, uri = load({"MLFLOW_TRACKING_URI": "http://x", "SMILE_MODEL_NAME": "goog",
                          "SMILE_MODEL_SERVER_PORT": "3001"})

    assert (settings.model_name, settings.model_alias, settings.model_server_port, uri) \
        == ("goog", "champion", 3001, "http://x")


def test_a_port_in_use_is_refused_by_name():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"SMILE_MODEL_SERVER_PORT={port}: Address"):
            main.bind("127.0.0.1", port)


def test_nobody_is_let_in_before_the_worker_listens():
    with main.bind("127.0.0.1", 0) as listener, socket.socket() as client:
        assert client.connect_ex(listener.getsockname()) != 0
        assert listener.get_inheritable()


def test_metrics_begin_in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(main.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = main.fresh_folder(1234)
    (tmp_path / "smile-model-server-1234" / "old.db").touch()

    assert main.fresh_folder(1234) == folder
    assert not list((tmp_path / "smile-model-server-1234").iterdir())
