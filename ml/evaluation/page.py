"""The report as one HTML file that needs nothing else: no network, no script."""

import itertools
from collections.abc import Iterator, Sequence
from html import escape

from ml.evaluation import plots
from ml.evaluation.details import seeds, weights
from ml.evaluation.report import Judged, Report, facts
from ml.evaluation.tables import (
    LEGEND,
    error_rows,
    significance_rows,
    skill_rows,
    spans,
    verdict,
)

_CSS = """
:root { color-scheme: light; }
body { font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: #1c1c1c;
  background: #fff; margin: 0 auto; padding: 28px 36px 60px; max-width: 1080px; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 40px 0 8px;
  border-top: 1px solid #ddd; padding-top: 18px; } h3 { font-size: 14px; margin: 24px 0 6px; }
p { margin: 4px 0; } .facts { color: #5a5a5a; } .warn { color: #b3202a; }
ul { margin: 12px 0; padding-left: 20px; } .legend { color: #5a5a5a; font-size: 12px; }
table { border-collapse: collapse; margin: 6px 0 10px; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 14px 3px 0; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { font-weight: 600; border-bottom: 1px solid #999; }
tr.line td { border-top: 1px solid #ccc; } td.best { font-weight: 600; }
td small { color: #777; } figure { margin: 8px 0 4px; } svg { max-width: 100%; height: auto; }
"""


def page(report: Report) -> str:
    """The whole document."""
    body = "\n".join(_body(report))
    title = escape(f"Forecasts of {', '.join(report.symbols)}")
    return ("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
            "<meta name=\"viewport\" content=\"width=device-width\">"
            f"<title>{title}</title><style>{_CSS}</style></head>\n<body>\n{body}\n</body></html>\n")


def _body(report: Report) -> Iterator[str]:
    yield f"<h1>Forecasts of {escape(', '.join(report.symbols))}, judged on unseen quotes</h1>"
    for line in facts(report):
        kind = "warn" if line.startswith("WARNING") else "facts"
        yield f'<p class="{kind}">{escape(line)}</p>'
    yield from _items(line for judged in report.judged for line in verdict(judged.evaluation))
    yield "<h2>Errors and skill</h2>"
    yield _errors(report)
    yield f'<p class="legend">{escape(" ".join(LEGEND))}</p>'
    kinds = len(report.judged)
    yield _figure(plots.skill(report), 10.0, 3.2)
    yield _figure(plots.errors(report), 8.5, 0.9 + 0.34 * (kinds + 7))
    for judged in report.judged:
        yield from _kind(judged)


def _kind(judged: Judged) -> Iterator[str]:
    evaluation = judged.evaluation
    heads = ["", *spans(evaluation)]
    yield f"<h2>{escape(evaluation.kind)}</h2>"
    yield _table(heads, skill_rows(evaluation))
    yield "<h3>R² against each baseline (p-value of equal squared errors)</h3>"
    yield _table(heads, significance_rows(evaluation))
    if len(judged.seeds) > 1:
        yield "<h3>R² by seed, against filtered persistence / the best baseline</h3>"
        yield _table(heads, seeds(judged), lines=(len(judged.seeds),))
    yield ("<h3>Weight of the model against its anchor, by fold; 0 is the anchor alone, of several "
           "their mean</h3>")
    yield _table(heads, weights(judged))
    yield "<h3>Errors by bucket; the colour is R² against the best baseline</h3>"
    yield _figure(plots.buckets(evaluation), 9.5, 4.2)
    yield "<h3>Bands</h3>"
    yield _figure(plots.coverage(evaluation), 9.5, 3.1)
    yield "<h3>Coverage over the time tested</h3>"
    yield _figure(plots.over_time(evaluation), 10.0, 2.4)
    yield "<h3>What the model listens to: the loss when a group of features is shuffled</h3>"
    yield _figure(plots.importance(judged), 9.5, 3.6)


def _items(lines: Iterator[str]) -> Iterator[str]:
    yield "<ul>"
    yield from (f"<li>{escape(line)}</li>" for line in lines)
    yield "</ul>"


def _figure(draw: plots.Draw, width: float, height: float) -> str:
    return f"<figure>{plots.svg(draw, width, height)}</figure>"


def _errors(report: Report) -> str:
    evaluations = [judged.evaluation for judged in report.judged]
    groups = error_rows(evaluations)
    ends = itertools.accumulate(len(group) for group in groups)
    return _table(["RMSE, bp (* the best baseline)", *spans(evaluations[0])],
                  list(itertools.chain(*groups)), lines=tuple(ends))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], lines: Sequence[int] = ()) -> str:
    """A table; a line goes above the rows of these numbers."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(
        f'<tr{" class=line" if number in lines else ""}>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n"
        for number, row in enumerate(rows))
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"
