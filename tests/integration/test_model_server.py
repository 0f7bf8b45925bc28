"""The real BentoML server over a real MLflow registry (on sqlite), by HTTP."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from ml import registry
from ml.features import WINDOW_FEATURES
from ml.smile.grid import GRID_Z
from tests.unit.damaged_model import add_damaged_version, truncate
from tests.unit.small_model import make_forecaster, windows

ROOT = Path(__file__).parents[2]
DEADLINE_S = 180.0
REQUEST = {"step_s": 60.0, "grid_z": GRID_Z.tolist(), "feature_names": list(WINDOW_FEATURES)}


def register(uri, seed):
    return registry.register(make_forecaster(seed), windows(2), {}, {}, "smile", uri)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def until(condition, what):
    """Poll until the condition holds; the test fails with `what` at the deadline."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        try:
            if condition():
                return
        except httpx.TransportError:
            time.sleep(0.3)
        time.sleep(0.2)
    pytest.fail(f"{what} did not come within {DEADLINE_S:g} s")


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """A registry with a model, but no champion: its alias is taken away."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"
    register(uri, seed=1)
    registry.MlflowClient(uri).delete_registered_model_alias("smile", "champion")
    return uri


@pytest.fixture(scope="module")
def server(uri, tmp_path_factory):
    """(client, process, log) of a server that looks for the alias twice a second."""
    port, folder = free_port(), tmp_path_factory.mktemp("server")
    log = folder / "log"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "SMILE_MODEL_SERVER_PORT": str(port),
                   "SMILE_MODEL_SERVER_HOST": "127.0.0.1", "SMILE_MODEL_POLL_SECONDS": "0.5",
                   "BENTOML_HOME": str(folder), "TMPDIR": str(folder)}
    with log.open("w") as output:
        process = subprocess.Popen([sys.executable, "-m", "services.model_server"], cwd=ROOT,
                                   env=environment, stdout=output, stderr=output)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client:
            until(lambda: client.get("/livez").status_code == 200, "the server")
            yield client, process, log
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def ask(client, some, **other):
    return client.post("/forecast", json={"request": {**REQUEST, "windows": some, **other}})


def champion(client, uri, version):
    registry.MlflowClient(uri).set_registered_model_alias("smile", "champion", version)
    until(lambda: client.post("/contract", json={}).json().get("model_version") == version,
          f"version {version}")


def test_1_without_the_alias_it_lives_is_not_ready_and_says_why(server):
    client, _, log = server

    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    answer = ask(client, windows(1).tolist())
    assert answer.status_code == 503
    assert answer.json() == {"error": "no model is loaded yet; the log says why"}
    until(lambda: "alias champion not found" in log.read_text(), "the reason in the log")
    assert "Traceback" not in log.read_text()


def test_2_once_the_alias_is_there_it_is_ready(server, uri):
    client, _, _ = server
    champion(client, uri, "1")

    assert client.get("/readyz").status_code == 200
    contract = client.post("/contract", json={}).json()
    assert contract["feature_names"] == list(WINDOW_FEATURES)
    assert contract["horizons_s"] == [60, 300]
    assert 'smile_model_server_version{alias="champion",model="smile"} 1.0' \
        in client.get("/metrics").text


@pytest.mark.parametrize("batch", [1, 2, 32])
def test_3_answers_equal_the_direct_call(server, uri, batch):
    client, _, _ = server
    champion(client, uri, "1")
    some = windows(batch, seed=batch)

    answer = ask(client, some.tolist()).json()

    assert (answer["model_name"], answer["model_version"], answer["role"]) \
        == ("smile", "1", "champion")
    assert np.array(answer["change"]) == pytest.approx(make_forecaster(1).predict(some), abs=1e-9)


@pytest.mark.parametrize(("change", "sentence"), [
    ({"step_s": 2.0}, "a step of 60 s, not 2 s"),
    ({"grid_z": [0.0]}, "a grid of 17 points"),
    ({"feature_names": ["volume"]}, "unknown volume"),
    ({"windows": [[[1.0]]]}, "windows of 4 rows"),
])
def test_4_another_step_grid_or_feature_is_a_400_with_a_sentence(server, uri, change, sentence):
    client, _, log = server
    champion(client, uri, "1")

    answer = ask(client, **{"some": windows(1).tolist(), **change}) if "windows" not in change \
        else client.post("/forecast", json={"request": {**REQUEST, **change}})

    assert answer.status_code == 400
    assert sentence in answer.json()["error"]
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("body", ['{"request": {}}', '{"windows": 1}', "{", ""])
def test_5_what_is_no_request_is_a_400(server, body):
    client, _, _ = server

    answer = client.post("/forecast", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert "error" in answer.json()


def test_6_a_moved_alias_is_followed_without_a_restart(server, uri):
    client, _, _ = server
    champion(client, uri, "1")
    version = register(uri, seed=2)
    champion(client, uri, version)
    some = windows(3)

    answer = ask(client, some.tolist()).json()

    assert answer["model_version"] == version
    assert np.array(answer["change"]) == pytest.approx(make_forecaster(2).predict(some), abs=1e-9)


def test_7_a_damaged_version_is_told_once_and_the_next_good_one_is_served(server, uri, tmp_path):
    client, _, log = server
    champion(client, uri, "1")
    damaged = add_damaged_version(uri, tmp_path, truncate, "scaler.joblib")
    registry.MlflowClient(uri).set_registered_model_alias("smile", "champion", damaged)
    sentence = f"version {damaged} of smile can't be loaded: "
    until(lambda: sentence in log.read_text(), "the reason in the log")

    assert client.get("/livez").status_code == 200
    assert ask(client, windows(1).tolist()).json()["model_version"] == "1"
    champion(client, uri, register(uri, seed=3))
    assert log.read_text().count(sentence) == 1


def test_8_a_signal_ends_it_and_frees_the_port(server):
    client, process, _ = server
    process.send_signal(signal.SIGTERM)

    assert process.wait(30) in (0, -signal.SIGTERM)
    with pytest.raises(httpx.ConnectError):
        client.get("/livez")
