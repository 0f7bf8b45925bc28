"""Each pod deleted by force, in turn: back within a minute, and the books balance."""

import time

import pytest

from tests.e2e.cluster import stack
from tests.e2e.cluster.tools import (
    component,
    eventually,
    is_ready,
    release_pods,
    wait_until_ready,
)

pytestmark = [pytest.mark.e2e, pytest.mark.long]
BACK_S = 60
STAGES = ("ingest", "simulator", "writer", "features", "predictor", "monitor", "model-server",
          "mlflow", "dashboard", "database")


def of(cluster, name):
    return [pod for pod in release_pods(cluster) if component(pod) == name]


@pytest.mark.parametrize("name", STAGES)
def test_a_pod_that_is_deleted_by_force_is_back_within_a_minute(release, measured, name):
    old = of(release, name)[0]["metadata"]
    begin = time.monotonic()
    release.kubectl("delete", "pod", old["name"], "--force", "--grace-period=0")

    def back():
        pods = of(release, name)
        return pods and all(is_ready(pod) and pod["metadata"]["uid"] != old["uid"]
                            for pod in pods)

    eventually(f"{name} ready again", back, BACK_S)
    took = measured.setdefault("back after a forced deletion, s", {})
    took[name] = round(time.monotonic() - begin, 1)


def test_the_broker_too_may_be_deleted_by_force(release):
    release.kubectl("delete", "pod", "kafka-0", "--force", "--grace-period=0")
    time.sleep(2)
    release.kubectl("rollout", "status", "statefulset/kafka", "--timeout=90s")


def test_forecasts_go_on_and_the_books_balance(release, measured):
    wait_until_ready(release, BACK_S * 2)
    now = stack.count(release, stack.CHAMPIONS)
    eventually("new forecasts", lambda: stack.count(release, stack.CHAMPIONS) > now, 120)
    measured["books after the forced deletions"] = stack.balanced(release)
