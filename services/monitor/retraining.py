"""Retrainings: asked for once in a cool-down, whoever asks; their ends written down.

The table `retrainings` is the only memory, so that neither a restart nor a second replica asks
twice. What trains is a process or a Job of its own: the monitor's loop never waits for it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

import structlog

from services.common import metrics
from services.common.database import Database
from services.common.errors import ServiceError, Unavailable

LOCK = 7_405_131  # any constant: two that ask at once wait for each other
LOOK_EVERY_S = 5.0
log = structlog.stdlib.get_logger(__name__)

ASK = """
INSERT INTO retrainings (model_name, reason, launcher, status)
SELECT %(model)s, %(reason)s, %(launcher)s, 'requested'
WHERE NOT EXISTS (SELECT FROM retrainings
                  WHERE model_name = %(model)s AND requested_at > now() - %(cooldown)s)
RETURNING requested_at"""
STARTED = """
UPDATE retrainings SET status = 'running', job = %(job)s
WHERE model_name = %(model)s AND requested_at = %(at)s"""
WITHDRAWN = "DELETE FROM retrainings WHERE model_name = %(model)s AND requested_at = %(at)s"
UNENDED = """
SELECT model_name, requested_at, job, requested_at < now() - %(timeout)s FROM retrainings
WHERE launcher = %(launcher)s AND status IN ('requested', 'running') ORDER BY requested_at"""
ENDED = """
UPDATE retrainings SET status = %(status)s, ended_at = now(), detail = %(detail)s
WHERE model_name = %(model)s AND requested_at = %(at)s AND status IN ('requested', 'running')
RETURNING status"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where a retraining is; `unknown` is one that the launcher has no trace of."""

    status: Literal["running", "succeeded", "failed", "unknown"]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be trained, and why."""

    model_name: str
    source: str
    """Where the quotes came from that it is to be trained on: live, simulated or recorded."""
    reason: str


class Launcher(Protocol):
    """What starts trainings and sees them end; none of its methods takes long."""

    name: Literal["process", "job"]

    def start(self, asked: Asked, requested_at: datetime) -> str:
        """Start one; by what it is called. Raises ServiceError if that can't be done."""

    def look(self, job: str) -> Outcome:
        """Where one is.

        Raises Unavailable if that can't be told for now, another ServiceError if it never can.
        """

    def stop(self, job: str) -> None:
        """End one that takes too long."""

    def close(self) -> None:
        """Leave; what can't go on without this process is ended."""


class Retraining:
    """Asks a launcher for retrainings and writes down what becomes of them."""

    def __init__(self, database: Database, launcher: Launcher, cooldown_s: float, timeout_s: float,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._launcher, self._clock = database, launcher, clock
        self._cooldown, self._timeout = timedelta(seconds=cooldown_s), timedelta(seconds=timeout_s)
        self._look_at = clock()

    def __enter__(self) -> "Retraining":
        return self

    def __exit__(self, *error: object) -> None:
        """End what can't go on alone, and write that down if the database lets us."""
        self._launcher.close()
        try:
            self._look()
        except Unavailable as why:
            log.warning("the end of a retraining could not be written down", why=str(why))

    def ask(self, asked: Asked) -> None:
        """Retrain, unless that was asked for within the cool-down.

        Raises:
            Unavailable: the database does not answer.
        """
        model_name = asked.model_name
        at = self._claim(model_name, asked.reason)
        if at is None:
            log.info("no retraining: the last one is too short a while ago", model=model_name)
            return
        try:
            job = self._launcher.start(asked, at)
        except Unavailable as error:
            self._withdraw(model_name, at)
            log.warning("no retraining for now", model=model_name, why=str(error))
            return
        except ServiceError as error:
            self._end(model_name, at, "failed", str(error))
            return
        with self._database.transaction() as cursor:
            cursor.execute(STARTED, {"model": model_name, "at": at, "job": job})
        metrics.RETRAININGS.labels("started").inc()
        log.warning("retraining", model=model_name, job=job, reason=asked.reason)

    def step(self) -> None:
        """Now and then see whether one has ended.

        Raises:
            Unavailable: the database does not answer.
        """
        if self._clock() >= self._look_at:
            self._look_at = self._clock() + LOOK_EVERY_S
            self._look()

    def _claim(self, model_name: str, reason: str) -> datetime | None:
        with self._database.transaction() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            cursor.execute(ASK, {"model": model_name, "reason": reason,
                                 "launcher": self._launcher.name, "cooldown": self._cooldown})
            row = cursor.fetchone()
        return row[0] if row else None

    def _withdraw(self, model_name: str, at: datetime) -> None:
        """Nothing came of it, by no fault that lasts: the next check may ask again."""
        with self._database.transaction() as cursor:
            cursor.execute(WITHDRAWN, {"model": model_name, "at": at})

    def _look(self) -> None:
        for model_name, at, job, late in self._database.rows(
                UNENDED, {"launcher": self._launcher.name, "timeout": self._timeout}):
            try:
                outcome = self._launcher.look(job) if job else Outcome("unknown")
            except Unavailable as error:
                log.warning("a retraining can't be looked at", job=job, why=str(error))
                continue
            except ServiceError as error:
                self._end(model_name, at, "lost", str(error))
                continue
            if outcome.status in ("succeeded", "failed"):
                self._end(model_name, at, outcome.status, outcome.detail)
            elif late and outcome.status == "running":
                self._launcher.stop(job)
                self._end(model_name, at, "failed", f"took more than {self._timeout}")
            elif late:
                self._end(model_name, at, "lost", "nothing was seen of its end")

    def _end(self, model_name: str, at: datetime, status: str, detail: str) -> None:
        with self._database.transaction() as cursor:
            cursor.execute(ENDED, {"model": model_name, "at": at, "status": status,
                                   "detail": detail})
            ours = cursor.fetchone() is not None
        if ours:
            metrics.RETRAININGS.labels(status).inc()
            log.warning("retraining ended", model=model_name, status=status, detail=detail)
