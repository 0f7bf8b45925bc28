"""Where the real quotes are that tests read by path; they skip where there are none."""

import os
from pathlib import Path

import pytest

BESIDE_REPO = Path(__file__).parents[2].parent / "shared" / "data"


def shared_folder(name: str) -> Path:
    """A folder of real data: of `SMILE_TEST_DATA`, or of shared/data beside the repository."""
    folder = Path(os.environ.get("SMILE_TEST_DATA", BESIDE_REPO)) / name
    if not folder.is_dir():
        pytest.skip(f"no real quotes: {name} is not in shared/data; set SMILE_TEST_DATA")
    return folder
