"""The real BentoML server over a real MLflow registry (on sqlite), by HTTP."""

import signal
import time

import httpx
import numpy as np
import pytest

from ml.features import WINDOW_FEATURES
from ml.succession import crown, dethrone
from services.common import forecast_wire as wire
from services.common import model_contract
from services.common.errors import Unavailable
from tests.integration.real_model_server import (
    CLIENTS,
    Load,
    changes,
    drop_alias,
    register,
    serving,
    set_alias,
    until,
)
from tests.unit.damaged_model import add_damaged_version, truncate
from tests.unit.small_model import make_forecaster, windows


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """A registry with three versions of a model, of seeds 1 to 3, and no champion."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"
    for seed in (1, 2, 3):
        register(uri, seed)
    drop_alias(uri, "challenger")
    return uri


@pytest.fixture(scope="module")
def server(uri, tmp_path_factory):
    with serving(uri, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def first(server, uri):
    """The server with version 1 as champion, and no shadow."""
    set_alias(uri, "champion", "1")
    drop_alias(uri, "challenger")
    server.serves("1")
    server.shadows(None)
    return server


def test_1_without_the_alias_it_lives_is_not_ready_and_says_why(server):
    assert server.client.get("/healthz").status_code == 200
    assert server.client.get("/readyz").status_code == 503
    for answer in (server.ask(windows(1).tolist()), server.ask_binary(windows(1))):
        assert answer.status_code == 503
        assert answer.json() == {"error": "no model is loaded yet; the log says why"}
    with pytest.raises(Unavailable, match="not ready"):
        model_contract.fetch(server.url, 10.0)
    until(lambda: "has the alias champion" in server.log.read_text(), "the reason in the log")
    assert "Traceback" not in server.log.read_text()


def test_2_once_the_alias_is_there_it_is_ready(first):
    assert first.client.get("/readyz").status_code == 200
    contract = first.contract()
    assert contract["feature_names"] == list(WINDOW_FEATURES)
    assert contract["horizons_s"] == [60, 300]
    assert 'smile_model_server_version{alias="champion",model="smile"} 1.0' \
        in first.client.get("/metrics").text


def test_2_the_contract_is_there_for_everyone(first):
    served = model_contract.served(first.url, 10.0)

    assert served.version == "1"
    assert served.contract == make_forecaster(1).contract


@pytest.mark.parametrize("batch", [1, 2, 32])
def test_3_answers_equal_the_direct_call(first, batch):
    some = windows(batch, seed=batch)
    direct = make_forecaster(1).predict(some)

    answer = first.ask(some.tolist()).json()
    binary = wire.decode(first.ask_binary(some).content, wire.Answer)

    assert (answer["model_name"], answer["model_version"], answer["role"]) \
        == ("smile", "1", "champion")
    assert np.array(answer["change"]) == pytest.approx(direct, abs=1e-9)
    assert answer["shadow"] is None
    assert binary.champion.model_version == "1"
    assert wire.unpack(binary.champion.change, 4) == pytest.approx(direct, abs=1e-9)
    assert binary.shadow is None


@pytest.mark.parametrize(("change", "sentence"), [
    ({"step_s": 2.0}, "a step of 60 s, not 2 s"),
    ({"grid_z": [0.0]}, "a grid of 17 points"),
    ({"feature_names": ["volume"]}, "unknown volume"),
    ({"windows": [[[1.0]]]}, "windows of 4 rows"),
])
def test_4_another_step_grid_or_feature_is_a_400_with_a_sentence(first, change, sentence):
    some = np.array(change.get("windows", windows(1)))
    other = {name: value for name, value in change.items() if name != "windows"}

    for answer in (first.ask(some.tolist(), **other), first.ask_binary(some, **other)):
        assert answer.status_code == 400
        assert sentence in answer.json()["error"]
    assert "Traceback" not in first.log.read_text()


@pytest.mark.parametrize("body", ['{"request": {}}', '{"windows": 1}', "{", ""])
def test_5_what_is_no_request_is_a_400(first, body):
    for path, kind in (("/forecast", "application/json"), (wire.PATH, wire.MEDIA_TYPE)):
        answer = first.client.post(path, content=body, headers={"Content-Type": kind})

        assert answer.status_code == 400
        assert "error" in answer.json()


def test_6_the_challenger_answers_beside_the_champion(first, uri):
    set_alias(uri, "challenger", "2")
    first.shadows("2")
    some = windows(3)

    answer = wire.decode(first.ask_binary(some).content, wire.Answer)
    same = first.ask(some.tolist()).json()

    assert answer.champion.model_version == same["model_version"] == "1"
    assert (answer.shadow.model_version, answer.shadow.role) == ("2", "shadow")
    expected = make_forecaster(2).predict(some)
    assert wire.unpack(answer.shadow.change, 4) == pytest.approx(expected, abs=1e-9)
    assert np.array(same["shadow"]["change"]) == pytest.approx(expected, abs=1e-9)
    assert 'smile_model_server_version{alias="challenger",model="smile"} 2.0' \
        in first.client.get("/metrics").text


def test_7_under_load_the_champion_is_switched_and_no_request_fails(first, uri):
    set_alias(uri, "challenger", "2")
    with Load(first.url) as load:
        load.wait()
        crown("smile", "2", uri, "better")
        first.serves("2")
        load.wait()
        crown("smile", "3", uri, "better still")
        first.serves("3")
        load.wait()
        dethrone("smile", uri)
        first.serves("2")
        load.wait()

    assert load.failures == []
    assert [changes(seen) for seen in load.versions] == [["1", "2", "3", "2"]] * CLIENTS


def test_8_a_damaged_version_is_told_once_and_the_next_good_one_is_served(first, uri, tmp_path):
    damaged = add_damaged_version(uri, tmp_path, truncate, "scaler.joblib")
    set_alias(uri, "champion", damaged)
    sentence = f"version {damaged} of smile can't be loaded: "
    until(lambda: sentence in first.log.read_text(), "the reason in the log")
    time.sleep(1.5)  # three more turns

    assert first.client.get("/livez").status_code == 200
    assert first.ask(windows(1).tolist()).json()["model_version"] == "1"
    set_alias(uri, "champion", "3")
    first.serves("3")
    assert first.log.read_text().count(sentence) == 1


def test_9_a_signal_ends_it_and_frees_the_port(server):
    server.process.send_signal(signal.SIGTERM)

    assert server.process.wait(30) in (0, -signal.SIGTERM)
    with pytest.raises(httpx.ConnectError):
        server.client.get("/livez")
    with pytest.raises(Unavailable, match="can't be reached"):
        model_contract.fetch(server.url, 10.0)
