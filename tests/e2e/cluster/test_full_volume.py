"""A database's volume that is full: the writer says so, keeps its messages, and goes on after."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.cluster import stack
from tests.e2e.cluster.tools import CHART, NAMESPACE, Failed, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.long]
NAME = "tiny"
"""A second release, of a database and a writer that read the same topic in a group of their own."""
MEBIBYTES = 300
OFF = ("ingest", "simulator", "features", "predictor", "monitor", "modelServer", "trainer",
       "dashboard")
ROWS = "SELECT count(*) FROM spy_option_chain"
SAID_S, BACK_S = 180, 240


@pytest.fixture
def small_disk(release, tmp_path):
    """A folder of the node that holds little, as the volume of class `tiny`."""
    if not release.prefix:
        pytest.skip("the node's disk is not ours to make small")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEBIBYTES}m,mode=0770,uid=70,gid=70",
                    "tmpfs", str(folder)], check=True)
    for parent in folder.parents[:3]:
        parent.chmod(0o755)
    release.apply({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": NAME},
        "spec": {"capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"],
                 "storageClassName": NAME, "persistentVolumeReclaimPolicy": "Retain",
                 "hostPath": {"path": str(folder), "type": "Directory"}}})
    yield folder
    release.attempt("helm", "-n", NAMESPACE, "uninstall", NAME, "--wait", "--timeout=120s")
    release.kubectl("delete", f"pvc/data-{NAME}-spy-smile-database-0",
                    f"secret/{NAME}-spy-smile-database", "--ignore-not-found")
    release.kubectl("delete", "pv", NAME, "--ignore-not-found")
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def tiny(release, small_disk):
    """The second release."""
    release.helm(
        "install", NAME, str(CHART), "--values", str(stack.VALUES), *stack.database_values(),
        *(word for name in OFF for word in ("--set", f"{name}.enabled=false")),
        "--set", "dashboard.ingress.enabled=false",
        "--set", "mlflow.mode=external", "--set", "mlflow.trackingUri=http://mlflow:5000",
        "--set", "mlflow.auth.enabled=false",
        "--set", f"database.storageClass={NAME}", "--set", f"writer.env.SMILE_KAFKA_GROUP={NAME}")
    return release


def count(cluster):
    try:
        return int(cluster.kubectl("exec", f"{NAME}-spy-smile-database-0", "--", "psql", "-h",
                                   "/var/run/postgresql", "-U", "smile", "-d", "smile", "-Atc",
                                   ROWS))
    except Failed:
        return 0


def fill(folder: Path) -> Path:
    """A file that takes all there is."""
    junk = folder / "junk"
    with junk.open("wb") as file:
        try:
            while True:
                file.write(os.urandom(1 << 16))
                file.flush()
        except OSError:
            return junk


def test_a_full_volume_is_named_and_work_goes_on_when_there_is_room(tiny, small_disk, measured):
    eventually("rows in the small database", lambda: count(tiny) > 0, SAID_S)
    junk = fill(small_disk)
    begin = time.monotonic()

    def named():
        text = tiny.kubectl("logs", f"deploy/{NAME}-spy-smile-writer", "--since=120s")
        return [line for line in text.splitlines() if "No space left on device" in line]

    lines = eventually("the writer naming the full volume", named, SAID_S)
    measured["full volume named after, s"] = round(time.monotonic() - begin)
    assert "will try the batch again" in lines[-1]
    junk.unlink()
    before = count(tiny)
    eventually("rows again", lambda: count(tiny) > max(before, 1), BACK_S)
    until = stack.query(tiny, "SELECT extract(epoch FROM now() - interval '5 seconds')")
    old = f"{ROWS} WHERE sampled_at <= to_timestamp({until})"
    all_of_them = stack.count(tiny, old)
    eventually("all rows of the other database", lambda: int(tiny.kubectl(
        "exec", f"{NAME}-spy-smile-database-0", "--", "psql", "-h", "/var/run/postgresql", "-U",
        "smile", "-d", "smile", "-Atc", old)) == all_of_them, BACK_S)
