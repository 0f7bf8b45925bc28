"""The ingest's entry: a user's mistake is one sentence and exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest

from services.common.errors import SettingsError
from services.common.settings import load
from services.ingest.settings import IngestSettings

REPOSITORY = Path(__file__).parents[2]


def run(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "services.ingest"], cwd=REPOSITORY, timeout=60,
                          env={"SMILE_METRICS_PORT": "0", **environment}, text=True,
                          capture_output=True, check=False)


def test_a_file_that_is_no_recording_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    ended = run(SMILE_KAFKA_BOOTSTRAP="127.0.0.1:1", SMILE_SOURCE="recording",
                SMILE_RECORDING=str(tmp_path / "notes.txt"))
    assert ended.returncode == 2
    assert "notes.txt: not a quotes file" in ended.stderr and "Traceback" not in ended.stderr


def test_a_recording_that_is_not_named_is_asked_for() -> None:
    ended = run(SMILE_KAFKA_BOOTSTRAP="127.0.0.1:1", SMILE_SOURCE="recording")
    assert ended.returncode == 2
    assert "SMILE_RECORDING is not set" in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.parametrize(("name", "value"), [
    ("SOURCE", "telepathy"), ("LINES", "2"), ("SAMPLE_SECONDS", "0"), ("CLIENT_ID", "0"),
    ("CLOCK", "sundial"), ("SPEED", "-1"), ("GATEWAY_PORT", "70000"), ("EXPIRIES", "many")])
def test_a_bad_setting_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"SMILE_{name}="):
        load(IngestSettings, {"SMILE_KAFKA_BOOTSTRAP": "x", f"SMILE_{name}": value})


def test_the_tws_path_loads_no_data_frames() -> None:
    code = ("import sys, services.ingest.main, services.ingest.ibkr.source; "
            "print([name for name in ('pandas', 'pyarrow', 'scipy') if name in sys.modules])")
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, text=True,
                           capture_output=True, check=True)
    assert ended.stdout.strip() == "[]"
