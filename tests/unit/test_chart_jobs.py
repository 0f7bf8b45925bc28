"""The chart's Jobs: migrations, training, retraining, and the pods of `helm test`."""

import pytest

from ml import train
from services.common.check import CHECKS
from services.simulator import cli
from tests.unit.helm_chart import (
    EXTERNAL,
    FULL,
    Object,
    containers,
    environment,
    pick,
    render,
)


def test_migrations_of_an_own_database_come_with_it_and_later_go_first() -> None:
    assert "annotations" not in pick(render(), "Job", "-migrations")["metadata"]
    upgraded = pick(render(upgrade="yes"), "Job", "-migrations")
    installed = pick(render(), "Job", "-migrations")
    assert installed["metadata"]["name"] != upgraded["metadata"]["name"]  # a rollback makes it anew
    assert upgraded["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"


def test_migrations_of_an_external_database_go_before_everything() -> None:
    objects = render(EXTERNAL)
    job, account = (pick(objects, kind, "-migrations")["metadata"]["annotations"]
                    for kind in ("Job", "ServiceAccount"))
    assert job["helm.sh/hook"] == account["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert int(account["helm.sh/hook-weight"]) < int(job.get("helm.sh/hook-weight", 0))


def test_only_a_monitor_that_retrains_may_make_jobs() -> None:
    kinds = {each["kind"] for each in render()}
    assert not kinds & {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
    assert "SMILE_RETRAIN" not in environment(render(), "monitor")

    objects = render(monitor__retrain__enabled="true", monitor__retrain__cooldownSeconds="3600000")
    role, binding = pick(objects, "Role"), pick(objects, "RoleBinding")
    cronjob = pick(objects, "CronJob", "-trainer")["metadata"]["name"]
    assert role["rules"] == [
        {"apiGroups": ["batch"], "resources": ["cronjobs"], "resourceNames": [cronjob],
         "verbs": ["get"]},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get"]}]
    account = pick(objects, "ServiceAccount", "-monitor")["metadata"]["name"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": account, "namespace": "prod"}]
    pod = pick(objects, "Deployment", "-monitor")["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == account
    told = environment(objects, "monitor")
    assert (told["SMILE_RETRAIN"], told["SMILE_RETRAIN_CRONJOB"]) == ("job", cronjob)
    assert told["SMILE_RETRAIN_COOLDOWN_SECONDS"] == "3600000"


def test_the_trainer_s_schedule_can_rest() -> None:
    assert pick(render(), "CronJob", "-trainer")["spec"]["suspend"] is False
    assert pick(render(FULL), "CronJob", "-trainer")["spec"]["suspend"] is True


def test_features_and_trainer_are_told_the_same_of_the_market() -> None:
    assert not environment(render(), "features").keys() & {"SMILE_RATE", "SMILE_DIVIDENDS"}
    objects = render(FULL)
    told = environment(objects, "features")
    assert (told["SMILE_RATE"], told["SMILE_DIVIDENDS"]) == (
        "0.043", "2026-09-18:1.85,2026-12-18:1.95")
    objects += [first_model(render())]
    for spec in (pick(objects, "CronJob", "-trainer")["spec"], objects[-1]["spec"]):
        template = spec.get("jobTemplate", {"spec": spec})["spec"]["template"]
        sources = template["spec"]["containers"][0]["envFrom"]
        assert [source["configMapRef"]["name"] for source in sources] == [
            pick(objects, "ConfigMap", "-settings")["metadata"]["name"]]
    assert environment(render(market__rate="0"), "features")["SMILE_RATE"] == "0"


def first_model(objects: list[Object]) -> Object:
    """The Job that trains the first model."""
    job, = (each for each in objects if each["kind"] == "Job"
            and "-first-model-" in each["metadata"]["name"])
    return job


def test_a_first_model_s_training_outlasts_an_upgrade_and_what_it_does_is_in_its_name() -> None:
    installed = first_model(render())
    assert first_model(render(upgrade="yes")) == installed
    assert first_model(render(writer__replicas="2")) == installed
    for changed in ({"image__tag": "v2"}, {"trainer__firstModel__hours": "3"}):
        other = first_model(render(**changed))
        assert other["spec"] != installed["spec"]
        assert other["metadata"]["name"] != installed["metadata"]["name"]
    history, trainer = containers(installed["spec"]["template"])
    assert "--past=6" in history["args"]
    assert "--unless-champion" in trainer["args"]


def test_the_arguments_of_a_first_model_are_known() -> None:
    history, trainer = containers(first_model(render())["spec"]["template"])
    options = cli.parser(print, print).parse_args(history["args"])
    assert (options.past, options.simulator_symbols) == (6, "SPY")
    assert "--unless-champion" in train.options().format_help()
    assert train.options().parse_args(trainer["args"]).unless_champion


@pytest.mark.parametrize("feed", [
    {"ingest__gateway__host": "ib-gateway"},
    {"gateway__enabled": "true", "gateway__image": "ib:1", "gateway__existingSecret": "ib"}])
def test_a_live_feed_gets_no_champion_of_a_synthetic_market(feed: dict[str, str]) -> None:
    objects = render(**feed)
    assert pick(objects, "Deployment", "-simulator")
    assert not [each for each in objects if "-first-model" in each["metadata"]["name"]]


def test_a_job_by_hand_is_made_of_the_trainer_s_schedule() -> None:
    spec = pick(render(), "CronJob", "-trainer")["spec"]
    container, = containers(spec["jobTemplate"]["spec"]["template"])
    assert container["args"] == ["--name=smile", "--from-database", "--promote"]
    assert spec["concurrencyPolicy"] == "Forbid"


# --- helm test

def asked(objects: list[Object]) -> dict[str, Object]:
    """The pods of `helm test` by the end of their names."""
    return {each["metadata"]["name"].partition("-test-")[2]: each for each in objects
            if each["kind"] == "Pod"}


def test_helm_tests_ask_all_that_can_be_asked() -> None:
    pods = asked(render())
    assert pods.keys() == CHECKS.keys()
    for name, pod in pods.items():
        container, = containers({"spec": pod["spec"]})
        assert container["image"].startswith("spy-smile-migrations:")
        assert container["args"][:3] == ["python", "-m", "services.common.check"]
        assert name in container["args"]
        assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"


def test_helm_tests_are_restricted_and_on_their_own() -> None:
    for pod in asked(render()).values():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert spec["restartPolicy"] == "Never"


def test_the_dashboard_is_asked_at_its_path() -> None:
    assert url(asked(render())["dashboard"]) == "http://smile-spy-smile-dashboard:8501"
    assert url(asked(render(FULL))["dashboard"]) == "http://smile-spy-smile-dashboard:8501/smile"


def url(pod: Object) -> str:
    return str(pod["spec"]["containers"][0]["args"][-1])


@pytest.mark.parametrize(("off", "gone"), [
    ("predictor", "forecasts"), ("dashboard", "dashboard"), ("modelServer", "model-server")])
def test_what_is_off_is_not_tested(off: str, gone: str) -> None:
    assert gone not in asked(render(**{f"{off}__enabled": "false"}))


def test_trainers_have_patience_with_a_registry_that_restarts() -> None:
    patience = {"name": "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "value": "7"}
    objects = render()
    retraining = pick(objects, "CronJob", "-trainer")["spec"]["jobTemplate"]["spec"]["template"]
    first = next(each["spec"]["template"] for each in objects
                 if each["kind"] == "Job" and "-first-model-" in each["metadata"]["name"])
    for template in (retraining, first):
        assert patience in containers(template)[-1]["env"]
