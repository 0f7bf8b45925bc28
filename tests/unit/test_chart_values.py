"""The chart's values: a bad one is refused by name, and each is explained."""

import json

import pytest
import yaml

from tests.unit.helm_chart import CHART, Object, run


@pytest.mark.parametrize(("setting", "named"), [
    ("writer.replcas=2", "replcas"),
    ("dashbord.enabled=true", "dashbord"),
    ("writer.replicas=two", "/writer/replicas"),
    ("kafka.mode=external", "/kafka/bootstrapServers"),
    ("kafka.bootstrapServers=broker", "/kafka/bootstrapServers"),
    ("database.mode=external", "/database/existingSecret"),
    ("mlflow.mode=external", "/mlflow/trackingUri"),
    ("simulator.enabled=false", "/ingest/gateway/host"),
    ("database.storage=lots", "/database/storage"),
    ("ingest.gateway.port=70000", "/ingest/gateway/port"),
    ("logLevel=LOUD", "/logLevel"),
    ("trainer.schedule=daily", "/trainer/schedule"),
    ("market.rate=high", "/market/rate"),
    ("market.dividends=1.85", "/market/dividends"),
    ("monitor.retrain.cooldownSeconds=0", "/monitor/retrain/cooldownSeconds"),
    ("monitor.retrain.enabled=true,trainer.enabled=false", "/trainer/enabled"),
    ("monitor.retrain.enabled=true,monitor.env.SMILE_RETRAIN=off", "/monitor/env/SMILE_RETRAIN"),
    ("kafka.mode=confluent", "/kafka/mode"),
    ("kafka.existingSecret=My Secret", "/kafka/existingSecret"),
    ("kafka.topics.partitions=0", "/kafka/topics/partitions"),
    ("kafka.strimzi.replicas=many", "/kafka/strimzi/replicas"),
    ("writer.replicas=4", "writer.replicas"),
    ("predictor.autoscaling.maxReplicas=9", "predictor.autoscaling.maxReplicas"),
    ("features.autoscaling.mode=hpa,features.autoscaling.minReplicas=3,"
     "features.autoscaling.maxReplicas=2", "features.autoscaling.minReplicas"),
    ("writer.autoscaling.mode=lag", "/writer/autoscaling/mode"),
    ("writer.autoscaling.maxReplica=2", "maxReplica"),
    ("modelServer.autoscaling.minReplicas=5", "modelServer.autoscaling.minReplicas"),
    ("modelServer.autoscaling.targetCPUUtilizationPercentage=0",
     "/modelServer/autoscaling/targetCPUUtilizationPercentage"),
    ("gateway.enabled=true", "/gateway/image"),
    ("gateway.enabled=true,gateway.image=ib", "/gateway/existingSecret"),
    ("gateway.mode=demo", "/gateway/mode"),
    ("mlflow.ingress.enabled=true,mlflow.ingress.host=m.example.com", "/mlflow/auth/enabled"),
    ("mlflow.ingress.enabled=true,mlflow.auth.enabled=true", "/mlflow/ingress/host"),
    ("mlflow.httpRoute.enabled=true", "/mlflow/auth/enabled"),
    ("mlflow.artifacts.mode=s3", "/mlflow/artifacts/destination"),
    ("mlflow.artifacts.destination=models", "/mlflow/artifacts/destination"),
    ("mlflow.mode=external,mlflow.trackingUri=http://m,mlflow.auth.enabled=true",
     "/mlflow/auth/existingSecret"),
    ("dashboard.httpRoute.enabled=true", "/dashboard/httpRoute/parentRefs"),
    ("dashboard.ingress.path=smile", "/dashboard/ingress/path"),
    ("dashboard.ingress.enabled=true,dashboard.httpRoute.enabled=true,"
     "dashboard.httpRoute.path=/other,dashboard.httpRoute.parentRefs[0].name=web",
     "dashboard.httpRoute.path"),
    ("networkPolicy.metricsFrom[0].pods=all", "pods"),
    ("networkPolicy.outside.kafka.ports={http}", "/networkPolicy/outside/kafka/ports/0"),
    ("tests.forecastAgeSeconds=-1", "/tests/forecastAgeSeconds"),
    ("writer.env.SMILE_DATABASE_URL=postgresql://smile:secret@host/smile",
     "SMILE_DATABASE_URL"),
    ("gateway.env.TWS_PASSWORD=secret", "TWS_PASSWORD"),
    ("writer.env.smile=1", "smile"),
    ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
    ("writer.resources.limit.memory=1Gi", "limit"),
    ("trainer.firstModel.hours=0", "/trainer/firstModel/hours"),
    ("simulator.enabled=false,gateway.enabled=false", "/ingest/gateway/host"),
])
def test_a_bad_value_is_refused_by_name(setting: str, named: str) -> None:
    done = run("template", "smile", CHART, "--set", setting)
    assert done.returncode != 0
    assert named in done.stderr


# --- the values themselves

def test_what_a_bad_value_has_beside_its_name_is_not_told() -> None:
    done = run("template", "smile", CHART, "--set",
               "writer.env.SMILE_DATABASE_URL=postgresql://smile:hunter2@host/smile")
    assert done.returncode != 0
    assert "hunter2" not in done.stderr


def test_every_value_has_a_comment_above() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    groups = {index for index, line in enumerate(lines[:-1])
              if line.endswith(":") and lines[index + 1].startswith(indent(line) + "  ")}
    bare = [line for index, line in enumerate(lines)
            if ":" in line and "#" not in line and index not in groups
            and not (index and "#" in lines[index - 1])
            and not inside_commented_map(lines, index)]
    assert bare == []


def indent(line: str) -> str:
    return line[:len(line) - len(line.lstrip())]


def inside_commented_map(lines: list[str], index: int) -> bool:
    """True for a line of a map whose own key has the comment (resources, annotations)."""
    parents = [above for above in range(index) if len(indent(lines[above])) < len(indent(
        lines[index])) and lines[above].strip()]
    return bool(parents) and parents[-1] > 0 and "#" in lines[parents[-1] - 1]


def test_schema_and_values_name_the_same_keys() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    schema["properties"].pop("global")
    compare(values, schema, "")


def compare(values: Object, schema: Object, path: str) -> None:
    if "properties" not in schema:
        return
    assert values.keys() == schema["properties"].keys(), path
    assert schema["additionalProperties"] is False, path
    for name, part in schema["properties"].items():
        compare(values[name], part, f"{path}/{name}")
