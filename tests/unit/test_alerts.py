"""The alerting rules: they parse, each fires on its fault and on nothing else, and helps."""

import re
from pathlib import Path

import pytest
import yaml

from tests.unit.alert_cases import CASES, Case
from tests.unit.helm_chart import REPOSITORY
from tests.unit.promtool import RULES, Object, alerts, known, named, promtool, rules

QUOTES = next(file for file in RULES if file.stem == "quotes")
NEW_YORK = [("15d13h", False), ("15d14h30m", True), ("15d20h45m", True), ("15d21h", False),
            ("16d15h", False), ("64d14h", False), ("64d14h30m", True), ("67d13h15m", False),
            ("67d13h30m", True), ("67d20h", False), ("302d13h30m", True), ("305d14h", False),
            ("305d14h30m", True)]
"""Moments since midnight of 1970-01-01, a Thursday, and whether New York trades by today's rules:
15 is a Friday, 64 and 67 the Friday before and the Monday after the second Sunday of March, 302 and
305 those around the first of November."""


def failures(folder: Path, rule_file: Path, tests: list[Object], evaluated: str = "1m") -> str:
    """What promtool says against tests of its own kind; nothing if they pass."""
    file = folder / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(rule_file)],
                                    "evaluation_interval": evaluated, "tests": tests}))
    done = promtool("test", "rules", file)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def as_test(case: Case) -> Object:
    return {"interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in case.series],
            "promql_expr_test": [expect(
                f'count(ALERTS{{alertname="{case.alert}", alertstate="firing"}})', case.at,
                {"{}": 1} if case.fires else {})]}


def expect(query: str, at: str, samples: dict[str, int]) -> Object:
    return {"expr": query, "eval_time": at,
            "exp_samples": [{"labels": labels, "value": value}
                            for labels, value in samples.items()]}


@pytest.mark.parametrize("file", RULES, ids=lambda file: file.stem)
def test_rules_are_rules(file: Path) -> None:
    done = promtool("check", "rules", "--lint-fatal", file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", RULES, ids=lambda file: file.stem)
def test_alerts_fire_on_their_faults_alone(file: Path, tmp_path: Path) -> None:
    cases = [case for case in CASES if f"alert: {case.alert}\n" in file.read_text()]
    if failures(tmp_path, file, [as_test(case) for case in cases]):
        wrong = {f"{case.alert}: {case.why}" for case in cases
                 if failures(tmp_path, file, [as_test(case)])}
        assert wrong == set()


def test_every_alert_has_a_case_of_each_kind() -> None:
    names = {alert["alert"] for alert in alerts()}
    assert {case.alert for case in CASES if case.fires} == names
    assert {case.alert for case in CASES if not case.fires} == names


def test_an_alert_that_does_not_fire_is_noticed(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.fires and case.series)
    assert "got" in failures(tmp_path, QUOTES, [as_test(case._replace(series=()))])


def test_without_a_gateway_the_clock_of_new_york_decides(tmp_path: Path) -> None:
    # The records' own expressions: to evaluate the rules every minute of the year takes long.
    query = expanded("smile:market_open")
    assert failures(tmp_path, QUOTES, [{"interval": "1d", "input_series": [], "promql_expr_test": [
        expect(query, at, {'{namespace="NAMESPACE"}': int(is_open)})
        for at, is_open in NEW_YORK]}], "365d") == ""


def expanded(record: str) -> str:
    """A recorded series' expression, with those of the records that it is made from."""
    query = next(rule["expr"] for rule in rules() if rule.get("record") == record)
    for part in {rule["record"] for rule in rules() if "record" in rule}:
        if part in query:
            query = query.replace(
                f'{part}{{namespace="NAMESPACE"}}',
                f'label_replace({expanded(part)}, "namespace", "NAMESPACE", "", "")')
    return str(query)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_ask_for_series_that_there_are(rule: Object) -> None:
    assert named(rule["expr"]) <= known()


def test_a_series_that_there_is_not_is_noticed() -> None:
    assert named('sum by (stage) (rate(smile_stage_mesages_total{stage="x"}[5m])) > 0') == {
        "smile_stage_mesages_total"}
    assert not {"smile_stage_mesages_total"} <= known()


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_look_at_their_own_release_alone(rule: Object) -> None:
    for selector in re.findall(r"\b((?:smile|kube|kubelet|kafka|bentoml)[\w:]*)(\{[^}]*)?",
                               re.sub(r"\(namespace[^)]*\)", "", rule["expr"])):
        if selector[0] in known():
            assert 'namespace="NAMESPACE"' in selector[1], selector[0]


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_says_what_to_do(alert: Object) -> None:
    assert alert["for"]
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["annotations"].keys() == {"summary", "description", "runbook"}
    page, _, anchor = alert["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.*)", (REPOSITORY / page).read_text(), re.MULTILINE)
    assert anchor == alert["alert"].lower()
    assert alert["alert"] in headings
