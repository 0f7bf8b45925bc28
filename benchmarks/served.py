"""A served forecast of 32 windows beside the bare call of its network, in one run.

A GRU of the default size is registered, exported and served as in production: BentoML in a process
of its own, asked over HTTP by the predictor's wire, and as JSON to see what that would cost. The
bare call is the exported network's with its input ready, in this process. All take turns.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import torch

from benchmarks._model import contract, make_forecaster, windows
from ml.forecaster import scaled
from ml.quiet_mlflow import MlflowClient
from ml.registry import CHALLENGER, CHAMPION, LoadedModel, Record, load_version, register
from services.common import forecast_wire as wire

BATCH = 32
TURNS, CALLS = 20, 25
AIM_MS, AIM_RATIO = 15.0, 3.0
STARTED_S = 120.0
ROOT = Path(__file__).parents[1]
NAME = contract().name
Call = Callable[[], object]


def main() -> None:
    """Register, serve, and print what each way takes."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        uri = f"sqlite:///{folder}/mlflow.db"
        for seed in (1, 2):
            register(make_forecaster(seed), windows(2), Record(), uri)
        registry, model = MlflowClient(uri), load_version(NAME, "1", uri)
        registry.set_registered_model_alias(NAME, CHAMPION, "1")
        registry.delete_registered_model_alias(NAME, CHALLENGER)
        with _serving(uri, Path(folder)) as http:
            _until(lambda: http.get("/readyz").is_success)
            _report(_milliseconds(_ways(model, http)))
            registry.set_registered_model_alias(NAME, CHALLENGER, "2")
            _until(lambda: http.post("/contract", json={}).json()["shadow_version"] == "2")
            shadowed = _milliseconds({"with a challenger in its shadow": _served(http)})
            _line(*shadowed.popitem())


def _ways(model: LoadedModel, http: httpx.Client) -> dict[str, Call]:
    """Calls by name, the bare one first."""
    some, network = windows(BATCH), model.forecaster.network
    ready = torch.from_numpy(scaled(model.forecaster.scaler, some))
    return {"bare network": lambda: _bare(network, ready),
            "with scaler, anchor and calibration": lambda: model.predict(some),
            "served": _served(http), "served as JSON": _as_json(http)}


def _bare(network: Callable[[torch.Tensor], torch.Tensor], ready: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network(ready)


def _served(http: httpx.Client) -> Call:
    """As the predictor asks: from windows to changes."""
    own, some = contract(), windows(BATCH)

    def call() -> object:
        request = wire.Request(step_s=own.step_s, grid_z=own.grid_z,
                               feature_names=own.feature_names, windows=wire.pack(some))
        answer = http.post(wire.PATH, content=wire.encode(request),
                           headers={"Content-Type": wire.MEDIA_TYPE}).raise_for_status()
        return wire.unpack(wire.decode(answer.content, wire.Answer).champion.change, 4)

    return call


def _as_json(http: httpx.Client) -> Call:
    own, some = contract(), windows(BATCH)

    def call() -> object:
        request = {"step_s": own.step_s, "grid_z": own.grid_z,
                   "feature_names": own.feature_names, "windows": some.tolist()}
        return http.post("/forecast", json={"request": request}).raise_for_status().json()

    return call


def _milliseconds(ways: Mapping[str, Call]) -> dict[str, list[float]]:
    """What each call took; they take turns, so that a busy machine is busy for all."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(TURNS + 1):
        for name, call in ways.items():
            times = [_timed(call) for _ in range(CALLS)]
            taken[name] += times if turn else []  # the first turn warms up
    return taken


def _timed(call: Call) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


def _report(taken: Mapping[str, list[float]]) -> None:
    for name, times in taken.items():
        _line(name, times)
    served, bare = (_p99(taken[name]) for name in ("served", "bare network"))
    print(f"served p99 {served:.1f} ms (aim {AIM_MS:g}), {served / bare:.1f} times the bare one "
          f"(aim {AIM_RATIO:g}); as JSON {_p99(taken['served as JSON']) / bare:.1f} times")


def _line(name: str, times: list[float]) -> None:
    print(f"{name:38s} p50 {statistics.median(times):6.2f} ms   p99 {_p99(times):6.2f} ms")


def _p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[98]


@contextmanager
def _serving(uri: str, folder: Path) -> Iterator[httpx.Client]:
    """The model server over a registry, and a client of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "BENTOML_HOME": str(folder),
                   "SMILE_MODEL_SERVER_HOST": "127.0.0.1", "SMILE_MODEL_POLL_SECONDS": "1",
                   "SMILE_MODEL_SERVER_PORT": str(port), "TMPDIR": str(folder)}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "services.model_server"], cwd=ROOT,
                                   env=environment, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10.0) as http:
            yield http
    finally:
        process.terminate()
        process.wait(30)


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + STARTED_S
    while time.monotonic() < end:
        try:
            if condition():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise TimeoutError(f"the model server was not ready within {STARTED_S:g} s")
