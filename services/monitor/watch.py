"""Looks for drift as the market's clock goes on, and asks for a retraining where it persists."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from ml.drift import tables
from ml.drift.findings import KINDS, WORDS, Finding, persistent, reasons
from services.common import metrics
from services.common.database import Database
from services.common.model_contract import Served
from services.monitor import drift_queries
from services.monitor.queries import Stream
from services.monitor.retraining import Asked
from services.monitor.settings import MonitorSettings

TRAINED_AS = {"delayed": "live"}
"""The trainer takes a feed's delayed quotes with its live ones."""
log = structlog.stdlib.get_logger(__name__)


class Retrains(Protocol):
    """Where a retraining is asked for."""

    def ask(self, asked: Asked) -> None:
        """Retrain unless that was done a short while ago."""


class DriftWatch:
    """Checks a stream whenever its clock passes a multiple of the interval.

    A check looks at the tables up to that multiple only: another replica, or the same one begun
    anew, finds the same. A stream whose clock stands still is not looked at again.
    """

    def __init__(self, database: Database, settings: MonitorSettings,
                 retraining: Retrains | None) -> None:
        self._database, self._settings, self._retraining = database, settings, retraining
        self._interval = timedelta(seconds=settings.drift_interval_seconds)
        self._checked: dict[Stream, datetime] = {}

    def step(self, clocks: Mapping[Stream, datetime], served: Served | None) -> None:
        """Check the streams whose time has come; at the first sight of one it has not.

        Raises:
            Unavailable: the database does not answer.
        """
        for stream, clock in clocks.items():
            at = _floor(clock, self._interval)
            if at > self._checked.setdefault(stream, at) and served is not None:
                self._check(stream, at, served)
                self._checked[stream] = at

    def _check(self, stream: Stream, at: datetime, served: Served) -> None:
        since = at - timedelta(seconds=self._settings.drift_window_seconds)
        findings = tables.check(self._database.rows, served.contract,
                                tables.Asked(*stream, served.version, since, at))
        drift_queries.save(self._database, stream, at, served, findings)
        publish(stream, findings)
        told = [finding for finding in findings if finding.found is not None]
        log.info("looked for drift", **stream._asdict(), at=at.isoformat(), told=len(told),
                 of=len(findings), found=[one.subject for one in told if one.found])
        self._act(stream, served)

    def _act(self, stream: Stream, served: Served) -> None:
        """Ask for a retraining where the last checks all found the same."""
        settings = self._settings
        checks = drift_queries.last_checks(self._database, stream, served, settings.drift_checks)
        kept = persistent([reasons(found, settings.drift_share) for found in checks],
                          settings.drift_checks)
        if not kept:
            return
        words = " and ".join(WORDS[kind] for kind in KINDS if kind in kept)
        reason = (f"version {served.version} on {stream.symbol} ({stream.source}), in "
                  f"{settings.drift_checks} checks after one another: {words}")
        log.warning("drift persists", reason=reason)
        if self._retraining is not None:
            source = TRAINED_AS.get(stream.source, stream.source)
            self._retraining.ask(Asked(served.contract.name, source, reason))


def publish(stream: Stream, findings: list[Finding]) -> None:
    """Set the metrics of drift; what could not be told is NaN."""
    for finding in findings:
        labels = (*stream, finding.kind, finding.subject)
        metrics.DRIFT_FOUND.labels(*labels).set(
            float("nan") if finding.found is None else float(finding.found))
        if finding.kind != "skill":
            metrics.DRIFT_PSI.labels(*labels).set(finding.shift.psi)
            metrics.DRIFT_KS.labels(*labels).set(finding.shift.ks)


def _floor(at: datetime, interval: timedelta) -> datetime:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return epoch + (at - epoch) // interval * interval
