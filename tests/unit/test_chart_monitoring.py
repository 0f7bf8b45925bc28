"""What the chart hands to kube-prometheus-stack: monitors, rules, dashboards, each by a switch."""

import json
from pathlib import Path

import pytest
import yaml

from tests.unit.helm_chart import (
    CHART,
    EXTERNAL,
    FULL,
    Object,
    containers,
    pick,
    refusal,
    render,
)
from tests.unit.promtool import RULES, alerts, promtool

KINDS = {"podMonitors": "PodMonitor", "rules": "PrometheusRule"}


def switched_on(*files: Path, **settings: str) -> list[Object]:
    switches = {f"monitoring__{part}__enabled": "true"
                for part in ("podMonitors", "rules", "dashboards")}
    return render(*files, **switches, **settings)


def of(objects: list[Object], kind: str) -> list[Object]:
    return [each for each in objects if each["kind"] == kind]


def dashboards(objects: list[Object]) -> list[Object]:
    return [each for each in of(objects, "ConfigMap")
            if "grafana_dashboard" in each["metadata"]["labels"]]


def test_nothing_is_there_unless_it_is_switched_on() -> None:
    objects = render()
    assert not {each["kind"] for each in objects} & {*KINDS.values()}
    assert dashboards(objects) == []


@pytest.mark.parametrize("switch", KINDS)
def test_each_has_a_switch_and_labels_of_its_own(switch: str) -> None:
    objects = render(**{f"monitoring__{switch}__enabled": "true",
                        f"monitoring__{switch}__labels__release": "monitoring"})
    assert {each["kind"] for each in objects} & {*KINDS.values()} == {KINDS[switch]}
    assert dashboards(objects) == []
    for each in of(objects, KINDS[switch]):
        assert each["metadata"]["labels"]["release"] == "monitoring"


def test_every_own_pod_with_metrics_is_scraped_once() -> None:
    objects = switched_on(FULL)
    for each in of(objects, "Deployment"):
        template = each["spec"]["template"]
        ports = {port["name"] for container in containers(template)
                 for port in container.get("ports", [])}
        found = [monitor["metadata"]["name"] for monitor in of(objects, "PodMonitor")
                 if monitor["spec"]["selector"]["matchLabels"].items()
                 <= template["metadata"]["labels"].items()
                 and monitor["spec"]["podMetricsEndpoints"][0]["port"] in ports]
        component = template["metadata"]["labels"]["app.kubernetes.io/component"]
        own = "metrics" in ports or component == "model-server"
        assert len(found) == own, (component, found)


def test_the_brokers_are_scraped_where_they_are_strimzis() -> None:
    monitors = {each["metadata"]["name"]: each for each in of(switched_on(), "PodMonitor")}
    selector = monitors["smile-spy-smile-kafka"]["spec"]["selector"]["matchLabels"]
    cluster = pick(switched_on(), "Kafka")
    assert selector["strimzi.io/cluster"] == cluster["metadata"]["name"]
    assert "kafkaExporter" in cluster["spec"], "the lag's metrics"
    assert len(of(switched_on(EXTERNAL), "PodMonitor")) == 2


@pytest.mark.parametrize("values", [(), (EXTERNAL,), (FULL,)],
                         ids=["default", "external", "full"])
def test_rendered_rules_are_rules_of_their_namespace(values: tuple[Path, ...],
                                                     tmp_path: Path) -> None:
    made = of(switched_on(*values), "PrometheusRule")
    assert len(made) == len(RULES)
    for each in made:
        file = tmp_path / f"{each['metadata']['name']}.yaml"
        file.write_text(yaml.safe_dump(each["spec"], width=1000))
        assert "NAMESPACE" not in file.read_text()
        assert 'namespace="prod"' in str(each["spec"])
        done = promtool("check", "rules", "--lint-fatal", file)
        assert done.returncode == 0, done.stdout + done.stderr


MODEL_SERVER = {"SmileChampionMissing", "SmileBaselineStandsIn", "SmileModelServerSlow",
                "SmileModelServerErrors"}
QUOTES = {"SmileNoFreshQuotes", "SmileFeedDown", "SmileQuotesOld"}
SCORES = {"SmileSkillLost", "SmileCoverageOff", "SmileDrift", "SmileNothingScored"}


@pytest.mark.parametrize(("component", "gone"), [
    ("ingest", QUOTES | {"SmileNoForecasts"}),
    ("writer", {"SmileNothingScored"}),
    ("features", {"SmileNoForecasts", "SmileNothingScored"}),
    ("predictor", {"SmileNoForecasts", "SmileBaselineStandsIn", "SmileNothingScored"}),
    ("monitor", SCORES | {"SmileRetrainingFailed"}),
    ("modelServer", MODEL_SERVER),
    ("trainer", {"SmileTrainingFailed"})])
def test_nothing_is_missed_of_a_part_that_is_switched_off(component: str, gone: set[str]) -> None:
    made = of(switched_on(**{f"{component}__enabled": "false"}), "PrometheusRule")
    rules = [rule for each in made for group in each["spec"]["groups"] for rule in group["rules"]]
    assert {rule["alert"] for rule in rules if "alert" in rule} == {
        alert["alert"] for alert in alerts()} - gone
    assert all(group["rules"] for each in made for group in each["spec"]["groups"])


def test_what_a_rule_asks_for_is_recorded_as_long_as_the_rule_is_there() -> None:
    made = of(switched_on(ingest__enabled="false"), "PrometheusRule")
    text = str([each["spec"] for each in made])
    assert "smile:market_open" not in text
    assert "smile:forecast_latency_seconds:p99" in text


def test_a_stage_that_is_switched_off_has_no_backlog() -> None:
    def lag(**settings: str) -> str:
        (rule,) = (rule for each in of(switched_on(**settings), "PrometheusRule")
                   for group in each["spec"]["groups"] for rule in group["rules"]
                   if rule.get("alert") == "SmileConsumerLag")
        return str(rule["expr"])

    assert "consumergroup!~" not in lag()
    assert 'consumergroup!~"writer|mine"' in lag(
        writer__enabled="false", predictor__enabled="false",
        predictor__env__SMILE_KAFKA_GROUP="mine")


def test_dashboards_are_for_the_sidecar_of_grafana() -> None:
    made = dashboards(switched_on(monitoring__dashboards__folder="Options desk"))
    files = sorted((CHART / "dashboards").glob("*.json"))
    assert len(made) == len(files) == 3
    for each, file in zip(made, files, strict=True):
        assert each["metadata"]["annotations"] == {"grafana_folder": "Options desk"}
        (name, text), = each["data"].items()
        assert name == file.name
        assert json.loads(text) == json.loads(file.read_text())


@pytest.mark.parametrize(("setting", "named"), [
    ("monitoring.podMonitors.interval=often", "/monitoring/podMonitors/interval"),
    ("monitoring.rules.lables.a=b", "lables"),
    ("monitoring.dashboards.labels.team=a b", "/monitoring/dashboards/labels/team"),
    ("monitoring.alerts=true", "alerts"),
])
def test_a_bad_value_of_monitoring_is_refused_by_name(setting: str, named: str) -> None:
    assert named in refusal(setting)
