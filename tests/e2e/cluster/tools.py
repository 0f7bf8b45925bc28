"""kubectl and helm for the cluster tests, and waiting."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.build import KUBE, REPOSITORY

NAMESPACE = "smile"
RELEASE = "smile"
CHART = REPOSITORY / "charts" / "spy-smile"
HERE = Path(__file__).parent
COMMAND_S = 120

Object = dict[str, Any]


class Failed(AssertionError):
    """A command or a wait that failed; its text says what was there instead."""


@dataclass(frozen=True)
class Cluster:
    """A cluster by the words that go before a command which is to reach it."""

    prefix: tuple[str, ...] = ()
    ours: bool = False
    """True where it is brought up, and may be broken, by these tests."""

    def command(self, *words: str) -> list[str]:
        """A command line that reaches the cluster."""
        return [*self.prefix, *words]

    def run(self, *words: str, given: str | None = None, timeout_s: float = COMMAND_S) -> str:
        """What a command prints; raises Failed with its errors."""
        done = self.attempt(*words, given=given, timeout_s=timeout_s)
        if done.returncode:
            raise Failed(f"{' '.join(words)}\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
        return done.stdout

    def attempt(self, *words: str, given: str | None = None,
                timeout_s: float = COMMAND_S) -> subprocess.CompletedProcess[str]:
        """A command that may fail."""
        return subprocess.run(self.command(*words), input=given or "", capture_output=True,
                              text=True, check=False, timeout=timeout_s, cwd=REPOSITORY)

    def kubectl(self, *words: str, given: str | None = None, timeout_s: float = COMMAND_S) -> str:
        """What kubectl prints in our namespace."""
        return self.run("kubectl", "-n", NAMESPACE, *words, given=given, timeout_s=timeout_s)

    def helm(self, *words: str, timeout_s: float = 900) -> str:
        """What helm prints in our namespace."""
        return self.run("helm", "-n", NAMESPACE, *words, timeout_s=timeout_s)

    def get(self, *words: str) -> Object:
        """An object, or a list of them."""
        found: Object = json.loads(self.kubectl("get", *words, "-o", "json"))
        return found

    def items(self, *words: str) -> list[Object]:
        """The objects of a kind."""
        found: list[Object] = self.get(*words)["items"]
        return found

    def apply(self, *objects: Object) -> None:
        """Make objects, or bring them to what is given."""
        given = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.kubectl("apply", "-f", "-", given=given)

    def inside(self, component: str, script: Path, *arguments: str,
               timeout_s: float = COMMAND_S) -> str:
        """What a Python script prints that is run in a component's pod."""
        return self.kubectl("exec", "-i", f"deploy/{full(component)}", "--", "python", "-",
                            *arguments, given=script.read_text(), timeout_s=timeout_s)


def full(component: str) -> str:
    """Name of a component's objects."""
    return f"{RELEASE}-spy-smile-{component}"


def find() -> Cluster | str:
    """The cluster to use, or the reason why there is none."""
    if os.environ.get("KUBECONFIG"):
        missing = [tool for tool in ("kubectl", "helm") if shutil.which(tool) is None]
        return f"{' and '.join(missing)} not installed" if missing else Cluster()
    if KUBE.exists():
        if os.geteuid() != 0:
            return f"{KUBE} needs root"
        return Cluster((str(KUBE), "exec"), ours=True)
    if os.environ.get("SMILE_E2E_KIND") != "1":
        return "no KUBECONFIG, no ../shared/kube; `make e2e` makes a cluster with kind"
    for tool in ("kind", "kubectl", "helm", "docker"):
        if shutil.which(tool) is None:
            return f"no KUBECONFIG, no ../shared/kube, and {tool} is not installed"
    return Cluster(ours=True)


def eventually(what: str, condition: Callable[[], Any], within_s: float,
               pause_s: float = 1.0) -> Any:
    """The first result of `condition` that is true; what it raised last is told if none is."""
    deadline, last = time.monotonic() + within_s, ""
    while time.monotonic() < deadline:
        try:
            if result := condition():
                return result
            last = "it was not so"
        except (Failed, KeyError, IndexError, subprocess.TimeoutExpired) as error:
            last = str(error)
        time.sleep(pause_s)
    raise Failed(f"not within {within_s:.0f} s: {what}: {last}")


def is_ready(pod: Object) -> bool:
    """A pod that serves, or a Job's that is done."""
    if "deletionTimestamp" in pod["metadata"]:
        return False
    if pod["status"]["phase"] == "Succeeded":
        return True
    return any(each["type"] == "Ready" and each["status"] == "True"
               for each in pod["status"].get("conditions", []))


def release_pods(cluster: Cluster) -> list[Object]:
    """All pods of the release."""
    return cluster.items("pods", "-l", f"app.kubernetes.io/instance={RELEASE}")


def restarts(pods: Sequence[Object]) -> dict[str, int]:
    """How often the containers of pods were restarted, of those that were."""
    counts = {pod["metadata"]["name"]: sum(each["restartCount"] for each in
                                           pod["status"].get("containerStatuses", []))
              for pod in pods}
    return {name: count for name, count in counts.items() if count}


def not_ready(cluster: Cluster) -> list[str]:
    """Names of the release's pods that are not ready."""
    return [pod["metadata"]["name"] for pod in release_pods(cluster) if not is_ready(pod)]


def wait_until_ready(cluster: Cluster, within_s: float) -> None:
    """Wait for every pod of the release; Failed has the names of those that are not ready."""
    def none_waits() -> bool:
        if waiting := not_ready(cluster):
            raise Failed(f"not ready: {', '.join(waiting)}")
        return True

    eventually("every pod ready", none_waits, within_s)


def component(pod: Object) -> str:
    """What a pod is of."""
    return str(pod["metadata"]["labels"]["app.kubernetes.io/component"])
