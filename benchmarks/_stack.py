"""The embedded stack, started on ports and a state folder of its own, for measuring."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from local import ports, postgres
from local.process import group_memory
from local.state import REPOSITORY, State

READY = re.compile(r"First forecast of the model after (\d+) s")
START_SECONDS = 600.0
STOP_SECONDS = 90.0
MEGABYTE = 1024**2


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack that forecasts."""

    ready_s: float
    """From the command to the model's first forecast of a time after the start."""
    process: "subprocess.Popen[str]"
    ports: dict[str, int]
    state: State

    @property
    def bootstrap(self) -> str:
        return f"{ports.HOST}:{self.ports['kafka']}"

    @property
    def database_url(self) -> str:
        return postgres.database_url(self.ports["postgres"])

    def memory_mb(self) -> dict[str, float]:
        """Proportional set size of each part, megabytes, children counted in."""
        _, running = self.state.read()
        sizes = {part.name: group_memory(part.pid) / MEGABYTE
                 for part in running if part.pid and part.process()}
        sizes["supervisor"] = group_memory(self.process.pid, children=False) / MEGABYTE
        return sizes

    def histogram(self, part: str, metric: str) -> dict[float, float]:
        """Cumulative count by upper bound of a histogram of one part."""
        url = f"http://{ports.HOST}:{self.ports[f'{part}_metrics']}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            families = text_string_to_metric_families(answer.read().decode())
            return {float(sample.labels["le"]): sample.value for family in families
                    for sample in family.samples if sample.name == f"{metric}_bucket"}


@contextlib.contextmanager
def started(folder: Path) -> Iterator[Stack]:
    """The stack on `folder`, from the model's first forecast until the block is left."""
    taken = {name: ports.free() for name in ports.DEFAULTS}
    environment = os.environ | {"SMILE_STATE": str(folder), "PYTHONUNBUFFERED": "1"} | {
        ports.setting(name): str(port) for name, port in taken.items()}
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "local", "up"], cwd=REPOSITORY,
                               env=environment, stdout=subprocess.PIPE, text=True)
    try:
        _wait(process, began)
        yield Stack(time.monotonic() - began, process, taken, State(folder))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)


def _wait(process: "subprocess.Popen[str]", began: float) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if READY.search(line):
            return
        if time.monotonic() - began > START_SECONDS:
            break
    raise SystemExit("the stack did not forecast; see its logs in the state folder")
