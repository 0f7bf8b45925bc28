from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local import parts, ports, prometheus
from local.sources import Source, parse
from local.state import State
from local.supervisor import Supervisor

NOW = datetime(2026, 8, 3, 15, tzinfo=UTC)


def demo(source: Source, **options) -> parts.Demo:
    return parts.Demo(source=source, folder=Path("/state"), ports=ports.resolve({}), now=NOW,
                      **options)


def built(source: Source, **options):
    return {part.name: part for part in parts.build(demo(source, **options))}


SOURCES = [parse("simulator"), parse("gateway:4001"),
           Source("recording", file=Path(__file__))]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.kind)
def test_parts_wait_only_for_earlier_ones(source, tmp_path):
    wanted = parts.build(demo(source))
    assert list(Supervisor(wanted, State(tmp_path), print).units) == [part.name for part in wanted]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.kind)
def test_every_stage_is_there_with_a_port_of_its_own(source):
    wanted = built(source)
    assert {"ingest", "writer", "features", "predictor", "monitor", "model_server",
            "dashboard"} <= set(wanted)
    taken = [name for part in wanted.values() for name in part.ports]
    assert len(taken) == len(set(taken))
    assert set(taken) <= set(ports.DEFAULTS)


def test_the_simulated_history_ends_before_the_warm_up_begins():
    wanted = built(parse("simulator"), history=timedelta(hours=6), warmup=timedelta(hours=1))
    history, warmup = wanted["history"].command, wanted["warmup"].command
    assert history[history.index("--before") + 1] == warmup[warmup.index("--minutes") + 1] == "60.0"
    assert wanted["ingest"].env["SMILE_SOURCE_LABEL"] == "simulated"


def test_a_gateway_has_no_history_and_no_training():
    wanted = built(parse("gateway:4001"))
    assert not {"history", "train", "simulator", "warmup"} & set(wanted)
    assert wanted["ingest"].env["SMILE_GATEWAY_HOST"] == "gateway"
    assert wanted["ingest"].env["SMILE_GATEWAY_PORT"] == "4001"
    assert "SMILE_SOURCE_LABEL" not in wanted["ingest"].env


def test_a_recording_trains_on_its_first_part_and_replays_the_rest():
    wanted = built(SOURCES[2], speed=120.0, symbol="GOOG")
    assert "simulator" not in wanted and wanted["ingest"].may_end
    assert {"/state/history.parquet", "/state/train.yaml"} <= set(wanted["train"].command)
    assert wanted["ingest"].env["SMILE_RECORDING"] == "/state/replay.parquet"
    assert wanted["ingest"].env["SMILE_SPEED"] == "120.0"
    assert wanted["ingest"].env["SMILE_SYMBOL"] == "GOOG"


@pytest.mark.parametrize("source", [SOURCES[0], SOURCES[2]], ids=lambda source: source.kind)
def test_the_first_model_is_champion_whatever_so_little_data_says_and_that_is_noted(source):
    command = built(source)["train"].command
    assert "first model" in command[command.index("--force") + 1]


def test_services_are_told_to_stay_small():
    for name, part in built(parse("simulator")).items():
        if name not in ("kafka", "prometheus"):
            assert part.env["MALLOC_ARENA_MAX"] == "2", name


def test_prometheus_scrapes_every_target():
    text = prometheus.configuration({"ingest": 9102, "writer": 9103})
    assert text.count("job_name") == 2 and '"127.0.0.1:9103"' in text


def test_prometheus_is_a_part_where_it_is_installed(monkeypatch, tmp_path):
    monkeypatch.setattr(prometheus, "installed", lambda: "/usr/bin/prometheus")
    wanted = parts.build(parts.Demo(source=parse("simulator"), folder=tmp_path,
                                    ports=ports.resolve({})))
    assert wanted[-1].name == "prometheus"
    assert "model_server" in (tmp_path / "prometheus" / "prometheus.yml").read_text()
