"""The table `drift_checks`: what checks found, and what the last ones said."""

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ml.drift.findings import Finding
from services.common.database import Database, upsert
from services.common.model_contract import Served
from services.monitor.queries import Stream

TABLE = "drift_checks"
KEY = ("symbol", "source", "at", "kind", "subject")
NUMBERS = ("effective", "psi", "psi_limit", "ks", "p_value", "outside")
COLUMNS = (*KEY, "model_name", "model_version", "samples", *NUMBERS, "skill", "found")

LAST = """
SELECT d.at, d.kind, d.found FROM drift_checks d
WHERE d.symbol = %(symbol)s AND d.source = %(source)s AND d.model_name = %(model)s
  AND d.model_version = %(version)s AND d.at IN (
    SELECT DISTINCT at FROM drift_checks
    WHERE symbol = %(symbol)s AND source = %(source)s AND model_name = %(model)s
      AND model_version = %(version)s
    ORDER BY at DESC LIMIT %(limit)s)
ORDER BY d.at"""


def save(database: Database, stream: Stream, at: datetime, served: Served,
         findings: Sequence[Finding]) -> None:
    """Upsert what a check found."""
    rows = [_row(stream, at, served, finding) for finding in findings]
    if rows:
        with database.transaction() as cursor:
            upsert(cursor, TABLE, KEY, COLUMNS, rows)


def last_checks(database: Database, stream: Stream, served: Served,
                limit: int) -> list[list[tuple[str, bool | None]]]:
    """Kind and outcome of all findings of each of the last checks of a version, oldest first."""
    checks: dict[datetime, list[tuple[str, bool | None]]] = defaultdict(list)
    for at, kind, found in database.rows(LAST, {
            **stream._asdict(), "model": served.contract.name, "version": served.version,
            "limit": limit}):
        checks[at].append((kind, found))
    return list(checks.values())


def _row(stream: Stream, at: datetime, served: Served, finding: Finding) -> tuple[Any, ...]:
    numbers = (*(getattr(finding.shift, name) for name in NUMBERS), finding.skill)
    return (*stream, at, finding.kind, finding.subject, served.contract.name, served.version,
            finding.shift.samples,
            *(float(value) if math.isfinite(value) else None for value in numbers),
            None if finding.found is None else bool(finding.found))
