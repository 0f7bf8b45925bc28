"""Grafana's dashboards: what Grafana wants of the JSON, and queries that Prometheus can read."""

import itertools
import re
from pathlib import Path

import pytest
import yaml

from tests.unit.grafana import FILES, VARIABLES, Object, filled, load, queries
from tests.unit.promtool import known, named, promtool

UNITS = {"none", "short", "s", "bytes", "percentunit", "cps", "reqps"}
KINDS = {"timeseries", "stat", "bargauge"}


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def dashboard(request: pytest.FixtureRequest) -> Object:
    return load(request.param)


def test_there_are_three_that_link_to_each_other() -> None:
    made = [load(file) for file in FILES]
    assert len({each["uid"] for each in made}) == len({each["title"] for each in made}) == 3
    for each in made:
        (link,) = each["links"]
        assert link["tags"] == each["tags"] == ["spy-smile"]


def test_panels_have_an_id_a_title_and_a_unit_of_grafanas(dashboard: Object) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["type"] in KINDS, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        letters = [target["refId"] for target in panel["targets"]]
        assert letters and letters == sorted(set(letters)), panel["title"]


def test_panels_do_not_overlap_and_stay_on_the_page(dashboard: Object) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24, panel["title"]
        for cell in itertools.product(range(place["x"], place["x"] + place["w"]),
                                      range(place["y"], place["y"] + place["h"])):
            assert taken.setdefault(cell, panel["title"]) == panel["title"], cell


def test_the_source_is_the_readers_choice_and_so_is_the_namespace(dashboard: Object) -> None:
    variables = {each["name"]: each for each in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in dashboard["panels"]:
        assert panel["datasource"] == source
        for target in panel["targets"]:
            assert target["datasource"] == source
            assert 'namespace="$namespace"' in target["expr"] or "vector" in target["expr"]
    used = set(re.findall(r"\$\w+", str(dashboard["panels"])))
    assert used <= {f"${name}" for name in variables} | {"$__rate_interval"}
    assert used <= set(VARIABLES), "the tests know what to fill in"


def test_queries_ask_for_series_that_there_are(dashboard: Object) -> None:
    for title, query in queries(dashboard):
        assert named(query) <= known(), title
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            (asked,) = re.findall(r"label_values\((\w+)", variable["query"]["query"])
            assert asked in known()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_queries_are_promql(file: Path, tmp_path: Path) -> None:
    assert wrong([query for _, query in queries(load(file))], tmp_path) == ""


def test_a_query_that_is_not_promql_is_noticed(tmp_path: Path) -> None:
    assert "parse error" in wrong([filled('sum by (le (rate(up{namespace="$namespace"}[5m])))')],
                                  tmp_path)


def wrong(found: list[str], folder: Path) -> str:
    """What promtool has against queries, taken as rules; nothing if they are fine."""
    file = folder / "queries.yaml"
    recorded = [{"record": f"query:{place}", "expr": query} for place, query in enumerate(found)]
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": recorded}]}))
    done = promtool("check", "rules", "--lint=none", file)
    return "" if done.returncode == 0 else done.stdout + done.stderr
