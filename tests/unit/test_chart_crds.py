"""The chart's custom resources against the schemas of their operators' CRDs, without a cluster."""

import copy
import functools
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.unit.helm_chart import FULL, IDS, LOADER, NATIVE, SHARED, VALUES, Object, render

CRDS = SHARED / "schemas" / "crds"
KINDS = ["Kafka", "KafkaNodePool", "KafkaTopic", "KafkaUser", "ScaledObject",
         "TriggerAuthentication", "PodMonitor", "PrometheusRule", "HTTPRoute"]


@functools.cache
def schemas() -> dict[tuple[str, str], Object]:
    """By apiVersion and kind, the schemas of all CRDs."""
    if not CRDS.is_dir():
        pytest.skip("no CRDs: ../shared/schemas is not there")
    made: dict[tuple[str, str], Object] = {}
    for path in CRDS.glob("*.yaml"):
        spec = yaml.load(path.read_text(), LOADER)["spec"]
        for version in spec["versions"]:
            key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
            made[key] = closed(version["schema"]["openAPIV3Schema"])
    return made


def closed(schema: Object) -> Object:
    """The schema with fields it does not name refused, as the API server does when strict."""
    made = dict(schema)
    if "pattern" in made:  # Go allows flags after the beginning
        made["pattern"] = made["pattern"].replace("^(?i)", "(?i)^")
    if "properties" in made:
        made["properties"] = {name: closed(part) for name, part in made["properties"].items()}
        if not made.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
    if isinstance(made.get("items"), dict):
        made["items"] = closed(made["items"])
    return made


def check(each: Object) -> None:
    """Raise where an object is not as its CRD says."""
    jsonschema.validate(each, schemas()[each["apiVersion"], each["kind"]],
                        cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("values", VALUES, ids=IDS)
def test_custom_resources_are_as_their_operators_ask(values: Path) -> None:
    for each in render(values):
        if each["apiVersion"] not in NATIVE:
            check(each)


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_that_is_none_is_noticed_in_each_kind(kind: str) -> None:
    found = [each for each in render(FULL) if each["kind"] == kind]
    assert found, f"{FULL.name} renders no {kind}"
    spoiled: Any = copy.deepcopy(found[0])
    spoiled["spec"]["nonsense"] = 1
    with pytest.raises(jsonschema.ValidationError, match="nonsense"):
        check(spoiled)
