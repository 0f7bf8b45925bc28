"""A release goes over to a database elsewhere by a plain upgrade."""

import pytest
import yaml

from tests.e2e.cluster import stack
from tests.e2e.cluster.tools import CHART, HERE, eventually, full, wait_until_ready

pytestmark = [pytest.mark.e2e, pytest.mark.long]
ELSEWHERE = HERE / "objects" / "elsewhere.yaml"


@pytest.fixture
def moved(release):
    default = yaml.safe_load((CHART / "values.yaml").read_text())["database"]["image"]
    image = next((word.partition("=")[2] for word in stack.database_values() if "=" in word),
                 default)
    release.kubectl("apply", "-f", "-", given=ELSEWHERE.read_text().replace("IMAGE", image))
    release.kubectl("wait", "--for=condition=Ready", "pod/elsewhere", "--timeout=90s")
    stack.upgrade(release, "--set", "database.mode=external",
                  "--set", "database.existingSecret=elsewhere")
    yield release
    release.kubectl("delete", "-f", str(ELSEWHERE), "--force", "--grace-period=0")


def test_its_tables_are_made_there_and_forecasts_are_stored(moved):
    """The migrations go first, when the policies are still those of the own database."""
    def forecasts():
        return int(moved.kubectl("exec", "elsewhere", "--", "psql", "-h", "/var/run/postgresql",
                                 "-U", "smile", "-d", "smile", "-Atc", stack.FORECASTS))

    assert forecasts() >= 0
    wait_until_ready(moved, 300)
    eventually("forecasts elsewhere", forecasts, 120)
    left = moved.kubectl("get", "statefulsets,networkpolicies,jobs", "-o", "name")
    assert full("database") not in left
    assert "hooked" not in left
