"""make platform: one table of the operators' releases, installed by one script on any cluster."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.unit.helm_chart import REPOSITORY

MANIFESTS = REPOSITORY / "manifests"
RELEASES = [line.split() for line in (MANIFESTS / "releases.txt").read_text().splitlines()
            if line and not line.startswith("#")]
NAMES = [row[0] for row in RELEASES]
FAKE = """#!/bin/sh
echo "$@" >> "$HELM_CALLS"
case "$*" in *" list "*) cat "$HELM_LIST" 2>/dev/null ;; esac
exit "${HELM_EXIT:-0}"
"""


class Installed:
    """What the script said, and what it told helm."""

    def __init__(self, folder: Path, *arguments: str, listed: str = "", **variables: str) -> None:
        program, calls, found = folder / "helm", folder / "calls", folder / "list"
        program.write_text(FAKE)
        program.chmod(0o755)
        calls.write_text("")
        found.write_text(listed)
        done = subprocess.run(
            [MANIFESTS / "install", *arguments], text=True, capture_output=True, check=False,
            env={"PATH": f"{folder}:{os.environ['PATH']}", "HELM_CALLS": str(calls),
                 "HELM_LIST": str(found), **variables})
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr
        self.calls = calls.read_text().splitlines()
        self.upgraded = [call.split(" --install ")[1].split()[0] for call in self.calls
                         if " --install " in call]


def test_each_release_has_a_pinned_version_and_values_for_both_clusters() -> None:
    for name, namespace, version, chart, *repository in RELEASES:
        assert namespace == name
        assert version[0].isdigit() and len(version.split(".")) == 3
        assert chart.startswith("oci://") == (not repository)
        for cluster in ("kind", "cloud"):
            assert isinstance(yaml.safe_load((MANIFESTS / cluster / f"{name}.yaml").read_text()),
                              dict)


def test_no_values_are_left_over() -> None:
    files = {file.stem for file in MANIFESTS.glob("*/*.yaml")}
    assert files == {*NAMES, "spy-smile"}


@pytest.mark.parametrize("cluster", ["kind", "cloud"])
def test_all_are_installed_in_the_order_of_the_table(cluster: str, tmp_path: Path) -> None:
    done = Installed(tmp_path, cluster)
    assert (done.code, done.err) == (0, "")
    assert done.upgraded == NAMES
    for call, (name, namespace, version, chart, *repository) in zip(done.calls, RELEASES,
                                                                    strict=True):
        assert f"upgrade --install {name} {chart}" in call
        assert f"--version {version} --namespace {namespace} --create-namespace" in call
        assert f"--values {cluster}/{name}.yaml --wait" in call
        assert ("--repo" in call) == bool(repository)
        assert ("--kube-context kind-smile" in call) == (cluster == "kind")


def test_some_can_be_named_or_left_out(tmp_path: Path) -> None:
    assert Installed(tmp_path, "cloud", "keda").upgraded == ["keda"]
    assert Installed(tmp_path, "cloud", WITHOUT="traefik keda").upgraded == [
        "strimzi", "monitoring"]


@pytest.mark.parametrize("names", ["treafik", "traefik,keda"])
def test_who_is_to_be_left_out_has_to_be_known(names: str, tmp_path: Path) -> None:
    done = Installed(tmp_path, "cloud", WITHOUT=names)
    assert (done.code, done.calls) == (2, [])
    assert done.err.startswith(f"'{names}' is not in releases.txt")


def test_the_context_can_be_another(tmp_path: Path) -> None:
    done = Installed(tmp_path, "kind", CONTEXT="kind-other")
    assert all("--kube-context kind-other " in call for call in done.calls)


def test_what_is_there_in_its_version_can_be_left_alone(tmp_path: Path) -> None:
    row = RELEASES[0]
    chart = f"- chart: {row[3].rsplit('/')[-1]}-{row[2]}\n"
    assert Installed(tmp_path, "kind", listed=chart, MISSING="1").upgraded == [
        name for name, _, version, *_ in RELEASES if version != row[2]]
    old = Installed(tmp_path, "kind", listed="- chart: strimzi-kafka-operator-0.9.9\n", MISSING="1")
    assert old.upgraded == NAMES


def test_a_failed_install_ends_it(tmp_path: Path) -> None:
    done = Installed(tmp_path, "kind", HELM_EXIT="1")
    assert done.code != 0
    assert done.upgraded == NAMES[:1]


@pytest.mark.parametrize(("arguments", "why"), [
    ((), "'' is neither kind nor cloud"), (("minikube",), "'minikube' is neither kind nor cloud"),
    (("kind", "kafka"), "'kafka' is not in releases.txt")])
def test_a_mistake_is_one_sentence(arguments: tuple[str, ...], why: str, tmp_path: Path) -> None:
    done = Installed(tmp_path, *arguments)
    assert (done.code, done.calls) == (2, [])
    assert done.err.startswith(why) and done.err.count("\n") == 1


# --- what our values lean on of other releases

def test_kind_publishes_the_ports_that_its_ingress_controller_takes() -> None:
    node, = yaml.safe_load((REPOSITORY / "kind-config.yaml").read_text())["nodes"]
    published = {port["containerPort"] for port in node["extraPortMappings"]}
    traefik = yaml.safe_load((MANIFESTS / "kind" / "traefik.yaml").read_text())
    assert published == {port["hostPort"] for port in traefik["ports"].values()}


@pytest.mark.parametrize("cluster", ["kind", "cloud"])
def test_prometheus_and_grafana_look_into_every_namespace(cluster: str) -> None:
    values = yaml.safe_load((MANIFESTS / cluster / "monitoring.yaml").read_text())
    selectors = values["prometheus"]["prometheusSpec"]
    for kind in ("podMonitor", "serviceMonitor", "rule"):
        assert selectors[f"{kind}SelectorNilUsesHelmValues"] is False
    sidecar = values["grafana"]["sidecar"]["dashboards"]
    assert (sidecar["searchNamespace"], sidecar["folderAnnotation"]) == ("ALL", "grafana_folder")


@pytest.mark.parametrize("cluster", ["kind", "cloud"])
def test_the_application_lets_in_what_the_platform_has(cluster: str) -> None:
    chart = yaml.safe_load((REPOSITORY / "charts/spy-smile/values.yaml").read_text())
    values = yaml.safe_load((MANIFESTS / cluster / "spy-smile.yaml").read_text())
    peers = [*chart["networkPolicy"]["metricsFrom"], *values["networkPolicy"]["ingressFrom"]]
    named = {peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
             for peer in peers}
    assert named == {"monitoring", "traefik"} < set(NAMES)
    assert chart["networkPolicy"]["kedaNamespace"] in NAMES
