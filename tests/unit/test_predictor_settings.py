"""What the predictor accepts of its environment."""

import pytest

from services.common.errors import SettingsError
from services.common.settings import load
from services.predictor.settings import PredictorSettings

NEEDED = {"SMILE_KAFKA_BOOTSTRAP": "broker:9092", "SMILE_DATABASE_URL": "postgresql://host/smile",
          "SMILE_MODEL_SERVER_URL": "http://model-server:3000"}


@pytest.mark.parametrize("horizons", ["300,60", "60,60", "60,900,300"])
def test_horizons_that_do_not_ascend_are_refused_by_name(horizons):
    with pytest.raises(SettingsError, match=r"^SMILE_HORIZONS_S must .* ascending$"):
        load(PredictorSettings, {**NEEDED, "SMILE_HORIZONS_S": horizons})


def test_horizons_in_their_order_are_taken():
    settings = load(PredictorSettings, {**NEEDED, "SMILE_HORIZONS_S": "60, 120,3600"})

    assert settings.horizons_s == (60, 120, 3600)


@pytest.mark.parametrize(("url", "reason"), [
    ("http://host:abc", "is not a URL such as http://model-server:3000: Invalid port: 'abc'"),
    ("http://[::1", "is not a URL"), ("http://host:99999", "has the port 99999, not one of 1")])
def test_a_model_server_s_url_that_nobody_could_ask_is_refused_by_name(url, reason):
    with pytest.raises(SettingsError) as refused:
        load(PredictorSettings, {**NEEDED, "SMILE_MODEL_SERVER_URL": url})

    assert str(refused.value).startswith(f"SMILE_MODEL_SERVER_URL {reason}")
