"""How many pods the chart asks for: replicas, CPU, lag, and never more than partitions."""

import pytest

from tests.unit.helm_chart import FULL, Object, pick, render

CONSUMERS = ["writer", "features", "predictor"]


def kinds(objects: list[Object], name: str) -> set[str]:
    """The kinds of a component's objects."""
    return {each["kind"] for each in objects
            if each["metadata"]["name"] == f"smile-spy-smile-{name}"}


@pytest.mark.parametrize("stage", CONSUMERS)
def test_a_fixed_number_is_the_deployment_s(stage: str) -> None:
    objects = render(**{f"{stage}__replicas": "2"})
    assert pick(objects, "Deployment", f"-{stage}")["spec"]["replicas"] == 2
    assert not kinds(objects, stage) & {"HorizontalPodAutoscaler", "ScaledObject"}


@pytest.mark.parametrize(("mode", "kind"), [("hpa", "HorizontalPodAutoscaler"),
                                            ("keda", "ScaledObject")])
@pytest.mark.parametrize("stage", CONSUMERS)
def test_where_an_autoscaler_rules_no_replicas_are_said(stage: str, mode: str, kind: str) -> None:
    objects = render(**{f"{stage}__autoscaling__mode": mode})
    assert "replicas" not in pick(objects, "Deployment", f"-{stage}")["spec"]
    spec = pick(objects, kind, f"-{stage}")["spec"]
    assert spec["scaleTargetRef"]["name"] == f"smile-spy-smile-{stage}"
    assert kinds(objects, stage) & {"HorizontalPodAutoscaler", "ScaledObject"} == {kind}


@pytest.mark.parametrize(("mode", "kind", "least", "most"), [
    ("hpa", "HorizontalPodAutoscaler", "minReplicas", "maxReplicas"),
    ("keda", "ScaledObject", "minReplicaCount", "maxReplicaCount")])
def test_consumers_grow_to_the_partitions(mode: str, kind: str, least: str, most: str) -> None:
    spec = pick(render(writer__autoscaling__mode=mode, kafka__topics__partitions="5"),
                kind, "-writer")["spec"]
    assert (spec[least], spec[most]) == (1, 5)
    spec = pick(render(writer__autoscaling__mode=mode, kafka__topics__partitions="5",
                       writer__autoscaling__maxReplicas="4"), kind, "-writer")["spec"]
    assert spec[most] == 4


@pytest.mark.parametrize(("stage", "topic"), [
    ("writer", "option-chain"), ("features", "option-chain"), ("predictor", "option-features")])
def test_lag_is_the_stage_s_own(stage: str, topic: str) -> None:
    objects = render(**{f"{stage}__autoscaling__mode": "keda",
                        f"{stage}__autoscaling__lagThreshold": "40"})
    trigger, = pick(objects, "ScaledObject", f"-{stage}")["spec"]["triggers"]
    asked = trigger["metadata"]
    assert (asked["topic"], asked["consumerGroup"], asked["lagThreshold"]) == (topic, stage, "40")
    assert asked["bootstrapServers"] == "smile-spy-smile-kafka-bootstrap.prod.svc:9093"


def test_keda_asks_strimzi_s_brokers_as_a_user_that_may_only_look() -> None:
    objects = render(writer__autoscaling__mode="keda")
    trigger, = pick(objects, "ScaledObject")["spec"]["triggers"]
    authentication = pick(objects, "TriggerAuthentication")
    assert trigger["authenticationRef"] == {"name": authentication["metadata"]["name"]}
    assert trigger["metadata"]["tls"] == "enable"
    user = pick(objects, "KafkaUser", "-autoscaler")
    allowed = {operation for acl in user["spec"]["authorization"]["acls"]
               for operation in acl["operations"]}
    assert allowed == {"Describe"}
    sources = {each["parameter"]: (each["name"], each["key"])
               for each in authentication["spec"]["secretTargetRef"]}
    assert sources == {"ca": ("smile-spy-smile-cluster-ca-cert", "ca.crt"),
                       "cert": (user["metadata"]["name"], "user.crt"),
                       "key": (user["metadata"]["name"], "user.key")}


def test_without_keda_there_is_no_such_user() -> None:
    objects = render(writer__autoscaling__mode="hpa")
    assert not [each for each in objects if each["metadata"]["name"].endswith("-autoscaler")]


def test_keda_asks_external_brokers_as_the_user_says() -> None:
    outside = {"kafka__mode": "external", "kafka__bootstrapServers": "b:9096",
               "writer__autoscaling__mode": "keda"}
    trigger, = pick(render(**outside), "ScaledObject")["spec"]["triggers"]
    assert "authenticationRef" not in trigger
    assert "tls" not in trigger["metadata"]
    trigger, = pick(render(**outside, kafka__kedaAuthentication="sasl"),
                    "ScaledObject")["spec"]["triggers"]
    assert trigger["authenticationRef"] == {"name": "sasl"}


def test_the_model_server_scales_by_cpu() -> None:
    objects = render(modelServer__autoscaling__enabled="true",
                     modelServer__autoscaling__scaleDownSeconds="30")
    assert "replicas" not in pick(objects, "Deployment", "-model-server")["spec"]
    spec = pick(objects, "HorizontalPodAutoscaler")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 4)
    metric, = spec["metrics"]
    assert metric["resource"]["target"]["averageUtilization"] == 70
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 30


@pytest.mark.parametrize(("values", "budgets"), [
    ({}, set()),
    ({"writer__replicas": "2", "modelServer__replicas": "3"}, {"writer", "model-server"}),
    ({"features__autoscaling__mode": "hpa", "predictor__autoscaling__mode": "keda",
      "modelServer__autoscaling__enabled": "true"}, {"features", "predictor", "model-server"}),
])
def test_a_disruption_budget_goes_with_several_pods(values: dict[str, str],
                                                    budgets: set[str]) -> None:
    found = {each["metadata"]["name"].removeprefix("smile-spy-smile-"): each["spec"]
             for each in render(**values) if each["kind"] == "PodDisruptionBudget"}
    assert found.keys() == budgets
    assert all(spec["maxUnavailable"] == 1 for spec in found.values())


def test_what_must_be_one_is_one() -> None:
    for name in ("ingest", "monitor", "dashboard", "gateway", "mlflow"):
        assert pick(render(FULL), "Deployment", f"-{name}")["spec"]["replicas"] == 1
