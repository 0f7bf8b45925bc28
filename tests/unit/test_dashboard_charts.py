"""Specifications draw columns that the tables have, and hold no data of their own."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from dashboard import charts, frames
from tests.unit.test_dashboard_frames import a_forecast, a_smile

SCORES = pd.DataFrame(columns=["horizon_s", "at", "series", "error_bp", "forecasts"])
LATENCY = pd.DataFrame(columns=["at", "percentile", "latency_ms"])
SHOWN = frames.Shown(a_forecast(), a_smile().grid_vol)
POINTS = frames.smile_points(a_smile(), SHOWN)
TIMES = pd.to_datetime(pd.Series(["2025-12-16T15:30:00Z"]))
ATM = frames.atm_points(
    pd.DataFrame({"ts": TIMES, "atm_vol": [0.16]}),
    pd.DataFrame({"target_at": TIMES, "atm_vol": [0.16], "lower": [0.1], "upper": [0.2]}))
TERM = frames.term_points([a_smile()])
ALL = [
    *((charts.smile(axis, True), POINTS) for axis in charts.AXES),
    *((charts.difference(axis, True), frames.difference_points(a_smile(), SHOWN))
      for axis in charts.AXES),
    (charts.small_smile(), POINTS), (charts.atm_history(), ATM),
    (charts.error_over_time(), SCORES), (charts.latency(), LATENCY),
    (charts.term_structure("atm_vol"), TERM), (charts.term_structure("total_variance"), TERM),
    (charts.smiles(), frames.surface_points([a_smile()])),
]


def encodings(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for channel, definition in spec.get("encoding", {}).items():
        for one in definition if isinstance(definition, list) else [definition]:
            yield channel, one
    for part in spec.get("layer", []):
        yield from encodings(part)


def inline(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "data" in spec:
        yield spec["data"]
    for part in spec.get("layer", []):
        yield from inline(part)


@pytest.mark.parametrize(("spec", "table"), ALL)
def test_every_field_is_a_column_of_its_table(spec: dict[str, Any], table: pd.DataFrame):
    used = {one["field"] for _, one in encodings(spec) if "field" in one}
    assert used and used <= set(table.columns)


@pytest.mark.parametrize("spec", [spec for spec, _ in ALL])
def test_no_data_is_in_the_specification(spec: dict[str, Any]):
    assert "datasets" not in spec
    assert all(data == {"values": [{}]} for data in inline(spec)), "only a line by itself"


@pytest.mark.parametrize("axis", charts.AXES)
def test_volatility_never_starts_at_zero_and_axes_say_their_unit(axis: charts.Axis):
    found = list(encodings(charts.smile(axis, False)))
    heights = [one for channel, one in found if channel == "y"]
    assert heights and all(one["scale"]["zero"] is False for one in heights)
    assert all("%" in one["axis"]["format"] for one in heights)
    assert {one["title"] for channel, one in found if channel == "x"} == {charts.AXES[axis]}


def test_the_legend_lists_what_is_drawn_and_no_more():
    def listed(spec: dict[str, Any]) -> set[str]:
        return {name for channel, one in encodings(spec) if channel == "color"
                for name in one["scale"]["domain"]}

    assert frames.BASELINE in listed(charts.smile("z", True))
    assert frames.BASELINE not in listed(charts.smile("z", False))


def test_each_series_has_a_layer_of_its_own():
    filters = {part["transform"][0]["filter"] for part in charts.smile("z", True)["layer"]}
    assert filters == {f"(datum.layer === '{name}')" for name in (
        frames.QUOTE, frames.FIT, frames.FORECAST, frames.BAND, frames.BASELINE)}


def test_the_same_chart_is_made_once():
    assert charts.smile("z", True) is charts.smile("z", True)


@pytest.mark.parametrize("spec", [charts.atm_history(), charts.error_over_time(), charts.latency()])
def test_an_axis_of_minutes_has_no_two_ticks_within_one(spec: dict[str, Any]):
    axes = [one["axis"] for channel, one in encodings(spec) if channel == "x"]
    assert axes
    assert all(axis["format"] == "%H:%M" and axis["tickMinStep"] == 60_000 for axis in axes)
