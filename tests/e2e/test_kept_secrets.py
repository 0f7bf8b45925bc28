"""Passwords that the chart makes: once, kept by upgrades, and found again by an install after one.

No pod has to run for this: images are named that are nowhere.
"""

import uuid
from collections.abc import Iterator

import pytest

from tests.e2e.cluster import stack
from tests.e2e.cluster.tools import CHART, Cluster, eventually

pytestmark = pytest.mark.e2e
STAGES = ("ingest", "simulator", "writer", "features", "predictor", "monitor", "modelServer",
          "trainer", "dashboard")
VALUES = [word for setting in (
    "kafka.mode=external", "kafka.bootstrapServers=nowhere:9092", "mlflow.auth.enabled=true",
    "image.pullPolicy=Never", "database.image=nowhere:1",
    *(f"{stage}.enabled=false" for stage in STAGES)) for word in ("--set", setting)]


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    name = f"kept-{uuid.uuid4().hex[:6]}"
    stack.make_namespace(cluster, name)
    yield name
    cluster.run("kubectl", "delete", "namespace", name, "--wait=false")


def passwords(cluster: Cluster, namespace: str) -> str:
    """All that is in the two Secrets."""
    return cluster.run("kubectl", "-n", namespace, "get", "secret", "smile-spy-smile-database",
                       "smile-spy-smile-mlflow", "-o", "jsonpath={.items[*].data}")


def test_passwords_are_made_once(cluster: Cluster, namespace: str) -> None:
    def helm(*words: str) -> None:
        cluster.run("helm", "-n", namespace, *words)

    helm("install", "smile", str(CHART), *VALUES)
    first = passwords(cluster, namespace)
    assert "session-key" in first and "url" in first
    helm("upgrade", "smile", str(CHART), *VALUES, "--no-hooks", "--set", "logLevel=DEBUG")
    assert passwords(cluster, namespace) == first
    helm("uninstall", "smile")
    assert passwords(cluster, namespace) == first
    helm("install", "smile", str(CHART), *VALUES)
    assert passwords(cluster, namespace) == first
    helm("uninstall", "smile")
    eventually("nothing else is left", lambda: not remains(cluster, namespace), 60)


def remains(cluster: Cluster, namespace: str) -> str:
    """Names of the release's objects, but for what is kept."""
    kinds = "all,ingress,networkpolicy,serviceaccount,role,rolebinding,configmap,pdb,hpa"
    return cluster.run("kubectl", "-n", namespace, "get", kinds, "-o", "name",
                       "-l", "app.kubernetes.io/instance=smile")
