import subprocess
import sys

import psutil
import pytest

from local.errors import AlreadyRunning, LocalError
from local.process import Process
from local.state import Running, State, check_disk, claimed, state


def test_the_folder_comes_from_the_environment(tmp_path):
    assert state({"SMILE_STATE": str(tmp_path)}).folder == tmp_path
    assert state({}).folder.name == ".state"


def test_a_second_stack_on_the_same_folder_is_refused(tmp_path):
    where = State(tmp_path / "state")
    script = ("import sys; from pathlib import Path; from local.state import State, claimed\n"
              "with claimed(State(Path(sys.argv[1]))): print('held', flush=True); input()")
    holder = subprocess.Popen([sys.executable, "-c", script, str(where.folder)], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(AlreadyRunning, match="python -m local down"), claimed(where):
            pass
    finally:
        holder.communicate("\n")
    with claimed(where):
        assert where.logs.is_dir()


def test_leftovers_of_a_killed_supervisor_are_swept_away(tmp_path):
    where = State(tmp_path)
    left = Process([sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "log")
    gone = Running("gone", "ready", None, 2**22 + 1, 0.0)
    where.write(Running("supervisor", "running", None, 2**22, 0.0),
                [gone, Running("stage", "ready", None, left.pid, left.born())])
    with claimed(where):
        left.finish(10)
        assert left.exit_code() == -9
    assert where.supervisor() is None


def test_a_process_that_reuses_a_number_is_left_alone(tmp_path):
    where = State(tmp_path)
    other = Process([sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "log")
    where.write(Running("supervisor", "running", None, 2**22, 0.0),
                [Running("stage", "ready", None, other.pid, 1.0)])
    with claimed(where):
        assert psutil.pid_exists(other.pid) and other.exit_code() is None
    other.stop()


def test_a_torn_book_reads_as_nothing(tmp_path):
    (tmp_path / "running.json").write_text('{"supervisor": ')
    assert State(tmp_path).read() == (None, [])


def test_a_disk_nearly_full_is_refused(tmp_path):
    with pytest.raises(LocalError, match="GB are free on the disk of"):
        check_disk(tmp_path, least=2**60)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LocalError, match="SMILE_STATE"), claimed(State(tmp_path / "file" / "x")):
        pass
