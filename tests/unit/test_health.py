import re
import socket
import time
import urllib.error
import urllib.request

import pytest

from services.common.errors import SettingsError
from services.common.health import Heartbeat, serve


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_metrics_are_served_in_the_text_format():
    with serve(0, Heartbeat()) as server:
        status, body = get(server.port, "/metrics")

    assert status == 200
    assert "# HELP python_info" in body


def test_the_age_of_the_last_turn_is_a_metric():
    heartbeat = Heartbeat()
    with serve(0, heartbeat) as server:
        time.sleep(0.2)
        aged = get(server.port, "/metrics")[1]
        heartbeat.beat()
        fresh = get(server.port, "/metrics")[1]

    def age(body):
        return float(re.search(r"^smile_stage_heartbeat_age_seconds (.*)$", body, re.M)[1])

    assert age(aged) >= 0.2 > age(fresh)


def test_healthz_is_well_while_the_loop_turns_and_ill_when_it_hangs():
    heartbeat = Heartbeat(limit_s=0.2)
    with serve(0, heartbeat) as server:
        heartbeat.beat()
        assert get(server.port, "/healthz")[0] == 200
        time.sleep(0.3)
        assert get(server.port, "/healthz")[0] == 503
        heartbeat.beat()
        assert get(server.port, "/healthz")[0] == 200


def test_readyz_says_what_is_waited_for_and_is_ill_with_the_loop():
    heartbeat = Heartbeat(limit_s=0.2)
    with serve(0, heartbeat) as server:
        assert get(server.port, "/readyz") == (200, "can work\n")
        heartbeat.waiting = "the gateway"
        assert get(server.port, "/readyz") == (503, "waits for the gateway\n")
        assert get(server.port, "/healthz")[0] == 200
        heartbeat.waiting = ""
        time.sleep(0.3)
        assert get(server.port, "/readyz")[0] == 503


def test_an_unknown_path_says_where_to_look():
    with serve(0, Heartbeat()) as server:
        assert get(server.port, "/") == (404, "try /metrics, /healthz or /readyz\n")


def test_a_port_in_use_is_refused_by_the_settings_name():
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        with pytest.raises(SettingsError, match="SMILE_METRICS_PORT"):
            serve(taken.getsockname()[1], Heartbeat())
