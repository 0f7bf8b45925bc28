"""The ingest's entry: a user's mistake is one sentence and exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest

from ml.quotes.format import write_quotes
from services.common.errors import SettingsError
from services.common.health import Heartbeat
from services.common.lifecycle import Stop
from services.common.settings import load
from services.ingest.cadence import Patience
from services.ingest.main import open_source
from services.ingest.settings import IngestSettings
from tests.unit.quotes_data import quotes_frame

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


def test_a_recording_without_quotes_is_a_mistake(tmp_path: Path) -> None:
    write_quotes(quotes_frame().iloc[:0], tmp_path / "empty.csv")
    ended = run(SMILE_KAFKA_BOOTSTRAP="127.0.0.1:1", SMILE_SOURCE="recording",
                SMILE_RECORDING=str(tmp_path / "empty.csv"))
    assert ended.returncode == 2
    assert "empty.csv: the file holds no quotes" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_recording_that_is_not_named_is_asked_for() -> None:
    ended = run(SMILE_KAFKA_BOOTSTRAP="127.0.0.1:1", SMILE_SOURCE="recording")
    assert ended.returncode == 2
    assert "SMILE_RECORDING is not set" in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.parametrize(("name", "value"), [
    ("SOURCE", "telepathy"), ("LINES", "2"), ("SAMPLE_SECONDS", "0"), ("CLIENT_ID", "0"),
    ("CLOCK", "sundial"), ("SPEED", "-1"), ("GATEWAY_PORT", "70000"), ("EXPIRIES", "many"),
    ("SOURCE_LABEL", "guessed")])
def test_a_bad_setting_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"SMILE_{name}="):
        load(IngestSettings, {"SMILE_KAFKA_BOOTSTRAP": "x", f"SMILE_{name}": value})


@pytest.mark.parametrize(("given", "label"), [
    ({}, "live"), ({"SMILE_SOURCE": "recording"}, "recorded"),
    ({"SMILE_SOURCE": "recording", "SMILE_SOURCE_LABEL": ""}, "recorded"),
    ({"SMILE_SOURCE": "recording", "SMILE_SOURCE_LABEL": "simulated"}, "simulated"),
    ({"SMILE_SOURCE_LABEL": "simulated"}, "simulated")])
def test_the_label_is_what_is_set_or_what_the_source_is(given: dict[str, str], label: str) -> None:
    assert load(IngestSettings, {"SMILE_KAFKA_BOOTSTRAP": "x", **given}).label == label


async def test_a_recording_is_played_under_its_label(tmp_path: Path) -> None:
    write_quotes(quotes_frame(), tmp_path / "q.csv")
    setting = load(IngestSettings, {
        "SMILE_KAFKA_BOOTSTRAP": "x", "SMILE_SOURCE": "recording",
        "SMILE_RECORDING": str(tmp_path / "q.csv"), "SMILE_SOURCE_LABEL": "simulated"})
    source = open_source(setting, Patience(Stop(), Heartbeat()))
    assert {part.source async for slices in source.instants() for part in slices} == {"simulated"}


def test_the_tws_path_loads_no_data_frames() -> None:
    code = ("import sys, services.ingest.main, services.ingest.ibkr.source; "
            "print([name for name in ('pandas', 'pyarrow', 'scipy') if name in sys.modules])")
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, text=True,
                           capture_output=True, check=True)
    assert ended.stdout.strip() == "[]"
