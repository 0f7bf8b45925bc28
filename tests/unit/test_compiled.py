from pathlib import Path

from ml.compiled import FOLDERS, cache_folder, compiled, seed

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


def test_machine_code_that_an_image_brings_is_used_from_a_copy(tmp_path):
    made = tmp_path / "image" / "kernels-1"
    made.mkdir(parents=True)
    (made / "price.nbi").write_text("code")

    seed(tmp_path / "tmp" / "kernels-1", str(tmp_path / "image"))

    assert (tmp_path / "tmp" / "kernels-1" / "price.nbi").read_text() == "code"
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == ["kernels-1"]


def test_machine_code_of_other_sources_or_none_is_left_alone(tmp_path):
    (tmp_path / "image" / "kernels-2").mkdir(parents=True)

    seed(tmp_path / "tmp" / "kernels-1", str(tmp_path / "image"))
    seed(tmp_path / "tmp" / "kernels-2", None)

    assert not (tmp_path / "tmp").exists()


def test_a_folder_that_is_there_is_not_replaced(tmp_path):
    for folder, text in (("image", "old"), ("tmp", "new")):
        (tmp_path / folder / "kernels-1").mkdir(parents=True)
        (tmp_path / folder / "kernels-1" / "price.nbi").write_text(text)

    seed(tmp_path / "tmp" / "kernels-1", str(tmp_path / "image"))

    assert (tmp_path / "tmp" / "kernels-1" / "price.nbi").read_text() == "new"
