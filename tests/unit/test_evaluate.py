"""`python -m ml.evaluate`, from the command line to what is printed."""

import errno
import json
import re
from html import escape
from pathlib import Path

import pytest

from ml import evaluate, options
from ml.args import KINDS, NETWORKS
from ml.dataset import make_dataset
from ml.evaluation import plots
from tests.unit.smiles import make_history

QUICK = ["--epochs", "1", "--folds", "1"]


@pytest.fixture
def history(monkeypatch):
    """Stands in for a quotes file: a history of so many days."""
    def give(days, minutes=120, rows_s=60.0, expiries=1):
        def dataset_of(options, config, progress):
            made = make_history(days, minutes, expiries, step_s=rows_s)
            return make_dataset([made], config.data)

        monkeypatch.setattr(evaluate, "dataset_of", dataset_of)
        monkeypatch.setattr(options, "spacing_of", lambda paths, until: rows_s)
        return ["--quotes", "made-up.parquet", *QUICK]
    return give


def test_json_on_standard_output_is_all_that_is_printed(history, capsys):
    assert evaluate.main([*history(5), "--model", "ewma", "--json", "-"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["sources"] == ["made-up.parquet"]
    [one] = shown["judged"]
    assert one["config"]["model"]["kind"] == "ewma"
    horizons = one["evaluation"]["horizons"]
    assert [horizon["horizon_s"] for horizon in horizons] == [60, 300, 900, 1800]
    assert horizons[0]["rmse_bp"] > 0


def test_one_day_is_judged_within_it_and_that_is_said(history, capsys):
    assert evaluate.main([*history(1, 380), "--model", "ewma"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("WARNING: one day only") == 1
    assert "Errors by horizon" in shown
    assert "1 min ahead ewma" in shown


def test_coarse_quotes_are_judged_at_their_own_step(history, capsys):
    assert evaluate.main([*history(5, 390, 300.0, 3), "--model", "ewma", "--json", "-"]) == 0
    told = capsys.readouterr()
    assert "rows are 300 s apart; horizons: 300 s, 900 s, 1800 s" in told.err
    [one] = json.loads(told.out)["judged"]
    assert [horizon["horizon_s"] for horizon in one["evaluation"]["horizons"]] == [300, 900, 1800]


def test_a_coarse_step_can_be_asked_for(history, capsys):
    argv = [*history(5, 390, expiries=3), "--model", "ewma", "--step", "300", "--json", "-"]
    assert evaluate.main(argv) == 0
    [one] = json.loads(capsys.readouterr().out)["judged"]
    assert one["config"]["data"]["step_s"] == 300.0


def test_a_network_is_judged_with_each_seed(history, tmp_path, capsys):
    file = tmp_path / "scores.json"
    assert evaluate.main([*history(5), "--model", "mlp", "--seeds", "2", "--json",
                          str(file)]) == 0
    [one] = json.loads(file.read_text())["judged"]
    assert [seed["seed"] for seed in one["seeds"]] == [0, 1]
    assert "mlp: skill and bands" in capsys.readouterr().out


def test_several_models_stand_side_by_side_in_one_page(history, tmp_path, capsys):
    file = tmp_path / "scores.html"
    assert evaluate.main([*history(5), "--model", "ewma,har", "--html", str(file)]) == 0
    text = file.read_text()
    assert "<h2>ewma</h2>" in text
    assert "<h2>har</h2>" in text
    assert "har: skill and bands" in capsys.readouterr().out


def test_all_are_the_networks():
    assert evaluate.options_of(["--quotes", "a", "--model", "all"]).model == NETWORKS
    assert evaluate.options_of(["--quotes", "a"]).model == ("gru",)
    several = evaluate.options_of(["--quotes", "a", "--model", ",".join(KINDS)])
    assert several.model == KINDS


@pytest.mark.parametrize("argv", [
    [], ["--quotes", "a", "--model", "gru,gro"], ["--quotes", "a", "--seeds", "0"],
    ["--quotes", "a", "--seeds", "two"], ["--quotes", "a", "--from-database"]])
def test_options_that_make_no_sense_are_exit_code_2(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        evaluate.main(argv)
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize("given", [["--name", "smile"], ["--within-day"]])
def test_what_only_training_does_is_not_offered(given, capsys):
    for argv, code in ((["--quotes", "a", *given], 2), (["--help"], 0)):
        with pytest.raises(SystemExit) as caught:
            evaluate.main(argv)
        assert caught.value.code == code
    shown = capsys.readouterr()
    assert f"{given[0]} is of training" in shown.err
    assert given[0] not in shown.out


@pytest.mark.parametrize(("argv", "sentence"), [
    (["--quotes", "none.parquet"], "none.parquet: no such file"),
    (["--quotes", "a", "--json", "nowhere/scores.json"], "nowhere/scores.json: no such folder"),
    (["--quotes", "a", "--html", "nowhere/scores.html"], "nowhere/scores.html: no such folder"),
    (["--quotes", "a", "--model", "gru,mlp", "--config", "b.yaml"],
     "--config describes one model; give one --model with it"),
])
def test_a_users_mistake_is_one_sentence_and_exit_code_2(argv, sentence, capsys):
    assert evaluate.main(argv) == 2
    message = capsys.readouterr().err
    assert sentence in message
    assert message.count("\n") == 1


def test_a_page_without_matplotlib_is_refused_before_any_work(capsys, monkeypatch):
    monkeypatch.setattr(plots, "find_spec", lambda name: None)
    assert evaluate.main(["--quotes", "none.parquet", "--html", "scores.html"]) == 2
    assert "matplotlib" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_a_folder_is_refused_before_any_work(option, tmp_path, capsys):
    assert evaluate.main(["--quotes", "none.parquet", option, str(tmp_path)]) == 2
    assert f"{tmp_path}: is a folder" in capsys.readouterr().err


def test_a_page_that_can_not_be_written_is_one_sentence_and_costs_no_figures(
        history, tmp_path, capsys, monkeypatch):
    written = Path.write_bytes

    def full(path, content):
        if path.suffix == ".html":
            raise OSError(errno.ENOSPC, "No space left on device")
        return written(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    figures, shown = tmp_path / "scores.json", tmp_path / "scores.html"
    assert evaluate.main([*history(5), "--model", "ewma", "--json", str(figures), "--html",
                          str(shown)]) == 2
    assert f"{shown}: can't be written: No space left" in capsys.readouterr().err
    assert json.loads(figures.read_text())["judged"]


def test_the_band_is_named_by_the_level_that_is_configured(history, tmp_path, capsys):
    settings, shown = tmp_path / "own.yaml", tmp_path / "scores.html"
    settings.write_text("model: {kind: ewma}\nfit: {quantiles: [0.1, 0.5, 0.9]}\n")
    assert evaluate.main([*history(5), "--config", str(settings), "--html", str(shown)]) == 0
    assert "80 % band's coverage" in capsys.readouterr().out
    assert escape("80 % band's width") in shown.read_text()
    assert "90 % band" not in shown.read_text()


def test_a_baseline_is_the_same_as_itself(history, capsys):
    assert evaluate.main([*history(5), "--model", "ewma"]) == 0
    shown = capsys.readouterr().out
    assert "-0.00%" not in shown
    assert re.search(r"│ tuned EWMA +│ +the same │ +the same │ +the same │ +the same ", shown)
