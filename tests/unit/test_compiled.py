from pathlib import Path

from ml.compiled import FOLDERS, cache_folder, compiled

ROOT = Path(__file__).parents[2]


def test_kernels_are_only_where_a_change_is_seen():
    users = [path.relative_to(ROOT) for folder in ("ml", "services", "dashboard", "local")
             for path in (ROOT / folder).rglob("*.py")
             if "ml.compiled import" in path.read_text(encoding="utf-8")]
    assert users
    assert {user.parts[:2] for user in users} <= {("ml", folder) for folder in FOLDERS}


def test_a_change_of_any_source_makes_for_another_folder(tmp_path):
    (tmp_path / "smile").mkdir()
    source = tmp_path / "smile" / "kernel.py"
    source.write_text("x = 1")
    before = cache_folder(None, tmp_path)
    assert cache_folder(None, tmp_path) == before
    source.write_text("x = 2")
    assert cache_folder(None, tmp_path) != before


def test_the_folder_named_is_used(tmp_path):
    assert cache_folder(str(tmp_path / "here"), tmp_path).parent == tmp_path / "here"
    assert cache_folder(None, tmp_path).parent == tmp_path / "__pycache__"


def test_a_kernel_divides_as_numpy_does():
    @compiled
    def quotient(a, b):
        return a / b

    assert quotient(1.0, 0.0) == float("inf")
