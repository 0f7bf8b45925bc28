"""The model server grows under load and shrinks after it, and no request fails."""

import json
import threading

import pytest

from tests.e2e.cluster import stack
from tests.e2e.cluster.tools import HERE, eventually, full

pytestmark = [pytest.mark.e2e, pytest.mark.long]
MOST = 3
LOAD_S = 150
THREADS = 6
SHRINK_S = 180


@pytest.fixture(scope="module")
def autoscaled(release):
    if not stack.has_metrics(release):
        pytest.skip("no metrics-server in this cluster")
    stack.upgrade(release, "--wait", "--set", "modelServer.autoscaling.enabled=true",
                  "--set", f"modelServer.autoscaling.maxReplicas={MOST}",
                  "--set", "modelServer.autoscaling.scaleDownSeconds=20",
                  "--set", "modelServer.autoscaling.targetCPUUtilizationPercentage=50",
                  # So little that one small machine can ask for more than one pod's worth.
                  "--set", "modelServer.resources.requests.cpu=50m")
    release.kubectl("apply", "-f", str(HERE / "objects" / "load.yaml"))
    release.kubectl("wait", "--for=condition=Ready", "pod/load", "--timeout=60s")
    yield release
    release.kubectl("delete", "pod", "load", "--force", "--grace-period=0")


@pytest.fixture(scope="module")
def begun(autoscaled):
    """When the load began, in epoch seconds by the database's clock."""
    return stack.query(autoscaled, "SELECT extract(epoch FROM now())")


def pods_ready(cluster):
    return cluster.get("deployment", full("model-server"))["status"].get("readyReplicas", 0)


def test_the_model_server_grows_under_load_and_shrinks_after_it(autoscaled, begun, measured):
    told = {}

    def ask():
        told.update(json.loads(autoscaled.kubectl(
            "exec", "-i", "load", "--", "python", "-", f"http://{full('model-server')}:3000",
            str(LOAD_S), str(THREADS), given=(HERE / "load.py").read_text(),
            timeout_s=LOAD_S + 120)))

    crowd = threading.Thread(target=ask)
    crowd.start()
    try:
        eventually(f"{MOST} pods ready", lambda: pods_ready(autoscaled) == MOST, LOAD_S)
        measured["pods of the model server under load"] = pods_ready(autoscaled)
    finally:
        crowd.join()
    # Pods are taken away while the predictor goes on asking.
    eventually("one pod again", lambda: autoscaled.get("deployment", full("model-server"))[
        "status"]["replicas"] == 1, SHRINK_S + 120)
    measured["load"] = told
    assert set(told["outcomes"]) == {"200"}, told


def test_no_forecast_lacked_the_model_while_pods_came_and_went(autoscaled, begun):
    made = f"SELECT count(*) FROM predicted_smile WHERE made_at > to_timestamp({begun})"
    assert stack.count(autoscaled, made) > 0
    assert stack.count(autoscaled, f"{made} AND note LIKE '%model server%'") == 0
