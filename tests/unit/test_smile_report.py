"""A surface read on a clock, as text and as a JSON document."""

import json
import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from ml.calendar import trading_years, year_fraction
from ml.pricing.dividends import years_to_ex
from ml.smile.confidence import SCALES
from ml.smile.curve import volatility
from ml.smile.document import document
from ml.smile.filter import REASONS
from ml.smile.reading import Clock, ex_date, read_surface, restated
from ml.smile.report import MAX_WIDTH, arbitrage_flags, columns, report
from ml.smile.surface import Surface
from tests.unit.chains import AT, EXPIRY, make_chain
from tests.unit.desk_smiles import make_smile

DOCUMENT = (Path(__file__).parents[2] / "docs" / "smile.md").read_text(encoding="utf-8")


CALENDAR = Clock()


def make_reading(*smiles, clock=CALENDAR):
    """A surface of `smiles`, which lie a week apart from EXPIRY on."""
    placed = [replace(smile, expiry=EXPIRY + timedelta(weeks=number), at=AT,
                      tau=year_fraction(AT, EXPIRY + timedelta(weeks=number)))
              for number, smile in enumerate(smiles)]
    chains = [replace(make_chain(), expiry=smile.expiry) for smile in placed]
    return read_surface(Surface("SPY", AT, tuple(placed), None), chains, clock)


def made(reading):
    return json.loads(json.dumps(document([reading], "q.parquet"), allow_nan=False))


def test_the_clock_changes_volatilities_and_not_total_variance():
    smile = make_smile(30)
    slow = restated(smile, smile.tau * 2)
    assert slow.atm_vol == pytest.approx(smile.atm_vol / np.sqrt(2))
    assert slow.desk.skew == pytest.approx(smile.desk.skew / np.sqrt(2))
    assert slow.quotes.mid_iv == pytest.approx(
        volatility(smile.curve, slow.tau, smile.quotes.log_moneyness))
    assert slow.grid_vol**2 * slow.tau == pytest.approx(smile.grid_vol**2 * smile.tau)


def test_a_smile_that_is_none_has_no_volatility_to_restate():
    assert restated(replace(make_smile(30), curve=None), 0.2).tau == 30 / 365


def test_on_the_trading_clock_smiles_and_tenors_are_restated_and_days_are_not():
    calendar = make_reading(make_smile(35), make_smile(42))
    trading = make_reading(make_smile(35), make_smile(42), clock=Clock(trading=True))
    for one, other in zip(calendar.expiries, trading.expiries, strict=True):
        assert one.days == other.days
        assert other.smile.atm_vol * other.smile.tau**0.5 == pytest.approx(
            one.smile.atm_vol * one.smile.tau**0.5)
        assert other.residuals.half_spreads == pytest.approx(one.residuals.half_spreads)
    tenors = zip(calendar.tenors, trading.tenors, strict=True)
    for one, other in tenors:
        assert other.tau == trading_years(AT, AT + timedelta(days=one.days))
    assert "trading time" in next(report(trading))


@pytest.mark.parametrize("day", [date(2026, 9, 18), date(2026, 11, 30), date(2027, 1, 4)])
def test_a_dividend_is_shown_at_its_ex_date(day):
    assert ex_date(AT, years_to_ex(AT, [day])[0]) == day


def test_the_report_has_a_line_for_each_expiry():
    none = replace(make_smile(49), curve=None, svi=None, reason="too few quotes", rejects={})
    lines = list(report(make_reading(make_smile(35), make_smile(42), none)))
    assert max(map(len, lines)) <= MAX_WIDTH
    first = next(line for line in lines if line.startswith("2026-09-18"))
    cells = first.split()
    assert cells[2:5] == ["600.000", "0.010", "parity"]
    assert cells[7:12] == ["15.70", "-0.200", "-2.00", "0.30", "17.00"]
    assert cells[12:] == ["4.0/20.0", "100", "33/70", "ok", "0.90"]
    assert any("no smile: too few quotes" in line for line in lines if "2026-10-02" in line)
    assert re.search(r"rejected +stale\n2026-09-18 +4\n2026-09-25 +4$", "\n".join(lines))
    assert "3 expiries, 2 smiles; 210 quotes, 66 used, 100.0 % of them" in lines[1]


def test_tenors_between_the_expiries_are_shown():
    lines = list(report(make_reading(make_smile(35), make_smile(42))))
    assert not any(line.startswith("tenor") for line in lines)  # 30 and 60 days are beyond
    lines = list(report(make_reading(*(make_smile(days) for days in (35, 42, 49, 56, 63)))))
    place = next(number for number, line in enumerate(lines) if line.startswith("tenor"))
    assert lines[place + 2].split()[:5] == ["60", "2026-10-09", "and", "2026-10-16", "600.000"]
    assert lines[place + 3] == ""


def test_an_extrapolated_variance_swap_is_starred():
    near = make_smile(35)
    narrow = replace(near.quotes, **{name: getattr(near.quotes, name)[12:24] for name in (
        "strike", "log_moneyness", "bid_iv", "mid_iv", "ask_iv")})
    lines = list(report(make_reading(replace(near, quotes=narrow))))
    assert " 17.00* " in next(line for line in lines if line.startswith("2026-09-18"))


@pytest.mark.parametrize(("repaired", "met", "flags"), [
    ((), (True, True, True), "ok"),
    (("butterfly",), (True, True, True), "B→ok"),
    (("butterfly", "calendar"), (True, False, True), "BC→C"),
    ((), (True, True, False), "L→L")])
def test_arbitrage_is_shown_before_and_after_the_repair(repaired, met, flags):
    butterfly, calendar, lee = met
    smile = replace(make_smile(35), repaired=repaired, butterfly_ok=butterfly,
                    calendar_ok=calendar, lee_ok=lee)
    assert arbitrage_flags(make_reading(smile).expiries[0]) == flags


def test_columns_are_aligned_and_a_short_row_ends_freely():
    lines = columns([("a", ""), ("bb", "%"), ("c", "")], [["x", "1", "2"], ["yy", "no numbers"]])
    assert lines == ["a   bb  c", "     %", "x    1  2", "yy  no numbers"]


def test_the_document_says_what_the_smile_is():
    reading = make_reading(make_smile(35))
    whole = made(reading)
    found, smile = whole["surfaces"][0]["smiles"][0], reading.expiries[0].smile
    assert (whole["schema"], whole["source"], len(whole["grid_z"])) == (1, "q.parquet", 17)
    assert (found["expiry"], found["forward"], found["reason"]) == ("2026-09-18", 600.0, None)
    assert found["svi"]["raw"] == pytest.approx({
        name: getattr(smile.svi, name) for name in ("a", "b", "rho", "m", "sigma")})
    assert found["grid"]["vol"] == pytest.approx(smile.grid_vol.tolist())
    assert found["counts"] == {"total": 70, "used": 33, "rejects": {"stale": 4}}
    quotes = found["quotes"]
    assert {len(column) for column in quotes.values()} == {33}
    assert quotes["right"].count("P") == (smile.quotes.strike < 600).sum()
    fitted = np.subtract(quotes["mid_vol"], quotes["rich_vol"])
    assert fitted == pytest.approx(
        volatility(smile.curve, smile.tau, smile.quotes.log_moneyness))


def test_what_is_missing_is_null_in_the_document():
    nan = float("nan")
    none = replace(make_smile(35), curve=None, svi=None, desk=None, reason="expired", atm_vol=nan,
                   discount=nan, forward_source=None, grid_vol=np.full(17, nan), fit_error=nan)
    found = made(make_reading(none))["surfaces"][0]["smiles"][0]
    missing = ("svi", "bumps", "desk", "atm_vol", "discount", "rate", "forward_source")
    assert [found[name] for name in missing] == [None] * len(missing)
    assert found["grid"]["vol"] == [None] * 17
    assert found["fit"] == {"error": None, "half_spread": found["fit"]["half_spread"],
                            "inside": None}
    assert found["reason"] == "expired"


def keys(value):
    if isinstance(value, dict):
        for name, entry in value.items():
            yield name
            yield from keys(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from keys(entry)


def test_every_key_of_the_document_is_documented():
    reading = make_reading(make_smile(35), make_smile(42))
    assert {name for name in keys(made(reading)) if f"`{name}`" not in DOCUMENT} == set()


def test_every_reason_and_factor_is_documented():
    names = {*REASONS, *SCALES}
    assert {name for name in names if f"`{name}`" not in DOCUMENT} == set()
