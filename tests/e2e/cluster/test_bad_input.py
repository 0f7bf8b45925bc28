"""What is missing is named, in the pod's status or a line of its log, and waited for."""

import json
import time

import pytest

from tests.e2e.cluster import stack
from tests.e2e.cluster.tools import (
    RELEASE,
    component,
    eventually,
    full,
    is_ready,
    release_pods,
    restarts,
    wait_until_ready,
)

pytestmark = [pytest.mark.e2e, pytest.mark.long]
OUT_S = 45
WELL_S = 120


def lines(cluster, name, since_s):
    """The log's lines of a component, those in JSON as objects."""
    text = cluster.kubectl("logs", f"deploy/{full(name)}", f"--since={since_s:.0f}s")
    return [json.loads(line) if line.startswith("{") else {"event": line}
            for line in text.splitlines()]


def said(cluster, name, since_s, *words):
    """Warnings of a component that have these words in them."""
    return [line for line in lines(cluster, name, since_s)
            if all(word in json.dumps(line).lower() for word in words)]


def outage(cluster, statefulset):
    """Take something away for a while; gives how many restarts that made."""
    before = restarts(release_pods(cluster))
    cluster.kubectl("scale", "statefulset", statefulset, "--replicas=0")
    cluster.kubectl("wait", "--for=delete", f"pod/{statefulset}-0", "--timeout=90s")
    time.sleep(OUT_S)
    return before


def restarted_since(cluster, before):
    """Names of the pods with more restarts than then; one that was taken away has none."""
    return {name for name, count in restarts(release_pods(cluster)).items()
            if count > before.get(name, 0)}


def back(cluster, statefulset):
    cluster.kubectl("scale", "statefulset", statefulset, "--replicas=1")
    wait_until_ready(cluster, WELL_S)


def test_without_the_database_pods_that_have_to_store_say_so_and_recover(release):
    begin = time.monotonic()
    before = outage(release, full("database"))
    spoken = {name: said(release, name, time.monotonic() - begin, "database")
              for name in ("writer", "features", "monitor")}  # what follows gets nothing to store
    unready = {component(pod) for pod in release_pods(release) if not is_ready(pod)}
    back(release, full("database"))

    assert all(spoken.values()), spoken
    assert {"writer", "features"} <= unready
    assert restarted_since(release, before) == set()
    stack.balanced(release)


def test_without_kafka_every_pod_that_needs_it_says_so_and_recovers(release):
    begin = time.monotonic()
    before = outage(release, "kafka")
    spoken = {name: said(release, name, time.monotonic() - begin, "kafka")
              for name in ("ingest", "writer", "features", "predictor")}
    back(release, "kafka")

    assert all(spoken.values()), spoken
    assert restarted_since(release, before) == set()
    stack.balanced(release)


def test_a_missing_secret_is_named_and_the_pods_start_when_it_comes(release):
    stack.upgrade(release, "--set", "kafka.existingSecret=kafka-client")

    def named():
        waiting = [each["state"]["waiting"].get("message", "") for pod in release_pods(release)
                   if component(pod) == "writer"
                   for each in pod["status"].get("containerStatuses", [])
                   if "waiting" in each["state"]]
        return any("kafka-client" in message for message in waiting)

    eventually("the secret's name in the pod's status", named, 60)
    # All but ingest, of which there are never two, keep their old pod until the new one is ready.
    ready = {component(pod) for pod in release_pods(release) if is_ready(pod)}
    assert {"writer", "features", "predictor"} <= ready

    release.kubectl("create", "secret", "generic", "kafka-client",
                    "--from-literal=options=client.id=smile")
    for name in ("ingest", "writer", "features", "predictor"):
        release.kubectl("rollout", "status", f"deployment/{full(name)}", "--timeout=180s",
                        timeout_s=200)
    stack.upgrade(release, "--wait", "--set", "kafka.existingSecret=")
    assert RELEASE in release.helm("list", "--short")
