import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local import install
from local.install import InstallError

REPOSITORY = Path(__file__).parents[2]


def wheels(folder: Path) -> Path:
    folder.mkdir()
    (folder / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl").touch()
    return folder


def test_another_python_is_one_sentence():
    with pytest.raises(InstallError, match=r"Python 3\.11 is wanted, this is 3\.12"):
        install.check_python((3, 12))


def test_a_disk_nearly_full_is_one_sentence(tmp_path):
    with pytest.raises(InstallError, match="make room"):
        install.check_disk(tmp_path, 10**9)


def test_a_cpu_build_of_torch_is_asked_for_where_there_is_one(tmp_path):
    folder = wheels(tmp_path / "my wheels")
    found = install.cpu_wheels({"SMILE_WHEELS": str(folder)})
    assert found == folder
    assert "torch==2.13.0+cpu" in install.pip_command("local", tmp_path, found)
    assert "torch==2.13.0" in install.pip_command("local", tmp_path, None)


def test_find_links_of_the_machine_are_kept(tmp_path):
    folder = wheels(tmp_path / "my wheels")
    links = install.find_links({"PIP_FIND_LINKS": "/elsewhere"}, folder)
    assert links["PIP_FIND_LINKS"].split() == ["/elsewhere", folder.as_uri()]
    assert install.find_links({"PIP_FIND_LINKS": "/elsewhere"}, None) == {}


def test_a_wheels_folder_without_torch_is_refused(tmp_path):
    with pytest.raises(InstallError, match="SMILE_WHEELS is"):
        install.cpu_wheels({"SMILE_WHEELS": str(tmp_path)})


@pytest.mark.parametrize(("output", "says"), [
    ("ERROR: [Errno 28] No space left on device\n", "The disk is full"),
    ("WARNING: Retrying after NewConnectionError(...)\nERROR: No matching\n", "check the network"),
    ("ERROR: ResolutionImpossible\n\n", "could not be installed (ERROR: ResolutionImpossible)"),
    ("", "no output"),
])
def test_a_failure_of_pip_is_one_sentence(tmp_path, output, says):
    told = install.explain(output, tmp_path / "install.log")
    assert says in told and "install.log" in told and "\n" not in told


def test_the_second_run_is_instant(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(install, "_run", lambda folder, command, extra: ran.append(command))
    monkeypatch.setattr(install, "_make", lambda folder: folder.mkdir(exist_ok=True))
    for _ in range(2):
        install.install("dev", tmp_path / "venv", {})
        install.install("local", tmp_path / "venv", {})
    assert [command[2] for command in ran] == ["pip", "local", "ml.smile.warm_up"]


def test_a_failed_run_is_tried_again(tmp_path, monkeypatch):
    def fail(folder, command, extra):
        raise InstallError("no network")

    monkeypatch.setattr(install, "_run", fail)
    monkeypatch.setattr(install, "_make", lambda folder: folder.mkdir(exist_ok=True))
    for _ in range(2):
        with pytest.raises(InstallError):
            install.install("dev", tmp_path / "venv", {})


def test_the_installer_needs_only_the_standard_library():
    script = f"import sys; sys.path[:0] = [{str(REPOSITORY)!r}]; import local.install"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_constraints_name_no_place_and_no_build():
    lines = [line for line in (REPOSITORY / "constraints.txt").read_text().splitlines()
             if not line.startswith("#")]
    assert all(line.count("==") == 1 and "+" not in line and "/" not in line for line in lines)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_every_target_has_a_line_of_help():
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, text=True,
                          check=True, env=alone)
    targets = [line.split()[0] for line in done.stdout.splitlines()]
    assert targets == ["help", "demo", "test", "e2e", "check", "bench", "platform", "clean",
                       "distclean"]
    assert all(len(line.split()) > 1 for line in done.stdout.splitlines())
