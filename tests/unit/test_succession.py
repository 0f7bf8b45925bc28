import pytest

from ml import registry, succession
from ml.errors import RegistryError
from ml.quiet_mlflow import MlflowClient
from ml.registry import LoadedModel, Record
from tests.unit.damaged_model import add_damaged_version, truncate
from tests.unit.small_model import broken_forecaster, make_forecaster, windows


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """A registry with three versions of `smile`, all the same, and a damaged one, "4"."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"
    registry.register(make_forecaster(), windows(2), Record(), uri)
    client = MlflowClient(uri)
    for _ in ("2", "3"):
        client.create_model_version("smile", client.get_model_version("smile", "1").source)
    add_damaged_version(uri, tmp_path_factory.mktemp("damaged"), truncate, "scaler.joblib")
    return uri


@pytest.fixture
def client(uri, monkeypatch):
    """The registry with no champion and nothing remembered; versions are taken on trust."""
    client = MlflowClient(uri)
    client.delete_registered_model_alias("smile", "champion")
    client.delete_registered_model_tag("smile", succession.HISTORY)
    return client


@pytest.fixture
def trusting(monkeypatch):
    """Loading takes half a second, and is tested by itself."""
    monkeypatch.setattr(succession, "load_version", lambda *place: None)
    monkeypatch.setattr(succession, "usable", lambda model: model)


def champion(uri):
    return registry.find_alias("smile", "champion", uri)


def crown(uri, *versions):
    for version in versions:
        succession.crown("smile", version, uri, "better")


def test_a_crowned_challenger_is_champion_and_challenger_no_more(uri, client, trusting):
    client.set_registered_model_alias("smile", "challenger", "2")
    crown(uri, "2")

    assert champion(uri) == "2"
    assert registry.find_alias("smile", "challenger", uri) is None


def test_another_challenger_stays_one(uri, client, trusting):
    client.set_registered_model_alias("smile", "challenger", "3")
    crown(uri, "2")

    assert registry.find_alias("smile", "challenger", uri) == "3"


def test_a_challenger_that_is_registered_meanwhile_stays_one(uri, client, trusting, monkeypatch):
    client.set_registered_model_alias("smile", "challenger", "2")
    keep = succession._keep

    def slow(*told):
        keep(*told)
        client.set_registered_model_alias("smile", "challenger", "3")

    monkeypatch.setattr(succession, "_keep", slow)
    crown(uri, "2")

    assert (champion(uri), registry.find_alias("smile", "challenger", uri)) == ("2", "3")


@pytest.mark.parametrize("before", ["1", None])
def test_a_champion_that_came_meanwhile_is_not_replaced(uri, client, trusting, before):
    crown(uri, "3")

    with pytest.raises(RegistryError, match=f"was judged against version {before or 'none'} of "
                                            "smile, but the champion is version 3 by now"):
        succession.crown("smile", "2", uri, "better", before=before)
    assert champion(uri) == "3"


def test_the_version_says_what_the_gate_said_when_and_to_whom(uri, client, trusting):
    succession.crown("smile", "1", uri, "better than all")

    tags = client.get_model_version("smile", "1").tags
    assert tags["gate"] == "better than all"
    assert tags.keys() >= {"promoted_at", "promoted_by"}
    assert "forced" not in tags


def test_a_forced_version_says_why(uri, client, trusting):
    succession.crown("smile", "2", uri, "worse", forced="the demo's first model")

    tags = client.get_model_version("smile", "2").tags
    assert (tags["forced"], tags["forced_reason"]) == ("true", "the demo's first model")


def test_one_promoted_by_merit_is_not_marked_as_forced_any_more(uri, client, trusting):
    succession.crown("smile", "2", uri, "worse", forced="the demo's first model")
    succession.crown("smile", "2", uri, "better")

    assert not client.get_model_version("smile", "2").tags.keys() & {"forced", "forced_reason"}


def test_a_rollback_goes_back_step_by_step_and_says_so(uri, client, trusting):
    crown(uri, "1", "2", "3")

    assert succession.dethrone("smile", uri) == ("3", "2")
    assert succession.dethrone("smile", uri) == ("2", "1")
    assert champion(uri) == "1"
    assert "rolled_back_at" in client.get_model_version("smile", "3").tags
    with pytest.raises(RegistryError, match="no version of smile was champion before version 1"):
        succession.dethrone("smile", uri)


def test_a_version_crowned_twice_is_gone_back_from_once(uri, client, trusting):
    crown(uri, "1", "2", "2")

    assert succession.dethrone("smile", uri) == ("2", "1")


def test_after_a_rollback_another_version_may_follow_and_be_rolled_back(uri, client, trusting):
    crown(uri, "1", "2")
    succession.dethrone("smile", uri)
    crown(uri, "3")

    assert succession.dethrone("smile", uri) == ("3", "1")


def test_an_alias_moved_by_hand_is_remembered(uri, client, trusting):
    crown(uri, "1")
    client.set_registered_model_alias("smile", "champion", "2")
    crown(uri, "3")

    assert succession.dethrone("smile", uri) == ("3", "2")
    assert succession.dethrone("smile", uri) == ("2", "1")


def test_a_promotion_that_broke_off_before_the_alias_moved_is_forgotten(uri, client, trusting):
    crown(uri, "1", "2")
    client.set_registered_model_tag("smile", succession.HISTORY, "1,2,3")

    assert succession.dethrone("smile", uri) == ("2", "1")


def test_without_a_champion_there_is_no_way_back(uri, client):
    with pytest.raises(RegistryError, match="no champion to roll back from"):
        succession.dethrone("smile", uri)


def test_a_damaged_version_is_never_crowned(uri, client):
    crown(uri, "1")
    with pytest.raises(RegistryError, match="version 4 of smile can't be loaded"):
        crown(uri, "4")

    assert champion(uri) == "1"


@pytest.mark.parametrize("move", [
    lambda uri: succession.crown("smile", "2", uri, "worse", forced="why not"),
    lambda uri: succession.dethrone("smile", uri)])
def test_neither_is_one_that_can_not_be_used(uri, client, monkeypatch, move):
    client.set_registered_model_tag("smile", succession.HISTORY, "2,1")
    client.set_registered_model_alias("smile", "champion", "1")
    monkeypatch.setattr(succession, "load_version",
                        lambda name, version, uri: LoadedModel(broken_forecaster(), version))
    with pytest.raises(RegistryError, match="version 2 of smile can't forecast: RuntimeError"):
        move(uri)

    assert champion(uri) == "1"


def test_a_refusal_is_noted_and_nothing_moves(uri, client, trusting):
    crown(uri, "1")
    succession.refuse("smile", "2", uri, "worse than ewma at 60 s")

    assert champion(uri) == "1"
    assert client.get_model_version("smile", "2").tags["gate"] == "worse than ewma at 60 s"
