"""Every chart as a pure function that returns a specification without data.

Each is made once, since checking it against Vega-Lite's schema takes a while, and must not be
changed. The tables of `frames` go beside the specification (`st.vega_lite_chart`), so that a
refresh moves the marks of the chart on the page and never builds it anew. Colours mean one thing
everywhere: blue-green is observed, amber is forecast, violet is a baseline.
"""

import functools
from collections.abc import Callable
from typing import Any, Literal

import altair as alt

from dashboard.frames import ATM_SEEN, BAND, BASELINE, FIT, FORECAST, QUOTE

Axis = Literal["log_moneyness", "strike", "z"]
Spec = dict[str, Any]
Layers = alt.LayerChart | alt.FacetChart
AXES: dict[Axis, str] = {"log_moneyness": "Log-moneyness ln(K/F)", "strike": "Strike",
                         "z": "Standardised moneyness z = k / (σ_ATM √τ)"}
OBSERVED, AHEAD, VIOLET, QUOTES, INK, MUTED, LINE = (
    "#4cc9c0", "#f2b45c", "#a594f9", "#8fa3bf", "#e4eaf3", "#93a1b5", "#243044")
COLOURS = {QUOTE: QUOTES, FIT: OBSERVED, FORECAST: AHEAD, BAND: "#6b5634", BASELINE: VIOLET,
           ATM_SEEN: OBSERVED, "Model": AHEAD, "Filtered persistence": VIOLET,
           "Shadow": "#5b9cf5", "Persistence": MUTED, "p50": OBSERVED, "p95": AHEAD,
           "p99": "#e06c75"}
PERCENT = ".2~%"
_MINUTE_MS = 60_000  # labels tell minutes: ticks nearer than that would repeat them


@functools.lru_cache(maxsize=16)
def smile(axis: Axis, with_baseline: bool, height: int = 315) -> Spec:
    """Quotes as bid–ask bars, the fitted curve, the forecast with its band, the baseline.

    Draws `frames.smile_points`.
    """
    layers = [QUOTE, FIT, FORECAST, BAND, *([BASELINE] if with_baseline else [])]
    y = functools.partial(_percent_axis, title="Implied volatility")
    return _finish(_smile_layers(axis, layers, y, "iv", _VOLATILITIES), height)


@functools.lru_cache(maxsize=16)
def difference(axis: Axis, with_baseline: bool, height: int = 315) -> Spec:
    """The same series less the fitted curve, in basis points; draws `frames.difference_points`."""
    layers = [QUOTE, FORECAST, BAND, *([BASELINE] if with_baseline else [])]
    zero = alt.Chart(alt.InlineData([{}])).mark_rule(color=OBSERVED, strokeWidth=2)
    marks = _smile_layers(axis, layers, _basis_points_axis, "bp", _DIFFERENCES)
    return _finish(zero.encode(y=alt.datum(0)) + marks, height)


@functools.lru_cache(maxsize=16)
def small_smile(height: int = 150) -> Spec:
    """One expiry's quotes and fitted curve, for a page of many; draws `frames.smile_points`."""
    y = functools.partial(_percent_axis, title=None, ticks=4)
    marks = _smile_layers("log_moneyness", [QUOTE, FIT], y, "iv", _VOLATILITIES, small=True)
    return _finish(marks, height)


_PLACE = [alt.Tooltip("strike:Q", format=",.2f", title="Strike"),
          alt.Tooltip("log_moneyness:Q", format=".4f", title="ln(K/F)"),
          alt.Tooltip("z:Q", format=".2f", title="z")]
_VOLATILITIES = [alt.Tooltip("layer:N", title="Series"),
                 alt.Tooltip("iv:Q", format=".2%", title="Implied volatility"),
                 alt.Tooltip("low:Q", format=".2%", title="Bid or lower"),
                 alt.Tooltip("high:Q", format=".2%", title="Ask or upper"), *_PLACE]
_DIFFERENCES = [alt.Tooltip("layer:N", title="Series"),
                alt.Tooltip("bp:Q", format="+.1f", title="Less the fitted smile (bp)"), *_PLACE]


def _smile_layers(axis: Axis, layers: list[str], y: Callable[[str], alt.Y], value: str,
                  tooltip: list[alt.Tooltip], small: bool = False) -> Layers:
    """The marks of these series, the band lowest and the forecast on top."""
    x = alt.X(f"{axis}:Q", title=None if small else AXES[axis],
              scale=alt.Scale(zero=False, nice=False, padding=14),
              axis=alt.Axis(format="~f", tickCount=4 if small else 8))
    base = alt.Chart().encode(x=x, color=_colour(layers, legend=not small), tooltip=tooltip)
    width = 1.6 if small else 2.2
    marks: dict[str, list[alt.Chart]] = {
        BAND: [base.mark_area(opacity=0.55).encode(y=y("low:Q"), y2="high:Q")],
        QUOTE: [base.mark_rule(strokeWidth=width, opacity=0.7).encode(y=y("low:Q"), y2="high:Q"),
                base.mark_point(filled=True, size=12 if small else 26, opacity=0.95).encode(
                    y=y(f"{value}:Q"))],
        BASELINE: [base.mark_line(strokeWidth=1.6, strokeDash=[5, 4]).encode(y=y(f"{value}:Q"))],
        FIT: [base.mark_line(strokeWidth=width).encode(y=y(f"{value}:Q"))],
        FORECAST: [base.mark_line(strokeWidth=width).encode(y=y(f"{value}:Q"))],
    }
    return alt.layer(*(mark.transform_filter(alt.datum.layer == layer)
                       for layer, group in marks.items() if layer in layers for mark in group))


@functools.lru_cache(maxsize=16)
def atm_history(height: int = 210) -> Spec:
    """Observed at-the-money volatility over what was forecast for the same times.

    Draws `frames.atm_points`.
    """
    base = alt.Chart().encode(x=_time_axis("at:T"), color=_colour([ATM_SEEN, FORECAST]))
    y = _percent_axis("atm_vol:Q", "ATM volatility")
    details = [alt.Tooltip("layer:N", title="Series"),
               alt.Tooltip("at:T", format="%H:%M:%S", title="New York"),
               alt.Tooltip("atm_vol:Q", format=".2%", title="ATM volatility")]
    ahead = _only(base, FORECAST)
    return _finish(alt.layer(
        ahead.mark_area(opacity=0.18, line=False, clip=True).encode(
            y=_percent_axis("lower:Q", "ATM volatility"), y2="upper:Q"),
        ahead.mark_line(strokeWidth=1.4, opacity=0.9).encode(y=y, tooltip=details),
        _only(base, ATM_SEEN).mark_line(strokeWidth=2).encode(y=y, tooltip=details),
    ), height)


@functools.lru_cache(maxsize=16)
def error_over_time(height: int = 170) -> Spec:
    """Root mean square error by block of time; draws `scoring.over_time` of one horizon."""
    series = ["Model", "Shadow", "Filtered persistence", "Persistence"]
    chart = alt.Chart().mark_line(strokeWidth=2, point={"size": 18}).encode(
        x=_time_axis("at:T"),
        y=alt.Y("error_bp:Q", title="RMSE (bp)", scale=alt.Scale(zero=False, nice=True)),
        color=_colour(series, "series", legend=False),
        tooltip=["series:N", alt.Tooltip("at:T", format="%d %b %H:%M", title="From"),
                 alt.Tooltip("error_bp:Q", format=".2f", title="RMSE (bp)"),
                 alt.Tooltip("forecasts:Q", format=",d")])
    return _finish(chart, height)


@functools.lru_cache(maxsize=16)
def term_structure(field: Literal["atm_vol", "total_variance"], height: int = 250) -> Spec:
    """At-the-money volatility or total variance by time to expiry; draws `frames.term_points`."""
    title, form = {"atm_vol": ("ATM volatility", PERCENT),
                   "total_variance": ("ATM total variance σ²τ", "~f")}[field]
    scale = alt.Scale(zero=field == "total_variance", nice=True)
    chart = alt.Chart().mark_line(
        color=OBSERVED, strokeWidth=2, point={"filled": True, "size": 45, "color": OBSERVED},
    ).encode(
        x=alt.X("tau_days:Q", title="Days to expiry",
                scale=alt.Scale(type="sqrt", nice=False, padding=14),
                axis=alt.Axis(tickCount=7, format="~f")),
        y=alt.Y(f"{field}:Q", title=title, axis=alt.Axis(format=form), scale=scale),
        tooltip=["expiry:N", alt.Tooltip("tau_days:Q", format=".2f", title="Days"),
                 alt.Tooltip("atm_vol:Q", format=".2%", title="ATM volatility"),
                 alt.Tooltip("total_variance:Q", format=".3e", title="Total variance")])
    return _finish(chart, height)


@functools.lru_cache(maxsize=16)
def smiles(height: int = 330) -> Spec:
    """The fitted smiles of all expiries over standardised moneyness; `frames.surface_points`."""
    chart = alt.Chart().mark_line(strokeWidth=2, interpolate="monotone").encode(
        x=alt.X("z:Q", title=AXES["z"], scale=alt.Scale(nice=False),
                axis=alt.Axis(tickCount=9)),
        y=_percent_axis("iv:Q", "Implied volatility"),
        color=alt.Color("expiry:O", sort=alt.EncodingSortField("tau_days"), title=None,
                        scale=alt.Scale(scheme=alt.SchemeParams("viridis", extent=[0.35, 1.0])),
                        legend=alt.Legend(orient="right", symbolType="stroke")),
        tooltip=["expiry:N", alt.Tooltip("iv:Q", format=".2%", title="Implied volatility"),
                 alt.Tooltip("strike:Q", format=",.2f"), alt.Tooltip("z:Q", format=".2f")])
    return _finish(chart, height)


@functools.lru_cache(maxsize=16)
def latency(height: int = 220) -> Spec:
    """Percentiles of the predictor's latency over time; draws `frames.latency_points`."""
    chart = alt.Chart().mark_line(strokeWidth=2).encode(
        x=_time_axis("at:T"), color=_colour(["p50", "p95", "p99"], "percentile"),
        y=alt.Y("latency_ms:Q", title="Latency (ms)", scale=alt.Scale(zero=True, nice=True)),
        tooltip=["percentile:N", alt.Tooltip("at:T", format="%H:%M:%S", title="New York"),
                 alt.Tooltip("latency_ms:Q", format=".1f", title="ms")])
    return _finish(chart, height)


def _only(base: alt.Chart, layer: str) -> alt.Chart:
    return base.transform_filter(alt.datum.layer == layer)


def _colour(layers: list[str], field: str = "layer", legend: bool = True) -> alt.Color:
    shown = alt.Legend(orient="top", direction="horizontal", symbolType="stroke", offset=8,
                       symbolStrokeWidth=4, symbolSize=220, symbolOpacity=1, columnPadding=20)
    return alt.Color(f"{field}:N", title=None, legend=shown if legend else None,
                     scale=alt.Scale(domain=layers, range=[COLOURS[name] for name in layers]))


def _percent_axis(field: str, title: str | None, ticks: int = 7) -> alt.Y:
    return alt.Y(field, title=title, axis=alt.Axis(format=PERCENT, tickCount=ticks),
                 scale=alt.Scale(zero=False, nice=True))


def _basis_points_axis(field: str) -> alt.Y:
    return alt.Y(field, title="Difference (bp)", axis=alt.Axis(format="+~f", tickCount=7),
                 scale=alt.Scale(nice=True))


def _time_axis(field: str) -> alt.X:
    return alt.X(field, title="New York time", scale=alt.Scale(type="utc", nice=False),
                 axis=alt.Axis(format="%H:%M", tickCount=8, tickMinStep=_MINUTE_MS, grid=False))


def _finish(chart: alt.Chart | Layers, height: int) -> Spec:
    """Size, fonts and lines alike on every chart."""
    font = "'Source Sans', 'Source Sans Pro', sans-serif"
    axis = {"labelColor": MUTED, "titleColor": MUTED, "gridColor": LINE, "domainColor": LINE,
            "tickColor": LINE, "labelFont": font, "titleFont": font, "labelFontSize": 12,
            "titleFontSize": 12, "titleFontWeight": 400, "titlePadding": 10, "labelPadding": 5}
    legend = {"labelColor": INK, "labelFont": font, "labelFontSize": 13, "labelLimit": 260}
    edges = {"left": 4, "right": 10, "top": 4, "bottom": 4}
    finished = chart.properties(width="container", height=height, padding=edges).configure(
        background="transparent", axis=axis, legend=legend, view={"stroke": None})
    spec: Spec = finished.to_dict(validate=True)
    del spec["datasets"]
    return _without_data(spec)


def _without_data(spec: Spec) -> Spec:
    """Charts made without data name an empty table, which would hide the one given beside."""
    bare = {name: part for name, part in spec.items()
            if name != "data" or part.get("name") != "empty"}
    if "layer" in bare:
        bare["layer"] = [_without_data(part) for part in bare["layer"]]
    return bare
