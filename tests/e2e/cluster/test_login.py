"""MLflow lets in whoever has the release's generated password, and nobody else."""

import json

import pytest

from tests.e2e.cluster.tools import HERE

pytestmark = pytest.mark.e2e


def test_mlflow_answers_its_own_and_refuses_strangers(release):
    """That the release's trainers and model server get in is seen by its forecasts."""
    stranger, own = json.loads(release.inside("model-server", HERE / "objects" / "ask_mlflow.py"))
    assert (stranger, own) == (401, 200)
