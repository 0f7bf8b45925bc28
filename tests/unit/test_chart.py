"""The chart, over `helm template`: what every set of values must render to."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from services.common.settings import Settings, load
from tests.unit.helm_chart import (
    CHART,
    IDS,
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
FROM_SECRETS = {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"}
FOREIGN = "gateway"
"""The container whose image is the user's: it may want to write beside its program."""


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
        for container in containers(template):
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is (container["name"] != FOREIGN), name
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
        pod = containers(each["spec"]["template"])
        ports = {port[key] for container in pod for port in container["ports"]
                 for key in ("name", "containerPort")}
        for container in pod:
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
        if each["kind"] not in ("Deployment", "StatefulSet", "Service", "PodDisruptionBudget"):
            continue
        selector = each["spec"]["selector"]
        wanted = selector.get("matchLabels", selector).items()
        found = [name for name, labels in pods.items() if wanted <= labels]
        assert found == [each["metadata"]["name"].removesuffix("-pods")]


def test_every_pod_has_an_account_of_its_own_without_a_token(rendered: list[Object]) -> None:
    accounts = {each["metadata"]["name"]: each for each in rendered
                if each["kind"] == "ServiceAccount"}
    used = [template["spec"]["serviceAccountName"] for _, template in pod_templates(rendered)]
    used += [each["spec"]["serviceAccountName"] for each in rendered if each["kind"] == "Pod"]
    assert set(used) == set(accounts)
    assert all(each["automountServiceAccountToken"] is False for each in accounts.values())
    for name, template in pod_templates(rendered):
        assert template["spec"]["serviceAccountName"] == account_of(name)


def account_of(name: str) -> str:
    """The first model's Job has what it does behind its name; first migrations are migrations."""
    return re.sub("(-first-model)-[0-9a-f]{8}$", r"\1", name).replace("-first-migr", "-migr")


def test_no_variable_is_there_twice(rendered: list[Object]) -> None:
    for name, template in pod_templates(rendered):
        for container in containers(template):
            variables = [variable["name"] for variable in container.get("env", [])]
            assert len(variables) == len(set(variables)), name


def test_no_password_is_in_what_is_no_secret(rendered: list[Object]) -> None:
    for name, template in pod_templates(rendered):
        for container in containers(template):
            for variable in container.get("env", []):
                secret = any(word in variable["name"] for word in ("PASSWORD", "SECRET", "URL"))
                assert not secret or "@" not in variable.get("value", ""), name
                if "PASSWORD" in variable["name"]:
                    assert "valueFrom" in variable, name


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
    load(kind, {name: value for name, value in told.items() if name not in FROM_SECRETS})
    own = {f"SMILE_{field.upper()}" for field in kind.__struct_fields__}
    container, = containers(pick(rendered, "Deployment", f"-{stage}")["spec"]["template"])
    meant = {variable["name"] for variable in container.get("env", [])} - FROM_SECRETS
    assert meant <= own, "a variable that the stage does not read"
