"""What a part of the stack is, as data."""

import http.client
import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Probe = Callable[[], bool]
PROBE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process of the stack: a service that stays, or a job that ends."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    """Parts that have to be ready (jobs: done) before this one starts."""
    after: tuple[str, ...] = ()
    """Parts that have to be ready or given up before this one starts."""
    ready: Probe | None = None
    """Whether the service is in health; None marks a job, which is done when it exits with 0."""
    ports: tuple[str, ...] = ()
    """Names (see `local.ports`) of the ports it listens on."""
    url: str | None = None
    """What to show to a person."""
    stamp: Path | None = None
    """A job with a stamp runs once: its success makes the file, the file makes it unnecessary."""
    may_end: bool = False
    """A service that is done, not dead, when it exits with 0: a recording comes to its end."""
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals | None = None
    """What it gets when the supervisor is killed, if not the stop signal."""
    grace_s: float = 15.0

    @property
    def is_job(self) -> bool:
        """True if it is meant to end."""
        return self.ready is None

    @property
    def is_done_before(self) -> bool:
        """True for a job that an earlier run has done."""
        return self.stamp is not None and self.stamp.exists()


@dataclass(frozen=True, slots=True)
class Answers:
    """A probe: the URL answers with 200."""

    url: str

    def __call__(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=PROBE_TIMEOUT_S) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, http.client.HTTPException, OSError):
            return False


@dataclass(frozen=True, slots=True)
class Calls:
    """A probe: a function of one address says yes."""

    function: Callable[[str], bool]
    address: str

    def __call__(self) -> bool:
        return self.function(self.address)
