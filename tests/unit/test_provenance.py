import subprocess
from pathlib import Path

import pytest

from ml import provenance


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with one committed file, as the place of this code."""
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "code.py"))
    (tmp_path / "code.py").write_text("1")
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "code.py"], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_a_clean_tree_is_its_commit(repository):
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, check=True, text=True,
                          capture_output=True).stdout.strip()

    assert provenance.source_code() == {"git_commit": head, "git_dirty": "False"}


def test_a_changed_file_shows_and_a_stranger_does_not(repository):
    (repository / "note.txt").write_text("not ours")
    assert provenance.source_code()["git_dirty"] == "False"

    (repository / "code.py").write_text("2")
    assert provenance.source_code()["git_dirty"] == "True"


def test_without_a_repository_neither_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "code.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    assert provenance.source_code() == {"git_commit": "unknown", "git_dirty": "unknown"}


def test_an_image_says_what_it_was_built_of(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "code.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("SMILE_GIT_COMMIT", "0123abcd")

    assert provenance.source_code() == {"git_commit": "0123abcd", "git_dirty": "unknown"}


def test_the_trainers_image_is_told_its_commit():
    dockerfile = (Path(__file__).parents[2] / "Dockerfile").read_text()
    trainer = dockerfile.partition(" AS trainer\n")[2].partition("FROM ")[0]

    assert f"ARG {provenance.COMMIT}=" in trainer
    assert f"ENV {provenance.COMMIT}=${{{provenance.COMMIT}}}" in trainer


def test_without_git_neither(monkeypatch):
    monkeypatch.setenv("PATH", "")

    assert provenance.source_code() == {"git_commit": "unknown", "git_dirty": "unknown"}
