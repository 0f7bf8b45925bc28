"""The chart, over `helm template`: what every set of values must render to, and each branch."""

import functools
from importlib import import_module
from pathlib import Path

import jsonschema
import pytest
import yaml

from services.common import messages
from services.common.settings import Settings, load
from tests.unit.helm_chart import (
    CHART,
    EXTERNAL,
    FULL,
    IDS,
    LOADER,
    SHARED,
    VALUES,
    Object,
    containers,
    environment,
    pick,
    pod_templates,
    render,
    run,
)

STAGES = ["ingest", "simulator", "writer", "features", "predictor", "monitor", "model-server",
          "dashboard"]
CRDS = {"Kafka": "kafka", "KafkaNodePool": "nodepool", "KafkaTopic": "topic"}


@pytest.fixture(scope="module", params=VALUES, ids=IDS)
def rendered(request: pytest.FixtureRequest) -> list[Object]:
    """The objects of each committed set of values in turn."""
    return render(request.param)


# --- every set of values

@pytest.mark.parametrize("values", VALUES, ids=IDS)
def test_lint_finds_nothing(values: Path) -> None:
    done = run("lint", "--strict", "--quiet", CHART, "--values", values)
    assert done.returncode == 0, done.stdout + done.stderr


def test_pods_are_restricted(rendered: list[Object]) -> None:
    for name, template in pod_templates(rendered):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is retrains(name, rendered), name
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name


def retrains(name: str, objects: list[Object]) -> bool:
    """Whether this pod may call the API: a monitor that has a Role."""
    roles = {each["metadata"]["name"] for each in objects if each["kind"] == "Role"}
    return name in roles


def test_pods_are_told_no_variables_of_services(rendered: list[Object]) -> None:
    for name, template in pod_templates(rendered):
        assert template["spec"]["enableServiceLinks"] is False, name


def test_containers_say_what_they_need(rendered: list[Object]) -> None:
    for name, template in pod_templates(rendered):
        for container in containers(template):
            resources = container["resources"]
            assert resources["requests"].keys() >= {"cpu", "memory"}, name
            assert "memory" in resources["limits"], name


def test_long_running_pods_have_probes_on_ports_that_are_there(rendered: list[Object]) -> None:
    for each in rendered:
        if each["kind"] not in ("Deployment", "StatefulSet"):
            continue
        container, = containers(each["spec"]["template"])
        ports = {port["name"] for port in container["ports"]}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            check = container[probe].get("httpGet")
            assert check is None or check["port"] in ports, each["metadata"]["name"]


def test_mounted_volumes_are_there(rendered: list[Object]) -> None:
    for name, template in pod_templates(rendered):
        if name.endswith("-database"):
            continue  # its data volume is made from a claim template
        volumes = {volume["name"] for volume in template["spec"]["volumes"]}
        mounts = {mount["name"] for container in containers(template)
                  for mount in container["volumeMounts"]}
        assert mounts == volumes, name


def test_selectors_find_just_their_own_pods(rendered: list[Object]) -> None:
    pods = {name: template["metadata"]["labels"].items()
            for name, template in pod_templates(rendered)}
    for each in rendered:
        selector = each.get("spec", {}).get("selector") if each["kind"] != "Job" else None
        if selector is not None:
            wanted = selector.get("matchLabels", selector).items()
            found = [name for name, labels in pods.items() if wanted <= labels]
            assert found == [each["metadata"]["name"]]


def test_no_two_objects_share_a_name(rendered: list[Object]) -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in rendered]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("stage", STAGES)
def test_stages_are_told_all_that_their_settings_need(rendered: list[Object],
                                                      stage: str) -> None:
    package = "dashboard" if stage == "dashboard" else f"services.{stage.replace('-', '_')}"
    module = import_module(f"{package}.settings")
    kind, = (value for name, value in vars(module).items()
             if isinstance(value, type) and issubclass(value, Settings)
             and value.__module__ == module.__name__)
    if stage == "simulator" and not any(each["metadata"]["name"].endswith("-simulator")
                                        for each in rendered):
        pytest.skip("these values have no simulator")
    told = environment(rendered, stage)
    load(kind, told)
    own = {f"SMILE_{field.upper()}" for field in kind.__struct_fields__}
    container, = containers(pick(rendered, "Deployment", f"-{stage}")["spec"]["template"])
    meant = {variable["name"] for variable in container.get("env", [])}
    assert meant <= own, "a variable that the stage does not read"


def test_custom_resources_are_as_their_operators_ask(rendered: list[Object]) -> None:
    if not (SHARED / "schemas" / "crds").is_dir():
        pytest.skip("no CRDs: ../shared/schemas is not there")
    for each in rendered:
        if each["kind"] in CRDS:
            check_custom(each)


def test_a_wrong_field_of_a_custom_resource_is_noticed() -> None:
    if not (SHARED / "schemas" / "crds").is_dir():
        pytest.skip("no CRDs: ../shared/schemas is not there")
    pool = pick(render(), "KafkaNodePool")
    pool["spec"]["storage"]["volumes"][0]["sizes"] = "1Gi"
    with pytest.raises(jsonschema.ValidationError, match="sizes"):
        check_custom(pool)


def check_custom(each: Object) -> None:
    """Raise where an object is not as its CRD says."""
    jsonschema.validate(each, crd_schemas(each["kind"])[each["apiVersion"]])


@functools.cache
def crd_schemas(kind: str) -> dict[str, Object]:
    """By apiVersion, the schema of a kind's CRD."""
    path = SHARED / "schemas" / "crds" / f"kafka.strimzi.io_{CRDS[kind]}.yaml"
    versions = yaml.load(path.read_text(), LOADER)["spec"]["versions"]
    return {f"kafka.strimzi.io/{version['name']}": closed(version["schema"]["openAPIV3Schema"])
            for version in versions}


def closed(schema: Object) -> Object:
    """The schema with fields it does not name refused, as the API server does when strict."""
    made = dict(schema)
    if "properties" in made:
        made["properties"] = {name: closed(part) for name, part in made["properties"].items()}
        if not made.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
    if isinstance(made.get("items"), dict):
        made["items"] = closed(made["items"])
    return made


# --- branches

def test_strimzi_gets_a_cluster_with_the_four_topics() -> None:
    objects = render()
    topics = {each["spec"]["topicName"] for each in objects if each["kind"] == "KafkaTopic"}
    assert topics == set(messages.TOPICS)
    cluster = pick(objects, "Kafka")["metadata"]["name"]
    labelled = {each["metadata"]["labels"]["strimzi.io/cluster"] for each in objects
                if each["kind"] in ("KafkaTopic", "KafkaNodePool")}
    assert labelled == {cluster}
    bootstrap = environment(objects, "writer")["SMILE_KAFKA_BOOTSTRAP"]
    assert bootstrap == f"{cluster}-kafka-bootstrap:9093"


@pytest.mark.parametrize(("brokers", "copies", "least"), [(1, 1, 1), (3, 3, 2), (5, 3, 2)])
def test_brokers_decide_on_copies(brokers: int, copies: int, least: int) -> None:
    objects = render(kafka__strimzi__replicas=str(brokers))
    config = pick(objects, "Kafka")["spec"]["kafka"]["config"]
    assert (config["default.replication.factor"], config["min.insync.replicas"]) == (copies, least)
    assert pick(objects, "KafkaTopic", "-option-chain")["spec"]["replicas"] == copies


def test_external_services_leave_only_what_is_ours() -> None:
    objects = render(EXTERNAL)
    ours = {"ServiceAccount", "ConfigMap", "Deployment", "Service", "Job", "CronJob",
            "NetworkPolicy"}
    assert {each["kind"] for each in objects} == ours
    told = environment(objects, "predictor")
    assert told["SMILE_KAFKA_BOOTSTRAP"].startswith("b-1.kafka.example.com:9096,")
    assert told["MLFLOW_TRACKING_URI"] == "https://mlflow.example.com"
    assert "SMILE_KAFKA_OPTIONS" in told


def test_the_gateway_is_the_simulator_unless_named() -> None:
    simulated = environment(render(), "ingest")
    assert simulated["SMILE_GATEWAY_HOST"] == "smile-spy-smile-simulator"
    assert simulated["SMILE_SOURCE_LABEL"] == "simulated"
    real = environment(render(EXTERNAL), "ingest")
    assert real["SMILE_GATEWAY_HOST"] == "ib-gateway"
    assert real["SMILE_SOURCE_LABEL"] == "live"


def test_migrations_of_an_own_database_come_with_it_and_later_go_first() -> None:
    assert "annotations" not in pick(render(), "Job", "-migrations")["metadata"]
    upgraded = pick(render(upgrade="yes"), "Job", "-migrations")
    assert upgraded["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"


def test_migrations_of_an_external_database_go_before_everything() -> None:
    objects = render(EXTERNAL)
    job, account = (pick(objects, kind, "-migrations")["metadata"]["annotations"]
                    for kind in ("Job", "ServiceAccount"))
    assert job["helm.sh/hook"] == account["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert int(account["helm.sh/hook-weight"]) < int(job.get("helm.sh/hook-weight", 0))


def test_the_ingress_has_the_path_that_the_pages_are_told() -> None:
    objects = render(FULL)
    rule = pick(objects, "Ingress")["spec"]["rules"][0]
    assert rule["host"] == "smile.example.com"
    assert rule["http"]["paths"][0]["path"] == "/smile"
    assert environment(objects, "dashboard")["SMILE_DASHBOARD_BASE_PATH"] == "smile"


def test_images_come_from_the_registry_unless_named_in_full() -> None:
    images = {name: containers(template)[0]["image"]
              for name, template in pod_templates(render(FULL))}
    assert images["smile-spy-smile-model-server"] == "ghcr.io/example/spy-smile-model-server:1.2.3"
    assert images["smile-spy-smile-features"].startswith("registry.example.com/features@sha256:")


def test_a_changed_setting_replaces_the_pods() -> None:
    def stamp(level: str) -> str:
        pod = pick(render(logLevel=level), "Deployment", "-writer")["spec"]["template"]
        return str(pod["metadata"]["annotations"]["checksum/settings"])

    assert stamp("DEBUG") != stamp("INFO")


def test_mlflow_answers_to_its_service() -> None:
    container, = containers(pick(render(), "Deployment", "-mlflow")["spec"]["template"])
    hosts, = (argument.split("=")[1].split(",") for argument in container["args"]
              if argument.startswith("--allowed-hosts"))
    assert {"smile-spy-smile-mlflow:*", "smile-spy-smile-mlflow.prod.svc:*"} <= set(hosts)


def test_only_a_monitor_that_retrains_may_make_jobs() -> None:
    kinds = {each["kind"] for each in render()}
    assert not kinds & {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
    assert "SMILE_RETRAIN" not in environment(render(), "monitor")

    objects = render(monitor__retrain__enabled="true", monitor__retrain__cooldownSeconds="3600000")
    role, binding = pick(objects, "Role"), pick(objects, "RoleBinding")
    cronjob = pick(objects, "CronJob", "-trainer")["metadata"]["name"]
    assert role["rules"] == [
        {"apiGroups": ["batch"], "resources": ["cronjobs"], "resourceNames": [cronjob],
         "verbs": ["get"]},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get"]}]
    account = pick(objects, "ServiceAccount", "-monitor")["metadata"]["name"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": account, "namespace": "prod"}]
    pod = pick(objects, "Deployment", "-monitor")["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == account
    told = environment(objects, "monitor")
    assert (told["SMILE_RETRAIN"], told["SMILE_RETRAIN_CRONJOB"]) == ("job", cronjob)
    assert told["SMILE_RETRAIN_COOLDOWN_SECONDS"] == "3600000"


def test_the_trainer_s_schedule_can_rest() -> None:
    assert pick(render(), "CronJob", "-trainer")["spec"]["suspend"] is False
    assert pick(render(FULL), "CronJob", "-trainer")["spec"]["suspend"] is True


def test_features_and_trainer_are_told_the_same_of_the_market() -> None:
    assert not environment(render(), "features").keys() & {"SMILE_RATE", "SMILE_DIVIDENDS"}
    objects = render(FULL)
    told = environment(objects, "features")
    assert (told["SMILE_RATE"], told["SMILE_DIVIDENDS"]) == (
        "0.043", "2026-09-18:1.85,2026-12-18:1.95")
    for kind, name in (("CronJob", "-trainer"), ("Job", "-first-model")):
        spec = pick(objects, kind, name)["spec"]
        template = spec.get("jobTemplate", {"spec": spec})["spec"]["template"]
        sources = template["spec"]["containers"][0]["envFrom"]
        assert [source["configMapRef"]["name"] for source in sources] == [
            pick(objects, "ConfigMap")["metadata"]["name"]]
    assert environment(render(market__rate="0"), "features")["SMILE_RATE"] == "0"
