"""Prints /metrics of a pipeline that has done everything: every series, ours and others'."""

import itertools
import sys

from prometheus_client import Counter, Gauge, Histogram, generate_latest

from services.common import metrics
from tests.unit.promtool import FOREIGN

VALUES = {"role": ["champion", "shadow", "baseline"], "kind": ["feature", "residual"],
          "alias": ["champion", "challenger"], "outcome": ["started", "failed", "scored"],
          "reason": ["made", "late"]}
OTHERS = ("container", "http_response_code", "pod", "consumergroup", "topic", "deployment",
          "persistentvolumeclaim", "job_name")


def main() -> None:
    for metric in list(vars(metrics).values()):
        if isinstance(metric, Counter | Gauge | Histogram):
            for child in children(metric):
                touch(child)
    sys.stdout.buffer.write(generate_latest())
    labels = ",".join(f'{name}="x-model-server"' for name in OTHERS)
    for name in sorted(FOREIGN - {"up"}):
        for end in ("_bucket", "_count") if name.endswith("_seconds") else ("",):
            sys.stdout.write(f"{name}{end}{{{labels}}} 1\n")


def children(metric: Counter | Gauge | Histogram) -> list[Counter | Gauge | Histogram]:
    if not metric._labelnames:
        return [metric]
    return [metric.labels(*values) for values in
            itertools.product(*(VALUES.get(name, ["x"]) for name in metric._labelnames))]


def touch(metric: Counter | Gauge | Histogram) -> None:
    if isinstance(metric, Histogram):
        metric.observe(0.05)
    elif isinstance(metric, Gauge):
        metric.set(1.0)
    else:
        metric.inc()


if __name__ == "__main__":
    main()
