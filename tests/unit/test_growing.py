"""Arrays that grow by rows."""

import numpy as np
import pytest

from ml.errors import OutputError
from ml.growing import Store


def rows(count, begin=0):
    """Two columns of that many rows."""
    number = np.arange(begin, begin + count)
    return {"a": number.astype(np.int64), "b": np.outer(number, [1.0, 2.0])}


@pytest.mark.parametrize("spill_bytes", [0, 60, 10**6], ids=["always", "now and then", "never"])
def test_rows_come_back_in_the_order_they_went_in(tmp_path, spill_bytes):
    for folder in (None, tmp_path / "new" / "folder"):
        store = Store(folder, spill_bytes)
        for begin in (0, 2, 4):
            store.append(rows(2, begin))
        made = store.finish()

        assert made["a"].dtype == np.int64
        assert made["a"].tolist() == [0, 1, 2, 3, 4, 5]
        assert made["b"].tolist() == [[number, 2.0 * number] for number in range(6)]


@pytest.mark.parametrize("spill_bytes", [-1, 10**6])
def test_no_rows_are_an_empty_array_of_their_shape(spill_bytes):
    store = Store(None, spill_bytes)
    store.append(rows(0))
    made = store.finish()

    assert made["a"].shape == (0,) and made["b"].shape == (0, 2)


def test_files_are_named_in_a_folder_and_mapped_read_only(tmp_path):
    store = Store(tmp_path, spill_bytes=0)
    store.append(rows(3))
    made = store.finish()

    assert (tmp_path / "b.bin").stat().st_size == 48
    with pytest.raises(ValueError, match="read-only"):
        made["b"][0] = 1.0


def test_files_that_can_not_be_written_are_one_sentence(tmp_path):
    (tmp_path / "taken").write_text("a file where a folder is wanted")
    store = Store(tmp_path / "taken", spill_bytes=0)

    with pytest.raises(OutputError, match=r"taken: the dataset can't be written: "):
        store.append(rows(3))
