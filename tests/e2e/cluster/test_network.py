"""NetworkPolicies as they are enforced: each pod reaches what the design has it reach, no more."""

import json

import pytest
import yaml

from tests.e2e.cluster.tools import HERE, Failed, component, eventually, release_pods

pytestmark = pytest.mark.e2e
PORTS = {"simulator": 4002, "database": 5432, "mlflow": 5000, "model-server": 3000,
         "dashboard": 8501, "kafka": 9092, "monitor": 9100}
REACHES = {
    "ingest": {"simulator", "kafka"},
    "simulator": set(),
    "writer": {"kafka", "database"},
    "features": {"kafka", "database"},
    "predictor": {"kafka", "database", "model-server"},
    "monitor": {"database", "model-server"},
    "model-server": {"mlflow"},
    "mlflow": set(),
    "dashboard": {"database"},
}
SHORT_LIVED = {
    "trainer": {"database", "mlflow"},
    "first-model": {"mlflow"},
    "migrations": {"database"},
    "test": {"database", "mlflow", "model-server", "dashboard"},
}
"""Those of Jobs and of `helm test`, which are gone before they could be asked."""


@pytest.fixture(scope="module")
def addresses(release):
    """host:port of one pod of each that listens, by what it is; and the API server's."""
    pods = {component(pod): pod for pod in release_pods(release)
            if pod["status"]["phase"] == "Running"}
    pods["kafka"] = release.get("pod", "kafka-0")
    found = {name: f"{pods[name]['status']['podIP']}:{port}" for name, port in PORTS.items()}
    service = json.loads(release.run("kubectl", "-n", "default", "get", "service", "kubernetes",
                                     "-o", "json"))
    return {**found, "the API": f"{service['spec']['clusterIP']}:443"}


@pytest.mark.parametrize("name", list(REACHES))
def test_a_pod_reaches_what_it_needs_and_nothing_else(release, addresses, name):
    opened = json.loads(release.inside(name, HERE / "objects" / "connect.py",
                                       *addresses.values()))
    reached = {what for what, address in addresses.items() if opened[address]}
    assert reached - {name} == REACHES[name]


@pytest.fixture
def stand_in(release):
    """Makes a pod that waits, and is to the policies one of a component; its name."""
    names = []

    def make(component):
        pod = yaml.safe_load((HERE / "objects" / "load.yaml").read_text())
        names.append(f"as-{component}")
        pod["metadata"]["name"] = names[-1]
        pod["metadata"]["labels"]["app.kubernetes.io/component"] = component
        release.apply(pod)
        release.kubectl("wait", "--for=condition=Ready", f"pod/{names[-1]}", "--timeout=60s")
        return names[-1]

    yield make
    release.kubectl("delete", "pod", *names, "--force", "--grace-period=0")


@pytest.mark.parametrize("name", list(SHORT_LIVED))
def test_a_pod_of_a_job_reaches_what_it_needs_and_nothing_else(
        release, addresses, stand_in, name):
    pod = stand_in(name)

    def reached():
        opened = json.loads(release.kubectl(
            "exec", "-i", pod, "--", "python", "-", *addresses.values(),
            given=(HERE / "objects" / "connect.py").read_text()))
        return {what for what, address in addresses.items() if opened[address]}

    def told_apart():
        if (found := reached()) != SHORT_LIVED[name]:
            raise Failed(f"{name} reaches {sorted(found)}")
        return True

    # Who enforces the policies takes some seconds to know a new pod, which till then is free.
    eventually("the policies know the pod", told_apart, 60)


def test_the_tests_own_pods_are_let_alone(release, addresses):
    """What is not of the release is not under its policies, but does not get into its pods."""
    told = release.kubectl("exec", "-i", "kafka-0", "--", "python", "-", *addresses.values(),
                           given=(HERE / "objects" / "connect.py").read_text())
    opened = json.loads(told)
    reached = {what for what, address in addresses.items() if opened[address]}
    assert {"kafka", "the API"} <= reached
    assert not reached & {"database", "mlflow", "model-server", "simulator", "monitor"}
