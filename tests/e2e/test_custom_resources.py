"""What the chart renders, asked of a real API server that has the operators' CRDs, by dry runs.

Every object is to be taken as it is, without a warning of pod security; and so that this says
something, an error planted in one of each kind of custom resource is to be refused.
"""

import copy
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.cluster import stack
from tests.e2e.cluster.tools import Cluster, eventually
from tests.unit.helm_chart import (
    FULL,
    IDS,
    LOADER,
    NATIVE,
    SHARED,
    VALUES,
    Object,
    render,
)

pytestmark = pytest.mark.e2e
CRDS = SHARED / "schemas" / "crds"
APPLY = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")


def unknown_listener(spec: Object) -> None:
    spec["kafka"]["listeners"][0]["type"] = "sideways"


def unknown_role(spec: Object) -> None:
    spec["roles"] = ["waiter"]


def no_partitions(spec: Object) -> None:
    spec["partitions"] = 0


def unknown_operation(spec: Object) -> None:
    spec["authorization"]["acls"][0]["operations"] = ["Peek"]


def many_pods(spec: Object) -> None:
    spec["maxReplicaCount"] = "many"


def nameless_secret(spec: Object) -> None:
    del spec["secretTargetRef"][0]["name"]


def odd_interval(spec: Object) -> None:
    spec["podMetricsEndpoints"][0]["interval"] = "often"


def odd_patience(spec: Object) -> None:
    spec["groups"][0]["rules"][0]["for"] = "soon"


def unknown_match(spec: Object) -> None:
    spec["rules"][0]["matches"][0]["path"]["type"] = "Nearly"


PLANTED: list[tuple[str, Callable[[Object], None], str]] = [
    ("Kafka", unknown_listener, "spec.kafka.listeners[0].type"),
    ("KafkaNodePool", unknown_role, "spec.roles[0]"),
    ("KafkaTopic", no_partitions, "spec.partitions"),
    ("KafkaUser", unknown_operation, "spec.authorization.acls[0].operations[0]"),
    ("ScaledObject", many_pods, "spec.maxReplicaCount"),
    ("TriggerAuthentication", nameless_secret, "spec.secretTargetRef[0].name"),
    ("PodMonitor", odd_interval, "spec.podMetricsEndpoints[0].interval"),
    ("PrometheusRule", odd_patience, "spec.groups[0].rules[0].for"),
    ("HTTPRoute", unknown_match, "spec.rules[0].matches[0].path.type"),
]


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of restricted pods on a server with the CRDs; those that came go again."""
    if not CRDS.is_dir():
        pytest.skip("no CRDs: ../shared/schemas is not there")
    files = {definition(path): path for path in sorted(CRDS.glob("*.yaml"))}
    there = set(cluster.run("kubectl", "get", "crd", "-o", "name").split())
    came = [name for name in files if f"customresourcedefinition.apiextensions.k8s.io/{name}"
            not in there]
    for name in came:
        cluster.run("kubectl", "apply", "--server-side", "-f", str(files[name]))
    name = f"dry-run-{uuid.uuid4().hex[:6]}"
    stack.make_namespace(cluster, name)
    cluster.run("kubectl", "label", "namespace", name, "pod-security.kubernetes.io/warn=restricted")
    for crd in files:
        cluster.run("kubectl", "wait", "--for=condition=Established", f"crd/{crd}")
    yield name
    cluster.run("kubectl", "delete", "namespace", name, "--wait=false")
    for crd in came:
        cluster.run("kubectl", "delete", "crd", crd, "--ignore-not-found")


def definition(path: Path) -> str:
    """Name of the CRD in a file."""
    return str(yaml.load(path.read_text(), LOADER)["metadata"]["name"])


def applied(cluster: Cluster, namespace: str, objects: list[Object]) -> str:
    """What the server says to objects; empty where it takes them without a word.

    One after another: of a List kubectl itself would check what lies in it, before the server can.
    """
    given = "\n---\n".join(map(json.dumps, objects))
    done = cluster.attempt("kubectl", "-n", namespace, *APPLY, given=given)
    assert done.returncode == 0 or done.stderr
    return done.stderr


def in_namespace(objects: list[Object], namespace: str) -> list[Object]:
    """The objects, where they name their namespace in this one.

    Not the pods of `helm test`: they are admitted only where their account is.
    """
    text = json.dumps([each for each in objects if each["kind"] != "Pod"])
    moved: list[Object] = json.loads(text.replace('"namespace": "prod"',
                                                  f'"namespace": "{namespace}"'))
    return moved


@pytest.mark.parametrize("values", VALUES, ids=IDS)
def test_all_that_is_rendered_is_taken_without_a_warning(cluster: Cluster, namespace: str,
                                                         values: Path) -> None:
    objects = in_namespace(render(values), namespace)
    # A CRD that has just come is served a moment later.
    eventually("the CRDs are served",
               lambda: "no matches for kind" not in applied(cluster, namespace, objects), 30)
    assert applied(cluster, namespace, objects) == ""


@pytest.mark.parametrize(("kind", "plant", "place"), PLANTED, ids=[kind for kind, *_ in PLANTED])
def test_an_error_in_a_custom_resource_is_refused(cluster: Cluster, namespace: str, kind: str,
                                                  plant: Callable[[Object], None],
                                                  place: str) -> None:
    found = next(each for each in in_namespace(render(FULL), namespace) if each["kind"] == kind)
    eventually("the CRDs are served",
               lambda: "no matches for kind" not in applied(cluster, namespace, [found]), 30)
    wrong = copy.deepcopy(found)
    plant(wrong["spec"])
    assert applied(cluster, namespace, [found]) == ""
    assert place in applied(cluster, namespace, [wrong])


@pytest.mark.parametrize("kind", [kind for kind, *_ in PLANTED])
def test_a_field_that_is_none_is_refused(cluster: Cluster, namespace: str, kind: str) -> None:
    wrong = next(each for each in in_namespace(render(FULL), namespace) if each["kind"] == kind)
    wrong["spec"]["nonsense"] = 1
    assert "nonsense" in applied(cluster, namespace, [wrong])


def test_every_kind_of_custom_resource_is_tried() -> None:
    kinds = {each["kind"] for values in VALUES for each in render(values)
             if each["apiVersion"] not in NATIVE}
    assert kinds == {kind for kind, *_ in PLANTED}
