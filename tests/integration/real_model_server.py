"""The real BentoML server as a process, over a real MLflow registry on sqlite."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest

from ml import registry
from ml.features import WINDOW_FEATURES
from ml.quiet_mlflow import MlflowClient
from ml.smile.grid import GRID_Z
from services.common import forecast_wire as wire
from tests.unit.small_model import make_forecaster, windows

ROOT = Path(__file__).parents[2]
DEADLINE_S = 180.0
CLIENTS = 3
SHADOW_S = 30.0
"""On a busy machine a shadow may be late, which is not what is tested here."""
REQUEST = {"step_s": 60.0, "grid_z": GRID_Z.tolist(), "feature_names": list(WINDOW_FEATURES)}


@dataclass
class ModelServer:
    """A server that asks for its aliases twice a second."""

    url: str
    client: httpx.Client
    process: subprocess.Popen
    log: Path

    def ask(self, some, **other):
        """The answer to windows, as JSON."""
        body = {"request": {**REQUEST, "windows": some, **other}}
        return self.client.post("/forecast", json=body)

    def ask_binary(self, some, **other):
        """The answer to windows (B, W, F), on the wire."""
        return post_binary(self.client, some, **other)

    def contract(self):
        return self.client.post("/contract", json={}).json()

    def serves(self, version):
        """Wait until the champion is this version."""
        until(lambda: self.contract().get("model_version") == version, f"version {version}")

    def shadows(self, version):
        """Wait until the shadow is this version, or nobody."""
        until(lambda: self.contract()["shadow_version"] == version, f"shadow {version}")


def post_binary(client, some, **other):
    body = wire.encode(wire.Request(**{**REQUEST, "windows": wire.pack(some), **other}))
    return client.post(wire.PATH, content=body, headers={"Content-Type": wire.MEDIA_TYPE})


@contextmanager
def serving(uri, folder):
    """A server over the registry at `uri`; ready once there is a champion."""
    port, log = free_port(), folder / "log"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "SMILE_MODEL_SERVER_PORT": str(port),
                   "SMILE_MODEL_SERVER_HOST": "127.0.0.1", "SMILE_MODEL_POLL_SECONDS": "0.5",
                   "SMILE_MODEL_SHADOW_SECONDS": str(SHADOW_S),
                   "BENTOML_HOME": str(folder), "TMPDIR": str(folder)}
    with log.open("w") as output:
        process = subprocess.Popen([sys.executable, "-m", "services.model_server"], cwd=ROOT,
                                   env=environment, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=url, timeout=30.0) as client:
            until(lambda: client.get("/livez").status_code == 200, "the server")
            yield ModelServer(url, client, process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def register(uri, seed, **changed):
    """Register a small model as challenger; its version."""
    return registry.register(make_forecaster(seed, **changed), windows(2), registry.Record(), uri)


def set_alias(uri, alias, version):
    MlflowClient(uri).set_registered_model_alias("smile", alias, version)


def drop_alias(uri, alias):
    MlflowClient(uri).delete_registered_model_alias("smile", alias)


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
        time.sleep(0.1)
    pytest.fail(f"{what} did not come within {DEADLINE_S:g} s")


class Load:
    """Clients that ask without a pause; each keeps the versions that answered it, in order."""

    def __init__(self, url):
        self.url, self.stop = url, threading.Event()
        self.some = windows(8)
        self.expected = {str(seed): make_forecaster(seed).predict(self.some) for seed in (1, 2, 3)}
        self.versions = [[] for _ in range(CLIENTS)]
        self.failures = []
        self.threads = [threading.Thread(target=self.ask, args=(seen,)) for seen in self.versions]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.stop.set()
        for thread in self.threads:
            thread.join(60)

    def ask(self, seen):
        with httpx.Client(base_url=self.url, timeout=10.0) as client:
            while not self.stop.is_set():
                try:
                    answer = wire.decode(post_binary(client, self.some).content, wire.Answer)
                except Exception as error:
                    self.failures.append(error)
                    continue
                said = answer.champion
                seen.append(said.model_version)
                expected = self.expected[said.model_version]
                if not np.allclose(wire.unpack(said.change, 4), expected, rtol=0.0, atol=1e-9):
                    self.failures.append(f"a change that is not version {said.model_version}'s")

    def wait(self, more=20):
        """Until every client had so many more answers."""
        so_far = [len(seen) for seen in self.versions]
        until(lambda: all(len(seen) >= before + more or self.failures
                          for seen, before in zip(self.versions, so_far, strict=True)), "answers")


def changes(versions):
    """The versions in order, each once per reign."""
    return [version for place, version in enumerate(versions)
            if place == 0 or version != versions[place - 1]]
