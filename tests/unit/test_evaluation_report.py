"""The report on a terminal, as JSON and as a page."""

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
import numpy as np
import pytest
from rich.console import Console

from ml.calendar import NEW_YORK, session_day
from ml.days import days
from ml.errors import OutputError
from ml.evaluation import plots
from ml.evaluation.details import details
from ml.evaluation.importance import GROUPS, groups_of
from ml.evaluation.page import page
from ml.evaluation.report import as_json, facts, judge, report
from ml.evaluation.tables import (
    LEGEND,
    errors,
    interval,
    p_value,
    share,
    single,
    span,
    tables,
    verdict,
)
from ml.features import DEVIATIONS, WINDOW_FEATURES
from tests.unit.judged import CONFIG, HORIZONS, constant, dataset, walked
from tests.unit.smiles import make_history


@pytest.fixture(scope="module")
def data():
    return dataset()


def listening(windows):
    """A forecaster that looks at the newest deviations only."""
    return constant()(windows) + 0.5 * windows[:, -1, None, None, DEVIATIONS]


@pytest.fixture(scope="module")
def judged(data):
    seeds = [replaced_seed(number) for number in (0, 1)]
    return judge([walked(data, listening), walked(data)], seeds, data)


def replaced_seed(seed):
    return msgspec.structs.replace(CONFIG, fit=msgspec.structs.replace(CONFIG.fit, seed=seed))


@pytest.fixture(scope="module")
def whole(data, judged):
    return report(data, walked(data), [judged], ["quotes.parquet"])


def printed(table):
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_the_terminal_shows_every_model_baseline_and_horizon(judged):
    shown = printed(errors([judged.evaluation]))
    rows = ("gru", "filtered persistence", "persistence", "tuned EWMA", "sticky strike",
            "AR on components", "HAR on components", "Kalman local level", "median half-spread")
    assert all(f"│ {name} " in shown for name in rows)
    assert "1 min" in shown
    assert "5 min" in shown
    assert shown.count("*") == len(HORIZONS) + 1


def test_the_terminal_fits_140_columns(judged):
    lines = [line for table in tables([judged.evaluation]) for line in printed(table).splitlines()]
    assert max(len(line.rstrip()) for line in [*lines, *LEGEND]) <= 150


def test_a_bucket_of_few_forecasts_is_not_shown(judged):
    cells = [cell for cell in judged.evaluation.cells if cell.horizon_s == 60]
    name = "z over 0.5"
    assert single(cells, 60, name).forecasts > 100
    few = [replace(cell, forecasts=29) for cell in cells]
    assert single(few, 60, name) is None


def test_a_verdict_is_a_sentence_per_horizon(judged):
    said = list(verdict(judged.evaluation))
    assert [one.split(" ahead")[0] for one in said] == ["1 min", "5 min"]
    assert all("the best baseline: R²" in one for one in said)


def test_a_verdict_names_a_sure_loss_and_what_can_not_be_told(judged):
    near, far = judged.evaluation.horizons

    def with_p(one, p, r2):
        rivals = tuple(replace(rival, p_value=p, r2=r2) for rival in one.rivals)
        return replace(one, rivals=rivals)

    changed = replace(judged.evaluation, horizons=(with_p(near, 0.001, -0.1),
                                                   with_p(far, np.nan, 0.1)))
    lost, unknown = verdict(changed)
    assert "gru is beaten by" in lost
    assert "can't be told from" in unknown
    assert "too short to tell how surely" in unknown


def test_unknown_figures_are_dashes(judged):
    rival = replace(judged.evaluation.horizons[0].rivals[0], r2_lower=np.nan)
    assert (interval(rival), p_value(np.nan), share(np.nan)) == ("-", "-", "-")
    assert (p_value(0.0004), p_value(0.0312), share(0.0123)) == ("< 0.001", "0.031", "+1.23%")
    assert (span(300), span(90)) == ("5 min", "90 s")


def test_the_json_is_complete_and_unknowns_are_null(whole, judged):
    shown = json.loads(as_json(whole))
    assert shown["schema"] == 1
    assert shown["symbols"] == ["SPY"]
    assert shown["days"] == 5
    assert shown["within_day"] is False
    [one] = shown["judged"]
    assert [horizon["horizon_s"] for horizon in one["evaluation"]["horizons"]] == list(HORIZONS)
    assert len(one["evaluation"]["horizons"][0]["rivals"]) == 7
    assert len(one["evaluation"]["cells"]) == len(judged.evaluation.cells)
    assert one["config"]["data"]["horizons_s"] == list(HORIZONS)
    assert [seed["seed"] for seed in one["seeds"]] == [0, 1]
    # The second seed's forecasts are those of filtered persistence.
    assert one["seeds"][1]["r2_filtered"] == [0.0, 0.0]
    assert "NaN" not in as_json(whole).decode()


def test_one_day_and_too_much_skill_are_warned_of(whole, judged):
    assert not any("WARNING" in line for line in facts(whole))
    near, far = judged.evaluation.horizons
    lucky = replace(near, rivals=tuple(replace(rival, r2=0.35) for rival in near.rivals))
    suspect = replace(judged, evaluation=replace(judged.evaluation, horizons=(lucky, far)))
    said = facts(replace(whole, days=1, within_day=True, judged=(suspect,)))
    assert "one day only" in said[1]
    assert "+35%" in said[2]
    assert "leakage" in said[2]


def test_a_horizon_that_was_never_observed_is_told_of(whole, judged):
    near = replace(judged, evaluation=replace(judged.evaluation,
                                              horizons=judged.evaluation.horizons[:1]))
    assert facts(replace(whole, judged=(near,)))[1:] == [
        "WARNING: 5 min ahead is not judged: none of its targets in the test parts was observed"]


def test_days_are_those_of_new_york():
    evening = datetime(2026, 3, 2, 20, 15, tzinfo=NEW_YORK).timestamp()
    across = evening + 3600.0 * np.arange(13)  # one night's session, without a gap
    broken = evening - 3600.0 * np.array([11.0, 10.0, 3.5, 3.0])  # one day, with a gap of 6.5 h
    assert days(across).tolist() == [0] * 4 + [1] * 9
    assert days(broken).tolist() == [0] * 4


def later(series, shift):
    at = [one + shift for one in series.at]
    return replace(series, at=at, times_s=series.times_s + shift.total_seconds(),
                   day=[session_day(one) for one in at])


def test_a_night_session_is_judged_as_days_just_as_it_was_cut():
    data = dataset([later(series, timedelta(hours=9)) for series in make_history(1, 600, 1)])
    runs = walked(data)
    found = report(data, runs, [judge([runs], [CONFIG], data)], ["quotes.parquet"])
    assert len(runs) == 1
    assert (found.days, found.within_day) == (2, False)


def test_details_show_each_seed_fold_and_group(judged):
    shown = "".join(printed(table) for table in details(judged))
    assert all(f"│ seed {number} " in shown for number in (0, 1))
    assert "│ standard deviation " in shown
    assert "0.50 tuned EWMA" in shown
    assert "0.00 filtered persistence" in shown
    assert "│ smile's deviations " in shown


def test_shuffling_hurts_only_where_the_model_listens(judged):
    lost = {one.group: one.r2_lost for one in judged.importance if one.horizon_s == 60}
    assert lost.pop("smile's deviations") > 0.05
    assert lost
    assert all(value == 0.0 for value in lost.values())


def test_every_pattern_of_a_group_is_of_a_column():
    patterns = [part for parts in GROUPS.values() for part in parts]
    assert all(any(part in name for name in WINDOW_FEATURES) for part in patterns)


def test_every_column_is_in_one_group():
    groups = groups_of(WINDOW_FEATURES)
    places = np.concatenate(list(groups.values()))
    assert sorted(places) == list(range(len(WINDOW_FEATURES)))
    assert groups["smile's deviations"].tolist() == list(range(17))
    assert "other" not in groups


def test_the_page_needs_nothing_else(whole):
    text = page(whole)
    assert text.startswith("<!doctype html>")
    assert text.count("<svg") == 6
    assert not re.search(r"<(script|link|img|iframe)|@import|url\((?!#)", text)
    addresses = set(re.findall(r'(?:href|src)="(?!#|data:image/)([^"]*)"', text))
    assert not addresses
    assert "seed 1" in text


def test_the_page_escapes_what_it_is_given(whole):
    assert "<b>SPY" not in page(replace(whole, symbols=("<b>SPY",)))


def test_a_page_without_matplotlib_is_refused(monkeypatch):
    monkeypatch.setattr(plots, "find_spec", lambda name: None)
    with pytest.raises(OutputError, match="need matplotlib: pip install"):
        plots.refuse_without_matplotlib()


def test_pictures_are_the_same_each_time(whole):
    one, two = (plots.svg(plots.skill(whole), 6.0, 3.0) for _ in range(2))
    assert one == two
