"""The workflow on GitHub: what it builds, how its actions are pinned, and what each job may do."""

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.unit.dockerfile import REPOSITORY, images

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
