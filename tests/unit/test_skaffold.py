"""skaffold.yaml: as its schema asks, in step with Dockerfile and chart, whatever the profiles."""

import fnmatch
import json
import os
import posixpath
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.unit.dockerfile import REPOSITORY, images, targets
from tests.unit.helm_chart import SHARED, containers, pick, render

SCHEMA = SHARED / "schemas" / "skaffold-v4beta14.json"
CALLS = [("run", "cloud", []), ("run", "kind-smile", []), ("run", "kind-smile", ["simulator"]),
         ("run", "kind-smile", ["kind", "simulator"]), ("run", "eks", ["simulator"]),
         ("run", "eks", ["cloud"]), ("run", "eks", ["cloud", "simulator"]),
         ("dev", "kind-smile", []), ("dev", "kind-smile", ["kind", "simulator"]),
         ("dev", "eks", ["kind", "simulator"]), ("dev", "eks", ["cloud"]),
         ("dev", "eks", ["cloud", "simulator"]), ("dev", "eks", ["simulator", "sync"])]
"""Command, context and the profiles that are named."""

Object = dict[str, Any]


def read() -> Object:
    """The file, without profiles."""
    config: Object = yaml.safe_load((REPOSITORY / "skaffold.yaml").read_text())
    return config


def activated(command: str, context: str, named: list[str]) -> list[str]:
    """Profiles in skaffold's order: first what activates itself, then what is named."""
    own = [profile["name"] for profile in read()["profiles"]
           if any(when.get("command") == command
                  or re.fullmatch(when.get("kubeContext", ""), context)
                  for when in profile.get("activation", []))]
    return own + [name for name in named if name not in own]


PROFILES = [list(names) for names in dict.fromkeys(
    tuple(activated(*call)) for call in CALLS)]


def skaffold(profiles: list[str]) -> Object:
    """The configuration after some profiles' patches, applied in the order given."""
    config = read()
    found = {profile["name"]: profile["patches"] for profile in config["profiles"]}
    for name in profiles:
        for each in found[name]:
            patch(config, each)
    return config


def patch(config: Any, change: Object) -> None:
    """Apply one operation of a JSON patch; a replaced or removed value must be there."""
    *path, last = change["path"].split("/")[1:]
    for part in path:
        config = config[int(part)] if isinstance(config, list) else config[part]
    if last == "-":
        config.append(change["value"])
        return
    key = int(last) if isinstance(config, list) else last
    if change["op"] in ("replace", "remove"):
        del config[key]
    if change["op"] != "remove":
        config[key] = change["value"]


def release(profiles: list[str]) -> Object:
    """The application's release, the only one."""
    smile: Object
    smile, = skaffold(profiles)["deploy"]["helm"]["releases"]
    return smile


@pytest.mark.parametrize("profiles", PROFILES, ids="+".join)
def test_it_is_as_its_schema_asks(profiles: list[str]) -> None:
    if not SCHEMA.is_file():
        pytest.skip("no schema: ../shared/schemas is not there")
    jsonschema.validate(skaffold(profiles), json.loads(SCHEMA.read_text()))


def test_a_wrong_field_is_noticed() -> None:
    if not SCHEMA.is_file():
        pytest.skip("no schema: ../shared/schemas is not there")
    config = skaffold([])
    config["build"]["artifacts"][0]["docker"]["stage"] = "ingest"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(config, json.loads(SCHEMA.read_text()))


@pytest.mark.parametrize("profiles", PROFILES, ids="+".join)
def test_skaffold_itself_reads_it(profiles: list[str]) -> None:
    program = shutil.which("skaffold")
    if program is None:
        pytest.skip("skaffold is not installed")
    done = subprocess.run(
        [program, "diagnose", "--yaml-only", "--update-check=false", "--interactive=false",
         "--profile", ",".join(profiles)],
        text=True, capture_output=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("profiles", PROFILES, ids="+".join)
def test_it_sets_values_that_the_chart_has(profiles: list[str]) -> None:
    smile = release(profiles)
    values = yaml.safe_load((REPOSITORY / smile["chartPath"] / "values.yaml").read_text())
    for path in (*smile.get("setValues", {}), *smile["setValueTemplates"]):
        place = values
        for part in path.split("."):
            assert part in place, path
            place = place[part]


@pytest.mark.parametrize("profiles", PROFILES, ids="+".join)
def test_the_chart_renders_with_what_it_sets(profiles: list[str]) -> None:
    smile = release(profiles)
    settings = {path.replace(".", "__"): str(value).lower() if isinstance(value, bool) else value
                for path, value in smile.get("setValues", {}).items()}
    if profiles == ["kind"]:
        assert settings["ingest__gateway__host"] == "host.docker.internal"
    objects = render(*(REPOSITORY / file for file in smile.get("valuesFiles", [])), **settings)
    assert ("code" in volumes(objects, "-writer")) == ("sync" in profiles)
    names = {each["metadata"]["name"] for each in objects if each["kind"] == "Deployment"}
    assert ("smile-spy-smile-simulator" in names) == ("simulator" in profiles)
    forwarded = {each["resourceName"] for each in skaffold(profiles)["portForward"]
                 if each["namespace"] == smile["namespace"]}
    assert forwarded <= {each["metadata"]["name"] for each in objects if each["kind"] == "Service"}


def volumes(objects: list[Object], component: str) -> set[str]:
    """Names of a component's volumes."""
    pod = pick(objects, "Deployment", component)["spec"]["template"]["spec"]
    return {volume["name"] for volume in pod.get("volumes", [])}


@pytest.mark.parametrize(("command", "context", "named"), CALLS)
def test_a_profile_keeps_what_others_set(command: str, context: str, named: list[str]) -> None:
    profiles = activated(command, context, named)
    settings = release(profiles)["setValues"]
    assert ("development.sync" in settings) == (command == "dev" or "sync" in named)
    assert settings["simulator.enabled"] is ("simulator" in named)
    simulated, cloud = "simulator" in named, "cloud" in named
    assert settings.get("ingest.gateway.host") == (
        "" if simulated else None if cloud else "host.docker.internal")


def test_what_activates_itself_comes_before_what_is_named() -> None:
    assert activated("dev", "kind-smile", ["simulator", "kind"]) == ["kind", "sync", "simulator"]
    assert activated("dev", "eks", ["cloud"]) == ["sync", "cloud"]


def test_every_image_is_built_and_handed_to_the_chart() -> None:
    artifacts = skaffold([])["build"]["artifacts"]
    assert [artifact["docker"]["target"] for artifact in artifacts] == images()
    handed = set(release([])["setValueTemplates"].values())
    assert handed == {f"{{{{.IMAGE_FULLY_QUALIFIED_{artifact['image'].replace('-', '_')}}}}}"
                      for artifact in artifacts}


def test_the_arguments_of_builds_are_the_dockerfiles() -> None:
    for artifact in skaffold([])["build"]["artifacts"]:
        declared = {text.split("=")[0]
                    for text in targets()[artifact["docker"]["target"]].all("ARG")}
        assert artifact["docker"].get("buildArgs", {}).keys() == declared


def test_kind_gets_its_operators_first_and_they_stay() -> None:
    deploy = skaffold(["kind"])["deploy"]["helm"]
    (before,) = deploy["hooks"]["before"]
    assert "MISSING=1 manifests/install kind" in before["host"]["command"][-1]
    assert len(deploy["releases"]) == 1, "what skaffold installs it removes when it ends"


# --- files copied into running pods

def synced() -> list[Object]:
    return [artifact for artifact in skaffold([])["build"]["artifacts"] if "sync" in artifact]


def test_everything_that_runs_for_ever_is_synced() -> None:
    named = {artifact["docker"]["target"] for artifact in synced()}
    assert named == set(images()) - {"migrations", "trainer", "mlflow"}


@pytest.mark.parametrize("artifact", synced(), ids=lambda artifact: artifact["image"])
def test_files_go_where_the_dockerfile_put_them(artifact: Object) -> None:
    target = targets()[artifact["docker"]["target"]]
    rules = artifact["sync"]["manual"]
    for source, place in target.places().items():
        for file in code(REPOSITORY / source):
            path = file.relative_to(REPOSITORY).as_posix()
            inside = posixpath.normpath(posixpath.join(
                place, file.relative_to(REPOSITORY / source).as_posix()))
            (rule,) = [rule for rule in rules if matches(path, rule["src"])]
            assert posixpath.join(rule["dest"], path) == inside, path


def code(folder: Path) -> list[Path]:
    """Files of a copied folder that are code or its configuration; of a single file nothing."""
    return [file for pattern in ("*.py", "*.toml") for file in folder.rglob(pattern)]


def matches(path: str, pattern: str) -> bool:
    """Whether skaffold's pattern, in which ** is any folders or none, takes a path."""
    return fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(
        path, pattern.replace("**/", ""))


@pytest.mark.parametrize("artifact", synced(), ids=lambda artifact: artifact["image"])
def test_a_synced_pod_has_its_code_in_a_volume_and_begins_it_anew(artifact: Object) -> None:
    name = artifact["docker"]["target"]
    pod = pick(render(development__sync="true"), "Deployment", f"-{name}")["spec"]["template"]
    copy, main = containers(pod)
    for container in (copy, main):
        assert container["image"].startswith(artifact["image"])
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"name": "code", "mountPath": "/app"} in main["volumeMounts"]
    assert copy["command"] == ["cp", "-r", "/app/.", "/code/"]
    (entry,) = (json.loads(text) for text in (
        targets()[name].all("ENTRYPOINT") or targets()[name].all("CMD")))
    assert main["command"][4:4 + len(entry)] == entry
    (hook,) = artifact["sync"]["hooks"]["after"]
    assert "/tmp/child" in hook["container"]["command"][-1]
    assert "/tmp/child" in main["command"][2]


def test_the_loop_begins_an_ended_process_anew_and_ends_when_told(tmp_path: Path) -> None:
    pod = pick(render(development__sync="true"), "Deployment", "-writer")["spec"]["template"]
    shell, option, script = containers(pod)[1]["command"][:3]
    script = script.replace("/tmp/child", str(tmp_path / "child"))
    code = tmp_path / "code.py"
    code.write_text("import time; print('old', flush=True); time.sleep(60)")
    log = tmp_path / "log"
    with log.open("w") as output:
        loop = subprocess.Popen([shell, option, script, "sh", sys.executable, code], stdout=output)
    until(lambda: "old" in log.read_text())
    code.write_text("import time; print('new', flush=True); time.sleep(60)")
    os.kill(int((tmp_path / "child").read_text()), signal.SIGTERM)
    until(lambda: "new" in log.read_text())
    loop.terminate()
    loop.wait(10)
    child = int((tmp_path / "child").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_without_development_code_is_the_images_own() -> None:
    for each in render():
        if each["kind"] == "Deployment":
            spec = each["spec"]["template"]["spec"]
            assert "code" not in {volume["name"] for volume in spec.get("volumes", [])}
