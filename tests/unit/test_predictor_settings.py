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
