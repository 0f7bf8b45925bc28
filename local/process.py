"""One child process: its own process group, a log file, no life after its parent."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from local.errors import PartFailed

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class Process:
    """A running command, the leader of its own process group.

    When the parent dies in whatever way, Linux sends the child `death_signal` (by default
    `stop_signal`), so start it from a thread that lives as long as the parent does.
    """

    def __init__(self, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None,
                 stop_signal: signal.Signals = signal.SIGTERM,
                 death_signal: signal.Signals | None = None) -> None:
        self.log = log
        self.stop_signal = stop_signal
        log.parent.mkdir(parents=True, exist_ok=True)

        def die_with_parent() -> None:
            if _libc is not None:
                _libc.prctl(PR_SET_PDEATHSIG, int(death_signal or stop_signal))

        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env={**os.environ, **(env or {})}, start_new_session=True,
                preexec_fn=die_with_parent,
            )

    @property
    def pid(self) -> int:
        """Process id, which is the process group's id too."""
        return self._popen.pid

    def born(self) -> float | None:
        """When the process was created, epoch seconds; None if it is gone already."""
        try:
            return float(psutil.Process(self.pid).create_time())
        except psutil.NoSuchProcess:
            return None

    def exit_code(self) -> int | None:
        """Exit code, or None while it runs."""
        return self._popen.poll()

    def terminate(self) -> None:
        """Ask the process to stop; its children are its own business until `finish`."""
        if self.exit_code() is None:
            self._popen.send_signal(self.stop_signal)

    def finish(self, grace_s: float) -> None:
        """Wait at most `grace_s` seconds, then kill whatever is left of the group."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(grace_s)
        _signal_group(self.pid)
        self._popen.wait()
        kill_group(self.pid)

    def stop(self, grace_s: float = 10.0) -> None:
        """Terminate, wait at most `grace_s`, then kill; returns when nothing is left."""
        self.terminate()
        self.finish(grace_s)


def kill_group(group: int, patience_s: float = 2.0) -> None:
    """Kill every process of a group, if there is any, and see them gone."""
    deadline = time.monotonic() + patience_s
    while _signal_group(group) and time.monotonic() < deadline:
        time.sleep(0.01)


def _signal_group(group: int) -> bool:
    """Kill a group; False if nobody is in it."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def group_memory(pid: int, children: bool = True) -> int:
    """Memory in bytes that a process holds, and by default all its children.

    Proportional set size (shared pages are divided among their users) where the kernel tells
    it, resident size elsewhere.
    """
    return sum(_memory(process) for process in _members(pid, children))


def _members(pid: int, children: bool) -> list[psutil.Process]:
    try:
        leader = psutil.Process(pid)
        return [leader, *(leader.children(recursive=True) if children else ())]
    except psutil.NoSuchProcess:
        return []


def _memory(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
        return int(getattr(full, "pss", full.rss))
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def last_line(log: Path, count: int = 1) -> str:
    """The last `count` non-empty lines of a log, or an empty string."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 65536))
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return "\n".join(lines[-count:])


def wait_ready(process: Process, ready: Callable[[], bool], name: str,
               timeout_s: float = 60.0) -> None:
    """Poll `ready` until it holds.

    Raises:
        PartFailed: the process ended, or the deadline passed.
    """
    deadline = time.monotonic() + timeout_s
    while not ready():
        code = process.exit_code()
        if code is not None:
            raise PartFailed(f"{name} ended with code {code}: {last_line(process.log)} "
                             f"(log: {process.log})")
        if time.monotonic() > deadline:
            raise PartFailed(f"{name} was not ready within {timeout_s:.0f} s (log: {process.log})")
        time.sleep(0.1)
