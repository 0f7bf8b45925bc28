"""The parts of a page: a smile with its quotes, its residuals, total variance, term structure."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from ml.pricing.implied import implied_vol
from ml.smile.arbitrage import checked_log_moneyness
from ml.smile.curve import total_variance as variance_at
from ml.smile.curve import volatility
from ml.smile.grid import GRID_Z
from ml.smile.reading import Reading, SurfaceReading
from ml.smile.report import arbitrage_flags
from ml.types import Bools, Floats, SmileSnapshot

PUT, CALL, CURVE = "#2f6db5", "#c9671f", "#1c1c1c"
TEXT, GREY, FAINT, ALARM = "#5a5a5a", "#8c8c8c", "#f4f4f4", "#b3202a"
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans", "font.size": 7.0, "axes.linewidth": 0.5,
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": TEXT,
    "axes.labelcolor": TEXT, "text.color": "#1c1c1c", "xtick.color": TEXT,
    "ytick.color": TEXT, "xtick.major.width": 0.5, "ytick.major.width": 0.5,
    "xtick.major.size": 2.5, "ytick.major.size": 2.5, "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5, "legend.frameon": False, "svg.fonttype": "none",
}
Limits = tuple[float, float]

_EXPIRIES = LinearSegmentedColormap.from_list("expiries", ["#10263f", "#3b6ea8", "#a9bfd6"])

_AXES = ("across: z = ln(K/F) / (σ√τ) and its strike, the grid shaded; up: volatility in %, and "
         "bid, mid and ask minus smile in bp")
_FARTHEST = (-4.0, 3.0)  # z beyond which no quote is used
_POINTS = 241
_LABEL_GAP = 0.045  # least height between two labels, of the axes'
_TICK_DAYS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 90, 180, 365, 730, 1095)


def heading(figure: Figure, reading: SurfaceReading, note: str, margin: float, height: float
            ) -> None:
    """What and when, and the legend of all smiles, on the page's top."""
    surface, width = reading.surface, figure.get_figwidth()
    smiles = sum(one.smile.curve is not None for one in reading.expiries)
    spot = next((one.smile.underlying for one in reading.expiries), float("nan"))
    left = margin / width
    figure.text(left, 1 - 0.22 / height, surface.symbol, size=13, weight="bold", va="center")
    facts = [f"{surface.at:%Y-%m-%d %H:%M:%S} UTC", f"spot {spot:.2f}" if np.isfinite(spot) else "",
             f"{smiles} smile{'s' * (smiles != 1)}", f"{reading.clock}", note]
    figure.text(left, 1 - 0.45 / height, "   ".join(fact for fact in facts if fact), size=8,
                color=TEXT, va="center")
    bare = [f"{one.smile.expiry} ({one.smile.reason})" for one in reading.expiries
            if not one.smile.curve]
    if bare:
        figure.text(left, 0.12 / height, f"No smile: {', '.join(bare)}", size=6.5, color=TEXT)
    figure.legend(handles=_legend(), loc="center right", ncols=5, fontsize=7.5, handlelength=1.6,
                  bbox_to_anchor=(1 - left, 1 - 0.25 / height), columnspacing=1.6, borderpad=0)
    figure.text(left, 1 - 0.62 / height, _AXES, size=6.5, color=GREY, va="center")


def shared_limits(page: Sequence[Reading]) -> Limits:
    """The range of z that all smiles of a page are drawn on: the grid and all used quotes."""
    ends = [(z.min(), z.max()) for z in map(_moneyness, (one.smile for one in page)) if len(z)]
    low = min([GRID_Z[0], *(end[0] for end in ends)])
    high = max([GRID_Z[-1], *(end[1] for end in ends)])
    return max(low, _FARTHEST[0]) - 0.15, min(high, _FARTHEST[1]) + 0.15


def smile(axes: Axes, one: Reading, limits: Limits) -> None:
    """Bid to ask of each used quote, those rejected, and the curve, dashed where nothing is quoted.
    """
    snapshot, points = one.smile, one.smile.quotes
    z, is_call = _moneyness(snapshot), points.strike >= snapshot.forward
    mesh, vol, quoted = _curve(snapshot, limits)
    low, high = _vol_limits(one, vol)
    axes.axvspan(GRID_Z[0], GRID_Z[-1], color=FAINT, lw=0, zorder=0)
    rejected_z, rejected_vol = _rejected(one)
    axes.plot(rejected_z, 100 * rejected_vol, "x", color=GREY, ms=2.6, mew=0.5, zorder=2)
    _bars(axes, z, 100 * points.bid_iv, 100 * points.mid_iv, 100 * points.ask_iv, is_call)
    axes.plot(mesh, 100 * np.where(quoted, vol, np.nan), color=CURVE, lw=0.7, zorder=2.5)
    axes.plot(mesh, 100 * np.where(quoted, np.nan, vol), color=CURVE, lw=0.7, ls=(0, (3, 2)),
              zorder=2.5)
    axes.set(xlim=limits, ylim=(100 * low, 100 * high))
    axes.tick_params(labelbottom=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, min_n_ticks=3))
    _titles(axes, one)


def residuals(axes: Axes, one: Reading, limits: Limits) -> None:
    """Bid, mid and ask minus the curve, in basis points."""
    snapshot, points = one.smile, one.smile.quotes
    fitted = points.mid_iv - one.residuals.vol
    bid, mid, ask = (1e4 * (vol - fitted)
                     for vol in (points.bid_iv, points.mid_iv, points.ask_iv))
    axes.axvspan(GRID_Z[0], GRID_Z[-1], color=FAINT, lw=0, zorder=0)
    axes.axhline(0, color=CURVE, lw=0.6, zorder=1)
    _bars(axes, _moneyness(snapshot), bid, mid, ask, points.strike >= snapshot.forward)
    known = np.abs(np.concatenate([bid, mid, ask]))
    known = known[np.isfinite(known)]
    top = max(float(np.quantile(known, 0.92)) * 1.25, 2.0) if len(known) else 2.0
    axes.set(xlim=limits, ylim=(-top, top))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3, symmetric=True, min_n_ticks=3))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    deviation = snapshot.atm_vol * snapshot.tau**0.5
    axes.xaxis.set_major_formatter(FuncFormatter(
        lambda z, _: f"{z:g}\n{_strike(snapshot.forward * np.exp(z * deviation))}"))
    axes.text(0.995, 0.93, "bp", transform=axes.transAxes, ha="right", va="top", size=5.5,
              color=GREY)


def total_variance(axes: Axes, reading: SurfaceReading) -> None:
    """w(k) of every expiry; on the same k none may be above a later one, and where so it is marked.
    """
    smiles = [one.smile for one in reading.expiries if one.smile.curve]
    colours = _EXPIRIES(np.linspace(0.0, 1.0, len(smiles)))
    ends = []
    for snapshot, colour in zip(smiles, colours, strict=True):
        assert snapshot.curve is not None
        k = np.sort(checked_log_moneyness(snapshot.curve))
        w = variance_at(snapshot.curve, k)
        axes.plot(k, w, color=colour, lw=0.9)
        ends.append((k[[0, -1]], w[[0, -1]], f"{snapshot.expiry:%d %b %y}", colour))
    axes.set_yscale("log")
    found = [crossing for near, far in pairwise(smiles) for crossing in crossings(near, far)]
    if found:
        axes.plot(*zip(*found, strict=True), "o", mfc="none", mec=ALARM, ms=5, mew=0.9, zorder=5)
    axes.set_xlabel("ln(K / F)")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=9))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda w, _: f"{w:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    _label_ends(axes, ends)
    several = "s" if len(found) > 1 else ""
    count = f"{len(found)} crossing{several}, marked" if found else "no crossings"
    axes.set_title(f"Total variance by expiry: {count}", loc="left", size=8.5, weight="bold",
                   color=ALARM if found else CURVE)


def term_structure(axes: Axes, reading: SurfaceReading) -> None:
    """At-the-money and variance swap volatility by days to expiry."""
    read = [one for one in reading.expiries if one.smile.curve]
    days = np.array([one.days for one in read])
    atm = np.array([one.smile.atm_vol for one in read])
    swap = np.array([one.smile.desk.variance_swap_vol if one.smile.desk else np.nan
                     for one in read])
    axes.plot(days, 100 * atm, "-o", color=CURVE, lw=0.9, ms=3, label="at the money")
    axes.plot(days, 100 * swap, "--o", color=GREY, lw=0.9, ms=3, mfc="white", label="variance swap")
    shown = [day for day in _TICK_DAYS if days.min() * 0.8 <= day <= days.max() * 1.25]
    if len(shown) > 2:
        axes.set_xscale("log")
        axes.set_xticks(shown, [f"{day:g}" for day in shown])
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("days to expiry")
    axes.legend(fontsize=7, handlelength=2.2)
    axes.set_title("Term structure of volatility, %", loc="left", size=8.5, weight="bold")


def crossings(near: SmileSnapshot, far: SmileSnapshot) -> list[tuple[float, float]]:
    """(k, w) where the nearer total variance rises above the later one's, on the checked range.

    One point for each stretch of calendar arbitrage: where it is worst.
    """
    assert near.curve is not None and far.curve is not None
    k = np.sort(checked_log_moneyness(near.curve))
    low, high = variance_at(near.curve, k), variance_at(far.curve, k)
    worse = low / high - 1
    crossed = np.flatnonzero(worse > 1e-9)
    stretches = np.split(crossed, np.flatnonzero(np.diff(crossed) > 1) + 1)
    worst = [rows[np.argmax(worse[rows])] for rows in stretches if len(rows)]
    return [(float(k[row]), float(low[row])) for row in worst]


def _legend() -> list[Line2D]:
    bar: dict[str, Any] = {"marker": "|", "ls": "", "ms": 8, "mew": 1.4}
    return [Line2D([], [], color=PUT, label="puts, bid to ask", **bar),
            Line2D([], [], color=CALL, label="calls, bid to ask", **bar),
            Line2D([], [], color=GREY, marker="x", ls="", ms=4, mew=0.7, label="rejected"),
            Line2D([], [], color=CURVE, lw=1.1, label="smile"),
            Line2D([], [], color=CURVE, lw=1.1, ls=(0, (3, 2)), label="beyond the quotes")]


def _titles(axes: Axes, one: Reading) -> None:
    snapshot, flags = one.smile, arbitrage_flags(one)
    days = f"{one.days:.1f} days" if one.days < 100 else f"{one.days:.0f} days"
    fit = f"fit {snapshot.fit_error * 1e4:.1f} / {one.half_spread * 1e4:.1f} bp"
    facts = (f"ATM {snapshot.atm_vol:.2%}   {fit}   inside {one.inside:.0%}   "
             f"conf {snapshot.confidence:.2f}")
    alarm = ALARM if one.violations else TEXT
    styled: list[tuple[str, int, int, dict[str, Any]]] = [
            (f"{snapshot.expiry:%d %b %Y}", 0, 15, {"size": 8, "weight": "bold"}),
            (days, 1, 15, {"size": 7, "color": TEXT}), (facts, 0, 5, {"size": 6.2}),
            ("" if flags == "ok" else flags, 1, 5, {"size": 6.2, "color": alarm})]
    for text, side, height, style in styled:
        axes.annotate(text, (side, 1), (0, height), xycoords="axes fraction",
                      textcoords="offset points", ha="right" if side else "left", **style)


def _moneyness(snapshot: SmileSnapshot) -> Floats:
    """z of the used quotes."""
    return np.asarray(snapshot.quotes.log_moneyness / (snapshot.atm_vol * snapshot.tau**0.5))


def _curve(snapshot: SmileSnapshot, limits: Limits) -> tuple[Floats, Floats, Bools]:
    """z, volatility, and whether z is within the quoted strikes."""
    assert snapshot.curve is not None
    mesh = np.linspace(*limits, _POINTS)
    z = _moneyness(snapshot)
    vol = volatility(snapshot.curve, snapshot.tau, mesh * snapshot.atm_vol * snapshot.tau**0.5)
    return mesh, vol, (mesh >= z.min()) & (mesh <= z.max())


def _vol_limits(one: Reading, vol: Floats) -> Limits:
    """All of the curve and of the mids, and most of the spreads."""
    points = one.smile.quotes
    known = np.concatenate([vol, points.mid_iv])
    edges = np.concatenate([points.bid_iv, points.ask_iv])
    edges = edges[np.isfinite(edges)]
    low = min(float(np.nanmin(known)), float(np.quantile(edges, 0.05)) if len(edges) else np.inf)
    high = max(float(np.nanmax(known)), float(np.quantile(edges, 0.95)) if len(edges) else 0.0)
    pad = 0.06 * (high - low) or 0.01
    return max(low - pad, 0.0), high + pad


def _bars(axes: Axes, z: Floats, bid: Floats, mid: Floats, ask: Floats, is_call: Bools) -> None:
    """A line from bid to ask, and a point at the mid; a missing side is as far as the other."""
    low = np.where(np.isnan(bid), 2 * mid - ask, bid)
    high = np.where(np.isnan(ask), 2 * mid - bid, ask)
    for side, colour in ((~is_call, PUT), (is_call, CALL)):
        ends = np.stack([np.stack([z, low], axis=1), np.stack([z, high], axis=1)], axis=1)[side]
        axes.add_collection(LineCollection(list(ends), colors=colour, linewidths=0.8, zorder=3))
        axes.plot(z[side], mid[side], ".", color=colour, ms=2.4, mew=0, zorder=3)


def _rejected(one: Reading) -> tuple[Floats, Floats]:
    """z and mid volatility of the out-of-the-money quotes that were not used but have one."""
    snapshot, chain = one.smile, one.chain
    out = (chain.is_call == (chain.strike >= snapshot.forward)) & ~np.isin(
        chain.strike, snapshot.quotes.strike)
    low, high = (np.where(np.isnan(side), other, side)[out]
                 for side, other in ((chain.bid, chain.ask), (chain.ask, chain.bid)))
    with np.errstate(all="ignore"):
        z = np.log(chain.strike[out] / snapshot.forward) / (snapshot.atm_vol * snapshot.tau**0.5)
        vol = implied_vol((low + high) / 2, snapshot.forward, chain.strike[out], snapshot.tau,
                          chain.is_call[out], snapshot.discount)
        shown = np.isfinite(vol) & (z > _FARTHEST[0]) & (z < _FARTHEST[1])
    return z[shown], vol[shown]


def _label_ends(axes: Axes, ends: list[tuple[Floats, Floats, str, Floats]]) -> None:
    """Names at the curves' ends, left and right by turns, but for those that would touch another.
    """
    left, right = axes.get_xlim()
    axes.set_xlim(left - 0.08 * (right - left), right + 0.08 * (right - left))
    bottom, top = np.log(axes.get_ylim())
    last = [np.inf, np.inf]
    for number, (k, w, name, colour) in enumerate(reversed(ends)):
        side = number % 2
        height = (np.log(w[side]) - bottom) / (top - bottom)
        if last[side] - height >= _LABEL_GAP:
            axes.annotate(name, (k[side], w[side]), (3 if side else -3, 0), size=6, color=colour,
                          textcoords="offset points", ha="left" if side else "right", va="center")
            last[side] = height


def _strike(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.4g}"
