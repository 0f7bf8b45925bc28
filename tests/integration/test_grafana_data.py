"""A real Prometheus that scrapes every series there is: no panel stays empty, no rule fails."""

import functools
import http.server
import json
import shutil
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from local import ports
from tests.unit.grafana import FILES, load, queries
from tests.unit.helm_chart import REPOSITORY
from tests.unit.promtool import RULES, rules

DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of one that has scraped twice and has the chart's rules."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed (Debian's package prometheus)")
    folder = tmp_path_factory.mktemp("prometheus")
    with (folder / "metrics").open("wb") as file:
        subprocess.run([sys.executable, "-m", "tests.integration.every_series"], check=True,
                       stdout=file, cwd=REPOSITORY)
    with served(folder) as target:
        yield from running(program, folder, target)


class served:
    """Serves a folder's files over HTTP; enters as host:port."""

    def __init__(self, folder: Path) -> None:
        handler = functools.partial(_Plain, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Plain(http.server.SimpleHTTPRequestHandler):
    def guess_type(self, path: Any) -> str:
        return "text/plain; version=0.0.4"

    def log_message(self, format: str, *args: object) -> None:
        """Keep scrapes out of the tests' output."""


def running(program: str, folder: Path, target: str) -> Iterator[str]:
    (folder / "rules").mkdir()
    for file in RULES:
        text = file.read_text().replace("NAMESPACE", "smile")
        (folder / "rules" / file.name).write_text(text)
    labels = {"namespace": "smile", "component": "model-server", "pod": "smile-0"}
    (folder / "prometheus.yml").write_text(yaml.safe_dump({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules" / "*.yaml")],
        "scrape_configs": [{"job_name": "smile", "honor_labels": True, "static_configs": [
            {"targets": [target], "labels": labels}]}]}))
    port = ports.free()
    process = subprocess.Popen([
        program, f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn"])
    try:
        address = f"http://127.0.0.1:{port}"
        until(lambda: len(ask(address, "count_over_time(up[1m]) > 4")) == 1)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def until(reached: Any) -> None:
    begin = time.monotonic()
    while True:
        try:
            if reached():
                return
        except OSError:
            pass
        assert time.monotonic() - begin < DEADLINE_S
        time.sleep(0.2)


def ask(address: str, query: str) -> list[Any]:
    """The series that a query finds now."""
    asked = urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(f"{address}/api/v1/query?{asked}", timeout=10) as answer:
        result: list[Any] = json.load(answer)["data"]["result"]
    return result


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_panel_stays_empty(prometheus: str, file: Path) -> None:
    empty = {title for title, query in queries(load(file)) if not ask(prometheus, query)}
    assert empty == set()


def test_rules_are_evaluated_without_a_fault(prometheus: str) -> None:
    def loaded() -> list[Any]:
        with urllib.request.urlopen(f"{prometheus}/api/v1/rules", timeout=10) as answer:
            return [rule for group in json.load(answer)["data"]["groups"]
                    for rule in group["rules"]]

    until(lambda: all(rule["health"] != "unknown" for rule in loaded()))
    assert len(loaded()) == len(rules())
    assert {rule["name"]: rule["lastError"] for rule in loaded() if rule["health"] != "ok"} == {}
