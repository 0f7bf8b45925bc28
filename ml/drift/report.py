"""A check for drift as a table on the terminal and as one HTML file that needs nothing else.

The picture of a feature is what its index is made of: the share of the recent values in each of
ten bins that held a tenth of the training fold each.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from ml.contract import ModelContract
from ml.drift.findings import Finding, Kind, column
from ml.drift.statistics import shares
from ml.drift.tables import Asked
from ml.smile.report import columns
from ml.types import Floats

TITLES: dict[Kind, str] = {
    "feature": "Features against the training fold",
    "residual": "The champion's errors against its first day's",
    "skill": "The champion against the best baseline"}
SUBJECTS: dict[Kind, str] = {"feature": "feature", "residual": "seconds ahead",
                             "skill": "seconds ahead"}
VERDICTS = {True: "found", False: "no", None: "too few to tell"}
NOTES: dict[Kind, str] = {
    "feature": "Bars: the recent share of each tenth of the training fold, whose own is the line; "
               "below, its least, middle and greatest value. worth: how many independent samples "
               "the dependent ones are; PSI: population stability index, drift from `limit` on; "
               "KS: Kolmogorov-Smirnov distance, p: by chance; outside: share beyond all of the "
               "training fold.",
    "residual": "The root mean square errors of blocks of time; found where they are spread "
                "otherwise and greater.",
    "skill": "Skill is 1 − MSE(model) / MSE(best baseline) on the same forecasts; found where the "
             "model is worse by more than half a percent, and surely so, by blocks of time."}
Cell = Callable[[Finding], str]
_CSS = """
body { font: 14px/1.5 system-ui, sans-serif; color: #1c1c1c; background: #fff; margin: 0 auto;
  padding: 28px 36px 60px; max-width: 1080px; }
h1 { font-size: 24px; margin: 0 0 4px; } p { margin: 4px 0; color: #5a5a5a; }
h2 { font-size: 18px; margin: 36px 0 8px; border-top: 1px solid #ddd; padding-top: 18px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 16px 3px 0; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { border-bottom: 1px solid #999; }
tr.found td { color: #b3202a; font-weight: 600; } p.found { color: #b3202a; font-weight: 600; }
.bins { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 18px;
  margin-top: 18px; } figure { margin: 0; } figcaption { font-weight: 600; }
svg { width: 100%; height: auto; } svg text { font: 10px system-ui, sans-serif; fill: #5a5a5a; }
"""


@dataclass(frozen=True, slots=True)
class Report:
    """One check, and the recent values that it looked at."""

    contract: ModelContract
    asked: Asked
    findings: Sequence[Finding]
    features: Floats
    """`INSTANT_FEATURES` (n, F)."""


def text(report: Report) -> Iterator[str]:
    """The lines of the report."""
    yield from facts(report)
    for kind, title in TITLES.items():
        found = [one for one in report.findings if one.kind == kind]
        yield from ["", title]
        if not found:
            yield "  nothing to look at"
            continue
        heads = [(name, "") for name, _ in _cells(kind)]
        yield from columns(heads, [[cell(one) for _, cell in _cells(kind)] for one in found])


def facts(report: Report) -> Iterator[str]:
    """What was looked at, and what was found, in sentences."""
    contract, asked = report.contract, report.asked
    version = f" version {asked.version}" if asked.version else ""
    yield (f"{contract.name}{version} ({contract.kind}), trained on {contract.samples:,} windows "
           f"from {contract.trained_from:%Y-%m-%d %H:%M} to {contract.trained_until:%Y-%m-%d %H:%M}"
           " UTC")
    yield (f"{asked.symbol} ({asked.source}) from {asked.since:%Y-%m-%d %H:%M} to "
           f"{asked.until:%Y-%m-%d %H:%M} UTC, {len(report.features):,} smiles five minutes apart")
    for kind, title in TITLES.items():
        told = [one for one in report.findings if one.kind == kind and one.found is not None]
        found = sum(bool(one.found) for one in told)
        if told:
            yield f"{title}: {found} of {len(told)} found"


def page(report: Report) -> str:
    """The whole HTML document."""
    body = "\n".join(_body(report))
    return ('<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f"<title>Drift of {escape(report.asked.symbol)}</title><style>{_CSS}</style></head>\n"
            f"<body>\n{body}\n</body></html>\n")


def _body(report: Report) -> Iterator[str]:
    yield f"<h1>Drift of {escape(report.asked.symbol)} ({escape(report.asked.source)})</h1>"
    yield from (f"<p>{escape(line)}</p>" for line in facts(report))
    for kind, title in TITLES.items():
        found = [one for one in report.findings if one.kind == kind]
        yield f"<h2>{escape(title)}</h2>"
        yield _table(kind, found) if found else "<p>Nothing to look at.</p>"
        yield f"<p>{escape(NOTES[kind])}</p>"
        if kind == "feature" and found:
            yield '<div class="bins">' + "\n".join(
                _figure(report, one) for one in found) + "</div>"


def _table(kind: Kind, findings: Sequence[Finding]) -> str:
    cells = _cells(kind)
    head = "".join(f"<th>{escape(name)}</th>" for name, _ in cells)
    rows = "".join(
        f'<tr{" class=found" if one.found else ""}>'
        + "".join(f"<td>{escape(cell(one))}</td>" for _, cell in cells) + "</tr>\n"
        for one in findings)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table>"


def _cells(kind: Kind) -> list[tuple[str, Cell]]:
    subject: tuple[str, Cell] = (SUBJECTS[kind], lambda one: one.subject)
    verdict: tuple[str, Cell] = ("drift" if kind != "skill" else "lost",
                                 lambda one: VERDICTS[one.found])
    if kind == "skill":
        return [subject, ("blocks", lambda one: f"{one.shift.samples:,}"),
                ("skill", lambda one: _number(one.skill, "+.2%")), verdict]
    return [subject, ("samples" if kind == "feature" else "blocks",
                      lambda one: f"{one.shift.samples:,}"),
            ("worth", lambda one: _number(one.shift.effective, ",.0f")),
            ("PSI", lambda one: _number(one.shift.psi, ".3f")),
            ("limit", lambda one: _number(one.shift.psi_limit, ".2f")),
            ("KS", lambda one: _number(one.shift.ks, ".3f")),
            ("p", lambda one: _p_value(one.shift.p_value)),
            ("outside", lambda one: _number(one.shift.outside, ".1%")), verdict]


def _figure(report: Report, finding: Finding) -> str:
    reference = report.contract.reference
    quantiles = np.asarray(reference.quantiles[reference.names.index(finding.subject)])
    values = column(finding.subject, report.features)
    known = np.empty(0) if values is None else values[np.isfinite(values)]
    drawn = _bars(quantiles, known, bool(finding.found)) if known.size else ""
    return f"<figure><figcaption>{escape(finding.subject)}</figcaption>{drawn}</figure>"


def _bars(quantiles: Floats, values: Floats, found: bool, width: int = 230,
          height: int = 96) -> str:
    """Bars of the recent shares and a line at the training fold's, bin by bin."""
    expected, actual = shares(quantiles, values)
    floor, step = height - 14, width / len(expected)
    scale = (floor - 6) / max(0.3, float(actual.max()), float(expected.max()))
    colour = "#c9671f" if found else "#2f6db5"
    parts = []
    for place, (then, now) in enumerate(zip(expected, actual, strict=True)):
        left, top, line = place * step, floor - now * scale, floor - then * scale
        parts.append(f'<rect x="{left + 1:.1f}" y="{top:.1f}" width="{step - 2:.1f}" '
                     f'height="{now * scale:.1f}" fill="{colour}"><title>{now:.1%}, in training '
                     f'{then:.1%}</title></rect><line x1="{left:.1f}" x2="{left + step:.1f}" '
                     f'y1="{line:.1f}" y2="{line:.1f}" stroke="#3c3c3c" stroke-width="1.2"/>')
    ends = (f'<text x="0" y="{height - 2}">{quantiles[0]:.3g}</text>'
            f'<text x="{width / 2}" y="{height - 2}" text-anchor="middle">'
            f'{quantiles[len(quantiles) // 2]:.3g}</text>'
            f'<text x="{width}" y="{height - 2}" text-anchor="end">{quantiles[-1]:.3g}</text>')
    return (f'<svg viewBox="0 0 {width} {height}" role="img"><line x1="0" x2="{width}" '
            f'y1="{floor}" y2="{floor}" stroke="#999"/>{"".join(parts)}{ends}</svg>')


def _p_value(value: float) -> str:
    return "<1e-6" if value < 1e-6 else _number(value, ".2g")


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "-"
