"""One cluster, one namespace, one release for all tests here, in the order of `ORDER`."""

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import build
from tests.e2e.cluster import stack
from tests.e2e.cluster.tools import NAMESPACE, Cluster, find

ORDER = ("test_install", "test_login", "test_dashboard", "test_network", "test_upgrade",
         "test_faults", "test_node", "test_scale", "test_bad_input", "test_full_volume",
         "test_uninstall", "test_moved_database")
LOCK = Path("/tmp/spy-smile-e2e.lock")
MEASURED: dict[str, Any] = {}
"""What the tests measure, told at the end."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the modules; leave out what only the long form runs."""
    ours = [item for item in items if item.path.parent == Path(__file__).parent]
    if not ours:
        return
    places = sorted(items.index(item) for item in ours)
    ours.sort(key=lambda item: ORDER.index(item.path.stem))  # stable within a module
    for place, item in zip(places, ours, strict=True):
        items[place] = item
        if "long" in item.keywords and not config.getoption("--long"):
            item.add_marker(pytest.mark.skip(reason="only with --long"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured."""
    if MEASURED:
        terminalreporter.section("measured on the cluster")
        for name, value in MEASURED.items():
            terminalreporter.write_line(f"{name}: {json.dumps(value)}")


@pytest.fixture(scope="session")
def measured() -> dict[str, Any]:
    """Where tests note what they measured."""
    return MEASURED


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster that is up; down again at the end if it was down before."""
    found = find()
    if isinstance(found, str):
        pytest.skip(found)
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.skip("other cluster tests are running on this machine")
        began = stack.up(found)
        yield found
        if began:
            stack.down(found)


@pytest.fixture(scope="session")
def images(cluster: Cluster) -> list[str]:
    """The images, built and known to the nodes; SMILE_E2E_BUILT=1 says that they are already."""
    begin = time.monotonic()
    chosen = [*build.test_targets(), *build.targets()]
    if os.environ.get("SMILE_E2E_BUILT") == "1":
        return chosen
    build.build_all(chosen, lambda line: print(line, flush=True))
    MEASURED["images built and loaded, s"] = round(time.monotonic() - begin)
    return chosen


@pytest.fixture(scope="session")
def namespace(cluster: Cluster, images: list[str]) -> Iterator[str]:
    """An empty namespace that enforces restricted pod security, with a broker."""
    stack.drop_namespace(cluster)
    stack.make_namespace(cluster)
    stack.start_kafka(cluster)
    yield NAMESPACE
    stack.drop_namespace(cluster)


@pytest.fixture(scope="session")
def release(cluster: Cluster, namespace: str) -> Iterator[Cluster]:
    """The cluster with the chart installed and every pod ready."""
    MEASURED.update(stack.install(cluster))
    yield cluster


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """After a failure, of a fixture too, while everything is still there: the state of the
    namespace goes to the report, and the nodes' logs are kept."""
    report = yield
    found = find() if report.failed else ""
    if isinstance(found, Cluster):
        stack.keep_logs(found, report.nodeid)
        try:
            said = stack.describe(found)
        except (AssertionError, subprocess.SubprocessError) as error:
            said = f"it can't be described: {error}"
        report.sections.append(("the namespace", said))
    return report
