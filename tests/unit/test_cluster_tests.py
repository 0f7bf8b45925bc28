"""What the cluster tests stand on, checked without a cluster."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.e2e import build
from tests.e2e.cluster import conftest, stack, tools
from tests.e2e.cluster.tools import HERE, Cluster
from tests.unit.helm_chart import REPOSITORY, render


def test_every_image_of_the_project_is_built():
    assert {"ingest", "writer", "model-server", "trainer", "mlflow"} <= set(build.targets())
    assert build.name("writer") == "localhost/spy-smile-writer:e2e"


def test_every_module_has_its_place_in_the_order():
    modules = {file.stem for file in HERE.glob("test_*.py")}
    assert modules == set(conftest.ORDER)


def test_the_chart_takes_the_tests_values():
    objects = render(stack.VALUES)
    images = {container["image"] for each in objects if each["kind"] == "Deployment"
              for container in each["spec"]["template"]["spec"]["containers"]}
    assert images <= {build.name(target) for target in build.targets()}


def test_pods_beside_the_release_are_restricted_too():
    for file in (HERE / "objects").glob("*.yaml"):
        for each in yaml.safe_load_all(file.read_text()):
            pod = each if each["kind"] == "Pod" else each.get("spec", {}).get("template")
            if pod is None:
                continue
            assert pod["spec"]["securityContext"]["runAsNonRoot"], file
            for container in pod["spec"]["containers"]:
                assert container["securityContext"]["readOnlyRootFilesystem"], file


def test_the_proxy_serves_the_ingress_host_and_path_and_nothing_else():
    told = stack.proxy_configuration("smile.example.test", "/smile", "pages", 8501)
    assert "hdr(host),field(1,:) -i smile.example.test" in told
    assert "acl path path /smile\n" in told and "path_beg /smile/" in told
    assert "return status 404 unless host path" in told
    assert "server dashboard pages:8501" in told


# --- on a machine with kind, and nothing beside the repository

@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """There is every tool, but no ../shared; the list of the commands that are run."""
    commands: list[list[str]] = []
    for name in ("KUBECONFIG", "SMILE_E2E_KIND", "SMILE_E2E_IMAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(build, "KUBE", tmp_path / "kube")
    monkeypatch.setattr(tools, "KUBE", tmp_path / "kube")
    monkeypatch.setattr(build, "TIMESCALEDB", tmp_path / "timescaledb")
    monkeypatch.setattr(shutil, "which", lambda tool: f"/usr/bin/{tool}")
    monkeypatch.setattr(build, "run", lambda command, _: commands.append(command))
    return commands


def test_a_kind_cluster_is_made_only_where_it_is_asked_for(
        elsewhere: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    refused = tools.find()
    assert isinstance(refused, str) and "make e2e" in refused
    monkeypatch.setenv("SMILE_E2E_KIND", "1")
    assert tools.find() == Cluster(ours=True)
    assert elsewhere == []
    (line,) = [line for line in (REPOSITORY / "Makefile").read_text().splitlines()
               if "tests/e2e/cluster" in line]
    assert "SMILE_E2E_KIND=1" in line


def test_nothing_that_is_not_there_is_given_to_the_builder(elsewhere: list[list[str]]) -> None:
    assert "test-timescaledb" not in build.test_targets()
    build.build_all([*build.test_targets(), *build.targets()], lambda _: None)
    assert [command for command in elsewhere if "--build-context" in command] == []
    kafka = next(command for command in elsewhere if "test-kafka" in command)
    assert f"KAFKA={build.COORDINATES}" in kafka
    assert ["kind", "load", "docker-image", "--name", "smile", build.name("writer")] in elsewhere


def test_images_for_kind_have_no_attestations(elsewhere: list[list[str]]) -> None:
    build.build_all(["writer"], lambda _: None)
    assert "--provenance=false" in elsewhere[0], "kind can't load an image that has one (kind#3795)"


def test_the_database_is_stood_in_for_only_beside_the_shared_cluster(
        elsewhere: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "timescaledb").mkdir()
    assert "test-timescaledb" not in build.test_targets() and stack.database_values() == []
    (tmp_path / "kube").touch()
    assert "test-timescaledb" in build.test_targets() and stack.database_values() != []
    assert elsewhere == []


def test_what_nothing_loads_is_pulled() -> None:
    for each in render(stack.VALUES):
        if each["kind"] == "StatefulSet":
            (container,) = each["spec"]["template"]["spec"]["containers"]
            assert container["image"].startswith("timescale/")
            assert container["imagePullPolicy"] == "IfNotPresent"


def test_images_of_a_registry_are_tested_as_they_are(
        elsewhere: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMILE_E2E_IMAGES", "ghcr.io/some/smile/spy-smile-TARGET:0a1b2c")
    build.build_all(["test-kafka", "model-server"], lambda _: None)
    kafka, server = (command for command in elsewhere if "build" in command)
    assert "test-kafka" in kafka
    assert server[-1] == str(build.TEST_IMAGES) and "pushed" in server
    assert "IMAGE=ghcr.io/some/smile/spy-smile-model-server:0a1b2c" in server
    assert build.name("model-server") in server
    last = (build.TEST_IMAGES / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    assert last == "${IMAGE} AS pushed\n", "nothing is added to it"


@pytest.mark.parametrize(("cluster", "kept"), [
    (Cluster(ours=True), True), (Cluster(("kube", "exec"), ours=True), False), (Cluster(), False)])
def test_logs_of_a_kind_cluster_are_kept_before_it_goes(
        monkeypatch: pytest.MonkeyPatch, cluster: Cluster, kept: bool) -> None:
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(stack, "_call", recorder(calls))
    monkeypatch.setenv("SMILE_E2E_LOGS", "logs")
    stack.keep_logs(cluster, "tests/e2e/cluster/test_install.py::test_all[a/b]")
    assert calls == [("kind", "export", "logs", "logs/test_all-a-b", "--name", "smile")] * kept
    monkeypatch.delenv("SMILE_E2E_LOGS")
    stack.keep_logs(cluster, "test_all")
    assert len(calls) == kept


def recorder(calls: list[tuple[str, ...]]) -> Callable[..., subprocess.CompletedProcess[str]]:
    def call(*words: str) -> subprocess.CompletedProcess[str]:
        calls.append(words)
        return subprocess.CompletedProcess(words, 0, "", "")
    return call
