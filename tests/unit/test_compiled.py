from ml.compiled import cache_folder, compiled


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
