"""`python -m local up` for real: from nothing to a forecast on the page, and back to nothing."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import psycopg2
import pytest

from local import ports

REPOSITORY = Path(__file__).parents[2]
START_S = 900
"""How long a first start may take on a machine that does other things too."""
STOP_S = 120
SHORT = ("--history", "5", "--warmup", "20", "--train=--epochs 4")
CHAMPION = "SELECT count(*) FROM predicted_smile WHERE role = 'champion'"
SCORES = "SELECT count(*) FROM prediction_scores WHERE role = 'champion'"
SAMPLES_SINCE = ("SELECT count(*) FROM option_features WHERE source = 'simulated' "
                 "AND ts > to_timestamp({})")

pytestmark = pytest.mark.e2e


class Demo:
    """A running stack with ports and a state folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: ports.free() for name in ports.DEFAULTS}
        self.env = os.environ | {"SMILE_STATE": str(folder)} | {
            ports.setting(name): str(port) for name, port in self.ports.items()}
        self.output = folder / "up.txt"
        self.supervisor: subprocess.Popen | None = None

    def local(self, *arguments, **options) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-m", "local", *arguments], cwd=REPOSITORY,
                              env=self.env, capture_output=True, text=True, check=False,
                              timeout=STOP_S, **options)

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        with self.output.open("a") as output:
            self.supervisor = subprocess.Popen(
                [sys.executable, "-m", "local", "up", *SHORT], cwd=REPOSITORY, env=self.env,
                stdout=output, stderr=output)

    def query(self, statement: str) -> int:
        url = f"postgresql://smile@127.0.0.1:{self.ports['postgres']}/smile"
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()[0]

    def wait_for(self, what: str, condition) -> None:
        deadline = time.monotonic() + START_S
        while not condition():
            if self.supervisor.poll() is not None or "failed:" in self.output.read_text():
                pytest.fail(f"a part failed while waiting for {what}\n{self.report()}")
            if time.monotonic() > deadline:
                pytest.fail(f"no {what} within {START_S} s\n{self.report()}")
            time.sleep(1)

    def rows(self, statement: str):
        """A condition: the statement counts at least one row; the tables come with time."""
        def condition() -> bool:
            try:
                return self.query(statement) > 0
            except (psycopg2.OperationalError, psycopg2.errors.UndefinedTable):
                return False
        return condition

    def report(self) -> str:
        files = [self.output, *sorted(self.folder.glob("logs/*.log"))]
        return "\n".join(f"--- {file.name}\n" + "\n".join(file.read_text().splitlines()[-15:])
                         for file in files)

    def processes(self) -> list[psutil.Process]:
        """Every process that was started for this state folder."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return (process.environ().get("SMILE_STATE") == str(self.folder)
                    and process.status() != psutil.STATUS_ZOMBIE)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            return False

    def wait_until_gone(self) -> list[psutil.Process]:
        deadline = time.monotonic() + STOP_S
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.5)
        return left

    def end(self) -> None:
        """Whatever happened, nothing outlives the tests."""
        if self.supervisor and self.supervisor.poll() is None:
            self.supervisor.terminate()
            self.supervisor.wait(STOP_S)
        for process in self.processes():
            process.kill()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    demo = Demo(tmp_path_factory.mktemp("demo") / "state")
    try:
        demo.start()
        demo.wait_for("forecast of the champion", demo.rows(CHAMPION))
        yield demo
    finally:
        demo.end()


def test_scores_of_the_champion_appear(demo):
    demo.wait_for("score", demo.rows(SCORES))


def test_live_samples_flow_from_the_simulator(demo):
    # Later than any sample of the warm-up, which ends when that is made.
    demo.wait_for("live features", demo.rows(SAMPLES_SINCE.format(time.time())))


def test_every_part_is_up_and_says_where(demo):
    demo.wait_for("settled stack", lambda: "First forecast" in demo.output.read_text())
    status = demo.local("status")
    assert status.returncode == 0, status.stdout
    states = {line.split()[0]: line.split()[1] for line in status.stdout.splitlines()}
    jobs = ("migrations", "history", "train", "warmup")
    assert {states.pop(name) for name in jobs} == {"done"}
    states.pop("all")
    assert set(states.values()) == {"ready"}, states
    assert f"http://127.0.0.1:{demo.ports['dashboard']}" in status.stdout


def test_a_second_start_on_the_same_state_is_refused(demo):
    second = demo.local("up")
    assert second.returncode == 2 and "already runs" in second.stderr
    assert "Traceback" not in second.stderr


def test_the_page_shows_a_forecast(demo):
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no Chromium: install it to see the page")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1400, "height": 1100})
        page.goto(f"http://127.0.0.1:{demo.ports['dashboard']}")
        page.get_by_text("champion").first.wait_for(timeout=120_000)
        page.get_by_text("Forecast", exact=True).first.wait_for(timeout=60_000)
        text = page.inner_text("body")
        chromium.close()
    assert "simulated" in text and "Traceback" not in text


def test_a_part_that_is_killed_comes_back(demo):
    noted = demo.local("status").stdout
    assert "writer" in noted
    writer = next(process for process in demo.processes()
                  if "services.writer" in process.cmdline())
    writer.kill()
    demo.wait_for("writer again", lambda: any(
        "services.writer" in process.cmdline() and process.pid != writer.pid
        for process in demo.processes()))


def test_stopping_leaves_no_process_and_a_second_start_goes_on(demo):
    made = demo.query(CHAMPION)
    demo.supervisor.send_signal(signal.SIGTERM)
    assert demo.supervisor.wait(STOP_S) == 0, demo.report()
    assert demo.processes() == []

    demo.start()
    demo.wait_for("more forecasts", lambda: demo.rows(CHAMPION)() and demo.query(CHAMPION) > made)
    assert "train         done: done by an earlier run" in demo.output.read_text()


def test_a_supervisor_that_is_killed_takes_everything_with_it(demo):
    demo.supervisor.kill()
    demo.supervisor.wait()
    left = demo.wait_until_gone()
    assert left == [], [process.cmdline() for process in left]
