"""How the chart's pods begin, end and are replaced; the gateway's among them."""

import re

import pytest

from services.ingest.ibkr.probe import ProbeSettings
from tests.unit.helm_chart import (
    EXTERNAL,
    FULL,
    Object,
    containers,
    environment,
    pick,
    pod_templates,
    render,
)

GATEWAY = {"gateway__enabled": "true", "gateway__image": "ib-gateway:10",
           "gateway__existingSecret": "ib", "simulator__enabled": "false"}


def pod(objects: list[Object], name: str, kind: str = "Deployment") -> Object:
    """Spec of a component's pods."""
    return dict(pick(objects, kind, f"-{name}")["spec"]["template"]["spec"])


def test_images_come_from_the_registry_unless_named_in_full() -> None:
    images = {name: containers(template)[0]["image"]
              for name, template in pod_templates(render(FULL))}
    assert images["smile-spy-smile-model-server"] == "ghcr.io/example/spy-smile-model-server:1.2.3"
    assert images["smile-spy-smile-features"].startswith("registry.example.com/features@sha256:")


def test_a_changed_setting_replaces_the_pods() -> None:
    def stamp(level: str) -> str:
        template = pick(render(logLevel=level), "Deployment", "-writer")["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/settings"])

    assert stamp("DEBUG") != stamp("INFO")


@pytest.mark.parametrize("stage", ["ingest", "writer", "features", "predictor", "monitor"])
def test_a_stage_lives_by_its_loop_and_is_ready_when_it_can_work(stage: str) -> None:
    container, = pod(render(), stage)["containers"]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}


def test_the_model_server_is_ready_with_a_model() -> None:
    container, = pod(render(), "model-server")["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


@pytest.mark.parametrize("stage", ["model-server", "dashboard"])
def test_servers_are_forgotten_by_their_service_before_they_end(stage: str) -> None:
    spec = pod(render(), stage)
    pause = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert 0 < pause < spec["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("stage", ["writer", "features", "predictor"])
def test_consumers_have_time_for_their_batch_and_a_goodbye(stage: str) -> None:
    assert pod(render(), stage)["terminationGracePeriodSeconds"] >= 60


def test_the_database_ends_sessions_when_it_ends() -> None:
    container, = pod(render(), "database", "StatefulSet")["containers"]
    assert container["lifecycle"]["preStop"]["exec"]["command"][-1] == "kill -INT 1"


def test_only_who_can_bear_company_is_rolled_with_two_at_once() -> None:
    strategies = {re.sub("^smile-spy-smile-", "", each["metadata"]["name"]):
                  each["spec"]["strategy"] for each in render(**GATEWAY)
                  if each["kind"] == "Deployment"}
    alone = {name for name, strategy in strategies.items() if strategy["type"] == "Recreate"}
    assert alone == {"ingest", "gateway", "monitor", "mlflow"}
    assert all(strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
               for name, strategy in strategies.items() if name not in alone)


@pytest.mark.parametrize("stage", ["writer", "features", "predictor", "model-server"])
def test_pods_that_may_be_several_are_spread(stage: str) -> None:
    spread = pod(render(), stage)["topologySpreadConstraints"]
    assert {each["topologyKey"] for each in spread} == {
        "kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert {each["whenUnsatisfiable"] for each in spread} == {"ScheduleAnyway"}
    labels = pick(render(), "Deployment", f"-{stage}")["spec"]["template"]["metadata"]["labels"]
    assert all(each["labelSelector"]["matchLabels"] == labels for each in spread)


def test_a_user_s_variable_goes_before_the_chart_s() -> None:
    assert environment(render(ingest__env__SMILE_LINES="50"), "ingest")["SMILE_LINES"] == "50"


def test_large_numbers_stay_numbers() -> None:
    told = environment(render(writer__env__SMILE_WRITER_BATCH="1000000"), "writer")
    assert told["SMILE_WRITER_BATCH"] == "1000000"


@pytest.mark.parametrize("values", [{}, GATEWAY])
def test_where_code_can_be_replaced_all_that_is_mounted_is_there(values: dict[str, str]) -> None:
    for name, template in pod_templates(render(**values, development__sync="true")):
        if name.endswith("-database"):
            continue  # its data volume is made from a claim template
        mounts = {mount["name"] for container in containers(template)
                  for mount in container["volumeMounts"]}
        assert mounts == {volume["name"] for volume in template["spec"]["volumes"]}, name


# --- where quotes come from

@pytest.mark.parametrize(("values", "host", "port", "label"), [
    ({}, "smile-spy-smile-simulator", "4002", "simulated"),
    (GATEWAY, "smile-spy-smile-gateway", "4002", "live"),
    ({**GATEWAY, "ingest__gateway__host": "ib.example.com", "ingest__gateway__port": "4001"},
     "ib.example.com", "4001", "live"),
])
def test_ingest_is_told_where_quotes_come_from(values: dict[str, str], host: str, port: str,
                                               label: str) -> None:
    told = environment(render(**values), "ingest")
    assert (told["SMILE_GATEWAY_HOST"], told["SMILE_GATEWAY_PORT"]) == (host, port)
    assert told["SMILE_SOURCE_LABEL"] == label


def test_an_external_gateway_is_live() -> None:
    told = environment(render(EXTERNAL), "ingest")
    assert (told["SMILE_GATEWAY_HOST"], told["SMILE_SOURCE_LABEL"]) == ("ib-gateway", "live")


def test_a_gateway_has_its_login_from_a_secret_and_its_mode() -> None:
    gateway, _ = pod(render(**GATEWAY, gateway__mode="live"), "gateway")["containers"]
    assert gateway["image"] == "ib-gateway:10"
    assert gateway["envFrom"] == [{"secretRef": {"name": "ib"}}]
    assert {"name": "TRADING_MODE", "value": "live"} in gateway["env"]


def test_a_gateway_is_probed_by_handshakes_of_the_container_beside_it() -> None:
    objects = render(**GATEWAY, gateway__port="4003", gateway__patienceMinutes="5")
    gateway, beside = pod(objects, "gateway")["containers"]
    assert beside["args"] == ["python", "-m", ProbeSettings.__module__]
    assert {"name": "SMILE_GATEWAY_PORT", "value": "4003"} in beside["env"]
    assert gateway["ports"] == [{"name": "tws", "containerPort": 4003}]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert gateway[probe]["httpGet"] == {"path": "/readyz", "port": 9100}
    patience = gateway["livenessProbe"]
    assert patience["periodSeconds"] * patience["failureThreshold"] == 300
    assert "envFrom" not in beside or "secretRef" not in str(beside["envFrom"])


def test_a_gateway_s_service_leads_to_it() -> None:
    service = pick(render(**GATEWAY, ingest__gateway__port="4009"), "Service", "-gateway")
    assert service["spec"]["ports"] == [{"name": "tws", "port": 4009, "targetPort": "tws"}]


def test_names_fit_however_long_the_release_s_is() -> None:
    objects = render(FULL, fullnameOverride="a-release-of-a-name-that-is-much-too-long-for-one")
    longest = {"CronJob": 52}  # its Jobs' names have a time behind it
    for each in objects:
        assert len(each["metadata"]["name"]) <= longest.get(each["kind"], 63)
    hosts = environment(objects, "predictor")["SMILE_MODEL_SERVER_URL"]
    assert pick(objects, "Service", "-model-server")["metadata"]["name"] in hosts
