"""The command line of the smile: what it prints and writes, and what it says of a mistake."""

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml.calendar import expiry_instant
from ml.quotes.format import write_quotes
from ml.smile.__main__ import main
from tests.unit.chains import AT, EXPIRY, SPOT, make_chain
from tests.unit.test_smile_report import DOCUMENT, keys

ROOT = Path(__file__).parents[2]
THIN = date(2026, 9, 25)


def frame(at=AT, symbol="SPX", expiry=EXPIRY):
    chain = make_chain()
    return pd.DataFrame({
        "ts": pd.Timestamp(at), "symbol": symbol, "expiry": expiry, "strike": chain.strike,
        "right": np.where(chain.is_call, "C", "P"), "bid": chain.bid, "ask": chain.ask,
        "bid_size": 1.0, "ask_size": 1.0, "underlying_bid": SPOT, "underlying_ask": SPOT})


@pytest.fixture(scope="module")
def quotes(tmp_path_factory):
    """One expiry with a smile and one without, at two instants; the later is after the close."""
    path = tmp_path_factory.mktemp("quotes") / "quotes.csv"
    thin = frame(expiry=THIN).iloc[:4]
    late = frame(at=expiry_instant(AT.date()).replace(hour=23)).iloc[:4]
    write_quotes(pd.concat([frame(), thin, late]), path)
    return str(path)


@pytest.fixture
def run(capsys):
    """Runs the command line; its exit code, output and error output."""
    def call(*arguments):
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_the_table_shows_each_expiry_and_why_one_has_no_smile(run, quotes):
    code, out, _ = run(quotes)
    assert code == 0
    lines = out.splitlines()
    assert "601.3" in next(line for line in lines if line.startswith("2026-09-18"))
    assert "no smile: " in next(line for line in lines if line.startswith("2026-09-25"))
    assert max(map(len, lines)) <= 140


def test_the_default_is_the_last_instant_within_a_session(run, quotes):
    assert run(quotes)[1].startswith(f"SPX at {AT:%Y-%m-%d %H:%M:%S} UTC")
    late = run(quotes, "--at", "2026-08-15T00:00Z")[1]
    assert late.startswith("SPX at 2026-08-14 23:00:00 UTC")


def test_each_symbol_has_a_table_of_its_own(run, tmp_path):
    path = tmp_path / "two.csv"
    write_quotes(pd.concat([frame(), frame(symbol="NDX")]), path)
    both = run(path)[1]
    assert both.index("NDX at ") < both.index("\n\nSPX at ")
    one = run(path, "--symbol", "spx")[1]
    assert one.startswith("SPX") and "NDX" not in one


def test_only_the_expiries_asked_for_are_shown(run, quotes):
    out = run(quotes, "--expiry", "2026-09-18")[1]
    assert "1 expiry, 1 smile;" in out
    assert "2026-09-25" not in out


def test_the_trading_clock_restates_volatilities(run, quotes):
    def atm(*more):
        document = json.loads(run(quotes, "--expiry", "2026-09-18", "--json", "-", *more)[1])
        smile = document["surfaces"][0]["smiles"][0]
        return smile["atm_vol"], smile["tau"], document["surfaces"][0]["clock"]

    vol, tau, clock = atm()
    other_vol, other_tau, other_clock = atm("--clock", "trading")
    assert (clock["name"], other_clock["name"]) == ("calendar", "trading")
    assert other_tau != tau
    assert other_vol * other_tau**0.5 == pytest.approx(vol * tau**0.5)
    weighted = atm("--clock", "trading", "--closed-weight", "1")
    assert weighted[:2] == pytest.approx((vol, tau))


def test_json_goes_to_the_terminal_alone_or_to_a_file_beside_the_table(run, quotes, tmp_path):
    out = run(quotes, "--json")[1]
    assert json.loads(out)["source"] == quotes
    path = tmp_path / "smile.json"
    assert "2026-09-18" in run(quotes, "--json", path)[1]
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(out)


def test_a_picture_is_drawn_beside_the_table(run, quotes, tmp_path):
    path = tmp_path / "smile.png"
    out = run(quotes, "--plot", path)[1]
    assert out.endswith(f"\nplotted to {path}\n")
    assert path.stat().st_size > 5_000


def test_pictures_of_several_symbols_are_named_by_them(run, tmp_path):
    write_quotes(pd.concat([frame(), frame(symbol="NDX")]), tmp_path / "two.csv")
    run(tmp_path / "two.csv", "--plot", tmp_path / "p.png")
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["p-NDX.png", "p-SPX.png"]


def test_a_rate_and_dividends_that_are_known_are_believed(run, quotes):
    def rate(*more):
        found = json.loads(run(quotes, "--json", "-", *more)[1])
        return found["surfaces"][0]["smiles"][0]["rate"]

    assert rate("--rate", "0.09") > rate("--rate", "0.01") + 0.01
    given = run(quotes, "--dividends", "2026-09-01:1.5")[0]
    assert given == 0


@pytest.mark.parametrize(("arguments", "said"), [
    (["{quotes}", "--at", "2020-01-01T00:00Z"], "no quotes at or before 2020-01-01T00:00:00+00:00"),
    (["{quotes}", "--symbol", "IBM"], "no quotes of IBM; it holds SPX"),
    (["{quotes}", "--expiry", "2027-01-15"],
     "no expiry 2027-01-15 of SPX at 2026-08-14T15:00:00+00:00; there are 2026-09-18, 2026-09-25"),
    (["{folder}/none.csv"], "none.csv: no such file"),
    (["{folder}"], "a folder without known quotes"),
    (["{quotes}", "--plot", "{folder}/none/p.png"], "its folder is not there"),
    (["{quotes}", "--plot", "{folder}/p.bmp"], "ends in .png, .pdf, .svg"),
    (["{quotes}", "--json", "{folder}/none/p.json"], "its folder is not there"),
    (["{quotes}", "--json", "{folder}"], "can't be written"),
])
def test_a_mistake_is_one_sentence_and_exit_code_2(run, quotes, tmp_path, arguments, said):
    code, out, error = run(*(one.format(quotes=quotes, folder=tmp_path) for one in arguments))
    assert (code, out) == (2, "")
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(("option", "value", "said"), [
    ("--at", "yesterday", "'yesterday' is not a time such as"),
    ("--at", "2026-08-14T15:00", "has no time zone"),
    ("--expiry", "friday", "'friday' is not a date such as"),
    ("--rate", "5%", "'5%' is not a rate per year such as 0.04"),
    ("--rate", "nan", "'nan' is not a rate"),
    ("--closed-weight", "2", "'2' is not a share from 0 to 1"),
    ("--dividends", "2026-09-18", "must be written DATE:AMOUNT"),
    ("--clock", "lunar", "invalid choice: 'lunar'"),
])
def test_an_option_that_makes_no_sense_is_named(capsys, quotes, option, value, said):
    with pytest.raises(SystemExit) as stopped:
        main([quotes, option, value])
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_error(quotes):
    command = [sys.executable, "-m", "ml.smile", quotes]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env={**os.environ, "PYTHONUNBUFFERED": "1"}) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert b"Error" not in process.stderr.read()


def test_real_quotes_are_shown_drawn_and_written(run, shared_data, tmp_path):
    code, out, _ = run(shared_data / "spy_chain_2026-08", "--json", tmp_path / "s.json", "--plot",
                       tmp_path / "s.png")
    assert code == 0
    whole = json.loads((tmp_path / "s.json").read_text("utf-8"))
    assert {name for name in keys(whole) if f"`{name}`" not in DOCUMENT} == set()
    smiles = whole["surfaces"][0]["smiles"]
    assert "dividends 2026-09-18" in out
    assert whole["surfaces"][0]["term"]["dividends"][0]["ex_date"] == "2026-09-18"
    assert all(smile["expiry"] in out for smile in smiles)
    assert sum(smile["reason"] is None for smile in smiles) > 15
    assert (tmp_path / "s.png").stat().st_size > 100_000
