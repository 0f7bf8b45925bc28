"""The workflow on GitHub: what it builds, how its actions are pinned, and what each job may do."""

import inspect
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.e2e import build
from tests.unit.dockerfile import REPOSITORY, images
from tests.unit.helm_chart import pick, render

FILE = REPOSITORY / ".github" / "workflows" / "main.yml"

Object = dict[str, Any]


def workflow() -> Object:
    loaded: Object = yaml.safe_load(FILE.read_text())
    return loaded


def test_every_image_is_built() -> None:
    assert workflow()["jobs"]["images"]["strategy"]["matrix"]["service"] == images()


def test_actions_are_pinned_by_commit_with_the_version_beside() -> None:
    used = re.findall(r"uses: (.*)", FILE.read_text())
    assert used
    loose = [use for use in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}  # v[\d.]+", use)]
    assert loose == []


def test_an_action_is_of_one_version_everywhere() -> None:
    used = set(re.findall(r"uses: (.*)", FILE.read_text()))
    assert len({use.split("@")[0] for use in used}) == len(used)


def test_jobs_have_a_time_limit_and_no_more_rights_than_they_need() -> None:
    assert workflow()["permissions"] == {"contents": "read"}
    for name, job in workflow()["jobs"].items():
        assert job["timeout-minutes"] <= 60, name
        assert job.get("permissions", {}).keys() <= {"contents", "packages"}, name


def test_actionlint_finds_nothing() -> None:
    program = shutil.which("actionlint")
    if program is None:
        pytest.skip("actionlint is not installed (go install "
                    "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12)")
    done = subprocess.run([program, FILE], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


def steps(job: str) -> str:
    """What the steps of a job run."""
    return "\n".join(step.get("run", "") for step in workflow()["jobs"][job]["steps"])


def needed(job: str) -> set[str]:
    """The jobs that have to pass before one begins."""
    first = set(workflow()["jobs"][job].get("needs", []))
    return first.union(*(needed(other) for other in first))


def test_nothing_is_released_before_everything_has_passed() -> None:
    assert needed("release") == {"lint", "test", "chart", "images", "e2e"}
    condition = workflow()["jobs"]["release"]["if"]
    assert "github.event_name == 'push'" in condition and "ref_type == 'tag'" in condition


def test_jobs_call_what_a_developer_calls() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (REPOSITORY / "Makefile").read_text(), re.M))
    called = {name for job in workflow()["jobs"]
              for name in re.findall(r"\bmake ([a-z0-9-]+)", steps(job))}
    assert called >= {"check", "test", "e2e"}
    assert called <= targets


@pytest.mark.parametrize(("tag", "released"), [
    ("v1.2.3", True), ("v10.0.12-rc.1", True), ("vfoo", False), ("v1.2", False),
    ("1.2.3", False), ("v1x2x3", False)])
def test_versions_are_released_and_no_other_tag(tag: str, released: bool) -> None:
    """In GitHub's patterns a dot is a dot, `*` all but slashes, and the rest as in `re`."""
    triggers = workflow()[True]  # YAML 1.1 takes `on` for true
    patterns = [each.replace(".", r"\.").replace("*", "[^/]*") for each in triggers["push"]["tags"]]
    assert any(re.fullmatch(each, tag) for each in patterns) == released


def test_the_chart_and_its_versions_are_pushed_as_tested() -> None:
    run = steps("release")
    assert "imagetools create" in run and "docker build " not in run
    assert "helm push" in run and "oci://ghcr.io/" in run
    pattern = re.search(r"grep -oP '(.*?)' Dockerfile", run)
    assert pattern is not None
    found = re.findall(pattern[1].replace(r"\K", "").replace(r"\S+", r"(\S+)"),
                       (REPOSITORY / "Dockerfile").read_text(), re.M)
    assert found == images()


def test_the_release_finds_the_line_of_the_registry_in_the_values() -> None:
    lines = (REPOSITORY / "charts/spy-smile/values.yaml").read_text().splitlines()
    assert lines.count('  registry: ""') == 1


def test_the_cluster_runs_the_very_images_that_are_released() -> None:
    assert "images" in needed("e2e")
    assert workflow()["jobs"]["e2e"]["permissions"] == {"contents": "read", "packages": "read"}
    (take,) = re.findall(r"SMILE_E2E_IMAGES=(\S+):(\S+)\"", steps("e2e"))
    (pushed,) = re.findall(r"tag=(\S+):(\S+)\"", steps("images"))
    assert take == (pushed[0].replace("$SERVICE", "TARGET"), pushed[1])
    assert "SMILE_E2E_IMAGES" in inspect.getsource(build.build)


def test_logs_are_uploaded_from_where_the_tests_put_them() -> None:
    found = workflow()["jobs"]["e2e"]["steps"]
    (written,) = (step["env"]["SMILE_E2E_LOGS"] for step in found
                  if "make e2e" in step.get("run", ""))
    (upload,) = (step["with"] for step in found if "upload-artifact" in step.get("uses", ""))
    assert upload["path"] == written
    assert "kind export" not in steps("e2e"), "the tests have removed the cluster by then"


def test_two_deployments_to_an_environment_wait_for_each_other() -> None:
    assert workflow()["jobs"]["deploy"]["concurrency"] == {
        "group": "deploy-${{ inputs.environment }}", "cancel-in-progress": False}


def test_what_is_deployed_by_hand_goes_to_an_environment() -> None:
    job = workflow()["jobs"]["deploy"]
    assert job["if"] == "github.event_name == 'workflow_dispatch'"
    assert job["environment"] == "${{ inputs.environment }}"
    assert all(other == "deploy" or "workflow_dispatch" in each["if"] or "push" in each["if"]
               for other, each in workflow()["jobs"].items())


def test_images_have_a_list_of_what_is_in_them_and_a_cache() -> None:
    build = next(step["with"] for step in workflow()["jobs"]["images"]["steps"]
                 if "build-push-action" in step.get("uses", ""))
    assert build["sbom"] is True
    assert build["cache-from"].startswith("type=gha") and "mode=max" in build["cache-to"]
    assert build["push"] == "${{ github.event_name == 'push' }}"


def test_the_test_that_a_first_deployment_can_t_pass_is_the_charts() -> None:
    (left_out,) = re.findall(r"--filter '!name=(\S+)'", steps("deploy"))
    pick([each for each in render() if each["kind"] == "Pod"], "Pod", left_out)
