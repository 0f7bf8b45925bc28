"""docs/kubernetes.md names values, objects, files and targets that there are."""

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from ml import promote
from tests.unit.helm_chart import CHART, REPOSITORY, pick, render
from tests.unit.promtool import alerts, declared

PAGES = {name: (REPOSITORY / name).read_text()
         for name in ("docs/kubernetes.md", "manifests/README.md")}
TEXT = PAGES["docs/kubernetes.md"]


def values() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    return loaded


def is_value(path: str) -> bool:
    place: Any = values()
    for part in path.split("."):
        if not isinstance(place, dict) or part not in place:
            return isinstance(place, dict) and not place
        place = place[part]
    return True


@pytest.mark.parametrize("page", PAGES)
def test_values_named_are_the_charts(page: str) -> None:
    named = {word for word in re.findall(r"`([a-z][A-Za-z]+(?:\.[A-Za-z]+)+)`", PAGES[page])
             if word.split(".")[0] in values()}
    assert {word for word in named if not is_value(word)} == set()
    assert named


def test_a_value_that_there_is_not_is_noticed() -> None:
    assert is_value("kafka.topics.partitions") and not is_value("kafka.topics.partition")


def test_objects_named_are_the_charts() -> None:
    made = {each["metadata"]["name"] for each in render()}
    claims = {f"data-{name}-0" for name in made}
    pods = {f"{name}-0" for name in made}
    named = set(re.findall(r"\b(?:data-)?smile-spy-smile-[a-z0-9-]+", TEXT))
    assert named <= made | claims | pods
    assert named


def test_every_alert_has_its_section_and_no_other_has_one() -> None:
    assert re.findall(r"^### (Smile\w+)$", TEXT, re.M) == sorted(
        set(re.findall(r"^### (Smile\w+)$", TEXT, re.M)), key=TEXT.index)
    assert set(re.findall(r"^### (Smile\w+)$", TEXT, re.M)) == {
        alert["alert"] for alert in alerts()}


def test_metrics_named_are_declared() -> None:
    assert set(re.findall(r"`(smile_\w+)", TEXT)) <= declared()


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_are_there(page: str) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (REPOSITORY / "Makefile").read_text(), re.M))
    assert set(re.findall(r"^make ([a-z0-9-]+)", PAGES[page], re.M)) <= targets


def test_variables_of_make_platform_are_those_of_the_script() -> None:
    script = (REPOSITORY / "manifests" / "install").read_text()
    for name in ("WITHOUT", "CONTEXT", "MISSING"):
        assert f"${{{name}:-" in script
    told = set(re.findall(r"make platform.*?([A-Z]{3,})=", "\n".join(PAGES.values())))
    assert told <= {"WITHOUT", "CONTEXT", "MISSING", "CLUSTER"}


def test_files_named_are_there() -> None:
    for path in re.findall(r"`((?:charts|manifests)/[\w./-]+)`", TEXT):
        assert (REPOSITORY / path).exists(), path


# --- a model rolled back inside the cluster

def rolled_back(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """The Job that the page's commands make of the trainer's CronJob."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    cronjob = pick(objects, "CronJob", "-trainer")
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "roll-back"},
           "spec": cronjob["spec"]["jobTemplate"]["spec"]}
    (patch,) = re.findall(r"kubectl patch --local -f - -o yaml --type json -p '(.*?)' \|", TEXT,
                          re.S)
    done = subprocess.run(
        [kubectl, "patch", "--local", "-f", "-", "-o", "yaml", "--type", "json", "-p", patch],
        input=json.dumps(job), text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    made: dict[str, Any] = yaml.safe_load(done.stdout)
    return made


def test_a_rollback_is_the_trainers_pod_with_another_command() -> None:
    objects = render()
    cronjob = pick(objects, "CronJob", "-trainer")
    assert f"--from=cronjob/{cronjob['metadata']['name']} --dry-run=client" in TEXT
    made, own = rolled_back(objects)["spec"]["template"], cronjob["spec"]["jobTemplate"]["spec"]
    container, = made["spec"]["containers"]
    command, arguments = container.pop("command"), container.pop("args")
    options = promote.parser(history=False).parse_args(arguments)
    assert command == ["python", "-m", promote.__name__] and options.rollback
    assert options.name == values()["modelName"]
    trainer, = own["template"]["spec"]["containers"]
    del trainer["args"]
    assert made == own["template"], "restricted, and with the same addresses and passwords"


def test_a_rollback_may_reach_mlflow() -> None:
    objects = render()
    labels = rolled_back(objects)["spec"]["template"]["metadata"]["labels"]
    policy = pick(objects, "NetworkPolicy", "-trainer")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert 5000 in [port["port"] for rule in policy["egress"] for port in rule["ports"]]
    callers, = (rule["podSelector"]["matchExpressions"][0]["values"]
                for each in pick(objects, "NetworkPolicy", "-mlflow")["spec"]["ingress"]
                for rule in each["from"])
    assert labels["app.kubernetes.io/component"] in callers


def test_what_an_operator_must_know_is_told() -> None:
    told = " ".join(TEXT.split())
    assert "on the same external Kafka and database" not in told
    for words in ("its own Kafka, its own database", "--source=live", "`session-key`",
                  "`database.existingSecret`", "--cascade=orphan"):
        assert words in told
