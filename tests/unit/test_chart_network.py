"""Who may talk to whom in the chart: the arrows of docs/architecture.md, and no other."""

from typing import Any

import pytest

from tests.unit.helm_chart import EXTERNAL, FULL, Object, environment, pick, render

COMPONENT = "app.kubernetes.io/component"
ARROWS = {
    ("ingest", "simulator", 4002), ("ingest", "kafka", 9093),
    ("writer", "kafka", 9093), ("writer", "database", 5432),
    ("features", "kafka", 9093), ("features", "database", 5432),
    ("predictor", "kafka", 9093), ("predictor", "database", 5432),
    ("predictor", "model-server", 3000),
    ("monitor", "database", 5432), ("monitor", "model-server", 3000),
    ("model-server", "mlflow", 5000),
    ("trainer", "database", 5432), ("trainer", "mlflow", 5000),
    ("first-model", "mlflow", 5000),
    ("dashboard", "database", 5432),
    ("migrations", "database", 5432),
    ("test", "database", 5432), ("test", "mlflow", 5000), ("test", "model-server", 3000),
    ("test", "dashboard", 8501),
}
Arrow = tuple[str, str, int]


def policies(objects: list[Object]) -> dict[str, Object]:
    """By component, what its policy says; without the one that denies all."""
    found = {each["metadata"]["name"].removeprefix("smile-spy-smile-"): each["spec"]
             for each in objects if each["kind"] == "NetworkPolicy"}
    found.pop("default")
    return found


def peers(peer: Object) -> list[str]:
    """The components, or the brokers, that a peer selects."""
    selector = peer.get("podSelector", {})
    labels = selector.get("matchLabels", {})
    if "strimzi.io/name" in labels:
        return ["kafka"]
    for expression in selector.get("matchExpressions", []):
        if expression["key"] == COMPONENT:
            return list(expression["values"])
    return [labels[COMPONENT]] if COMPONENT in labels else []


def out(objects: list[Object]) -> set[Arrow]:
    """The arrows that callers are allowed."""
    return {(name, called, port["port"]) for name, spec in policies(objects).items()
            for rule in spec["egress"] or [] for peer in rule.get("to", [])
            for called in peers(peer) for port in rule["ports"]}


def into(objects: list[Object]) -> set[Arrow]:
    """The arrows that the called allow."""
    return {(caller, name, port["port"]) for name, spec in policies(objects).items()
            for rule in spec["ingress"] or [] for peer in rule.get("from", [])
            for caller in peers(peer) for port in rule["ports"]}


def outside(objects: list[Object], name: str) -> dict[int, Any]:
    """By port, where a component may call beyond the release; None is anywhere."""
    return {port["port"]: rule.get("to") for rule in policies(objects)[name]["egress"] or []
            for port in rule["ports"]
            if not any(map(peers, rule.get("to", []))) and port["port"] != 53}


def test_nothing_is_allowed_that_is_not_said() -> None:
    objects = render()
    deny = pick(objects, "NetworkPolicy", "-default")["spec"]
    assert deny.keys() == {"podSelector", "policyTypes"}
    assert deny["policyTypes"] == ["Ingress", "Egress"]
    assert deny["podSelector"]["matchLabels"].items() <= pick(
        objects, "Deployment", "-writer")["spec"]["template"]["metadata"]["labels"].items()
    assert all(spec["policyTypes"] == ["Ingress", "Egress"]
               for spec in policies(objects).values())


def test_the_arrows_are_the_design_s_at_both_ends() -> None:
    objects = render()
    assert out(objects) == ARROWS
    assert into(objects) == {arrow for arrow in ARROWS if arrow[1] != "kafka"}


def test_strimzi_lets_in_who_has_an_arrow_there() -> None:
    def allowed(objects: list[Object]) -> list[Object]:
        return list(pick(objects, "Kafka")["spec"]["kafka"]["listeners"][0]["networkPolicyPeers"])

    callers = {arrow[0] for arrow in ARROWS if arrow[1] == "kafka"}
    peer, = allowed(render())
    assert set(peers(peer)) == callers
    _, keda = allowed(render(writer__autoscaling__mode="keda",
                             networkPolicy__kedaNamespace="scalers"))
    assert keda["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": "scalers"}


def test_the_own_gateway_takes_the_simulator_s_place() -> None:
    objects = render(gateway__enabled="true", gateway__image="ib", gateway__existingSecret="ib",
                     simulator__enabled="false", gateway__port="4003")
    assert ("ingest", "gateway", 4003) in out(objects) & into(objects)
    assert outside(objects, "gateway") == {80: None, 443: None, 4000: None, 4001: None}


def test_a_simulator_that_nobody_listens_to_is_let_alone() -> None:
    objects = render(gateway__enabled="true", gateway__image="ib", gateway__existingSecret="ib")
    assert not {arrow for arrow in into(objects) if arrow[1] == "simulator"}


@pytest.mark.parametrize("mode", ["own", "external"])
def test_a_hook_s_migrations_reach_their_database_under_the_last_release_s_policies(
        mode: str) -> None:
    """They run before the release's own policies are put in place, and so bring theirs."""
    objects = render(*([EXTERNAL] if mode == "external" else []), upgrade="yes")
    policy = pick(objects, "NetworkPolicy", "-hooked-migrations")
    job = pick(objects, "Job", "-migrations")

    own, released = (policies(objects)[name]["egress"]
                     for name in ("hooked-migrations", "migrations"))
    assert own == released
    pod = job["spec"]["template"]["metadata"]["labels"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= pod.items()
    assert policy["spec"]["policyTypes"] == ["Egress"]
    when, before = policy["metadata"]["annotations"], job["metadata"]["annotations"]
    assert when["helm.sh/hook"] == before["helm.sh/hook"]
    assert int(when["helm.sh/hook-weight"]) < int(before.get("helm.sh/hook-weight", 0))
    assert when["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"


def test_the_migrations_of_an_install_need_no_policy_of_a_hook() -> None:
    assert "hooked-migrations" not in policies(render())
    assert "hooked-migrations" not in {
        each["metadata"]["name"] for each in render(EXTERNAL, networkPolicy__enabled="false")}


def test_what_is_elsewhere_is_called_at_its_port_only() -> None:
    objects = render(EXTERNAL)
    assert outside(objects, "ingest") == {9096: None, 4001: None}
    assert outside(objects, "writer") == {9096: None, 5432: None}
    assert outside(objects, "model-server") == {443: None}
    assert outside(objects, "dashboard") == {5432: None}


def test_what_is_elsewhere_can_be_narrowed_to_addresses() -> None:
    cidr = {"ipBlock": {"cidr": "10.1.0.0/16"}}
    objects = render(EXTERNAL, **{
        "networkPolicy__outside__kafka__to[0]__ipBlock__cidr": "10.1.0.0/16",
        "networkPolicy__outside__kafka__ports": "{9096,9097}",
        "networkPolicy__outside__database__to[0]__ipBlock__cidr": "10.1.0.0/16",
        "networkPolicy__outside__database__ports": "{6432}"})
    assert outside(objects, "writer") == {9096: [cidr], 9097: [cidr], 6432: [cidr]}


@pytest.mark.parametrize(("uri", "port"), [
    ("http://mlflow.ml:5000", 5000), ("https://mlflow.example.com/prefix", 443),
    ("http://mlflow", 80)])
def test_an_external_mlflow_s_port_is_its_address_s(uri: str, port: int) -> None:
    objects = render(mlflow__mode="external", mlflow__trackingUri=uri)
    assert outside(objects, "trainer") == {port: None}


def test_a_bucket_is_reached_where_its_address_says() -> None:
    s3 = {"mlflow__artifacts__mode": "s3", "mlflow__artifacts__destination": "s3://models"}
    assert outside(render(**s3), "mlflow") == {443: None}
    assert outside(render(FULL), "mlflow") == {9000: None}
    assert outside(render(), "mlflow") == {}


def test_only_a_monitor_that_retrains_may_call_the_api() -> None:
    assert outside(render(), "monitor") == {}
    objects = render(monitor__retrain__enabled="true")
    assert outside(objects, "monitor") == {443: None, 6443: None}


def test_names_are_asked_of_the_cluster_s_dns_only() -> None:
    for name, spec in policies(render()).items():
        dns = [rule for rule in spec["egress"] or []
               if any(port["port"] == 53 for port in rule["ports"])]
        assert len(dns) == (0 if name in ("database", "mlflow", "simulator") else 1), name
        assert all(rule["to"][0]["podSelector"]["matchLabels"] == {"k8s-app": "kube-dns"}
                   for rule in dns)


def metrics(objects: list[Object], name: str) -> list[Object]:
    """From where a component's metrics may be read."""
    port = 3000 if name == "model-server" else 9100
    return [peer for rule in policies(objects)[name]["ingress"] or []
            if rule["ports"] == [{"protocol": "TCP", "port": port}]
            for peer in rule.get("from", []) if "namespaceSelector" in peer]


@pytest.mark.parametrize("stage", ["ingest", "simulator", "writer", "features", "predictor",
                                   "monitor", "model-server", "dashboard"])
def test_prometheus_may_read_metrics(stage: str) -> None:
    peer, = metrics(render(), stage)
    assert peer["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": "monitoring"}


def doors(objects: list[Object], name: str, port: int) -> list[Any]:
    """From where browsers may come: None is anywhere."""
    return [rule.get("from") for rule in policies(objects)[name]["ingress"] or []
            if rule["ports"][0]["port"] == port and not any(map(peers, rule.get("from", [])))]


def test_pages_are_open_only_where_something_leads_to_them() -> None:
    assert doors(render(), "dashboard", 8501) == []
    assert doors(render(dashboard__ingress__enabled="true"), "dashboard", 8501) == [None]
    for name, port in (("dashboard", 8501), ("mlflow", 5000)):
        (peer,), = doors(render(FULL), name, port)
        assert peer["namespaceSelector"]["matchLabels"] == {
            "kubernetes.io/metadata.name": "haproxy"}


def test_policies_can_be_left_out() -> None:
    objects = render(networkPolicy__enabled="false")
    assert not [each for each in objects if each["kind"] == "NetworkPolicy"]
    listener, = pick(objects, "Kafka")["spec"]["kafka"]["listeners"]
    assert "networkPolicyPeers" not in listener
    assert environment(objects, "writer")
