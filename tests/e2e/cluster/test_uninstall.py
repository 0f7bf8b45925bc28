"""An uninstall leaves the two volumes and what opens them; an install on these goes on."""

import pytest

from tests.e2e.cluster import stack
from tests.e2e.cluster.tools import NAMESPACE, RELEASE, eventually, full, not_ready

pytestmark = pytest.mark.e2e
KINDS = ("pods,deployments,statefulsets,replicasets,services,configmaps,secrets,serviceaccounts,"
         "jobs,cronjobs,ingresses,networkpolicies,roles,rolebindings,persistentvolumeclaims,"
         "horizontalpodautoscalers,poddisruptionbudgets")
KEPT = {f"persistentvolumeclaim/data-{full('database')}-0",
        f"persistentvolumeclaim/{full('mlflow')}", f"secret/{full('database')}",
        f"secret/{full('mlflow')}"}
OLD = "SELECT count(*) FROM spy_option_chain WHERE sampled_at <= to_timestamp({})"


def ours(cluster):
    """The release's objects, as kind/name."""
    names = cluster.kubectl("get", KINDS, "-o", "name").split()
    return {name.replace(".apps", "") for name in names if full("") in name}


@pytest.fixture(scope="module")
def uninstalled(release):
    newest = stack.query(release, "SELECT extract(epoch FROM max(sampled_at)) "
                                  "FROM spy_option_chain")
    rows = stack.count(release, OLD.format(newest))
    release.helm("uninstall", RELEASE, "--wait", "--timeout=180s")
    return newest, rows


def test_an_uninstall_leaves_the_volumes_and_their_secrets_and_nothing_else(release, uninstalled):
    eventually("pods gone", lambda: not any(name.startswith("pod/") for name in ours(release)), 90)
    assert ours(release) == KEPT
    cluster_wide = release.run("kubectl", "get", "clusterroles,clusterrolebindings,crds", "-o",
                               "name")
    assert "spy-smile" not in cluster_wide
    assert release.helm("list", "--short").strip() == ""


@pytest.mark.long
def test_an_install_on_the_kept_volume_goes_on(release, uninstalled, measured):
    newest, rows = uninstalled
    took = stack.install(release)
    measured["again on the kept volumes"] = took
    assert stack.count(release, OLD.format(newest)) == rows > 0
    account = stack.balanced(release)
    assert account["option-chain"]["rows"] > rows
    assert not_ready(release) == []
    assert release.get("namespace", NAMESPACE)["status"]["phase"] == "Active"
