"""`python -m local`: the whole pipeline on one machine."""

import argparse
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import psycopg2

from local import kafka, parts, ports, postgres, sources
from local.errors import LocalError, PartFailed
from local.part import Part
from local.process import group_memory
from local.sources import Source
from local.state import State, claimed, state
from local.supervisor import TURN_S, Progress, Supervisor, check_ports
from local.unit import GIVEN_UP, Status

MEGABYTE = 1024**2
DOWN_S = 90.0
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
ESSENTIAL = ("postgres", "kafka", "migrations")
FIRST_FORECAST = """
SELECT 1 FROM predicted_smile WHERE role = 'champion' AND target_at > %s LIMIT 1"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command: 0 if all went well, 1 for a failure, 2 for a user's mistake."""
    parser = _parser()
    options, more = parser.parse_known_args(arguments)
    if more and options.run is not _train:
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    options.more = more
    try:
        return int(options.run(options, state()))
    except LocalError as error:
        print(error, file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start everything and keep it running")
    up.add_argument("--source", nargs="+", default=["simulator"], metavar="WORD",
                    help="simulator, recording FILE, or HOST:PORT of a gateway")
    up.add_argument("--speed", type=float, default=60.0,
                    help="market seconds per second of a recording")
    up.add_argument("--history", type=float, default=6.5, metavar="HOURS",
                    help="of the last session, to train the first model")
    up.add_argument("--warmup", type=float, default=60.0, metavar="MINUTES",
                    help="simulated time before now that is filled at start")
    up.add_argument("--train", default="", metavar="OPTIONS", help="more options of ml.train")
    up.set_defaults(run=_up)
    commands.add_parser("status", help="what runs").set_defaults(run=_status)
    commands.add_parser("down", help="stop what runs").set_defaults(run=_down)
    commands.add_parser("fetch", help="download what the first start needs").set_defaults(
        run=_fetch)
    commands.add_parser(
        "train", add_help=False, help="train a model on what the running stack has seen, and "
        "promote it if it is good; takes the options of ml.train").set_defaults(run=_train)
    logs = commands.add_parser("logs", help="follow the log of a part")
    logs.add_argument("part")
    logs.add_argument("-n", type=int, default=40, help="lines to begin with")
    logs.set_defaults(run=_logs)
    return parser


# --- up
def _up(options: argparse.Namespace, where: State) -> int:
    source = sources.parse(" ".join(options.source))
    with claimed(where):
        demo = _demo(options, where, source)
        wanted = parts.build(demo)
        check_ports(wanted, dict(demo.ports))
        return _run(wanted, demo, where)


def _demo(options: argparse.Namespace, where: State, source: Source) -> parts.Demo:
    folder = where.folder / source.name
    folder.mkdir(exist_ok=True)
    symbol = _prepare(source, folder) if source.file else parts.demo_symbol()
    return parts.Demo(
        source=source, folder=folder, ports=ports.resolve(), symbol=symbol, speed=options.speed,
        history=timedelta(hours=options.history), warmup=timedelta(minutes=options.warmup),
        train_options=tuple(options.train.split()))


def _prepare(source: Source, folder: Path) -> str:
    """Cut the recording, if that is not done yet; returns its symbol."""
    symbol = folder / "symbol.txt"
    if not symbol.exists():
        done = subprocess.run([sys.executable, "-m", "local.recording", str(source.file),
                               str(folder)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise LocalError(_last_words(source, done))
    return symbol.read_text().strip()


def _last_words(source: Source, done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stderr.strip().splitlines()
    if lines:
        return lines[-1]
    how = f"code {done.returncode}" if done.returncode > 0 else f"signal {-done.returncode}"
    return f"Cutting {source.title} ended with {how} and said nothing; memory may have run out."


def _run(wanted: list[Part], demo: parts.Demo, where: State) -> int:
    progress = Progress()
    progress.line(f"Starting {len(wanted)} parts on {demo.source.title}; logs in {where.logs}")
    supervisor = Supervisor(wanted, where, progress.tell).on_signals()
    try:
        _start(supervisor, progress)
        _announce(supervisor, demo, progress)
        while not supervisor.stopping:
            supervisor.turn()
            time.sleep(TURN_S)
        return 0
    finally:
        progress.line("Stopping …")
        supervisor.stop()
        progress.line("All stopped.")


def _start(supervisor: Supervisor, progress: Progress) -> None:
    """Turn until every part is settled; raises PartFailed if one that all need is given up."""
    while not supervisor.stopping and not supervisor.settled:
        supervisor.turn()
        for name in ESSENTIAL:
            if supervisor.has_given_up(name):
                raise PartFailed(f"Nothing works without {name}: see {supervisor.state.log(name)}")
        progress.waiting(supervisor.waited_for)
        time.sleep(TURN_S)


def _announce(supervisor: Supervisor, demo: parts.Demo, progress: Progress) -> None:
    """The table of parts, then the moment of the first forecast."""
    if supervisor.stopping:
        return
    progress.line(_table(supervisor))
    page = demo.http("dashboard")
    if demo.source.kind == "gateway":
        progress.line("Until `python -m local train` has made a model of some hours of this "
                      f"gateway's quotes, the baselines forecast: {page}")
        return
    if supervisor.has_given_up("model_server"):
        progress.line(f"No model could be made: the baselines forecast in its place. {page}")
        return
    while not supervisor.stopping and not _forecasts(demo):
        supervisor.turn()
        progress.waiting("the first forecast")
        time.sleep(TURN_S)
    if not supervisor.stopping:
        progress.line(f"First forecast of the model after {progress.seconds:.0f} s: open {page}")


def _forecasts(demo: parts.Demo) -> bool:
    """True once the model has forecast beyond the moment of the start (or of the recording)."""
    since = demo.now if demo.source.kind == "simulator" else LONG_AGO
    try:
        return postgres.query(demo.shared["SMILE_DATABASE_URL"], FIRST_FORECAST, since) != []
    except psycopg2.Error:
        return False  # the database is on its way back


def _table(supervisor: Supervisor) -> str:
    rows, total = [], group_memory(os.getpid(), children=False)
    for unit in supervisor.units.values():
        memory = unit.memory
        total += memory
        rows.append(_row(unit.part.name, unit.status.value, memory, unit.part.url))
    failed = [name for name, unit in supervisor.units.items() if unit.status in GIVEN_UP]
    rows.append(_row("all", f"{len(failed)} failed" if failed else "", total, None))
    return "\n".join(rows)


def _row(name: str, status: str, memory: int, url: str | None) -> str:
    size = f"{memory / MEGABYTE:5.0f} MB" if memory else ""
    return f"  {name:<13} {status:<11} {size:>8}  {url or ''}".rstrip()


# --- the other commands
def _status(options: argparse.Namespace, where: State) -> int:
    if where.supervisor() is None:
        print(f"Nothing runs on {where.folder}: `make demo` starts it.")
        return 1
    total = 0
    _, running = where.read()
    for part in running:
        memory = group_memory(part.pid) if part.pid and part.process() else 0
        total += memory
        print(_row(part.name, part.state, memory, part.url))
    print(_row("all", "", total, None))
    stuck = {Status.FAILED.value, Status.BLOCKED.value, Status.PAUSING.value}
    return 1 if any(part.state in stuck for part in running) else 0


def _down(options: argparse.Namespace, where: State) -> int:
    supervisor = where.supervisor()
    if supervisor is None:
        print(f"Nothing runs on {where.folder}.")
        return 0
    supervisor.send_signal(signal.SIGTERM)
    try:
        supervisor.wait(DOWN_S)
    except psutil.TimeoutExpired:
        raise LocalError(f"The supervisor (process {supervisor.pid}) did not stop within "
                         f"{DOWN_S:.0f} s.") from None
    print("All stopped.")
    return 0


def _fetch(options: argparse.Namespace, where: State) -> int:
    print(f"Kafka: {len(kafka.jars())} jars")
    return 0


def _train(options: argparse.Namespace, where: State) -> int:
    if where.supervisor() is None:
        raise LocalError(f"Nothing runs on {where.folder}: `make demo` starts it.")
    os.execvpe(sys.executable, parts.training_command(options.more),
               os.environ | parts.training_environment(where.read()[1]))


def _logs(options: argparse.Namespace, where: State) -> int:
    file = where.log(options.part)
    if not file.exists():
        known = ", ".join(sorted(path.stem for path in where.logs.glob("*.log"))) or "none yet"
        raise LocalError(f"No log of `{options.part}`; there are: {known}.")
    os.execvp("tail", ["tail", "-n", str(options.n), "-F", str(file)])
