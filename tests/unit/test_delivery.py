"""The Dockerfile: each image holds what it runs, and no more."""

import ast
import fnmatch
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.unit.dockerfile import REPOSITORY, images, lineage, targets

FIRST_PARTY = ("ml", "services", "sql", "dashboard", "local")


@pytest.mark.parametrize("image", images())
def test_images_do_not_run_as_root(image: str) -> None:
    assert targets()[image].all("USER") == ["10001:10001"]


@pytest.mark.parametrize("image", images())
def test_packages_come_before_code(image: str) -> None:
    copies = targets()[image].all("COPY")
    packages = [copy for copy in copies if copy.startswith("--from")]
    assert copies[:len(packages)] == packages
    if packages[0] == "--from=smile-packages /opt/venv /opt/venv":
        assert packages[-1] == f"--from={image}-packages /opt/added /"
        assert "--from=kernels /opt/kernels /opt/kernels" in packages
    else:
        assert packages == [f"--from={image}-packages /opt/venv /opt/venv"]


@pytest.mark.parametrize("name", list(targets()))
def test_what_is_copied_is_in_the_context(name: str) -> None:
    for text in targets()[name].all("COPY"):
        if not text.startswith("--from"):
            for source in text.split()[:-1]:
                assert (REPOSITORY / source).exists(), source
                assert in_context(source), f"{source} is in .dockerignore"


def in_context(path: str) -> bool:
    """Whether .dockerignore lets a path through."""
    inside = True
    for line in (REPOSITORY / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if line and not line.startswith("#") and fnmatch.fnmatch(path.split("/")[0], pattern):
            inside = line.startswith("!")
    return inside


# --- what an image runs is in it

def modules_run(image: str) -> set[Path]:
    """Files of the project that the image's entry point and its own folder import, all told."""
    target = targets()[image]
    command = json.loads((target.all("ENTRYPOINT") + target.all("CMD"))[0])
    if command[:2] != ["python", "-m"]:
        return set()
    own = [folder for folder in target.folders() if folder not in ("ml", "services/common")
           and (REPOSITORY / folder).is_dir()]
    waiting = [*file_of(command[2]), *file_of(f"{command[2]}.__main__"),
               *(file for folder in own for file in (REPOSITORY / folder).rglob("*.py"))]
    found: set[Path] = set()
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += [other for name in imports(file) for other in file_of(name)]
    return found


def file_of(module: str) -> list[Path]:
    """The file of a module of the project, and those of the packages around it."""
    if module.split(".")[0] not in FIRST_PARTY:
        return []
    parts = module.split(".")
    places = [REPOSITORY.joinpath(*parts[:count]) for count in range(1, len(parts) + 1)]
    packages = [place / "__init__.py" for place in places]
    return [file for file in (*packages, places[-1].with_suffix(".py")) if file.is_file()]


def imports(file: Path) -> Iterator[str]:
    """Full names of what a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("image", images())
def test_images_hold_the_code_they_run(image: str) -> None:
    held = [REPOSITORY / folder for folder in targets()[image].folders()]
    missing = {file.relative_to(REPOSITORY) for file in modules_run(image)
               if not any(file == place or place in file.parents for place in held)}
    assert missing == set()


@pytest.mark.parametrize("image", images())
def test_images_hold_the_packages_they_import(image: str) -> None:
    told = " ".join(text for target in lineage(f"{image}-packages") for text in target.all("RUN"))
    installed = requirements(re.findall(r"'\.\[([\w-]+)\]'", told))
    providers = metadata.packages_distributions()
    needed = {name.split(".")[0] for file in modules_run(image) for name in imports(file)}
    foreign = needed - set(FIRST_PARTY) - set(sys.stdlib_module_names)
    missing = {name for name in foreign
               if not {canonicalize_name(each) for each in providers.get(name, ["?"])} & installed}
    assert missing == set()


def requirements(extras: list[str]) -> set[str]:
    """Names of all distributions that the project brings with these extras."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    waiting = list(project["dependencies"])
    for extra in extras:
        waiting += project["optional-dependencies"][extra]
    found: set[str] = set()
    while waiting:
        requirement = Requirement(waiting.pop())
        if requirement.name == project["name"]:
            waiting += [text for extra in requirement.extras
                        for text in project["optional-dependencies"][extra]]
        elif canonicalize_name(requirement.name) not in found:
            found.add(canonicalize_name(requirement.name))
            waiting += needs(requirement)
    return found


def needs(requirement: Requirement) -> list[str]:
    """What a distribution that is installed here asks for in its turn."""
    wanted = [Requirement(text) for text in metadata.requires(requirement.name) or []]
    extras = requirement.extras or {""}
    return [f"{each.name}[{','.join(each.extras)}]" if each.extras else each.name
            for each in wanted if each.marker is None
            or any(each.marker.evaluate({"extra": extra}) for extra in extras)]


@pytest.mark.parametrize("image", set(images()) - {"model-server", "trainer", "mlflow"})
def test_other_images_have_no_torch(image: str) -> None:
    told = " ".join(text for target in lineage(f"{image}-packages") for text in target.all("RUN"))
    assert "torch" not in requirements(re.findall(r"'\.\[([\w-]+)\]'", told))
    assert "torch" not in told
