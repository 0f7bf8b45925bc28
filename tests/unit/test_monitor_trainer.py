"""What the monitor runs is what the trainer understands."""

import json
from datetime import UTC, datetime

import pytest
from kubernetes import client

from local import parts
from local.sources import parse
from ml import train
from services.common.errors import SettingsError
from services.common.settings import load
from services.monitor.job import job
from services.monitor.main import launcher_of
from services.monitor.process import command
from services.monitor.retraining import Asked
from services.monitor.settings import MonitorSettings
from tests.unit.helm_chart import pick, render
from tests.unit.test_local_parts import demo

ASKED = Asked("smile", "simulated", "drift")


@pytest.fixture
def told(monkeypatch):
    """The options that the trainer was run with."""
    seen = []
    monkeypatch.setattr(train, "run", seen.append)

    def run(arguments):
        assert train.main(arguments) == 0
        return seen[-1]

    return run


def test_the_default_command_trains_on_the_source_that_drifted_and_leaves_the_gate_to_decide(told):
    python, dash_m, module, *arguments = command((), (), ASKED)
    options = told(arguments)

    assert (dash_m, module) == ("-m", "ml.train") and python
    assert options.from_database and options.promote and options.force is None
    assert (options.name, options.source) == ("smile", "simulated")


def test_the_demo_s_retraining_makes_do_with_a_history_of_one_day(told):
    monitor = {part.name: part for part in parts.build(demo(parse("simulator")))}["monitor"]
    settings = load(MonitorSettings, monitor.env)
    options = told(command((), settings.retrain_options, ASKED)[3:])

    assert options.within_day and options.source == "simulated"


def test_a_process_without_a_registry_is_refused_by_name_at_start(monkeypatch):
    settings = MonitorSettings(database_url="-", retrain="process", model_server_url="http://s")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(SettingsError, match="MLFLOW_TRACKING_URI is not set"):
        launcher_of(settings)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://registry")
    assert launcher_of(settings).name == "process"


def test_a_command_of_one_s_own_is_run_as_it_is():
    assert command(("train.sh", "--fast"), ("--within-day",), ASKED) == ["train.sh", "--fast"]


def test_the_chart_s_trainer_understands_what_the_job_tells_it(told):
    manifest = pick(render(), "CronJob", "-trainer")
    manifest["metadata"]["uid"] = "0f0e"
    cronjob = client.ApiClient().deserialize(json.dumps(manifest), "V1CronJob",
                                             "application/json")
    made = job(cronjob, datetime(2026, 11, 20, tzinfo=UTC), ASKED, 60.0)
    options = told(made.spec.template.spec.containers[0].args)

    assert options.from_database and options.promote and options.force is None
    assert (options.name, options.source) == ("smile", "simulated")
