"""The chart's values: a bad one is refused by name, and each is explained."""

import json
import re
from pathlib import Path

import pytest
import yaml

from ml import train
from tests.unit.helm_chart import CHART, Object, refusal, run


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
    ("gateway.env.TWS_PWD=secret", "TWS_PWD"),
    ("writer.env.PGPASS=secret", "PGPASS"),
    ("writer.env.SMILE_METRICS_PORT=9999", "SMILE_METRICS_PORT"),
    ("writer.env.SMILE_KAFKA_BOOTSTRAP=x:1", "SMILE_KAFKA_BOOTSTRAP"),
    ("dashboard.env.SMILE_DASHBOARD_BASE_PATH=x", "SMILE_DASHBOARD_BASE_PATH"),
    ("simulator.env.SMILE_SIMULATOR_SYMBOLS=QQQ", "SMILE_SIMULATOR_SYMBOLS"),
    ("image.registry=http://x", "/image/registry"),
    ("image.registry=ghcr.io/Owner", "/image/registry"),
    ("writer.env.smile=1", "smile"),
    ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
    ("writer.resources.limit.memory=1Gi", "limit"),
    ("trainer.firstModel.hours=0", "/trainer/firstModel/hours"),
    ("simulator.enabled=false,gateway.enabled=false", "/ingest/gateway/host"),
    ("fullnameOverride=My_App", "/fullnameOverride"),
    ("nameOverride=Bad Name", "/nameOverride"),
    ("image.tag=bad tag", "/image/tag"),
    ("trainer.timeZone=Mars", "/trainer/timeZone"),
    ("trainer.schedule=a b c d e", "/trainer/schedule"),
    ("trainer.schedule=0 24 * * *", "/trainer/schedule"),
    ("dashboard.ingress.host=a b", "/dashboard/ingress/host"),
    ("dashboard.ingress.path=/a//b", "/dashboard/ingress/path"),
    ("dashboard.httpRoute.path=/a b", "/dashboard/httpRoute/path"),
    ("database.storageClass=BAD X", "/database/storageClass"),
    ("kafka.bootstrapServers=a:99999", "/kafka/bootstrapServers"),
    ("ingest.lines=20000", "/ingest/lines"),
    ("ingest.gateway.clientId=9999999999", "/ingest/gateway/clientId"),
    (f"ingest.symbol={'A' * 65}", "/ingest/symbol"),
    (f"modelName={'a' * 65}", "/modelName"),
    ("tolerations[0].efect=NoSchedule", "efect"),
    ("networkPolicy.dns[0].podSelector.matchLables.a=b", "matchLables"),
    ("networkPolicy.dns[0].namespaceSelector.labels.a=b", "labels"),
    ("networkPolicy.ingressFrom[0].ipBlock.cidr=10.0.0.0/8,"
     "networkPolicy.ingressFrom[0].ipBlock.excpt={10.1.0.0/16}", "excpt"),
    ("writer.resources.requests.cpuu=1", "cpuu"),
    ("writer=null", "writer"),
    ("kafka=null", "kafka"),
    ("image=null", "image"),
    ("database.mode=null", "mode"),
    ("networkPolicy.outside.database.ports=null", "ports"),
    ("writer.resources.limits.memory=1Mi", "writer.resources.limits.memory"),
    ("modelServer.resources.limits.cpu=1m", "modelServer.resources.limits.cpu"),
    ("kafka.strimzi.resources.limits.memory=1M", "kafka.strimzi.resources.limits.memory"),
    ("writer.autoscaling.mode=hpa,writer.resources=null", "writer.resources.requests.cpu"),
    ("modelServer.autoscaling.enabled=true,modelServer.resources.requests.cpu=null",
     "modelServer.resources.requests.cpu"),
    ("networkPolicy.dns[0].ipBlock.cidr=999.1.2.3/8", "/networkPolicy/dns/0/ipBlock/cidr"),
    ("networkPolicy.dns[0].ipBlock.cidr=10.0.0.0/33", "/networkPolicy/dns/0/ipBlock/cidr"),
    ("networkPolicy.dns[0].ipBlock.cidr=fd00::/129", "/networkPolicy/dns/0/ipBlock/cidr"),
    ("market.dividends=2026-13-45:1", "/market/dividends"),
    ("market.dividends=2026-02-30:1", "no day 2026-02-30"),
    ("market.dividends=2026-09-18:1.8.5", "/market/dividends"),
    ("trainer.args={--from-databas}", "/trainer/args/0"),
    ("trainer.firstModel.args={--name=other}", "/trainer/firstModel/args/0"),
    ("mlflow.allowedHosts={a b}", "/mlflow/allowedHosts/0"),
    ("mlflow.allowedHosts={https://mlflow.example.com}", "/mlflow/allowedHosts/0"),
    ("kafka.bootstrapServers=broker:9092", "/kafka/bootstrapServers"),
    ("kafka.existingSecret=kafka", "/kafka/existingSecret"),
    ("mlflow.trackingUri=http://mlflow", "/mlflow/trackingUri"),
])
def test_a_bad_value_is_refused_by_name(setting: str, named: str) -> None:
    assert named in refusal(setting)


# --- the values themselves

def test_what_a_bad_value_has_beside_its_name_is_not_told() -> None:
    done = run("template", "smile", CHART, "--set",
               "writer.env.SMILE_DATABASE_URL=postgresql://smile:hunter2@host/smile")
    assert done.returncode != 0
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize(("setting", "named"), [
    ("mlflow.mode=external,mlflow.trackingUri=https://user:hunter2@mlflow.example.com",
     "/mlflow/trackingUri"),
    ("mlflow.artifacts.endpoint=http://user:hunter2@minio:9000", "/mlflow/artifacts/endpoint"),
    ("monitor.env.SMILE_MODEL_SERVER_URL=http://user:hunter2@server",
     "/monitor/env/SMILE_MODEL_SERVER_URL"),
    ("trainer.args={--config=http://user:hunter2@server}", "/trainer/args/0"),
])
def test_a_password_in_a_value_is_refused_and_not_told(setting: str, named: str) -> None:
    told = refusal(setting)
    assert named in told
    assert "hunter2" not in told


@pytest.mark.parametrize("setting", [
    "trainer.schedule=*/5 1-3 ? JAN-mar MON", "trainer.schedule=@daily", "trainer.timeZone=UTC",
    "trainer.timeZone=America/Argentina/Buenos_Aires", "dashboard.ingress.path=/a/b/",
    "ingest.gateway.host=10.0.0.1", "dashboard.ingress.host=*.example.com",
    "tolerations[0].operator=Exists", "writer.resources.limits=null", "writer.env=null",
    "monitoring.dashboards.enabled=true,monitoring.dashboards.labels=null",
    "dashboard.ingress.annotations=null", "image.tag=v1.2-rc_3",
    "image.registry=localhost:5000/smile", "writer.image=ghcr.io/a/b@sha256:00",
    "mlflow.mode=external,mlflow.trackingUri=http://mlflow/at@home", "writer.resources=null",
    "writer.resources.limits.nvidia\\.com/gpu=1", "modelName=smile@night",
    "writer.resources.limits.memory=0.125Gi", "writer.resources.limits.cpu=1",
    "writer.autoscaling.mode=hpa,writer.resources.requests.cpu=null,"
    "writer.resources.limits.cpu=100m", "networkPolicy.dns[0].ipBlock.cidr=fd00::/8",
    "market.dividends=2028-02-29:1.85", "trainer.args={--from-database,--rate,-0.01}",
    "mlflow.allowedHosts={localhost:*}",
])
def test_a_good_value_is_taken(setting: str) -> None:
    done = run("template", "smile", CHART, "--set", setting)
    assert done.returncode == 0, done.stderr


def test_trainers_may_be_told_what_a_training_knows() -> None:
    """But not the model's name, which the chart says."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    allowed = schema["$defs"]["args"]["items"]["allOf"][-1]["anyOf"][-1]["pattern"]
    known = {option for action in train.options()._actions for option in action.option_strings}
    assert set(re.findall("[a-z-]{3,}", allowed)) == {
        option.removeprefix("--") for option in known - {"-h", "--help", "--name"}}


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


# --- names and numbers that YAML would take for something else

ODD = """
image: {pullSecrets: ["%(name)s"], tag: "%(name)s"}
modelName: "%(name)s"
kafka: {strimzi: {storageClass: "%(name)s"}, kedaAuthentication: "%(name)s"}
database: {existingSecret: "%(name)s", storageClass: "%(name)s", storage: "5"}
mlflow: {storageClass: "%(name)s", storage: "5",
         auth: {enabled: true, existingSecret: "%(name)s"},
         artifacts: {mode: s3, destination: "s3://b", existingSecret: "%(name)s"},
         ingress: {enabled: true, host: m, className: "%(name)s", tlsSecret: "%(name)s"}}
gateway: {enabled: true, image: "%(name)s", existingSecret: "%(name)s"}
ingest: {symbol: "%(name)s"}
writer: {image: "%(name)s", env: {SMILE_KAFKA_GROUP: "%(name)s"}, autoscaling: {mode: keda}}
dashboard:
  ingress: {enabled: true, host: "%(name)s", className: "%(name)s", tlsSecret: "%(name)s"}
networkPolicy: {kedaNamespace: "%(name)s"}
"""


@pytest.mark.parametrize("external", [
    "", "kafka.mode=external,kafka.bootstrapServers=b:9092,kafka.existingSecret=123"])
def test_names_that_look_like_numbers_stay_names(external: str, tmp_path: Path) -> None:
    shapes = []
    for name in ("abc", "123"):
        values = tmp_path / f"{name}.yaml"
        values.write_text(ODD % {"name": name})
        done = run("template", name, CHART, "--values", values,
                   "--set-string", f"fullnameOverride=smile,{external}".removesuffix(","))
        assert done.returncode == 0, done.stderr
        shapes.append([shape(each) for each in yaml.safe_load_all(done.stdout)])
    assert shapes[0] == shapes[1]


def shape(value: object) -> object:
    """A value with the kinds of its leaves in place of them."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    return [shape(each) for each in value] if isinstance(value, list) else type(value)


LARGE = """
database: {userId: 10000000}
kafka: {topics: {partitions: 1000, retentionHours: 1000000}}
gateway: {enabled: true, image: i, existingSecret: s, userId: 10000000, patienceMinutes: 1000000}
ingest: {gateway: {clientId: 10000000}}
migrations: {waitSeconds: 1000000}
writer: {autoscaling: {mode: keda, lagThreshold: 1000000}}
features: {env: {SMILE_KAFKA_GROUP: 1000000}}
monitor: {retrain: {enabled: true, cooldownSeconds: 10000000}}
tests: {waitSeconds: 1000000, forecastAgeSeconds: 1000000}
"""


def test_large_numbers_are_written_in_full(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(LARGE)
    done = run("template", "smile", CHART, "--values", values)
    assert done.returncode == 0, done.stderr
    assert not re.findall(r".*\de\+\d.*", done.stdout)


@pytest.mark.parametrize("release", ["123", "a.b", "1.2", "a" * 50])
def test_any_release_s_objects_have_names_that_a_service_may_have(release: str) -> None:
    prefix, = prefixes(release)
    assert re.fullmatch("[a-z]([-a-z0-9]{0,38}[a-z0-9])?", prefix)


@pytest.mark.parametrize(("one", "other"), [("a.b", "a-b"), ("1", "r1"),
                                            ("a" * 50, "a" * 49 + "b")])
def test_no_two_releases_share_a_name(one: str, other: str) -> None:
    assert prefixes(one) != prefixes(other)


def prefixes(release: str) -> set[str]:
    """What the names of a release's objects begin with."""
    done = run("template", release, CHART)
    assert done.returncode == 0, done.stderr
    return {each["metadata"]["name"].removesuffix("-writer")
            for each in yaml.safe_load_all(done.stdout)
            if each["kind"] == "Deployment" and each["metadata"]["name"].endswith("-writer")}
