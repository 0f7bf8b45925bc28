"""Rendering the chart with the real helm, for the tests."""

import copy
import functools
import lzma
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
SHARED = REPOSITORY.parent / "shared"
CHART = REPOSITORY / "charts" / "spy-smile"
VALUES = [CHART / "values.yaml", *sorted((CHART / "ci").glob("*.yaml")),
          *sorted((REPOSITORY / "manifests").glob("*/spy-smile.yaml"))]
IDS = [f"{path.parent.name}/{path.stem}" for path in VALUES]
EXTERNAL = CHART / "ci" / "external-values.yaml"
FULL = CHART / "ci" / "full-values.yaml"
NATIVE = {"v1", "apps/v1", "batch/v1", "policy/v1", "autoscaling/v2", "networking.k8s.io/v1",
          "rbac.authorization.k8s.io/v1"}
"""Versions of objects that every cluster knows."""
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Object = dict[str, Any]


@functools.cache
def helm() -> str:
    """The program: named by SMILE_HELM, on the path, or unpacked from the shared cluster's.

    Skips the test where there is none.
    """
    found = os.environ.get("SMILE_HELM") or shutil.which("helm")
    if found:
        return found
    packed = SHARED / "kube" / "kubebox.xz"
    if not packed.is_file():
        pytest.skip("helm is not installed (put it on the PATH, or name it in SMILE_HELM)")
    return str(_unpacked(packed, REPOSITORY / ".pytest_cache" / "helm"))


def _unpacked(packed: Path, program: Path) -> Path:
    """`program`, which goes by its own name, made of `packed` unless an earlier run did so."""
    if not program.exists():
        program.parent.mkdir(exist_ok=True)
        fresh = program.with_suffix(f".{os.getpid()}")
        with lzma.open(packed) as source, fresh.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        fresh.chmod(0o755)
        fresh.rename(program)
    return program


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run helm, whatever its exit code."""
    return subprocess.run([helm(), *map(str, arguments)], text=True, capture_output=True,
                          check=False)


def refusal(setting: str) -> str:
    """What helm says of a value that it must refuse."""
    done = run("template", "smile", CHART, "--set", setting)
    assert done.returncode != 0
    return done.stderr


def render(*files: Path, upgrade: str = "", **settings: str) -> list[Object]:
    """The objects of a release `smile` in `prod`; `a__b="c"` is `--set a.b=c`.

    With `upgrade` as an upgrade makes them, in place of an install.
    """
    options: list[str | Path] = ["--is-upgrade"] if upgrade else []
    options += [part for file in files for part in ("--values", file)]
    options += [part for key, value in settings.items()
                for part in ("--set", f"{key.replace('__', '.')}={value}")]
    return copy.deepcopy(_rendered(tuple(map(str, options))))


@functools.cache
def _rendered(options: tuple[str, ...]) -> list[Object]:
    done = run("template", "smile", CHART, "--namespace", "prod", *options)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.load_all(done.stdout, LOADER) if document]


def pick(objects: list[Object], kind: str, name: str = "") -> Object:
    """The one object of that kind whose name ends so."""
    found = [each for each in objects
             if each["kind"] == kind and each["metadata"]["name"].endswith(name)]
    assert len(found) == 1, f"{len(found)} objects {kind} {name}"
    return found[0]


def pod_templates(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Name and pod template of everything that makes pods."""
    for each in objects:
        spec = each.get("spec", {})
        if each["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if each["kind"] in ("Deployment", "StatefulSet", "Job", "CronJob"):
            yield each["metadata"]["name"], spec["template"]


def containers(template: Object) -> list[Object]:
    """All of a pod's containers."""
    spec = template["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def environment(objects: list[Object], stage: str) -> dict[str, str]:
    """What a stage's container is told; a secret is stood for by a database URL."""
    container = containers(pick(objects, "Deployment", f"-{stage}")["spec"]["template"])[0]
    told: dict[str, str] = {}
    for source in container.get("envFrom", []):
        told |= pick(objects, "ConfigMap", source["configMapRef"]["name"])["data"]
    for variable in container.get("env", []):
        told[variable["name"]] = variable.get("value", "postgresql://user:secret@host/smile")
    return told
