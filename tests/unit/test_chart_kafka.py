"""The chart's Kafka: a cluster of Strimzi's with rights for each client, or external brokers."""

import pytest

from services.common import messages
from services.common.produce import options
from tests.unit.helm_chart import EXTERNAL, Object, containers, environment, pick, render

CLIENTS = ["ingest", "writer", "features", "predictor"]


def test_strimzi_gets_a_cluster_with_the_four_topics() -> None:
    objects = render()
    topics = {each["spec"]["topicName"] for each in objects if each["kind"] == "KafkaTopic"}
    assert topics == set(messages.TOPICS)
    cluster = pick(objects, "Kafka")["metadata"]["name"]
    labelled = {each["metadata"]["labels"]["strimzi.io/cluster"] for each in objects
                if each["kind"] in ("KafkaTopic", "KafkaNodePool")}
    assert labelled == {cluster}
    bootstrap = environment(objects, "writer")["SMILE_KAFKA_BOOTSTRAP"]
    assert bootstrap == f"{cluster}-kafka-bootstrap.prod.svc:9093"


@pytest.mark.parametrize(("brokers", "copies", "least"), [(1, 1, 1), (3, 3, 2), (5, 3, 2)])
def test_brokers_decide_on_copies(brokers: int, copies: int, least: int) -> None:
    objects = render(kafka__strimzi__replicas=str(brokers))
    config = pick(objects, "Kafka")["spec"]["kafka"]["config"]
    assert (config["default.replication.factor"], config["min.insync.replicas"]) == (copies, least)
    assert pick(objects, "KafkaTopic", "-option-chain")["spec"]["replicas"] == copies


def test_external_services_leave_only_what_is_ours() -> None:
    objects = render(EXTERNAL)
    ours = {"ServiceAccount", "ConfigMap", "Deployment", "Service", "Job", "CronJob",
            "NetworkPolicy", "Pod"}
    assert {each["kind"] for each in objects} == ours
    told = environment(objects, "predictor")
    assert told["SMILE_KAFKA_BOOTSTRAP"].startswith("b-1.kafka.example.com:9096,")
    assert told["MLFLOW_TRACKING_URI"] == "https://mlflow.example.com"
    assert "SMILE_KAFKA_OPTIONS" in told


def test_brokers_want_certificates_and_allow_nothing_by_default() -> None:
    kafka = pick(render(), "Kafka")["spec"]["kafka"]
    listener, = kafka["listeners"]
    assert (listener["port"], listener["tls"]) == (9093, True)
    assert listener["authentication"] == {"type": "tls"}
    assert kafka["authorization"] == {"type": "simple"}
    assert kafka["config"]["auto.create.topics.enable"] is False


def rights(user: Object) -> set[tuple[str, str, str]]:
    """What a KafkaUser may do: operation, kind and name of the resource."""
    return {(operation, acl["resource"]["type"], acl["resource"]["name"])
            for acl in user["spec"]["authorization"]["acls"] for operation in acl["operations"]
            if acl["resource"]["patternType"] == "literal"}


def may(verb: str, *topics: str) -> set[tuple[str, str, str]]:
    return {(operation, "topic", topic) for topic in topics for operation in (verb, "Describe")}


def in_group(name: str) -> set[tuple[str, str, str]]:
    return {("Read", "group", name), ("Describe", "group", name)}


def test_each_client_may_do_just_what_it_does() -> None:
    users = {each["metadata"]["name"].removeprefix("smile-spy-smile-"): rights(each)
             for each in render() if each["kind"] == "KafkaUser"}
    assert users == {
        "ingest": may("Write", "option-chain"),
        "writer": may("Read", "option-chain") | may("Write", "dead-letter") | in_group("writer"),
        "features": (may("Read", "option-chain") | may("Write", "option-features", "dead-letter")
                     | in_group("features")),
        "predictor": (may("Read", "option-features")
                      | may("Write", "predicted-smile", "dead-letter") | in_group("predictor")),
    }


def test_a_group_of_another_name_is_the_one_that_is_allowed() -> None:
    objects = render(writer__env__SMILE_KAFKA_GROUP="archive")
    assert in_group("archive") <= rights(pick(objects, "KafkaUser", "-writer"))
    assert environment(objects, "writer")["SMILE_KAFKA_GROUP"] == "archive"


def test_a_stage_that_is_off_has_no_user() -> None:
    objects = render(predictor__enabled="false")
    assert not [each for each in objects
                if each["kind"] == "KafkaUser" and each["metadata"]["name"].endswith("predictor")]


def kafka_volume(objects: list[Object], stage: str) -> Object | None:
    """What is mounted at /etc/kafka."""
    spec = pick(objects, "Deployment", f"-{stage}")["spec"]["template"]["spec"]
    mounted = [mount for mount in containers({"spec": spec})[0]["volumeMounts"]
               if mount["mountPath"] == "/etc/kafka"]
    if not mounted:
        return None
    assert mounted[0]["readOnly"] is True
    volume, = (each for each in spec["volumes"] if each["name"] == mounted[0]["name"])
    return dict(volume)


@pytest.mark.parametrize("stage", CLIENTS)
def test_a_client_has_its_own_certificate_where_it_is_told(stage: str) -> None:
    objects = render()
    volume = kafka_volume(objects, stage)
    assert volume is not None
    files = {item["path"]: source["secret"]["name"]
             for source in volume["projected"]["sources"] for item in source["secret"]["items"]}
    own = pick(objects, "KafkaUser", f"-{stage}")["metadata"]["name"]
    authority = f"{pick(objects, 'Kafka')['metadata']['name']}-cluster-ca-cert"
    assert files == {"ca.crt": authority, "user.crt": own, "user.key": own}
    told = options(environment(objects, stage)["SMILE_KAFKA_OPTIONS"])
    assert told == {"security.protocol": "ssl", "ssl.ca.location": "/etc/kafka/ca.crt",
                    "ssl.certificate.location": "/etc/kafka/user.crt",
                    "ssl.key.location": "/etc/kafka/user.key"}


@pytest.mark.parametrize("stage", ["monitor", "model-server", "dashboard", "simulator"])
def test_who_is_no_client_has_no_certificate(stage: str) -> None:
    objects = render()
    assert kafka_volume(objects, stage) is None
    assert "SMILE_KAFKA_OPTIONS" not in environment(objects, stage)


def test_external_brokers_files_are_mounted_where_the_secret_has_them() -> None:
    objects = render(EXTERNAL)
    volume = kafka_volume(objects, "writer")
    assert volume is not None
    secret = volume["secret"]
    assert (secret["secretName"], secret["optional"]) == ("kafka-options", True)
    assert {item["key"] for item in secret["items"]} == {"ca.crt", "user.crt", "user.key"}
    container = containers(pick(objects, "Deployment", "-writer")["spec"]["template"])[0]
    variable, = (each for each in container["env"] if each["name"] == "SMILE_KAFKA_OPTIONS")
    assert variable["valueFrom"]["secretKeyRef"] == {"name": "kafka-options", "key": "options"}


def test_external_brokers_without_a_secret_are_asked_in_plain() -> None:
    objects = render(kafka__mode="external", kafka__bootstrapServers="kafka:9092")
    assert kafka_volume(objects, "writer") is None
    assert "SMILE_KAFKA_OPTIONS" not in environment(objects, "writer")


def test_brokers_are_measured_by_the_monitors_switch() -> None:
    assert "metricsConfig" not in pick(render(), "Kafka")["spec"]["kafka"]
    spec = pick(render(monitoring__podMonitors__enabled="true"), "Kafka")["spec"]
    assert spec["kafka"]["metricsConfig"]["type"] == "strimziMetricsReporter"
    assert set(spec["kafkaExporter"]["topicRegex"].split("|")) == set(messages.TOPICS)


def test_strimzi_s_pods_are_restricted_too() -> None:
    spec = pick(render(monitoring__podMonitors__enabled="true"), "Kafka")["spec"]
    for template in (spec["kafka"]["template"], spec["entityOperator"]["template"],
                     spec["kafkaExporter"]["template"]):
        assert template["pod"]["securityContext"]["runAsNonRoot"] is True
        confined = [part["securityContext"] for name, part in template.items() if name != "pod"]
        assert confined
        assert all(each["capabilities"] == {"drop": ["ALL"]} for each in confined)
