"""Lines for COPY: one per contract, in column order, NULL where a value is missing."""

from datetime import UTC, date, datetime

from services.common.messages import ChainSlice
from services.writer.rows import COLUMNS, copy_lines

AT = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)


def chain(symbol="SPY", at=AT, strikes=(600.0, 605.0), bids=(1.5, None), slice_=1):
    n = len(strikes)
    return ChainSlice(
        symbol=symbol, expiry=date(2026, 12, 18), sampled_at=at, slice=slice_, slices=3,
        source="simulated", underlying_bid=599.9, underlying_ask=600.1, strike=list(strikes),
        right=["C"] * n, bid=list(bids), ask=[2.0] * n, bid_size=[10.0] * n, ask_size=[None] * n,
        last=[None] * n, volume=[0.0] * n, open_interest=[None] * n,
        quote_time=[at] + [None] * (n - 1), vendor_iv=[None] * n)


def parsed(line):
    return dict(zip(COLUMNS, line.rstrip("\n").split("\t"), strict=True))


def test_one_line_per_contract_in_column_order():
    first, second = map(parsed, copy_lines([chain()]))

    assert first == {
        "symbol": "SPY", "expiry": "2026-12-18", "sampled_at": "2026-11-20T15:30:00+00:00",
        "source": "simulated", "settlement": "PM", "underlying_bid": "599.9",
        "underlying_ask": "600.1", "underlying_last": "\\N", "strike": "600.0", "right": "C",
        "bid": "1.5", "ask": "2.0", "bid_size": "10.0", "ask_size": "\\N", "last": "\\N",
        "volume": "0.0", "open_interest": "\\N", "quote_time": "2026-11-20T15:30:00+00:00",
        "vendor_iv": "\\N"}
    assert second["strike"] == "605.0"


def test_a_missing_price_is_null_and_a_zero_stays_zero():
    _, second = map(parsed, copy_lines([chain(bids=(1.5, None))]))

    assert second["bid"] == "\\N"
    assert second["volume"] == "0.0"


def test_of_a_message_read_twice_the_last_one_stays():
    lines = copy_lines([chain(bids=(1.5, 1.0)), chain(bids=(1.6, 1.0))])

    assert [parsed(line)["bid"] for line in lines] == ["1.6", "1.0"]


def test_a_contract_listed_twice_in_one_message_is_one_line():
    lines = copy_lines([chain(strikes=(600.0, 600.0), bids=(1.5, 1.7))])

    assert [parsed(line)["bid"] for line in lines] == ["1.7"]


def test_other_instants_are_other_rows():
    later = datetime(2026, 11, 20, 15, 30, 2, tzinfo=UTC)

    assert len(copy_lines([chain(), chain(at=later)])) == 4


def test_a_symbol_with_separators_stays_one_field():
    (line, *_) = copy_lines([chain(symbol="A\tB\\C\nD")])

    assert line.count("\n") == 1
    assert parsed(line)["symbol"] == "A\\tB\\\\C\\nD"


def test_prices_keep_every_digit():
    (line, *_) = copy_lines([chain(bids=(0.1 + 0.2, 1.0))])

    assert float(parsed(line)["bid"]) == 0.1 + 0.2
