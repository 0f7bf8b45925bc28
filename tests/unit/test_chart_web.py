"""What leads browsers to the pages: Ingress or HTTPRoute, and MLflow's with a login."""

import asyncio
import base64

import httpx
import pytest
from fastapi import FastAPI
from mlflow.server.fastapi_security import init_fastapi_security

from tests.unit.helm_chart import FULL, Object, containers, environment, pick, render
from tests.unit.test_chart_jobs import first_model

PARENTS = {"dashboard__httpRoute__enabled": "true",
           "dashboard__httpRoute__parentRefs[0]__name": "web"}
SEARCH = "/ajax-api/2.0/mlflow/experiments/search"
LOGIN = {"mlflow__auth__enabled": "true"}


def test_nothing_leads_in_by_default() -> None:
    assert not {each["kind"] for each in render()} & {"Ingress", "HTTPRoute"}


def test_the_ingress_has_the_path_that_the_pages_are_told() -> None:
    objects = render(FULL)
    rule = pick(objects, "Ingress", "-dashboard")["spec"]["rules"][0]
    assert rule["host"] == "smile.example.com"
    assert rule["http"]["paths"][0]["path"] == "/smile"
    assert environment(objects, "dashboard")["SMILE_DASHBOARD_BASE_PATH"] == "smile"


def test_the_ingress_keeps_websockets_and_has_its_certificate() -> None:
    ingress = pick(render(FULL), "Ingress", "-dashboard")
    assert ingress["metadata"]["annotations"]["haproxy.org/timeout-tunnel"] == "1h"
    assert ingress["spec"]["ingressClassName"] == "haproxy"
    assert ingress["spec"]["tls"] == [
        {"secretName": "smile-tls", "hosts": ["smile.example.com"]}]


def test_a_bare_ingress_takes_the_cluster_s_class_and_any_host() -> None:
    spec = pick(render(dashboard__ingress__enabled="true"), "Ingress")["spec"]
    assert spec.keys() == {"rules"}
    assert spec["rules"][0].keys() == {"http"}


def test_an_httproute_is_the_alternative() -> None:
    objects = render(**PARENTS, dashboard__httpRoute__path="/smile")
    assert not [each for each in objects if each["kind"] == "Ingress"]
    rule, = pick(objects, "HTTPRoute")["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/smile"}}]
    service = pick(objects, "Service", "-dashboard")
    assert rule["backendRefs"] == [{"name": service["metadata"]["name"],
                                    "port": service["spec"]["ports"][0]["port"]}]
    assert environment(objects, "dashboard")["SMILE_DASHBOARD_BASE_PATH"] == "smile"


def test_mlflow_answers_to_its_service() -> None:
    assert {"smile-spy-smile-mlflow:*", "smile-spy-smile-mlflow.prod.svc:*"} <= hosts(render())


def test_mlflow_answers_to_the_host_of_its_pages() -> None:
    assert {"mlflow.example.com", "mlflow.internal.example.com"} <= hosts(render(FULL))


@pytest.mark.parametrize(("headers", "status"), [
    ({"Host": "mlflow.example.com", "Origin": "https://mlflow.example.com"}, 200),
    ({"Host": "mlflow.example.com:8080", "Origin": "http://mlflow.example.com:8080"}, 200),
    ({"Host": "mlflow.internal.example.com",
      "Origin": "https://mlflow.internal.example.com"}, 200),
    ({"Host": "smile-spy-smile-mlflow:5000"}, 200),
    ({"Host": "mlflow.example.com", "Origin": "https://elsewhere.example.com"}, 403),
    ({"Host": "mlflow.example.com", "Origin": "https://mlflow.example.com.evil.com"}, 403),
    ({"Host": "elsewhere.example.com", "Origin": "https://mlflow.example.com"}, 403),
])
def test_mlflow_s_own_guard_lets_its_pages_ask(headers: dict[str, str], status: int,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    options = dict(argument.partition("=")[::2] for argument in mlflow(render(FULL))["args"])
    monkeypatch.setenv("MLFLOW_SERVER_ALLOWED_HOSTS", options["--allowed-hosts"])
    monkeypatch.setenv("MLFLOW_SERVER_CORS_ALLOWED_ORIGINS",
                       options.get("--cors-allowed-origins", ""))
    assert asyncio.run(answer(headers)) == status


async def answer(headers: dict[str, str]) -> int:
    """What a page with these headers is told by a server behind MLflow's own guard."""
    app = FastAPI()
    app.add_api_route(SEARCH, lambda: "found", methods=["POST"])
    init_fastapi_security(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app),
                                 base_url="http://server") as client:
        return (await client.post(SEARCH, headers=headers)).status_code


def test_without_pages_no_origin_is_allowed() -> None:
    assert not [each for each in mlflow(render())["args"] if each.startswith("--cors")]


def mlflow(objects: list[Object]) -> Object:
    container, = containers(pick(objects, "Deployment", "-mlflow")["spec"]["template"])
    return container


def hosts(objects: list[Object]) -> set[str]:
    """The Host headers that MLflow answers to."""
    allowed, = (argument.partition("=")[2] for argument in mlflow(objects)["args"]
                if argument.startswith("--allowed-hosts"))
    return set(allowed.split(","))


def places(container: Object) -> dict[str, tuple[str, str]]:
    """Secret and key of each variable from a Secret."""
    found = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in container.get("env", [])
             if "valueFrom" in each}
    return {name: (place["name"], place["key"]) for name, place in found.items()}


def test_a_login_is_asked_of_all_and_given_to_our_pods() -> None:
    objects = render(**LOGIN)
    server = mlflow(objects)
    secret = "smile-spy-smile-mlflow"
    assert "--app-name=basic-auth" in server["args"]
    assert places(server) == {
        "MLFLOW_AUTH_ADMIN_USERNAME": (secret, "username"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": (secret, "password"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": (secret, "session-key")}
    trainer = pick(objects, "CronJob", "-trainer")["spec"]["jobTemplate"]["spec"]["template"]
    for template in (trainer, pick(objects, "Deployment", "-model-server")["spec"]["template"],
                     first_model(objects)["spec"]["template"],
                     {"spec": pick(objects, "Pod", "-test-registry")["spec"]}):
        told = places(containers(template)[-1])
        assert told["MLFLOW_TRACKING_PASSWORD"] == (secret, "password")
    assert "MLFLOW_TRACKING_PASSWORD" not in environment(objects, "predictor")


def test_the_login_is_generated_and_kept_unless_it_is_given() -> None:
    made = pick(render(**LOGIN), "Secret", "-mlflow")
    assert base64.b64decode(made["data"]["username"]) == b"admin"
    assert len(base64.b64decode(made["data"]["password"])) == 32
    assert made["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    objects = render(**LOGIN, mlflow__auth__existingSecret="people")
    assert pick(objects, "Secret", "-mlflow")["data"].keys() == {"session-key"}
    assert places(mlflow(objects))["MLFLOW_AUTH_ADMIN_PASSWORD"] == ("people", "password")


def test_without_a_login_there_are_no_users() -> None:
    objects = render()
    assert places(mlflow(objects)) == {}
    assert not any("basic-auth" in argument for argument in mlflow(objects)["args"])


def test_models_are_on_the_volume_or_in_a_bucket() -> None:
    assert "--artifacts-destination=/data/artifacts" in mlflow(render())["args"]
    server = mlflow(render(FULL))
    assert "--artifacts-destination=s3://models/smile" in server["args"]
    assert server["envFrom"] == [{"secretRef": {"name": "bucket"}}]
    variables = {each["name"]: each.get("value") for each in server["env"]}
    assert variables["MLFLOW_S3_ENDPOINT_URL"] == "http://minio.storage:9000"


@pytest.mark.parametrize("keep", ["-mlflow", "-database"])
def test_what_an_uninstall_must_not_lose_is_kept(keep: str) -> None:
    objects = render(**LOGIN)
    kept = {(each["kind"], each["metadata"]["name"]) for each in objects
            if each["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"}
    assert ("Secret", f"smile-spy-smile{keep}") in kept
