"""The command line: settings by flag or variable, the history file, a server's life."""

import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from ml.quotes.format import read_quotes
from services.common.errors import SettingsError
from services.common.settings import load
from services.simulator import cli
from services.simulator.main import main
from services.simulator.settings import SimulatorSettings


def settings(monkeypatch, arguments, **variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    options = cli.parser(print, print).parse_args(arguments)
    return load(SimulatorSettings, cli.environment(options))


def test_flags_go_before_the_environment(monkeypatch):
    found = settings(monkeypatch, ["serve", "--port", "0", "--symbols", "SPY,QQQ"],
                     SMILE_SIMULATOR_PORT="5000", SMILE_SIMULATOR_SEED="9")
    assert found.simulator_port == 0
    assert found.simulator_symbols == ("SPY", "QQQ")
    assert found.simulator_seed == 9


@pytest.mark.parametrize(("flag", "value"), [
    ("port", "x"), ("hours", "night"), ("speed", "0"), ("symbols", "A,B,C,D,E"), ("lines", "0")])
def test_a_bad_setting_is_named(monkeypatch, flag, value):
    with pytest.raises(SettingsError, match=f"SMILE_SIMULATOR_{flag.upper()}"):
        settings(monkeypatch, ["serve", f"--{flag}", value])


def test_a_start_needs_its_zone(monkeypatch):
    with pytest.raises(SettingsError, match="no time zone"):
        settings(monkeypatch, ["serve", "--start", "2026-01-05T10:00"]).begins()
    found = settings(monkeypatch, ["serve", "--start", "2026-01-05T10:00:00Z"])
    assert found.begins() == 1_767_607_200


def test_history_writes_a_quotes_file(tmp_path, capsys):
    path = tmp_path / "history.csv"
    with pytest.raises(SystemExit) as ended:
        main(["history", "--from", "2026-11-23T15:00:00Z", "--to", "2026-11-23T15:05:00Z",
              "--expiries", "2", "-o", str(path)])
    assert ended.value.code == 0
    frame = read_quotes(path)
    assert frame["ts"].nunique() == 6 and frame["expiry"].nunique() == 2
    assert f"{len(frame)} quotes at 6 instants" in capsys.readouterr().out


def test_history_can_be_that_of_the_hours_until_now(tmp_path):
    path = tmp_path / "history.csv"
    with pytest.raises(SystemExit) as ended:
        main(["history", "--past", "1", "--step", "600", "--expiries", "1", "--hours", "always",
              "-o", str(path)])
    assert ended.value.code == 0
    times = read_quotes(path)["ts"]
    assert times.max() - times.min() == timedelta(hours=1)
    assert timedelta(0) <= datetime.now(UTC) - times.max() < timedelta(minutes=2)


@pytest.mark.parametrize("arguments", [
    ["history", "-o", "x.csv"],
    ["history", "--past", "1", "--from", "2026-11-23T15:00:00Z", "-o", "x.csv"],
    ["history", "--from", "yesterday", "--to", "2026-11-23T15:05:00Z", "-o", "x.csv"],
    ["history", "--hours", "rth", "--from", "2026-11-21T15:00:00Z", "--to",
     "2026-11-21T15:05:00Z", "-o", "x.csv"],
    ["serve", "--fault", "nope@3"],
    ["serve", "--recording", "none.parquet"],
    ["history", "--step", "0"]])
def test_a_users_mistake_ends_with_2(arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "a..b"])
def test_a_host_that_is_not_ours_is_named(capfd, monkeypatch, host):
    monkeypatch.setenv("SMILE_METRICS_PORT", "0")
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--host", host, "--port", "0"])
    said = capfd.readouterr()
    assert ended.value.code == 2
    assert f"SMILE_SIMULATOR_HOST={host}: not an address of this machine" in said.out + said.err


def test_a_port_in_use_is_named(capfd, monkeypatch):
    monkeypatch.setenv("SMILE_METRICS_PORT", "0")
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as ended:
        port = taken.getsockname()[1]
        main(["serve", "--port", str(port)])
    said = capfd.readouterr()
    assert ended.value.code == 2
    assert f"SMILE_SIMULATOR_PORT={port}: can't listen on 127.0.0.1" in said.out + said.err


def test_sigterm_stops_a_server_cleanly():
    server = subprocess.Popen(
        [sys.executable, "-m", "services.simulator", "serve", "--port", "0",
         "--metrics-port", "0"], stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        line = server.stderr.readline()
        while "gateway is up" not in line:
            assert line, "the server ended before it was up"
            line = server.stderr.readline()
        server.send_signal(signal.SIGTERM)
        rest = server.stderr.read()
        assert server.wait(timeout=30) == 0
        assert "gateway is down" in rest and "Traceback" not in rest
    finally:
        server.kill()
        server.wait()
