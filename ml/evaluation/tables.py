"""The scores for a terminal, as a trading desk reads them."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from rich.table import Table

from ml.baselines import FILTERED, members
from ml.evaluation.records import MATURITY, MONEYNESS, TIME_OF_DAY
from ml.evaluation.scores import EVERYTHING, CellScore, Evaluation, HorizonScore, Rival

SURE = 0.05
"""A p-value below this is called sure."""
FEW = 30
"""A bucket with fewer forecasts is not shown: one of them could make its figures."""
NAMES = {FILTERED: "filtered persistence", "persistence": "persistence", "ewma": "tuned EWMA",
         "sticky_strike": "sticky strike", "ar": "AR on components", "har": "HAR on components",
         "kalman": "Kalman local level"}
_SHORT = {"ewma": "EWMA", "ar": "AR", "har": "HAR", "kalman": "Kalman"}
LEGEND = (
    "RMSE: root mean square error on observed quotes, 1 bp = 0.01 vol points. R²: 1 − MSE(model) / "
    "MSE(baseline), above 0 the model is better;",
    "in brackets its 90 % interval by block bootstrap. p: Diebold–Mariano, two-sided, with errors "
    "for overlapping horizons; - where too short to tell.",
    "Best baseline: the one with the least RMSE on these same quotes, as known only afterwards. "
    f"Buckets with fewer than {FEW} forecasts are not shown.")


def label(name: str) -> str:
    """A forecaster's name in words; the mean of several as EWMA + HAR."""
    several = members(name)
    if len(several) > 1:
        return " + ".join(_SHORT.get(one, one) for one in several)
    return NAMES.get(name, name)


def tables(evaluations: Sequence[Evaluation]) -> Iterator[Table]:
    """Errors of all forecasters, then per kind its skill, p-values and buckets."""
    yield errors(evaluations)
    for one in evaluations:
        yield skill(one)
        yield significance(one)
    for one in evaluations:
        yield buckets(one)


def errors(evaluations: Sequence[Evaluation]) -> Table:
    """RMSE of every model and baseline by horizon."""
    table = titled("Errors by horizon (RMSE, bp)", "", *spans(evaluations[0]))
    for group in error_rows(evaluations):
        for row in group:
            table.add_row(*row)
        table.add_section()
    table.caption = "* the best baseline"
    return table


def error_rows(evaluations: Sequence[Evaluation]) -> list[list[list[str]]]:
    """Rows of the models, of the baselines, and of what they are to be seen beside."""
    horizons = evaluations[0].horizons
    models = [[one.kind, *(_bp(horizon.rmse_bp) for horizon in one.horizons)]
              for one in evaluations]
    baselines = [[label(rival.name), *(
        _bp(one.against(rival.name).rmse_bp) + ("*" if one.best == rival.name else "")
        for one in horizons)] for rival in horizons[0].rivals]
    return [models, baselines, [
        ["median half-spread", *(_bp(one.half_spread_bp) for one in horizons)],
        ["forecasts", *(f"{one.forecasts:,}" for one in horizons)]]]


def skill(evaluation: Evaluation) -> Table:
    """What the model adds, and how good its bands are."""
    table = titled(f"{evaluation.kind}: skill and bands", "", *spans(evaluation))
    for row in skill_rows(evaluation):
        table.add_row(*row)
    return table


_SKILL: tuple[tuple[str, Callable[[HorizonScore], str]], ...] = (
    ("R² against filtered persistence", lambda one: r2(one.against(FILTERED).r2)),
    ("  90 % interval", lambda one: interval(one.against(FILTERED))),
    ("best baseline", lambda one: label(one.best)),
    ("R² against it", lambda one: r2(one.against(one.best).r2)),
    ("  90 % interval", lambda one: interval(one.against(one.best))),
    ("  p-value", lambda one: p_value(one.against(one.best).p_value)),
    ("RMSE / MAE, bp", lambda one: f"{_bp(one.rmse_bp)} / {_bp(one.mae_bp)}"),
    ("QLIKE × 10⁴ / best baseline's", lambda one: (
        f"{one.qlike * 1e4:.2f} / {one.against(one.best).qlike * 1e4:.2f}")),
    ("pinball loss, as calibrated / adaptive, bp", lambda one: (
        f"{one.pinball_bp:.2f} / {one.adaptive_pinball_bp:.2f}")),
    ("{level:.3g} % band's coverage, as calibrated / adaptive", lambda one: (
        f"{one.coverage:.1%} / {one.adaptive_coverage:.1%}")),
    ("{level:.3g} % band's width, as calibrated / adaptive, bp", lambda one: (
        f"{one.width_bp:.0f} / {one.adaptive_width_bp:.0f}")),
)


def skill_rows(evaluation: Evaluation) -> list[list[str]]:
    """A row per figure: its name, and its value by horizon."""
    return [[name.format(level=100.0 * evaluation.level), *map(cell, evaluation.horizons)]
            for name, cell in _SKILL]


def significance(evaluation: Evaluation) -> Table:
    """The model's R² against each baseline, with the p-value of equal squared errors."""
    table = titled(f"{evaluation.kind}: R² against each baseline (p-value)", "",
                   *spans(evaluation))
    for row in significance_rows(evaluation):
        table.add_row(*row)
    return table


def significance_rows(evaluation: Evaluation) -> list[list[str]]:
    """A row per baseline."""
    horizons = evaluation.horizons
    return [[label(rival.name), *(_against(one.against(rival.name)) for one in horizons)]
            for rival in horizons[0].rivals]


def _against(rival: Rival) -> str:
    told = "" if rival.r2 == 0.0 else f" ({p_value(rival.p_value)})"
    return r2(rival.r2) + told


def spans(evaluation: Evaluation) -> list[str]:
    """The horizons in words."""
    return [span(one.horizon_s) for one in evaluation.horizons]


def buckets(evaluation: Evaluation) -> Table:
    """R² against filtered persistence and the errors by bucket, each by itself."""
    horizons = [one.horizon_s for one in evaluation.horizons]
    table = titled(f"{evaluation.kind}: RMSE in bp, R² against the best baseline, and adaptive "
                   "coverage by bucket", "", *map(span, horizons))
    for names in (MONEYNESS, MATURITY, TIME_OF_DAY):
        for name in names:
            found = [single(evaluation.cells, horizon, name) for horizon in horizons]
            if any(found):
                table.add_row(name, *(_bucket(one) for one in found))
        table.add_section()
    return table


def single(cells: Sequence[CellScore], horizon_s: int, name: str) -> CellScore | None:
    """The cell of one bucket by itself at a horizon, if it has at least `FEW` forecasts."""
    for one in cells:
        told = {one.moneyness, one.maturity, one.time_of_day} - {EVERYTHING}
        if one.horizon_s == horizon_s and told == {name} and one.forecasts >= FEW:
            return one
    return None


def _bucket(one: CellScore | None) -> str:
    if one is None:
        return "-"
    return f"{one.rmse_bp:.1f} {r2(one.r2_best)} {one.adaptive_coverage:.0%}"


def verdict(evaluation: Evaluation) -> Iterator[str]:
    """A sentence per horizon on whether the model beats the best baseline."""
    for one in evaluation.horizons:
        best = one.against(one.best)
        yield (f"{span(one.horizon_s)} ahead {evaluation.kind} {_stands(best)} {label(one.best)}, "
               f"the best baseline{_how(best)}.")


def _stands(best: Rival) -> str:
    if best.r2 == 0.0:
        return "is the same as"
    if best.p_value < SURE:
        return "beats" if best.r2 > 0 else "is beaten by"
    return "can't be told from"


def _how(best: Rival) -> str:
    if best.r2 == 0.0:
        return ""
    known = np.isfinite(best.p_value)
    surely = f"p {p_value(best.p_value)}" if known else "too short to tell how surely"
    return f": R² {share(best.r2)}, {surely}"


def titled(title: str, *columns: str) -> Table:
    """An empty table; the first column is words, the others numbers."""
    table = Table(title=title, title_justify="left", caption_justify="left")
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    return table


def span(seconds: float) -> str:
    """A time in words: 90 s, 5 min."""
    return f"{seconds / 60:g} min" if seconds % 60 == 0 else f"{seconds:g} s"


def shown(value: float, how: str, unit: str = "") -> str:
    """A number in this format; a dash where it is unknown."""
    return format(value, how) + unit if np.isfinite(value) else "-"


def p_value(value: float) -> str:
    """A p-value in three digits; a dash where it is unknown."""
    return "< 0.001" if value < 0.001 else shown(value, ".3f")


def interval(rival: Rival) -> str:
    """The interval of R² in brackets; a dash where it is unknown."""
    known = np.isfinite(rival.r2_lower)
    return f"[{rival.r2_lower:+.1%}, {rival.r2_upper:+.1%}]" if known else "-"


def share(value: float) -> str:
    """A signed share in per cent, no −0; a dash where it is unknown."""
    return shown(value, "+z.2%")


def r2(value: float) -> str:
    """R² of forecasts against others; "the same" where these are no others."""
    return "the same" if value == 0.0 else share(value)


def _bp(value: float) -> str:
    return shown(value, ".1f")
