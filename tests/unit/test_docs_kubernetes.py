"""docs/kubernetes.md names values, objects, files and targets that there are."""

import re
from typing import Any

import pytest
import yaml

from tests.unit.helm_chart import CHART, REPOSITORY, render
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
