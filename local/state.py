"""The state folder: where everything of the embedded stack lives, and who runs on it."""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from local.errors import AlreadyRunning, LocalError
from local.process import kill_group

LEAST_FREE = 2 * 1024**3
REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Running:
    """A part as the supervisor last saw it."""

    name: str
    state: str
    url: str | None
    pid: int | None
    born: float | None
    """When the process was created, epoch seconds: tells it from a later one of that number."""

    def process(self) -> psutil.Process | None:
        """The process, if it is still that one."""
        if self.pid is None:
            return None
        try:
            process = psutil.Process(self.pid)
            return process if process.create_time() == self.born else None
        except psutil.NoSuchProcess:
            return None


@dataclass(frozen=True, slots=True)
class State:
    """Paths below one folder; nothing of the stack is written anywhere else."""

    folder: Path

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def book(self) -> Path:
        """What runs now, for `status` and for the sweep after a hard kill."""
        return self.folder / "running.json"

    def log(self, part: str) -> Path:
        """The log file of a part."""
        return self.logs / f"{part}.log"

    def write(self, supervisor: Running, parts: list[Running]) -> None:
        """Note what runs."""
        text = json.dumps({"supervisor": asdict(supervisor), "parts": [asdict(p) for p in parts]})
        fresh = self.book.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.book)

    def read(self) -> tuple[Running | None, list[Running]]:
        """The supervisor and its parts as last noted; nothing if it stopped in good order."""
        try:
            noted = json.loads(self.book.read_text())
            return (Running(**noted["supervisor"]), [Running(**part) for part in noted["parts"]])
        except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError):
            return None, []

    def supervisor(self) -> psutil.Process | None:
        """The supervisor that runs on this folder, if there is one."""
        noted, _ = self.read()
        return noted.process() if noted else None


def state(environ: Mapping[str, str] = os.environ) -> State:
    """The state folder: `SMILE_STATE`, or `.state` in the repository."""
    return State(Path(environ.get("SMILE_STATE") or REPOSITORY / ".state").resolve())


@contextlib.contextmanager
def claimed(where: State) -> Iterator[None]:
    """Hold the state folder for this process alone, with leftovers of a killed run swept away.

    Raises:
        AlreadyRunning: another supervisor holds it.
        LocalError: the folder can't be made, or its disk is nearly full.
    """
    _make(where)
    with (where.folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(f"A stack already runs on {where.folder}: `python -m local "
                                 "status` shows it, `python -m local down` stops it.") from error
        sweep(where)
        try:
            yield
        finally:
            where.book.unlink(missing_ok=True)


def _make(where: State) -> None:
    try:
        where.logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LocalError(f"The state folder {where.folder} can't be made ({error.strerror}): "
                         "set SMILE_STATE to a folder of yours.") from error
    check_disk(where.folder)


def check_disk(folder: Path, least: int = LEAST_FREE) -> None:
    """Refuse a disk that is nearly full.

    Raises:
        LocalError: less than `least` bytes are free.
    """
    left = shutil.disk_usage(folder).free
    if left < least:
        raise LocalError(f"Only {left / 1024**3:.1f} GB are free on the disk of {folder}, "
                         f"{least / 1024**3:.1f} are needed: make room, or set SMILE_STATE to a "
                         "folder on another disk.")


def sweep(where: State) -> list[str]:
    """Kill what a supervisor that was itself killed left running; returns the names."""
    _, parts = where.read()
    # A leader that is gone may have left children in its group; its number stays theirs.
    left = [part for part in parts if part.pid is not None
            and (part.process() is not None or not psutil.pid_exists(part.pid))]
    for part in left:
        kill_group(part.pid or 0)
    return [part.name for part in left]
