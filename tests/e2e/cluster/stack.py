"""The steps that the cluster tests share: cluster, namespace, broker, release, books."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import yaml

from tests.e2e import build
from tests.e2e.cluster.tools import (
    CHART,
    HERE,
    NAMESPACE,
    RELEASE,
    Cluster,
    Failed,
    Object,
    eventually,
    full,
    release_pods,
    wait_until_ready,
)

VALUES = HERE / "values.yaml"
INSTALL_S = 600
KIND = os.environ.get("KIND_CLUSTER", "smile")
DATABASE_IMAGE = build.name("test-timescaledb")
FORECASTS = "SELECT count(*) FROM predicted_smile"
CHAMPIONS = "SELECT count(*) FROM predicted_smile WHERE role = 'champion'"


def up(cluster: Cluster) -> bool:
    """Bring the cluster up; True if it was down."""
    if not cluster.ours:
        return False
    if cluster.prefix:
        down_before = _call(str(build.KUBE), "status").returncode == 3
        started = _call(str(build.KUBE), "up")
    else:
        known = _call("kind", "get", "clusters").stdout.split()
        if down_before := KIND not in known:
            started = _call("kind", "create", "cluster", "--config",
                            str(build.REPOSITORY / "kind-config.yaml"), "--name", KIND)
        else:
            started = _call("kubectl", "config", "use-context", f"kind-{KIND}")
    if started.returncode:
        raise Failed(f"no cluster: {started.stdout}{started.stderr}")
    return down_before


def down(cluster: Cluster) -> None:
    """Take the cluster down."""
    if cluster.prefix:
        _call(str(build.KUBE), "down")
    else:
        _call("kind", "delete", "cluster", "--name", KIND)


def keep_logs(cluster: Cluster, test: str) -> None:
    """Copy what the nodes of a kind cluster have logged into a test's folder in SMILE_E2E_LOGS."""
    folder = os.environ.get("SMILE_E2E_LOGS")
    if folder and cluster.ours and not cluster.prefix:
        name = re.sub(r"\W+", "-", test.rpartition("::")[2]).strip("-")
        _call("kind", "export", "logs", str(Path(folder) / name), "--name", KIND)


def _call(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=600,
                          stdin=subprocess.DEVNULL)


def drop_namespace(cluster: Cluster) -> None:
    """Delete the namespace with all in it, if it is there."""
    cluster.run("kubectl", "delete", "namespace", NAMESPACE, "--ignore-not-found",
                timeout_s=300)


def make_namespace(cluster: Cluster, name: str = NAMESPACE) -> None:
    """A namespace whose pods have to be restricted."""
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {
        "pod-security.kubernetes.io/enforce": "restricted"}}})


def start_kafka(cluster: Cluster) -> None:
    """The broker, ready."""
    cluster.kubectl("apply", "-f", str(HERE / "objects" / "kafka.yaml"))
    cluster.kubectl("rollout", "status", "statefulset/kafka", "--timeout=120s", timeout_s=150)


def start_proxy(cluster: Cluster) -> None:
    """A reverse proxy that does what the release's Ingress asks for, and nothing else."""
    rule = cluster.get("ingress", full("dashboard"))["spec"]["rules"][0]
    path = rule["http"]["paths"][0]
    service = path["backend"]["service"]
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "proxy"},
                   "data": {"haproxy.cfg": proxy_configuration(
                       rule["host"], path["path"], service["name"],
                       _port(cluster, service["name"], service["port"]["name"]))}})
    cluster.kubectl("apply", "-f", str(HERE / "objects" / "proxy.yaml"))
    cluster.kubectl("rollout", "status", "deployment/proxy", "--timeout=60s", timeout_s=90)


def _port(cluster: Cluster, service: str, name: str) -> int:
    return next(int(port["port"]) for port in cluster.get("service", service)["spec"]["ports"]
                if port["name"] == name)


def proxy_configuration(host: str, path: str, service: str, port: int) -> str:
    """HAProxy's words for an Ingress rule of type Prefix."""
    prefix = path.rstrip("/")
    return f"""\
global
  maxconn 200
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
frontend http
  bind :8080
  acl host hdr(host),field(1,:) -i {host}
  acl path path {prefix or '/'}
  acl path path_beg {prefix}/
  http-request return status 404 unless host path
  default_backend dashboard
backend dashboard
  option forwardfor
  http-request set-header X-Forwarded-Proto http
  server dashboard {service}:{port}
"""


def install(cluster: Cluster, *further: str) -> dict[str, Any]:
    """Install the chart and wait for all that it promises; the seconds that each took."""
    begin = time.monotonic()
    took: dict[str, Any] = {"installed at": time.time()}
    words = cluster.command("helm", "-n", NAMESPACE, "install", RELEASE, str(CHART), "--values",
                            str(VALUES), *database_values(), "--wait",
                            f"--timeout={INSTALL_S}s", *further)
    helm = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)
    try:
        eventually("a forecast", lambda: _going(helm) and count(cluster, FORECASTS) > 0, INSTALL_S)
        took["install to first forecast, s"] = round(time.monotonic() - begin)
        told, _ = helm.communicate(timeout=INSTALL_S)
    except BaseException:
        print(describe(cluster))
        helm.kill()
        raise
    if helm.returncode:
        raise Failed(f"helm install: {told}\n{describe(cluster)}")
    wait_until_ready(cluster, INSTALL_S)
    took["install to every pod ready, s"] = round(time.monotonic() - begin)
    return took


def _going(helm: "subprocess.Popen[str]") -> bool:
    if helm.poll():
        told = helm.stdout.read() if helm.stdout else ""
        raise RuntimeError(f"helm install: {told}")
    return True


def database_values() -> list[str]:
    """The tests' own database where there is one, otherwise the chart's."""
    if "test-timescaledb" not in build.test_targets():
        return []
    return ["--set", f"database.image={DATABASE_IMAGE}"]


def upgrade(cluster: Cluster, *words: str) -> None:
    """Upgrade the release to other values, the rest as it is; waits unless told otherwise."""
    cluster.helm("upgrade", RELEASE, str(CHART), "--reuse-values",
                 f"--timeout={INSTALL_S}s", *(words or ("--wait",)))


def restart_node(cluster: Cluster) -> None:
    """Kill the node's processes and every container, and start what starts by itself."""
    if not cluster.prefix:
        if _call("docker", "restart", f"{KIND}-control-plane").returncode:
            raise Failed(f"{KIND}-control-plane does not restart")
        return
    for name in ("kubelet", "containerd", "kube-proxy", "coredns"):
        pid = Path(f"/run/kubebox/{name}.pid").read_text().split()[0]
        os.kill(int(pid), signal.SIGKILL)
    for group in (Path("/sys/fs/cgroup/pids/kubepods"), Path("/sys/fs/cgroup/kubepods")):
        for file in group.rglob("cgroup.procs") if group.is_dir() else ():
            for pid in file.read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
    # A kubelet that finds containerd not ready ends: it is started again, as a service would be.
    eventually("the node's processes", lambda: _call(str(build.KUBE), "up").returncode == 0
               and _call(str(build.KUBE), "status").returncode == 0, 90)


def query(cluster: Cluster, sql: str) -> str:
    """What psql prints, bare."""
    return cluster.kubectl("exec", f"{full('database')}-0", "--", "psql", "-h",
                           "/var/run/postgresql", "-U", "smile", "-d", "smile", "-Atc", sql).strip()


def count(cluster: Cluster, sql: str) -> int:
    """A number that SQL finds."""
    return int(query(cluster, sql))


def books(cluster: Cluster) -> Object:
    """The account of topics and tables, see books.py."""
    account: Object = json.loads(cluster.inside("writer", HERE / "books.py", timeout_s=400))
    return account


def balanced(cluster: Cluster) -> Object:
    """The account, after it was found to balance."""
    account = books(cluster)
    for topic in ("option-chain", "option-features", "predicted-smile"):
        assert account[topic]["keys"] > 0, account
        for wrong in ("lost", "doubled", "unknown"):
            assert account[topic][wrong] == [], (topic, wrong, account)
    assert account["chains without a smile"] == [], account
    return account


def has_metrics(cluster: Cluster) -> bool:
    """Whether the cluster measures pods, as autoscalers need."""
    asked = cluster.attempt("kubectl", "get", "--raw", "/apis/metrics.k8s.io/v1beta1")
    return asked.returncode == 0


def describe(cluster: Cluster) -> str:
    """Pods, events and the ends of logs of what is not well."""
    parts = [cluster.attempt("kubectl", "-n", NAMESPACE, *words).stdout for words in (
        ("get", "pods", "-o", "wide"), ("get", "events", "--sort-by=.lastTimestamp"))]
    parts[1] = "\n".join(parts[1].splitlines()[-25:])
    for pod in release_pods(cluster):
        name = pod["metadata"]["name"]
        for words in ((), ("--previous",)):
            log = cluster.attempt("kubectl", "-n", NAMESPACE, "logs", name, "--all-containers",
                                  "--tail=12", *words).stdout
            if log:
                parts.append(f"--- {name} {' '.join(words)}\n{log}")
    return "\n".join(parts)


def screenshot_folder() -> Path | None:
    """Where pictures are kept, if anyone wants them."""
    folder = os.environ.get("SMILE_E2E_PICTURES")
    return Path(folder) if folder else None


def values() -> Object:
    """The tests' values."""
    loaded: Object = yaml.safe_load(VALUES.read_text())
    return loaded
