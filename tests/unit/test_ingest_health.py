"""Whether the feed is believed: by the gateway's codes and by the age of its quotes."""

import pytest

from services.ingest.ibkr.codes import CONTRACT_DEAD, MEANINGS, Meaning, meaning_of
from services.ingest.ibkr.health import COMPETING_RETRY_S, FeedHealth


def after(*codes: int) -> FeedHealth:
    health = FeedHealth(stale_seconds=120)
    for code in codes:
        health.on_code(code, 0.0)
    return health


@pytest.mark.parametrize(("code", "meaning"), [
    (1100, Meaning.LOST), (1101, Meaning.RESTORED_EMPTY), (1102, Meaning.RESTORED),
    (2103, Meaning.FARM_BROKEN), (2110, Meaning.FARM_BROKEN), (2104, Meaning.FARM_FINE),
    (101, Meaning.NO_LINE), (200, Meaning.NO_CONTRACT), (354, Meaning.NOT_ENTITLED),
    (10089, Meaning.NOT_ENTITLED), (10168, Meaning.NOT_ENTITLED), (10197, Meaning.COMPETING),
    (326, Meaning.CLIENT_ID_IN_USE), (300, Meaning.NOISE), (424242, Meaning.UNKNOWN)])
def test_codes_have_meanings(code: int, meaning: Meaning) -> None:
    assert meaning_of(code) is meaning


def test_advice_and_warnings_do_not_cost_a_contract() -> None:
    assert not {10090, 10091, 10167, 2119} & {
        code for code, meaning in MEANINGS.items() if meaning in CONTRACT_DEAD}


def test_a_fresh_feed_is_believed_till_its_quotes_stand_still() -> None:
    assert after(2104, 2106, 2158).problem(100.0, 0.0) is None
    assert after().problem(121.0, 0.0) == "no quote has changed for 120 s"


def test_a_lost_connection_is_not_believed_however_fresh_its_quotes() -> None:
    assert "lost its servers" in str(after(1100).problem(0.1, 0.0))
    assert after(1100, 1102).problem(0.1, 0.0) is None


def test_kept_subscriptions_stay_and_lost_ones_are_made_anew_once() -> None:
    assert not after(1100, 1102).take_renewal(1.0, 0.0)
    health = after(1100, 1101)
    assert "made anew" in str(health.problem(1.0, 0.0))
    assert health.take_renewal(1.0, 0.0) and not health.take_renewal(1.0, 0.0)
    assert health.problem(1.0, 0.0) is None


def test_nothing_is_made_anew_while_the_connection_is_lost() -> None:
    assert not after(1100).take_renewal(1000.0, 0.0)


def test_a_broken_farm_counts_once_quotes_stand_still() -> None:
    health = after(2103)
    assert health.problem(3.0, 0.0) is None
    assert "a data farm is broken (2103)" in str(health.problem(6.0, 0.0))


def test_a_market_data_farm_that_came_back_is_not_trusted_to_have_kept_anything() -> None:
    health = after(2103, 2104)
    assert health.take_renewal(1.0, 0.0) and health.problem(6.0, 0.0) is None


def test_a_historical_farm_that_came_back_needs_nothing() -> None:
    health = after(2105, 2106)
    assert not health.take_renewal(1.0, 0.0) and health.problem(6.0, 0.0) is None


def test_a_silent_feed_is_made_anew_once_in_each_stale_time() -> None:
    health = after()
    due = [at for at in range(0, 400, 10) if health.take_renewal(float(at), 0.0)]
    assert due == [130, 260, 390]


def test_a_competing_session_is_waited_for_and_tried_again() -> None:
    health = after(10197)
    assert "another session" in str(health.problem(1.0, 0.0))
    assert not health.take_renewal(COMPETING_RETRY_S - 1, 0.0)
    assert health.take_renewal(COMPETING_RETRY_S + 1, COMPETING_RETRY_S)
    assert health.problem(COMPETING_RETRY_S + 1, COMPETING_RETRY_S) is None
