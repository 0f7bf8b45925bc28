import json
import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ml.errors import ModelContractError
from ml.features import WINDOW_FEATURES
from ml.registry import LoadedModel
from ml.smile.grid import GRID_Z
from services.common import forecast_wire as wire
from services.common.errors import SettingsError
from services.model_server import api, binary, main
from services.model_server.aside import Aside
from services.model_server.models import Pair
from services.model_server.service import SmileForecaster
from services.model_server.settings import load
from tests.unit.small_model import broken_forecaster, make_forecaster, windows

REQUEST = {"step_s": 60.0, "grid_z": GRID_Z.tolist(), "feature_names": list(WINDOW_FEATURES)}


def request(some, **other):
    return api.ForecastRequest.model_validate({**REQUEST, "windows": some, **other})


def packed(some, **other):
    fields = {**REQUEST, "windows": wire.pack(some), **other}
    return wire.encode(wire.Request(**fields))


@pytest.fixture
def pair():
    """Version 3 with version 4 in its shadow."""
    aside = Aside(budget_s=30.0)
    yield Pair(LoadedModel(make_forecaster(), "3"), LoadedModel(make_forecaster(1), "4"), aside)
    aside.stop()


@pytest.fixture
def alone(pair):
    return Pair(pair.champion)


def test_the_answer_is_the_champions_with_its_name_and_version(alone):
    some = windows(2)

    answer = api.forecast(alone, request(some.tolist()))

    assert (answer.model_name, answer.model_version, answer.role) == ("smile", "3", "champion")
    assert answer.horizons_s == [60, 300]
    assert np.array(answer.change) == pytest.approx(alone.champion.predict(some))
    assert answer.shadow is None


def test_the_shadow_answers_the_same_windows_beside_it(pair):
    some = windows(2)

    answer = api.forecast(pair, request(some.tolist()))

    assert answer.model_version == "3"
    assert (answer.shadow.model_version, answer.shadow.role) == ("4", "shadow")
    assert np.array(answer.shadow.change) == pytest.approx(pair.shadow.predict(some))


def test_the_binary_answer_is_to_the_last_bit_the_models(pair):
    some = windows(3)

    answer = wire.decode(binary.answer(pair, packed(some)), wire.Answer)

    for said, model, role in ((answer.champion, pair.champion, "champion"),
                              (answer.shadow, pair.shadow, "shadow")):
        assert (said.model_name, said.model_version, said.role) == ("smile", model.version, role)
        assert (said.horizons_s, said.quantiles) == ((60, 300), (0.05, 0.5, 0.95))
        assert np.array_equal(wire.unpack(said.change, 4), model.predict(some))


def test_a_shadow_that_fails_leaves_the_champion_its_answer(pair):
    def broken(scaled):
        raise RuntimeError("no such kernel")

    some = windows(2)
    failing = replace(pair, shadow=replace(
        pair.shadow, forecaster=replace(pair.shadow.forecaster, network=broken)))

    answer = wire.decode(binary.answer(failing, packed(some)), wire.Answer)
    as_json = api.forecast(failing, request(some.tolist()))

    assert answer.shadow is None and as_json.shadow is None
    assert np.array_equal(wire.unpack(answer.champion.change, 4), pair.champion.predict(some))
    assert np.array(as_json.change) == pytest.approx(pair.champion.predict(some))


@pytest.mark.parametrize("ask", [
    lambda pair: api.forecast(pair, request(windows(1).tolist())),
    lambda pair: binary.answer(pair, packed(windows(1)))])
def test_a_champion_that_answers_nan_gives_a_sentence_in_place_of_an_answer(ask):
    broken = broken_forecaster(lambda scaled: torch.full((len(scaled), 2, 3, 17), torch.nan))

    class Served:
        _models = SimpleNamespace(pair=Pair(LoadedModel(broken, "3")))

    answer = SmileForecaster.inner.answer(Served(), ask)

    assert answer.status_code == 500
    assert json.loads(answer.body) == {
        "error": "version 3 of smile answers with numbers that are not finite"}


def test_without_a_challenger_the_binary_answer_has_no_shadow(alone):
    assert wire.decode(binary.answer(alone, packed(windows(1))), wire.Answer).shadow is None


REFUSED = [
    ({"step_s": 2.0}, "a step of 60 s, not 2 s"),
    ({"grid_z": [0.0, 1.0]}, "17 points"),
    ({"feature_names": ["volume"]}, "unknown volume"),
]
SHAPE = f"one or more windows of 4 rows of {len(WINDOW_FEATURES)} numbers"


@pytest.mark.parametrize(("change", "sentence"), [
    *REFUSED, ({"windows": []}, SHAPE), ({"windows": [[[1.0]]]}, SHAPE)])
def test_what_the_model_is_not_trained_for_is_refused(pair, change, sentence):
    with pytest.raises(ModelContractError, match=sentence):
        api.forecast(pair, request(**{"some": windows(1).tolist(), **change}))


@pytest.mark.parametrize(("change", "sentence"), [
    *REFUSED, ({"some": windows(0)}, SHAPE), ({"some": np.ones((1, 1, 1))}, SHAPE)])
def test_it_is_refused_in_binary_too(pair, change, sentence):
    with pytest.raises(ModelContractError, match=sentence):
        binary.answer(pair, packed(**{"some": windows(1), **change}))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_only_finite_numbers_pass_in_binary_too(pair, bad):
    some = windows(1)
    some[0, 0, 0] = bad

    with pytest.raises(wire.Unreadable, match="not finite"):
        binary.answer(pair, packed(some))


@pytest.mark.parametrize("body", [b"", b"{}", b"\x80", b"\xff" * 50])
def test_bytes_that_are_no_request_are_named_so(pair, body):
    with pytest.raises(wire.Unreadable, match="not a request in msgpack"):
        binary.answer(pair, body)


@pytest.mark.parametrize("bad", [None, "high", float("nan"), float("inf")])
def test_only_finite_numbers_pass(bad):
    with pytest.raises(ValidationError, match="windows"):
        request([[[bad]]])


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


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_a_host_of_no_use_is_refused_by_name(host):
    with pytest.raises(SettingsError, match=f"SMILE_MODEL_SERVER_HOST={host}: .* no address of"):
        main.bind(host, 0)


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


def test_a_folder_that_another_user_holds_is_left_to_him(tmp_path, monkeypatch):
    monkeypatch.setattr(main.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(main.shutil, "rmtree", lambda *place, **how: None)
    (tmp_path / "smile-model-server-1234").mkdir()

    folder = Path(main.fresh_folder(1234))

    assert folder.name.startswith("smile-model-server-1234-")
    assert not list(folder.iterdir())
