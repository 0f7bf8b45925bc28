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
    render,
    run,
)
from tests.unit.promtool import RULES, promtool

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


@pytest.mark.parametrize(("component", "part"), [
    ("ingest", "quotes"), ("modelServer", "model"), ("monitor", "forecasts")])
def test_nothing_is_missed_of_a_part_that_is_switched_off(component: str, part: str) -> None:
    made = of(switched_on(**{f"{component}__enabled": "false"}), "PrometheusRule")
    assert {each["metadata"]["name"].removeprefix("smile-spy-smile-") for each in made} == {
        file.stem for file in RULES} - {part}


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
    done = run("template", "smile", CHART, "--set", setting)
    assert done.returncode != 0
    assert named in done.stderr
