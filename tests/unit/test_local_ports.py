import socket

import pytest

from local import ports
from local.errors import LocalError, PortInUse


def test_every_port_can_be_set():
    chosen = ports.resolve({ports.setting(name): str(20_000 + at)
                            for at, name in enumerate(ports.DEFAULTS)})
    assert list(chosen.values()) == [20_000 + at for at in range(len(ports.DEFAULTS))]


def test_defaults_are_all_different():
    assert ports.resolve({}) == dict(ports.DEFAULTS)


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "http", "4.5"])
def test_what_is_no_port_is_refused_by_its_setting(text):
    with pytest.raises(LocalError, match="SMILE_PORT_KAFKA is"):
        ports.resolve({"SMILE_PORT_KAFKA": text})


def test_two_parts_on_one_port_are_refused():
    with pytest.raises(LocalError, match="SMILE_PORT_POSTGRES and SMILE_PORT_KAFKA are both 9092"):
        ports.resolve({"SMILE_PORT_POSTGRES": "9092"})


def test_a_taken_port_is_told_from_a_free_one():
    with socket.create_server((ports.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        assert ports.is_open(port)
        with pytest.raises(PortInUse):
            ports.check_free("dashboard", port)
    assert not ports.is_open(port)
    ports.check_free("dashboard", port)
