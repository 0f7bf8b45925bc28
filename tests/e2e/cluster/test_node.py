"""All processes of the node killed at once, as by a reset: everything comes back by itself."""

import time

import pytest

from tests.e2e.cluster import stack
from tests.e2e.cluster.tools import eventually, is_ready, release_pods

pytestmark = [pytest.mark.e2e, pytest.mark.long]
BACK_S = 60
"""From when the node's own processes run again."""


def test_everything_is_back_within_a_minute_of_the_node_and_the_books_balance(release, measured):
    if not release.ours:
        pytest.skip("not our cluster to restart: unset KUBECONFIG")
    started = {pod["metadata"]["name"]: _running_since(pod) for pod in release_pods(release)}
    stack.restart_node(release)
    begin = time.monotonic()

    def back():
        pods = [pod for pod in release_pods(release) if pod["status"]["phase"] != "Succeeded"]
        return all(is_ready(pod) and _running_since(pod) != started[pod["metadata"]["name"]]
                   for pod in pods)

    eventually("every pod ready again", back, BACK_S)
    measured["back after a restart of the node, s"] = round(time.monotonic() - begin)
    now = stack.count(release, stack.FORECASTS)
    eventually("new forecasts", lambda: stack.count(release, stack.FORECASTS) > now, 120)
    measured["books after the node's restart"] = stack.balanced(release)


def _running_since(pod):
    return [each["state"].get("running", {}).get("startedAt") for each in
            pod["status"].get("containerStatuses", [])]
