"""Prometheus' own tool, on what the chart hands to Prometheus."""

import functools
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
import yaml

from services.common import metrics
from tests.unit.helm_chart import CHART

RULES = sorted((CHART / "rules").glob("*.yaml"))
FOREIGN = {
    # Prometheus itself
    "up",
    # BentoML
    "bentoml_service_request_duration_seconds", "bentoml_service_request_total",
    "bentoml_service_request_in_progress",
    # kube-state-metrics
    "kube_pod_container_status_restarts_total", "kube_job_status_failed",
    "kube_job_status_succeeded", "kube_deployment_status_replicas_available",
    "kube_deployment_spec_replicas",
    # the kubelet
    "kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes",
    "container_memory_working_set_bytes", "container_cpu_usage_seconds_total",
    # Strimzi's Kafka exporter
    "kafka_consumergroup_lag"}
"""What others export that the rules and dashboards use."""

Object = dict[str, Any]


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it, whatever its exit code; skips the test where it is not installed."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (Debian's package prometheus has it)")
    return subprocess.run([program, *map(str, arguments)], text=True, capture_output=True,
                          check=False)


def rules() -> list[Object]:
    """Every rule of the chart."""
    return [rule for file in RULES for group in yaml.safe_load(file.read_text())["groups"]
            for rule in group["rules"]]


def alerts() -> list[Object]:
    """Those that are alerts."""
    return [rule for rule in rules() if "alert" in rule]


def known() -> set[str]:
    """Names that a query may have: what the code declares, what rules record, and others'."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    return recorded | declared() | {name + end for name in FOREIGN for end in ("", *PARTS)}


PARTS = ("_bucket", "_sum", "_count")


@functools.cache
def declared() -> set[str]:
    """Names of the series that the code's own metrics have."""
    own = [metric for metric in vars(metrics).values()
           if isinstance(metric, prometheus_client.metrics.MetricWrapperBase)]
    return {name for metric in own for name in series_names(metric)}


def series_names(metric: Any) -> set[str]:
    name = metric._name
    if isinstance(metric, prometheus_client.Histogram):
        return {name + part for part in PARTS}
    return {f"{name}_total"} if isinstance(metric, prometheus_client.Counter) else {name}


def named(query: str) -> set[str]:
    """Names of the series that a query asks for."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', query)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", bare)
    bare = re.sub(r"\boffset\s+\w+", " ", bare)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    words = set(re.findall(r"[A-Za-z_:][\w:]*(?!\s*[\w:]*\()\b(?!\s*\()", bare))
    return words - {"and", "or", "unless", "bool", "by", "without", "on", "inf", "Inf"}
