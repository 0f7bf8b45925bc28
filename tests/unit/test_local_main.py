import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from local import ports
from local.main import main
from local.state import Running, State

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("SMILE_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def told(capsys, *arguments):
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, (captured.out + captured.err).strip()


def test_a_source_that_is_none_is_one_sentence(capsys):
    code, text = told(capsys, "up", "--source", "nonsense")
    assert code == 2 and text.startswith("`nonsense` is no source") and "\n" not in text


def test_a_recording_that_is_none_is_one_sentence(capsys, tmp_path):
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    code, text = told(capsys, "up", "--source", "recording", str(tmp_path / "bad.csv"))
    assert code == 2 and "bad.csv" in text and "\n" not in text


def test_a_recording_whose_cutting_is_killed_is_one_sentence(capsys, tmp_path, monkeypatch):
    (tmp_path / "big.csv").touch()
    killed = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda command, **options: run(killed, **options))
    code, text = told(capsys, "up", "--source", "recording", str(tmp_path / "big.csv"))
    assert code == 2 and text.startswith("Cutting the recording big.csv ended with signal 9 ")
    assert "\n" not in text


def test_a_port_in_use_is_one_sentence(capsys, monkeypatch):
    import socket

    for name in ports.DEFAULTS:
        monkeypatch.setenv(ports.setting(name), str(ports.free()))
    with socket.create_server((ports.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("SMILE_PORT_DASHBOARD", str(port))
        code, text = told(capsys, "up")
    assert code == 2 and f"Port {port}" in text and "SMILE_PORT_DASHBOARD" in text


def test_nothing_runs_before_the_first_start(capsys, own_state):
    assert told(capsys, "status") == (1, f"Nothing runs on {own_state}: `make demo` starts it.")
    assert told(capsys, "down") == (0, f"Nothing runs on {own_state}.")


def test_training_wants_a_running_stack(capsys, own_state):
    code, text = told(capsys, "train", "--within-day")
    assert code == 2 and text == f"Nothing runs on {own_state}: `make demo` starts it."


def test_training_uses_the_running_stack_s_tables_and_registry(own_state, monkeypatch):
    class Became(Exception):
        """In place of becoming another program."""

    def become(*program):
        raise Became(*program)

    me = psutil.Process()
    own_state.mkdir()
    State(own_state).write(
        Running("supervisor", "running", None, me.pid, me.create_time()),
        [Running("postgres", "running", "postgresql://here:1/smile", None, None),
         Running("mlflow", "running", "http://here:2", None, None)])
    monkeypatch.setattr(os, "execvpe", become)

    with pytest.raises(Became) as caught:
        main(["train", "--symbol", "SPY", "--epochs", "3", "--within-day"])

    program, command, environment = caught.value.args
    assert command == [program, "-m", "ml.train", "--from-database", "--promote",
                       "--symbol", "SPY", "--epochs", "3", "--within-day"]
    assert environment["SMILE_DATABASE_URL"] == "postgresql://here:1/smile"
    assert environment["MLFLOW_TRACKING_URI"] == "http://here:2"


@pytest.mark.parametrize("command", ["up", "status", "down"])
def test_other_commands_take_no_options_of_training(capsys, command):
    with pytest.raises(SystemExit, match="2"):
        main([command, "--epochs", "3"])
    assert "unrecognized arguments: --epochs 3" in capsys.readouterr().err


def test_logs_of_an_unknown_part_name_those_that_exist(capsys, own_state):
    (own_state / "logs").mkdir(parents=True)
    (own_state / "logs" / "kafka.log").touch()
    code, text = told(capsys, "logs", "kafak")
    assert code == 2 and text == "No log of `kafak`; there are: kafka."


def test_the_command_line_exits_with_the_code():
    done = subprocess.run([sys.executable, "-m", "local", "up", "--source", "nonsense"],
                          cwd=REPOSITORY, env=dict(os.environ), capture_output=True, text=True,
                          check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr
