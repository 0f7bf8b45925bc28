"""Retraining by a Job: made from the CronJob's template, against an API that is made up."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import MaxRetryError

from services.common.errors import ServiceError, SettingsError, Unavailable
from services.common.settings import load
from services.monitor.job import JobLauncher, connect, job
from services.monitor.retraining import Asked, Outcome
from services.monitor.settings import MonitorSettings
from tests.unit.helm_chart import pick, render

AT = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
ASKED = Asked("smile", "live", "the features have drifted")
NAME = f"smile-spy-smile-trainer-drift-{int(AT.timestamp())}"


def model_of(document, kind):
    """A manifest as the client's own type, as the API would answer with it."""
    return client.ApiClient().deserialize(json.dumps(document), kind, "application/json")


@pytest.fixture
def cronjob():
    document = pick(render(), "CronJob", "-trainer")
    document["metadata"]["uid"] = "0f0e-uid"
    return model_of(document, "V1CronJob")


class FakeApi:
    """A cluster with one CronJob; it keeps what is made."""

    def __init__(self, cronjob, refusal=None, conditions=None):
        self.cronjob, self.refusal, self.conditions = cronjob, refusal, conditions
        self.made = []

    def read_namespaced_cron_job(self, name, namespace, _request_timeout):
        if (name, namespace) != (self.cronjob.metadata.name, "prod"):
            raise ApiException(status=404, reason="Not Found")
        return self.cronjob

    def create_namespaced_job(self, namespace, body, _request_timeout):
        if self.refusal is not None:
            raise self.refusal
        if body.metadata.name in [one.metadata.name for one in self.made]:
            raise ApiException(status=409, reason="Conflict")
        self.made.append(body)

    def read_namespaced_job(self, name, namespace, _request_timeout):
        if self.refusal is not None:
            raise self.refusal
        if name not in [one.metadata.name for one in self.made]:
            raise ApiException(status=404, reason="Not Found")
        return SimpleNamespace(status=SimpleNamespace(conditions=self.conditions))


def launcher(api, name="smile-spy-smile-trainer"):
    return JobLauncher(api, "prod", name, 7200.0)


def test_the_job_is_the_cronjob_s_template_under_a_name_of_the_request(cronjob):
    api = FakeApi(cronjob)
    assert launcher(api).start(ASKED, AT) == NAME
    [made] = api.made
    manifest = client.ApiClient().sanitize_for_serialization(made)
    template = pick(render(), "CronJob", "-trainer")["spec"]["jobTemplate"]["spec"]

    assert (manifest["apiVersion"], manifest["kind"]) == ("batch/v1", "Job")
    template["template"]["spec"]["containers"][0]["args"].append("--source=live")
    assert manifest["spec"] == {**template, "activeDeadlineSeconds": 7200}
    meta = manifest["metadata"]
    assert meta["annotations"] == {"cronjob.kubernetes.io/instantiate": "manual",
                                   "spy-smile/reason": "the features have drifted"}
    assert meta["ownerReferences"] == [{"apiVersion": "batch/v1", "kind": "CronJob",
                                        "name": "smile-spy-smile-trainer", "uid": "0f0e-uid",
                                        "controller": True}]


def test_the_longest_name_of_a_cronjob_leaves_room_for_the_request(cronjob):
    long = model_of(client.ApiClient().sanitize_for_serialization(cronjob), "V1CronJob")
    long.metadata.name = "a" * 41 + "-" + "b" * 10
    name = job(long, AT, ASKED, 60.0).metadata.name

    assert len(name) <= 63 and "--" not in name and name.endswith(str(int(AT.timestamp())))


def test_a_source_that_the_template_names_stays(cronjob):
    container = cronjob.spec.job_template.spec.template.spec.containers[0]
    container.args.append("--source=recorded")

    made = job(cronjob, AT, ASKED, 60.0).spec.template.spec.containers[0]
    assert [word for word in made.args if "source" in word] == ["--source=recorded"]


def test_the_same_request_made_twice_is_one_job(cronjob):
    api = FakeApi(cronjob)
    assert launcher(api).start(ASKED, AT) == launcher(api).start(ASKED, AT)
    assert len(api.made) == 1


@pytest.mark.parametrize(("kind", "outcome"), [
    ("Complete", Outcome("succeeded", "done")), ("Failed", Outcome("failed", "done")),
    ("SuccessCriteriaMet", Outcome("running"))])
def test_a_job_s_conditions_say_where_it_is(cronjob, kind, outcome):
    api = FakeApi(cronjob, conditions=[
        SimpleNamespace(type="Suspended", status="False", message=""),
        SimpleNamespace(type=kind, status="True", message="done")])
    launcher(api).start(ASKED, AT)

    assert launcher(api).look(NAME) == outcome
    assert launcher(api).look("another") == Outcome("unknown")


def test_a_job_without_conditions_runs(cronjob):
    api = FakeApi(cronjob)
    launcher(api).start(ASKED, AT)

    assert launcher(api).look(NAME) == Outcome("running")


@pytest.mark.parametrize(("refusal", "kind"), [
    (ApiException(status=403, reason="Forbidden"), ServiceError),
    (ApiException(status=401, reason="Unauthorized"), Unavailable),
    (ApiException(status=408, reason="Request Timeout"), Unavailable),
    (ApiException(status=429, reason="Too Many Requests"), Unavailable),
    (ApiException(status=500, reason="Internal Server Error"), Unavailable),
    (MaxRetryError(None, "/apis/batch/v1", "refused"), Unavailable)])
def test_a_refusal_lasts_and_a_cluster_that_is_away_does_not(cronjob, refusal, kind):
    with pytest.raises(ServiceError, match=NAME) as caught:
        launcher(FakeApi(cronjob, refusal)).start(ASKED, AT)
    assert type(caught.value) is kind
    with pytest.raises(kind):
        launcher(FakeApi(cronjob, refusal)).look(NAME)


def test_a_cronjob_that_is_not_there_is_named(cronjob):
    with pytest.raises(ServiceError, match="CronJob nightly: the cluster refuses, 404"):
        launcher(FakeApi(cronjob), "nightly").start(ASKED, AT)


def test_without_a_cluster_the_setting_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION",
                        str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="SMILE_RETRAIN is job, but no cluster"):
        connect("", "trainer", 60.0)


@pytest.mark.parametrize("url", ["model-server", "model-server:3000", "ftp://server", "http://"])
def test_a_model_server_that_is_no_url_is_refused_by_name(url):
    with pytest.raises(SettingsError, match="SMILE_MODEL_SERVER_URL"):
        load(MonitorSettings, {"SMILE_DATABASE_URL": "-", "SMILE_MODEL_SERVER_URL": url})


@pytest.mark.parametrize(("settings", "named"), [
    ({"retrain": "job", "model_server_url": "http://server"}, "SMILE_RETRAIN_CRONJOB"),
    ({"retrain": "process"}, "SMILE_MODEL_SERVER_URL")])
def test_retraining_without_what_it_needs_is_refused_by_name(settings, named):
    with pytest.raises(SettingsError, match=named):
        MonitorSettings(database_url="-", **settings)
