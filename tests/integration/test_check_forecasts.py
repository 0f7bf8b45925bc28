"""What `helm test` asks of the database, on a real one."""

from collections.abc import Callable

import psycopg2
import pytest

from services.common import check
from sql.migrate import apply

ROW = """INSERT INTO predicted_smile (symbol, expiry, made_at, horizon_s, model_name, target_at,
             model_version, role, source, forward, smile, lower, upper, repaired, latency_ms)
         VALUES ('SPY', '2030-01-18', now() - interval '400 seconds', 60, 'm', now(), '1',
                 'champion', 'simulated', 600, '{0.2}', '{0.1}', '{0.3}', false, 1)"""


def test_the_newest_forecast_must_be_young(make_database: Callable[[], str],
                                           monkeypatch: pytest.MonkeyPatch,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    url = make_database()
    monkeypatch.setenv("SMILE_DATABASE_URL", url)
    assert check.main(["forecasts", "300"]) == 1
    assert "migrations" in capsys.readouterr().err

    apply(url)
    assert check.main(["forecasts", "0"]) == 1
    assert "no forecast yet" in capsys.readouterr().err

    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(ROW)
    connection.close()
    assert check.main(["forecasts", "300"]) == 1
    assert "400 s old" in capsys.readouterr().err
    assert check.main(["forecasts", "0"]) == 0
    assert check.main(["forecasts", "500"]) == 0
    assert "champion m of SPY" in capsys.readouterr().out
