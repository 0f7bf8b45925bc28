"""Reading the chart's Grafana dashboards, for the tests."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.unit.helm_chart import CHART

FILES = sorted((CHART / "dashboards").glob("*.json"))
VARIABLES = {"$__rate_interval": "30s", "$namespace": "smile", "$symbol": ".*"}

Object = dict[str, Any]


def load(file: Path) -> Object:
    dashboard: Object = json.loads(file.read_text())
    return dashboard


def queries(dashboard: Object) -> Iterator[tuple[str, str]]:
    """Title and query of every target, the variables filled in as Grafana does."""
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], filled(target["expr"])


def filled(query: str) -> str:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    return query
