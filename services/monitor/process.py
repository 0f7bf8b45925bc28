"""Retraining by a process beside the monitor; what it prints goes to the log."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import structlog

from services.common.errors import ServiceError
from services.monitor.retraining import Asked, Outcome

NICENESS = 10
GRACE_S = 5.0
log = structlog.stdlib.get_logger(__name__)


def command(given: Sequence[str], options: Sequence[str], asked: Asked) -> list[str]:
    """What trains: as given, or the trainer on the stored history of the same source."""
    return list(given) or [sys.executable, "-m", "ml.train", "--from-database", "--promote",
                           "--name", asked.model_name, "--source", asked.source, *options]


@dataclass(frozen=True, slots=True)
class _Running:
    process: subprocess.Popen[str]
    reader: threading.Thread
    last: deque[str]


class ProcessLauncher:
    """Trains in a session of its own, at low priority; it ends with the monitor."""

    name: Literal["process", "job"] = "process"

    def __init__(self, given: Sequence[str], options: Sequence[str] = ()) -> None:
        self._given, self._options = given, options
        self._running: dict[str, _Running] = {}

    def start(self, asked: Asked, requested_at: datetime) -> str:
        """Start the trainer; raises ServiceError if there is no such program."""
        words = command(self._given, self._options, asked)
        try:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, text=True, errors="replace",
                                       start_new_session=True)
        except OSError as error:
            raise ServiceError(f"{words[0]} can't be run: {error.strerror}") from error
        with contextlib.suppress(ProcessLookupError):  # it may be over already
            os.setpriority(os.PRIO_PGRP, process.pid, NICENESS)
        job = f"{socket.gethostname()}:{process.pid}"
        last: deque[str] = deque(maxlen=1)
        reader = threading.Thread(target=_tell, args=(process, last), daemon=True)
        reader.start()
        self._running[job] = _Running(process, reader, last)
        return job

    def look(self, job: str) -> Outcome:
        """Where it is; a process of another monitor is unknown."""
        running = self._running.get(job)
        if running is None:
            return Outcome("unknown")
        code = running.process.poll()
        if code is None:
            return Outcome("running")
        running.reader.join(GRACE_S)
        said = running.last[-1] if running.last else ""
        return Outcome("succeeded", said) if code == 0 else Outcome(
            "failed", f"ended with code {code}: {said}")

    def stop(self, job: str) -> None:
        """End it with all its children, by force if it does not go."""
        running = self._running.get(job)
        if running is None or running.process.poll() is not None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.process.wait(GRACE_S)
                return

    def close(self) -> None:
        """End all that still runs."""
        for job in self._running:
            self.stop(job)


def _tell(process: subprocess.Popen[str], last: deque[str]) -> None:
    for line in process.stdout or ():
        if line.strip():
            last.append(line.strip())
            log.info("trainer", pid=process.pid, said=line.rstrip())
