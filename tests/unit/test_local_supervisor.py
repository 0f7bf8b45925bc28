"""The supervisor, on tiny parts that are real processes."""

import io
import os
import signal
import subprocess
import sys
import time
from functools import partial

import psutil
import pytest

from local import ports
from local.errors import LocalError, PortInUse
from local.part import Answers, Part
from local.state import State
from local.supervisor import Progress, Supervisor, check_ports
from local.unit import Status

SERVER = "import sys, http.server as h; h.test(h.SimpleHTTPRequestHandler, port=int(sys.argv[1]))"
DEADLINE_S = 60


def python(name, script, *arguments, **options):
    """A part that runs a script."""
    return Part(name=name, command=(sys.executable, "-c", script, *map(str, arguments)), **options)


def service(name, **options):
    """A part that is a web server."""
    port = ports.free()
    return python(name, SERVER, port, ready=Answers(f"http://127.0.0.1:{port}/"), **options)


class Told:
    """What the supervisor told, in order."""

    def __init__(self):
        self.lines = []

    def __call__(self, name, what):
        self.lines.append((name, what))

    def names(self, what):
        return [name for name, said in self.lines if said == what]


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def state(tmp_path):
    (tmp_path / "logs").mkdir()
    return State(tmp_path)


@pytest.fixture
def supervise(state, told, leaves_no_process):
    made = []

    def make(*parts):
        made.append(Supervisor(parts, state, told))
        return made[-1]

    yield make
    for supervisor in made:
        supervisor.stop()


def turn_until(supervisor, condition):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, [(n, u.status) for n, u in supervisor.units.items()]
        supervisor.turn()
        time.sleep(0.02)


def test_a_part_starts_once_what_it_needs_is_ready(supervise, told):
    supervisor = supervise(service("store"), python("job", "", needs=("store",)),
                           service("stage", needs=("job",)))
    turn_until(supervisor, lambda: supervisor.settled)
    assert told.lines == [("store", "starting"), ("store", "ready"), ("job", "starting"),
                          ("job", "done"), ("stage", "starting"), ("stage", "ready")]


def test_a_part_that_dies_comes_back(supervise):
    supervisor = supervise(service("stage"))
    unit = supervisor.units["stage"]
    turn_until(supervisor, lambda: unit.is_up)
    first = unit.process.pid
    os.kill(first, signal.SIGKILL)
    turn_until(supervisor, lambda: unit.status is Status.PAUSING)
    turn_until(supervisor, lambda: unit.is_up)
    assert unit.process.pid != first


def test_pauses_between_restarts_grow(supervise, told):
    supervisor = supervise(python("stage", "raise SystemExit('no luck')", ready=lambda: False))
    turn_until(supervisor, lambda: supervisor.units["stage"].failures == 2)
    again = [said for _, said in told.lines if "again in" in said]
    assert [line.rpartition("again in ")[2] for line in again] == ["1 s", "2 s"]
    assert all("no luck" in line for line in again)


def test_a_users_mistake_is_not_tried_again_and_blocks_who_needs_it(supervise, told):
    mistake = "import sys; sys.exit(print('no such file', file=sys.stderr) or 2)"
    supervisor = supervise(python("job", mistake), python("next", "", needs=("job",)),
                           python("anyway", "", after=("job",)))
    turn_until(supervisor, lambda: supervisor.settled)
    statuses = {name: unit.status for name, unit in supervisor.units.items()}
    assert statuses == {"job": Status.FAILED, "next": Status.BLOCKED, "anyway": Status.DONE}
    assert ("job", "failed: ended with code 2: no such file") in told.lines


def test_a_job_with_a_stamp_runs_once(supervise, tmp_path):
    job = python("job", "", stamp=tmp_path / "made" / "stamp")
    for expected in (True, False):
        supervisor = supervise(job)
        started = []
        supervisor.units["job"]._tell = lambda name, what, log=started: log.append(what)
        turn_until(supervisor, lambda supervisor=supervisor: supervisor.settled)
        assert ("starting" in started) is expected


def test_a_service_that_may_end_is_done_and_not_started_again(supervise, told):
    supervisor = supervise(python("replay", "", ready=lambda: False, may_end=True))
    turn_until(supervisor, lambda: supervisor.settled)
    assert told.lines == [("replay", "starting"), ("replay", "done")]


def test_a_failed_job_leaves_no_stamp(supervise, tmp_path):
    supervisor = supervise(python("job", "raise SystemExit(2)", stamp=tmp_path / "stamp"))
    turn_until(supervisor, lambda: supervisor.settled)
    assert not (tmp_path / "stamp").exists()


def test_parts_stop_in_reverse_order_of_need(supervise, tmp_path):
    note = ("import signal, sys, time\n"
            "def leave(*_):\n"
            "    open(sys.argv[1], 'a').write(sys.argv[2] + ' '); sys.exit(0)\n"
            "signal.signal(signal.SIGTERM, leave)\n"
            "print('up', flush=True)\n"
            "time.sleep(600)")
    order = tmp_path / "order"
    names = ("store", "stage", "feed")
    supervisor = supervise(*(
        python(name, note, order, name, needs=names[:at],
               ready=partial(written, tmp_path / "logs" / f"{name}.log"))
        for at, name in enumerate(names)))
    turn_until(supervisor, lambda: supervisor.settled)
    supervisor.stop()
    assert order.read_text().split() == ["feed", "stage", "store"]


def written(log):
    return log.exists() and "up" in log.read_text()


def lives(pid):
    """Whether a process runs; one that nobody has buried yet does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until_dead(pid):
    deadline = time.monotonic() + DEADLINE_S
    while lives(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not lives(pid)


def test_what_ignores_the_signal_is_killed_with_its_children(supervise, told, tmp_path):
    stubborn = ("import signal, subprocess, sys, time\n"
                "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
                "print('up', child.pid, flush=True)\n"
                "time.sleep(600)")
    log = tmp_path / "logs" / "stubborn.log"
    supervisor = supervise(python("stubborn", stubborn, ready=partial(written, log), grace_s=0.2))
    turn_until(supervisor, lambda: supervisor.settled)
    supervisor.stop()
    assert not lives(int(log.read_text().split()[-1]))
    assert ("stubborn", "did not stop in time: killed") in told.lines


def test_children_die_with_a_supervisor_that_is_killed(tmp_path):
    script = ("import sys, time\n"
              "from pathlib import Path\n"
              "from local.process import Process\n"
              "child = Process([sys.executable, '-c', 'import time; time.sleep(600)'], "
              "Path(sys.argv[1]))\n"
              "print(child.pid, flush=True)\n"
              "time.sleep(600)")
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "log")],
                              stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until_dead(child)


def test_the_signal_at_the_supervisors_death_can_be_another(tmp_path):
    stubborn = ("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
                "print('up', flush=True); time.sleep(600)")
    script = ("import signal, sys, time\n"
              "from pathlib import Path\n"
              "from local.process import Process\n"
              f"child = Process([sys.executable, '-c', {stubborn!r}], Path(sys.argv[1]), "
              "death_signal=signal.SIGKILL)\n"
              "print(child.pid, flush=True)\n"
              "time.sleep(600)")
    log = tmp_path / "log"
    parent = subprocess.Popen([sys.executable, "-c", script, str(log)], stdout=subprocess.PIPE,
                              text=True)
    child = int(parent.stdout.readline())
    deadline = time.monotonic() + DEADLINE_S
    while not written(log) and time.monotonic() < deadline:
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until_dead(child)


def test_what_runs_is_written_down(supervise, state):
    supervisor = supervise(service("stage", url="http://here"))
    turn_until(supervisor, lambda: supervisor.settled)
    noted, (part,) = state.read()
    assert noted.pid == os.getpid() and state.supervisor().pid == os.getpid()
    assert (part.name, part.state, part.url) == ("stage", "ready", "http://here")
    assert part.process().pid == supervisor.units["stage"].process.pid


def test_a_part_cannot_wait_for_one_that_comes_later(state, told):
    with pytest.raises(LocalError, match="first comes before second"):
        Supervisor([python("first", "", needs=("second",)), python("second", "")], state, told)


def test_a_port_in_use_is_named_with_its_setting():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match=f"Port {port}, .*SMILE_PORT_KAFKA to a free port"):
            check_ports([python("kafka", "", ports=("kafka",))], {"kafka": port})


def test_progress_writes_one_line_per_change():
    output = io.StringIO()
    progress = Progress(output)
    progress.waiting("something that has not taken long yet")
    progress.tell("kafka", "ready")
    assert output.getvalue().split() == ["0.0", "s", "kafka", "ready"]


def test_progress_says_what_takes_long(monkeypatch):
    output = io.StringIO()
    progress = Progress(output)
    monkeypatch.setattr(Progress, "seconds", 42.0)
    progress.waiting("train (epochs 7/60)")
    progress.waiting("train (epochs 8/60)")
    assert output.getvalue() == "  42.0 s  waiting for train (epochs 7/60)\n"


def test_a_job_under_way_shows_the_last_line_of_its_log(supervise, tmp_path):
    script = "import time; print('epochs 7/60', flush=True); time.sleep(600)"
    supervisor = supervise(python("train", script))
    log = tmp_path / "logs" / "train.log"
    turn_until(supervisor, lambda: log.exists() and log.read_text())
    assert supervisor.waited_for == "train (epochs 7/60)"
