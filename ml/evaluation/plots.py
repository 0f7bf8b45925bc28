"""Pictures of an evaluation, as SVG that needs nothing else.

matplotlib is asked for only here, and only when something is drawn.
"""

import io
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.baselines import FILTERED
from ml.errors import OutputError
from ml.evaluation.records import MATURITY, MONEYNESS, TIME_OF_DAY
from ml.evaluation.report import Judged, Report
from ml.evaluation.scores import CellScore, Evaluation
from ml.evaluation.tables import label, single, span

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Draw = Callable[["Figure"], None]
_COLOURS = ("#2f6db5", "#c9671f", "#3a8f5c", "#8a5aa8")
_GREY, _TEXT = "#8c8c8c", "#3c3c3c"
_STYLE: dict[Any, Any] = {
    "font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": _TEXT,
    "axes.labelcolor": _TEXT, "text.color": "#1c1c1c", "xtick.color": _TEXT, "ytick.color": _TEXT,
    "axes.titlesize": 9, "axes.titlelocation": "left", "legend.frameon": False,
    "legend.fontsize": 7.5, "axes.linewidth": 0.6, "xtick.major.width": 0.6,
    "ytick.major.width": 0.6, "svg.hashsalt": "smile"}


def refuse_without_matplotlib() -> None:
    """Check before any work is done that pictures can be drawn; raises OutputError."""
    if find_spec("matplotlib") is None:
        raise OutputError("the HTML report's plots need matplotlib: pip install 'spy-smile[plot]'")


def svg(draw: Draw, width: float, height: float) -> str:
    """What `draw` puts on a figure of this size in inches, as an SVG document."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg"):]


def skill(report: Report) -> Draw:
    """R² by horizon with its interval, against filtered persistence and the best baseline."""
    def draw(figure: "Figure") -> None:
        panels = figure.subplots(1, 2, sharey=True)
        titles = "against filtered persistence", "against the best baseline"
        for axes, title, by_best in zip(panels, titles, (False, True), strict=True):
            for place, judged in enumerate(report.judged):
                _skill_of(axes, judged.evaluation, place, len(report.judged), by_best)
            axes.axhline(0.0, color=_TEXT, lw=0.8)
            axes.set_title(title)
            _by_horizon(axes, report.judged[0].evaluation)
            axes.yaxis.set_major_formatter("{x:+g} %")
        panels[0].set_ylabel("R² out of sample")
        if len(report.judged) > 1:
            panels[1].legend()
    return draw


def _skill_of(axes: "Axes", evaluation: Evaluation, place: int, count: int,
              by_best: bool) -> None:
    rivals = [one.against(one.best if by_best else FILTERED) for one in evaluation.horizons]
    at = np.arange(len(rivals)) + (place - (count - 1) / 2) * 0.15
    r2, low, high = (100 * np.array([getattr(rival, name) for rival in rivals])
                     for name in ("r2", "r2_lower", "r2_upper"))
    colour = _COLOURS[place % len(_COLOURS)]
    axes.vlines(at, low, high, color=colour, lw=1.4)
    axes.plot(at, r2, "o", color=colour, ms=4.5, label=evaluation.kind)
    for where in np.flatnonzero(~np.isfinite(low)):
        axes.annotate("no interval", (at[where], r2[where]), (0, 7), textcoords="offset points",
                      ha="center", size=6, color=_GREY) if count == 1 else None


def _by_horizon(axes: "Axes", evaluation: Evaluation) -> None:
    names = [span(one.horizon_s) for one in evaluation.horizons]
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_xlabel("ahead")


def errors(report: Report) -> Draw:
    """RMSE of all forecasters by horizon, relative to filtered persistence."""
    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        horizons = report.judged[0].evaluation.horizons
        base = np.array([one.against(FILTERED).rmse_bp for one in horizons])
        lines = [(judged.evaluation.kind, [one.rmse_bp for one in judged.evaluation.horizons])
                 for judged in report.judged]
        lines += [(label(rival.name), [one.against(rival.name).rmse_bp for one in horizons])
                  for rival in horizons[0].rivals]
        names = [name for name, _ in lines]
        ratio = np.array([values for _, values in lines]) / base  # (forecasters, H)
        at = np.arange(len(names))
        for place, one in enumerate(horizons):
            shift = (place - (len(horizons) - 1) / 2) * 0.14
            axes.plot(100 * (ratio[:, place] - 1), at + shift, "o", ms=4,
                      color=_COLOURS[place % len(_COLOURS)],
                      label=f"{span(one.horizon_s)}: {base[place]:.1f} bp")
        axes.axvline(0.0, color=_TEXT, lw=0.8)
        axes.set_yticks(at, names)
        axes.invert_yaxis()
        axes.grid(axis="y", color="#eeeeee", lw=6)
        axes.set_axisbelow(True)
        axes.xaxis.set_major_formatter("{x:+g} %")
        axes.set_xlabel("RMSE above that of filtered persistence")
        axes.legend(title="filtered persistence", title_fontsize=7.5)
    return draw


def buckets(evaluation: Evaluation) -> Draw:
    """RMSE by bucket and horizon, coloured by R² against the best baseline."""
    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        found = [(name, [single(evaluation.cells, one.horizon_s, name)
                         for one in evaluation.horizons])
                 for name in (*MONEYNESS, *MATURITY, *TIME_OF_DAY)]
        found = [(name, row) for name, row in found if any(row)]
        r2 = np.array([[np.nan if one is None else 100 * one.r2_best for one in row]
                       for _, row in found])
        bound = float(np.clip(np.nanquantile(np.abs(r2), 0.9), 2.0, 20.0))
        image = axes.imshow(r2, cmap="RdBu", vmin=-bound, vmax=bound, aspect="auto")
        for row, (_, cells) in enumerate(found):
            for column, one in enumerate(cells):
                _annotate(axes, row, column, one, bound)
        axes.set_yticks(range(len(found)), [name for name, _ in found])
        _by_horizon(axes, evaluation)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        bar = figure.colorbar(image, ax=axes, format="{x:+g} %", fraction=0.05, extend="both")
        bar.outline.set_visible(False)
    return draw


def _annotate(axes: "Axes", row: int, column: int, one: CellScore | None, bound: float) -> None:
    if one is None:
        return
    strong = abs(100 * one.r2_best) > 0.65 * bound
    axes.text(column, row, f"{one.rmse_bp:.0f} bp  {one.r2_best:+.1%}", ha="center", va="center",
              size=7, color="white" if strong else "#1c1c1c")


def coverage(evaluation: Evaluation) -> Draw:
    """Coverage of the band by horizon, and the share of quotes below each of its quantiles."""
    def draw(figure: "Figure") -> None:
        left, right = figure.subplots(1, 2)
        at = np.arange(len(evaluation.horizons))
        for offset, name, words, colour in (
                (-0.19, "coverage", "as calibrated", _GREY),
                (0.19, "adaptive_coverage", "adaptive, as issued live", _COLOURS[0])):
            values = [100 * getattr(one, name) for one in evaluation.horizons]
            bars = left.bar(at + offset, values, 0.36, color=colour, label=words)
            left.bar_label(bars, fmt="%.0f", size=7)
        left.axhline(100 * evaluation.level, color=_TEXT, lw=0.8, ls=(0, (4, 2)))
        left.set_ylim(0, 118)
        left.set_yticks(range(0, 101, 20))
        left.yaxis.set_major_formatter("{x:g} %")
        left.set_title(f"quotes within the {evaluation.level:.0%} band")
        left.legend(loc="upper right", ncols=2)
        _by_horizon(left, evaluation)
        _quantiles(right, evaluation)
    return draw


def _quantiles(axes: "Axes", evaluation: Evaluation) -> None:
    wanted = 100 * np.array(evaluation.quantiles)
    for place, one in enumerate(evaluation.horizons):
        axes.plot(wanted, 100 * np.array(one.below), "o-", ms=4, lw=1,
                  color=_COLOURS[place % len(_COLOURS)], label=span(one.horizon_s))
    axes.plot((0, 100), (0, 100), color=_TEXT, lw=0.8, ls=(0, (4, 2)))
    axes.set_xticks(wanted)
    axes.set_title("quotes below each quantile, as calibrated")
    for which in (axes.xaxis, axes.yaxis):
        which.set_major_formatter("{x:g} %")
    axes.set_xlabel("wanted")
    axes.legend()


def over_time(evaluation: Evaluation) -> Draw:
    """Coverage, adaptive and as calibrated, of each part of the time tested, at its middle."""
    def draw(figure: "Figure") -> None:
        horizons = [one.horizon_s for one in evaluation.horizons]
        panels = np.atleast_1d(figure.subplots(1, len(horizons), sharey=True, sharex=True))
        for axes, horizon_s in zip(panels, horizons, strict=True):
            own = [part for part in evaluation.over_time if part.horizon_s == horizon_s]
            at = [datetime.fromtimestamp((part.from_s + part.until_s) / 2, UTC) for part in own]
            for name, words, colour in (("coverage", "as calibrated", _GREY),
                                        ("adaptive_coverage", "adaptive", _COLOURS[0])):
                axes.plot(at, [100 * getattr(part, name) for part in own], "o-", ms=3, lw=1.1,
                          color=colour, label=words)
            axes.axhline(100 * evaluation.level, color=_TEXT, lw=0.8, ls=(0, (4, 2)))
            axes.set_title(f"{span(horizon_s)} ahead")
            axes.set_ylim(0, 103)
            _clock(axes)
        panels[0].yaxis.set_major_formatter("{x:g} %")
        panels[0].legend(loc="lower left")
    return draw


def _clock(axes: "Axes") -> None:
    from matplotlib import dates

    untyped: Any = dates
    locator = untyped.AutoDateLocator(minticks=2, maxticks=5)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(untyped.ConciseDateFormatter(locator, show_offset=False))
    axes.set_xlabel("UTC")


def importance(judged: Judged) -> Draw:
    """R² and pinball loss lost when each group of features is shuffled."""
    def draw(figure: "Figure") -> None:
        panels: Any = figure.subplots(1, 2, sharey=True)
        groups = list(dict.fromkeys(one.group for one in judged.importance))
        horizons = [one.horizon_s for one in judged.evaluation.horizons]
        for axes, name, title in zip(panels, ("r2_lost", "pinball_lost"), (
                "R² against filtered persistence lost", "pinball loss added"), strict=True):
            for place, horizon_s in enumerate(horizons):
                found = {one.group: 100 * getattr(one, name) for one in judged.importance
                         if one.horizon_s == horizon_s}
                axes.barh(np.arange(len(groups)) + (place - (len(horizons) - 1) / 2) * 0.2,
                          [found[group] for group in groups], 0.18,
                          color=_COLOURS[place % len(_COLOURS)], label=span(horizon_s))
            axes.axvline(0.0, color=_TEXT, lw=0.8)
            axes.set_title(title)
            axes.xaxis.set_major_formatter("{x:g} %")
        panels[0].set_yticks(range(len(groups)), groups)
        panels[0].invert_yaxis()
        panels[0].legend(loc="lower right")
    return draw
