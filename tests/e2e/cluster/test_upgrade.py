"""An upgrade to a new image: every Deployment rolls, and no row is lost or doubled."""

import pytest

from tests.e2e import build
from tests.e2e.cluster import stack
from tests.e2e.cluster.tools import (
    CHART,
    NAMESPACE,
    RELEASE,
    component,
    eventually,
    full,
    release_pods,
    restarts,
    wait_until_ready,
)

pytestmark = pytest.mark.e2e
NEXT = "e2e-next"
READY_S = 300
"""Two cores roll every Deployment, and may still be training the first model."""
CHAMPION_S = 600
SAMPLES = "SELECT count(DISTINCT sampled_at) FROM spy_option_chain"


def deployments(cluster):
    found = cluster.items("deployments", "-l", f"app.kubernetes.io/instance={RELEASE}")
    return {each["metadata"]["labels"]["app.kubernetes.io/component"]: each for each in found}


@pytest.fixture(scope="module")
def upgraded(release):
    build.retag_all(build.targets(), NEXT)
    before = {pod["metadata"]["uid"] for pod in release_pods(release)}
    counts = {table: stack.count(release, f"SELECT count(*) FROM {table}")
              for table in ("spy_option_chain", "option_features", "predicted_smile")}
    stack.upgrade(release, "--wait", "--set", f"image.tag={NEXT}")
    wait_until_ready(release, READY_S)
    return before, counts


def test_every_deployment_runs_the_new_image(release, upgraded):
    before, _ = upgraded
    for name, deployment in deployments(release).items():
        images = [each["image"] for each in
                  deployment["spec"]["template"]["spec"]["containers"]]
        assert all(image.endswith(f":{NEXT}") for image in images), name
        assert deployment["status"]["updatedReplicas"] == deployment["status"]["replicas"], name
    pods = [pod for pod in release_pods(release) if pod["status"]["phase"] == "Running"]
    old = {component(pod) for pod in pods if pod["metadata"]["uid"] in before}
    assert old <= {"database"}


def test_the_new_pods_started_without_a_stumble(release, upgraded):
    assert restarts([pod for pod in release_pods(release) if component(pod) != "database"]) == {}


def test_samples_go_on_after_the_upgrade(release, upgraded):
    now = stack.count(release, SAMPLES)
    eventually("new samples", lambda: stack.count(release, SAMPLES) > now, 60)


def test_no_row_was_lost_or_doubled(release, upgraded, measured):
    _, counts = upgraded
    account = stack.balanced(release)
    measured["books after the upgrade"] = account
    for topic, table in (("option-chain", "spy_option_chain"),
                         ("option-features", "option_features"),
                         ("predicted-smile", "predicted_smile")):
        assert account[topic]["rows"] > counts[table], topic


def test_the_trained_model_forecasts_once_there_is_a_history_for_it(release, upgraded, measured):
    # Its windows are minutes long, and of this release's own samples, before and after the upgrade.
    eventually("forecasts of the champion", lambda: stack.count(release, stack.CHAMPIONS) > 0,
               CHAMPION_S)
    begin = stack.query(release, "SELECT extract(epoch FROM min(made_at)) FROM predicted_smile "
                                 "WHERE role = 'champion'")
    measured["install to first forecast of the trained model, s"] = round(
        float(begin) - measured["installed at"])
    now = stack.count(release, stack.CHAMPIONS)
    eventually("more of them", lambda: stack.count(release, stack.CHAMPIONS) > now, 30)


@pytest.mark.long
def test_a_failed_upgrade_can_be_rolled_back_to_the_install(release, upgraded):
    failed = release.attempt(
        "helm", "-n", NAMESPACE, "upgrade", RELEASE, str(CHART), "--reuse-values", "--timeout=20s",
        "--set", "migrations.image=localhost/nowhere:none")
    assert failed.returncode
    assert release.get("job", full("migrations"))  # a hook that failed stays, to be looked at

    release.helm("rollback", RELEASE, "1", "--wait", "--timeout=300s")
    release.kubectl("delete", "job", full("migrations"))
    wait_until_ready(release, READY_S)
    stack.balanced(release)
