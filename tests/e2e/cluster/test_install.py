"""An install with the simulator: every pod ready, forecasts, `helm test`, size and memory."""

import base64
import re

import pytest

from tests.e2e.cluster import stack
from tests.e2e.cluster.tools import (
    NAMESPACE,
    RELEASE,
    component,
    full,
    not_ready,
    release_pods,
    restarts,
)

pytestmark = pytest.mark.e2e
FIRST_FORECAST_S = 300
MEMORY_MIB = 6 * 1024
WITH_KERNELS = ("simulator", "features", "predictor")
RARE = 2
"""Kernels that rare quotes may call with other types than the image's build did."""


def test_every_pod_is_ready_in_a_namespace_that_enforces_restricted_security(release):
    labels = release.get("namespace", NAMESPACE)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert not_ready(release) == []
    running = {component(pod) for pod in release_pods(release)}
    assert {"ingest", "simulator", "writer", "features", "predictor", "monitor", "model-server",
            "mlflow", "database", "dashboard"} <= running


def test_nothing_had_to_be_restarted(release):
    pods = [pod for pod in release_pods(release) if component(pod) not in ("migrations",)]
    assert restarts(pods) == {}


def test_the_first_forecast_came_in_time(release, measured):
    assert measured["install to first forecast, s"] <= FIRST_FORECAST_S


def test_forecasts_reach_the_database(release):
    assert stack.count(release, stack.FORECASTS) > 0


def test_containers_are_a_plain_user_on_a_read_only_root(release):
    for pod in staying(release):
        name = pod["metadata"]["name"]
        identity = release.kubectl("exec", name, "--", "id", "-u").strip()
        assert identity == ("70" if component(pod) == "database" else "10001"), name
        refused = release.attempt("kubectl", "-n", NAMESPACE, "exec", name, "--", "touch", "/x")
        assert "Read-only file system" in refused.stderr, name


def test_jobs_ask_for_the_same(release):
    """By what they ask for: one may end while another command looks into it."""
    for pod in release_pods(release):
        for container in pod["spec"]["containers"]:
            whose = {**pod["spec"]["securityContext"], **container["securityContext"]}
            assert whose["runAsNonRoot"] and whose["readOnlyRootFilesystem"], container["name"]


def staying(release):
    """Running pods of the release that no Job started."""
    return [pod for pod in release_pods(release)
            if pod["status"]["phase"] == "Running" and pod["spec"]["restartPolicy"] == "Always"]


@pytest.mark.parametrize("name", WITH_KERNELS)
def test_a_pod_has_its_kernels_from_the_image(release, name):
    def files(root):
        script = f"import pathlib; print(*sorted(str(p.relative_to('{root}')) " \
            f"for p in pathlib.Path('{root}').rglob('*.nbc')))"
        return set(release.kubectl("exec", f"deploy/{full(name)}", "--", "python", "-c",
                                   script).split())

    brought = files("/opt/kernels")
    assert len(brought) > 50
    compiled_here = files("/tmp/numba") - brought
    assert len(compiled_here) <= RARE, compiled_here


def test_passwords_are_in_secrets_and_nowhere_else(release):
    """Not in a log, not in what was rendered, not in what Helm was given."""
    secrets = [secret for secret in release.items("secrets")
               if secret["metadata"]["name"].startswith(full(""))]
    passwords = {base64.b64decode(value).decode() for secret in secrets
                 for key, value in secret["data"].items() if "password" in key.lower()}
    assert passwords and all(len(password) >= 16 for password in passwords)

    told = {"objects": release.kubectl("get", "all,configmaps,ingresses", "-o", "json"),
            "values": release.helm("get", "values", RELEASE, "--all")}
    for pod in release_pods(release):
        name = pod["metadata"]["name"]
        told[name] = release.kubectl("logs", name, "--all-containers", "--tail=-1")
    assert [where for where, text in told.items()
            if any(password in text for password in passwords)] == []


def test_helm_test_is_green(release):
    told = release.helm("test", RELEASE, "--timeout=180s")
    ended = re.findall(r"Phase:\s+(\w+)", told)
    assert ended and set(ended) == {"Succeeded"}, told


def test_rows_and_messages_agree(release, measured):
    measured["books after the install"] = stack.balanced(release)


def test_the_whole_release_fits_into_six_gigabytes(release, measured):
    if not stack.has_metrics(release):
        pytest.skip("no metrics-server in this cluster")
    lines = [line.split() for line in release.kubectl("top", "pods", "--no-headers").splitlines()]
    used = {name: int(memory.removesuffix("Mi")) for name, _, memory in lines}
    measured["memory, MiB"] = used
    ours = sum(mebibytes for name, mebibytes in used.items() if name.startswith(RELEASE))
    measured["memory of the release, MiB"] = ours
    assert 0 < ours < MEMORY_MIB
