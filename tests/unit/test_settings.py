from typing import Annotated

import pytest
from msgspec import Meta

from services.common.errors import SettingsError
from services.common.produce import options
from services.common.settings import DatabaseSettings, KafkaSettings, Settings, load


class Example(Settings, frozen=True, kw_only=True):
    name: str
    count: Annotated[int, Meta(ge=1)] = 3
    ratio: float = 0.5
    horizons: tuple[int, ...] = (60, 300)
    flag: bool = False


def test_values_are_coerced_to_the_fields_type():
    settings = load(Example, {"SMILE_NAME": "x", "SMILE_COUNT": "7", "SMILE_RATIO": "0.25",
                              "SMILE_HORIZONS": "60, 900", "SMILE_FLAG": "true"})

    assert settings == Example(name="x", count=7, ratio=0.25, horizons=(60, 900), flag=True)


def test_unset_and_empty_variables_take_the_default():
    assert load(Example, {"SMILE_NAME": "x", "SMILE_COUNT": ""}).count == 3


def test_missing_setting_is_refused_by_its_name():
    with pytest.raises(SettingsError, match="SMILE_KAFKA_BOOTSTRAP is not set"):
        load(KafkaSettings, {})


@pytest.mark.parametrize(("variable", "value"), [
    ("SMILE_COUNT", "many"), ("SMILE_COUNT", "0"), ("SMILE_HORIZONS", "60,soon"),
    ("SMILE_METRICS_PORT", "70000"), ("SMILE_LOG_LEVEL", "chatty")])
def test_bad_setting_is_refused_by_its_name(variable, value):
    with pytest.raises(SettingsError, match=variable):
        load(Example, {"SMILE_NAME": "x", variable: value})


def test_repr_masks_the_password_of_a_url():
    settings = load(DatabaseSettings, {"SMILE_DATABASE_URL": "postgresql://me:hun@te/r2@db/smile"})

    assert "r2" not in repr(settings)
    assert "@db/smile" in repr(settings)


def test_repr_masks_the_password_of_an_option():
    settings = load(KafkaSettings, {"SMILE_KAFKA_BOOTSTRAP": "b:9092",
                                    "SMILE_KAFKA_OPTIONS": "sasl.password=hunter2,linger.ms=1"})

    assert "hunter2" not in repr(settings)
    assert "linger.ms=1" in repr(settings)


@pytest.mark.parametrize("option", [
    r"sasl.password=one\,hunter2", "sasl.oauthbearer.client.secret=hunter2",
    "ssl.key.pem=hunter2", "ssl.key.password=hunter2"])
def test_repr_masks_all_of_an_option_s_secret(option):
    settings = load(KafkaSettings, {"SMILE_KAFKA_BOOTSTRAP": "b:9092",
                                    "SMILE_KAFKA_OPTIONS": f"{option},linger.ms=1"})

    assert "hunter2" not in repr(settings)
    assert "linger.ms=1" in repr(settings)


def test_options_of_kafka_may_have_commas_in_their_values():
    assert options(r"sasl.username=me, sasl.password=a\,b=c,linger.ms=1") == {
        "sasl.username": "me", "sasl.password": "a,b=c", "linger.ms": "1"}
    assert options("") == {}


def test_half_an_option_is_refused_by_its_place_for_it_may_be_half_a_password():
    with pytest.raises(SettingsError, match="SMILE_KAFKA_OPTIONS: its part 2") as refused:
        options("sasl.password=one,hunter2")

    assert "hunter2" not in str(refused.value)
