"""The model over HTTP, as the predictor asks for it: the champion and the shadow beside it."""

import msgspec
import numpy as np
import pytest

from ml.features import WINDOW_FEATURES
from services.common import forecast_wire as wire
from services.common.errors import Unavailable
from services.predictor.model_client import ModelClient
from services.predictor.reply import ModelRefused
from tests.integration.small_model_server import HORIZONS, SmallModelServer

WINDOWS = np.zeros((2, 10, len(WINDOW_FEATURES)))


@pytest.fixture
def server():
    with SmallModelServer() as running:
        yield running


@pytest.fixture
def clock():
    return Clock()


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def client(server, clock):
    with ModelClient(server.url, 5.0, 1.0, clock) as made:
        yield made


def test_the_contract_is_learnt_once(server, client):
    client.changes(WINDOWS)
    client.changes(WINDOWS)

    assert client.known.contract.name == "constant"
    assert server.calls == {"/contract": 1, wire.PATH: 2}


def test_changes_have_a_place_for_each_window_horizon_quantile_and_point(client):
    changes = client.changes(WINDOWS).champion

    assert changes.change.shape == (2, 4, 3, 17)
    assert (changes.model_name, changes.model_version, changes.role) == (
        "constant", "1", "champion")


def test_after_a_failure_the_server_is_left_alone_for_a_while(server, client, clock):
    client.changes(WINDOWS)
    server.status = 503
    with pytest.raises(Unavailable, match="not ready"):
        client.changes(WINDOWS)
    server.status = 200
    with pytest.raises(Unavailable, match="not ready"):
        client.changes(WINDOWS)
    clock.now = 1.5

    assert client.changes(WINDOWS).champion.model_version == "1"
    assert server.calls[wire.PATH] == 3


def test_a_server_that_is_not_there_is_unavailable(server):
    url = server.url
    server.server_close()
    with ModelClient(url, 0.3, 1.0) as client, pytest.raises(Unavailable, match="reached"):
        client.changes(WINDOWS)


def test_a_late_server_is_unavailable(server):
    server.delay_s = 0.5
    with ModelClient(server.url, 0.1, 1.0) as client, \
            pytest.raises(Unavailable, match=r"more than 0\.1 s"):
        client.changes(WINDOWS)


def test_a_new_version_of_other_horizons_is_not_taken_for_the_old_one(server, client):
    client.changes(WINDOWS)
    server.answer = wire.encode(wire.Answer(champion=server.said(2, server.changes, version="2")))
    server.version, server.horizons = "2", (60, 300, 900, 3600)

    with pytest.raises(ModelRefused, match="or horizons"):
        client.changes(WINDOWS)


def said(role="champion", **others):
    fields = {"model_name": "m", "model_version": "1", "horizons_s": HORIZONS,
              "quantiles": (0.05, 0.5, 0.95), "change": wire.pack(np.zeros((2, 4, 3, 17)))}
    return wire.Said(role=role, **{**fields, **others})


def ragged(change=(2, 4, 3, 17)):
    return wire.Array(change, b"1234")


UNFIT = [said(change=wire.pack(np.zeros((1, 4, 3, 17)))), said(change=ragged()),
         said(change=wire.pack(np.full((2, 4, 3, 17), np.nan))), said(horizons_s=(60,)),
         said(role="baseline")]
NAMES = ["one window", "too few bytes", "not a number", "other horizons", "another role"]


@pytest.mark.parametrize("answer", [b"junk", msgspec.msgpack.encode({"not": "a forecast"}), *(
    wire.encode(wire.Answer(champion=one)) for one in UNFIT)],
    ids=["junk", "another thing", *NAMES])
def test_an_answer_that_does_not_fit_is_refused(server, client, answer):
    server.answer = answer
    with pytest.raises(ModelRefused):
        client.changes(WINDOWS)


# --- the shadow

def test_the_challenger_is_heard_beside_the_champion_under_a_name_of_its_own(server, client):
    server.shadow_changes = (-0.02, 0.001, 0.02)

    shadow = client.changes(WINDOWS).shadow

    assert (shadow.model_name, shadow.model_version, shadow.role) == (
        "constant.shadow", "9", "shadow")
    assert shadow.change[0, 0, :, 0] == pytest.approx([-0.02, 0.001, 0.02])


@pytest.mark.parametrize("shadow", [
    7, {"model_name": ""}, *({**msgspec.to_builtins(one, builtin_types=(bytes,)),
                              "role": "shadow"} for one in UNFIT[:4]),
    msgspec.to_builtins(said(), builtin_types=(bytes,)),
    msgspec.to_builtins(said("shadow", model_name="m" * 60), builtin_types=(bytes,))],
    ids=["a number", "another thing", *NAMES[:4], "a champion's", "too long a name"])
def test_a_shadow_that_does_not_fit_is_left_out_and_harms_no_champion(server, client, shadow):
    champion = msgspec.to_builtins(said(), builtin_types=(bytes,))
    server.answer = msgspec.msgpack.encode({"champion": champion, "shadow": shadow})

    pair = client.changes(WINDOWS)

    assert pair.shadow is None
    assert pair.champion.change.shape == (2, 4, 3, 17)


def test_a_model_of_another_grid_is_refused_by_name(server, client):
    server.grid_z = [z + 0.1 for z in server.grid_z]
    with pytest.raises(ModelRefused, match="grid"):
        client.learn()
    assert client.known is None


def test_a_new_version_brings_its_contract(server, client):
    client.changes(WINDOWS)
    server.version = "2"

    assert client.changes(WINDOWS).champion.model_version == "2"
    assert server.calls["/contract"] == 2


def test_a_new_version_with_another_window_is_not_given_the_old_one(server, client, clock):
    client.changes(WINDOWS)
    server.answer = wire.encode(wire.Answer(champion=server.said(2, server.changes, version="2")))
    server.version, server.window = "2", 5
    with pytest.raises(ModelRefused, match="another step"):
        client.changes(WINDOWS)
    clock.now = 2.0

    assert client.learn().contract.window == 5
