"""What the cluster tests stand on, checked without a cluster."""

import yaml

from tests.e2e import build
from tests.e2e.cluster import conftest, stack
from tests.e2e.cluster.tools import HERE
from tests.unit.helm_chart import render


def test_every_image_of_the_project_is_built():
    assert {"ingest", "writer", "model-server", "trainer", "mlflow"} <= set(build.targets())
    assert build.name("writer") == "localhost/spy-smile-writer:e2e"


def test_every_module_has_its_place_in_the_order():
    modules = {file.stem for file in HERE.glob("test_*.py")}
    assert modules == set(conftest.ORDER)


def test_the_chart_takes_the_tests_values():
    objects = render(stack.VALUES)
    images = {container["image"] for each in objects if each["kind"] == "Deployment"
              for container in each["spec"]["template"]["spec"]["containers"]}
    assert images <= {build.name(target) for target in build.targets()}


def test_pods_beside_the_release_are_restricted_too():
    for file in (HERE / "objects").glob("*.yaml"):
        for each in yaml.safe_load_all(file.read_text()):
            pod = each if each["kind"] == "Pod" else each["spec"].get("template")
            if pod is None:
                continue
            assert pod["spec"]["securityContext"]["runAsNonRoot"], file
            for container in pod["spec"]["containers"]:
                assert container["securityContext"]["readOnlyRootFilesystem"], file


def test_the_proxy_serves_the_ingress_host_and_path_and_nothing_else():
    told = stack.proxy_configuration("smile.example.test", "/smile", "pages", 8501)
    assert "hdr(host),field(1,:) -i smile.example.test" in told
    assert "acl path path /smile\n" in told and "path_beg /smile/" in told
    assert "return status 404 unless host path" in told
    assert "server dashboard pages:8501" in told
