"""The champion as the monitor knows it."""

import pytest

from services.common.errors import Unavailable
from services.common.model_contract import Served
from services.monitor.champion import AGAIN_S, PATIENCE_S, Champion
from tests.unit.small_model import make_contract

SERVED = Served(make_contract(), "3")


class Server:
    """A model server that is away until told otherwise."""

    def __init__(self):
        self.away, self.asked, self.now = True, 0, 0.0

    def __call__(self, url, timeout):
        self.asked += 1
        if self.away:
            raise Unavailable("the model server can't be reached")
        return SERVED


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def champion(server):
    return Champion("http://server", 60.0, clock=lambda: server.now, ask=server)


def test_a_server_that_did_not_answer_is_soon_asked_again(server, champion):
    assert champion.now() is None
    server.now, server.away = AGAIN_S, False
    assert champion.now() is SERVED

    server.now = 59.0 + AGAIN_S
    assert champion.now() is SERVED and server.asked == 2
    server.now = 60.0 + AGAIN_S
    champion.now()
    assert server.asked == 3


def test_the_first_word_is_awaited_but_not_for_ever(server, champion):
    assert champion.awaited
    server.now = PATIENCE_S - 1.0
    assert champion.now() is None and champion.awaited
    server.now = PATIENCE_S
    assert not champion.awaited


def test_nothing_is_awaited_once_a_champion_is_known_or_where_no_server_is_named(server, champion):
    server.away = False
    champion.now()

    assert not champion.awaited
    assert not Champion("", 60.0).awaited
