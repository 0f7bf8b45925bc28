from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.pricing.conventions import Conventions, conventions, parse_dividends
from ml.pricing.dividends import RULES, Dividend


@pytest.mark.parametrize("symbol", ["SPX", "SPXW", "XSP", "NDX", "XND", "RUT", "MRUT", "VIX",
                                    "DJX", "XEO", "^SPX", "spx", " $NDX "])
def test_cash_settled_index_options_are_european(symbol):
    assert conventions(symbol).exercise == "european"
    assert not conventions(symbol).is_american


@pytest.mark.parametrize("symbol", ["SPY", "QQQ", "IWM", "GOOG", "OEX", "BRK B", ""])
def test_all_others_are_american(symbol):
    assert conventions(symbol).is_american


def test_only_funds_that_keep_a_rule_have_one():
    assert conventions("SPY").rule is RULES["SPY"]
    assert conventions("IWM").rule is None
    assert conventions("GOOG").rule is None


def test_volatility_futures_are_not_tied_to_one_spot():
    assert not conventions("VIX").tied
    assert conventions("SPX").tied


def test_dividends_given_are_kept():
    known = parse_dividends("2026-09-18:1.85")
    assert conventions("SPY", known) == Conventions(rule=RULES["SPY"], dividends=known)


def test_a_setting_of_dividends_is_read_in_order_of_date():
    assert parse_dividends(" 2026-12-18 : 1.95, 2026-09-18:1.85,") == (
        Dividend(date(2026, 9, 18), 1.85), Dividend(date(2026, 12, 18), 1.95))
    assert parse_dividends("") == parse_dividends(" , ") == ()


@pytest.mark.parametrize(("text", "said"), [
    ("2026-09-18", "DATE:AMOUNT"),
    ("18.9.2026:1.85", "YYYY-MM-DD"),
    ("2026-02-30:1.85", "YYYY-MM-DD"),
    ("2026-09-18:much", "`much`"),
    ("2026-09-18:", "above 0"),
    ("2026-09-18:-1", "above 0"),
    ("2026-09-18:0", "above 0"),
    ("2026-09-18:inf", "above 0"),
    ("2026-09-18:nan", "above 0"),
    ("2026-09-18:1,2026-09-18:2", "2026-09-18 is given twice"),
])
def test_a_wrong_setting_is_refused_in_a_sentence(text, said):
    with pytest.raises(ValueError, match=said) as caught:
        parse_dividends(text)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@given(st.text())
def test_any_text_is_read_or_refused(text):
    try:
        assert all(dividend.amount > 0 for dividend in parse_dividends(text))
    except ValueError as error:
        assert str(error).endswith(".")
