"""The monitor's scores on a real database: by source, against the champion's own baselines."""

from datetime import timedelta

import msgspec
import numpy as np
import pytest

from ml.baselines import changes, on_grid, score_smile
from ml.features import filtered_smile
from services.common import metrics
from services.common.errors import Unavailable
from services.common.model_contract import Served
from services.monitor.champion import Champion
from services.monitor.queries import Stream
from services.monitor.settings import MonitorSettings
from services.monitor.step import Monitor
from tests.integration import dashboard_rows as rows
from tests.integration.monitored import (
    EXPIRY,
    SERVED,
    START,
    SYMBOL,
    minutes,
    monitor,
    scored,
    write,
)
from tests.unit.small_model import WINDOW, make_contract


def test_a_recording_is_scored_whatever_newer_rows_its_symbol_has(monitor_db):
    write(monitor_db, minutes(8, START - timedelta(days=400)), "recorded")
    write(monitor_db, minutes(8), "live")
    one = monitor(monitor_db)
    while one.step():
        pass

    found = scored(monitor_db, "SELECT source, role, model_version, count(*), min(quotes) > 0 "
                               "FROM prediction_scores GROUP BY 1, 2, 3 ORDER BY 1, 2, 3")
    # Of eight minutes, seven lie a minute and three five minutes before the last.
    assert found == [(source, role, version, 10, True) for source in ("live", "recorded")
                     for role, version in (("champion", "3"), ("shadow", "4"))]
    assert set(one.clocks) == {Stream(SYMBOL, "live"), Stream(SYMBOL, "recorded")}


def test_a_forecast_is_held_against_the_champion_s_own_baselines(monitor_db):
    write(monitor_db, minutes(8))
    contract = make_contract()
    monitor(monitor_db, Served(contract, "3")).step()
    [(ewma, ar, filtered)] = scored(
        monitor_db, "SELECT ewma_bp, ar_bp, filtered_persistence_bp FROM prediction_scores "
                    "WHERE made_at = %s AND horizon_s = 60 AND role = 'champion'",
        START + timedelta(minutes=5))

    grid = np.array([rows.feature_row(START + timedelta(minutes=place), EXPIRY, "live").grid_vol
                     for place in range(2, 6)])
    reference = filtered_smile(grid, contract.filter_weight)
    named = {one.name: one for one in contract.baselines}
    for error, name in ((ewma, "ewma"), (ar, "ar")):
        held = reference + changes(named[name], (grid - reference)[None])[0, 0]
        assert error == pytest.approx(error_bp(held, START + timedelta(minutes=6)))
    assert filtered == pytest.approx(error_bp(reference, START + timedelta(minutes=6)))


def error_bp(held, at):
    """Root mean square over the quotes of an instant of one whose smile is held by moneyness."""
    row = rows.feature_row(at, EXPIRY, "live")
    log_moneyness = np.log(np.array(row.quote_strike) / row.forward)
    kept = on_grid(log_moneyness, row.atm_vol, row.tau)
    return 1e4 * score_smile(held, row.tau, log_moneyness[kept],
                             np.array(row.quote_mid_iv)[kept])


def test_a_monitor_that_begins_anew_shows_the_same_rolling_metrics(monitor_db):
    write(monitor_db, minutes(30))
    made = minutes(12)
    with monitor_db.transaction() as cursor:
        cursor.execute("UPDATE predicted_smile SET model_version = '2' WHERE made_at < %s",
                       (made[-1],))
    seen = []
    for _ in range(2):
        metrics.ERROR_BP.clear()
        one = monitor(monitor_db)
        while one.step():
            pass
        seen.append({tuple(sample.labels.values()): sample.value
                     for metric in metrics.ERROR_BP.collect() for sample in metric.samples})
    [(champion,)] = scored(
        monitor_db, "SELECT sqrt(avg(error_bp ^ 2)) FROM (SELECT DISTINCT ON (floor(extract("
                    "epoch FROM made_at) / 300)) error_bp FROM prediction_scores WHERE "
                    "horizon_s = 300 AND role = 'champion' AND made_at >= %s ORDER BY floor("
                    "extract(epoch FROM made_at) / 300), made_at) s", made[-1])

    assert seen[0] == pytest.approx(seen[1]) and len(seen[0]) == 4
    assert seen[0][SYMBOL, "simulated", "champion", "smile", "300"] == pytest.approx(champion)


def test_a_model_s_forecasts_wait_until_the_champion_s_baselines_are_known(monitor_db):
    write(monitor_db, minutes(8))
    answers = iter([Unavailable("not yet"), SERVED])
    now = [0.0]

    def ask(url, timeout):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    one = Monitor(monitor_db, MonitorSettings(database_url="-"),
                  Champion("http://model-server", 60.0, clock=lambda: now[0], ask=ask))
    one.step()
    assert scored(monitor_db) == [(0,)]
    now[0] = 10.0
    one.step()

    [(count, known)] = scored(
        monitor_db, "SELECT count(*), count(ewma_bp) FROM prediction_scores WHERE made_at >= %s",
        START + timedelta(minutes=WINDOW))
    assert 0 < count == known
    assert scored(monitor_db) == [(20,)]


@pytest.mark.parametrize(("step_s", "setting", "quotes"), [
    (None, 30.0, False), (None, 50.0, True), (60.0, 50.0, False), (120.0, 30.0, True)])
def test_a_late_observation_counts_within_half_of_the_champion_s_step(monitor_db, step_s, setting,
                                                                      quotes):
    """The forecast for a minute ahead is first seen 45 s late; without a contract, as is set."""
    write(monitor_db, [START, START + timedelta(seconds=105), START + timedelta(minutes=9)])
    served = None if step_s is None else Served(
        msgspec.structs.replace(make_contract(), step_s=step_s), "3")
    monitor(monitor_db, served, monitor_tolerance_seconds=setting).step()

    found = scored(monitor_db, "SELECT quotes > 0, observed_at = %s FROM prediction_scores WHERE "
                               "made_at = %s AND horizon_s = 60", START + timedelta(seconds=105),
                   START)
    assert found == [(quotes, True if quotes else None)] * 2


def test_without_a_contract_the_fitted_baselines_stay_unknown(monitor_db):
    write(monitor_db, minutes(WINDOW + 2))
    monitor(monitor_db).step()
    [(known, unknown)] = scored(monitor_db, "SELECT count(persistence_bp), count(ewma_bp) "
                                            "FROM prediction_scores")

    assert known > 0 and unknown == 0
