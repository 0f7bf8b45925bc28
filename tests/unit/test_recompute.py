"""What is told of stored forecasts and the same computed anew."""

from datetime import UTC, date, datetime

import numpy as np
import pytest

from ml import recompute
from ml.offline import Made, Unmade
from ml.recompute import Difference, as_table
from ml.stored_forecasts import StoredForecast

SMILE = np.full(17, 0.2)
AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


def stored(smile=SMILE, half=0.01, scale=1.0):
    return StoredForecast(date(2026, 12, 18), AT, 60, AT, "smile", "1", "champion", scale,
                          smile, smile - half, smile + half)


def made(half=0.01):
    return Made(SMILE, SMILE - half, SMILE + half)


def difference(*pairs):
    found = Difference()
    for one, again, scale in pairs:
        found.add(one, again, scale)
    return found


def test_the_largest_difference_of_each_kind_is_kept():
    found = difference((stored(SMILE + 1e-4), made(), 1.0), (stored(half=0.012), made(), 1.5),
                       (stored(), made(), 1.0))

    assert (found.forecasts, found.gone, found.otherwise) == (3, 0, 0)
    assert found.smile == pytest.approx(1e-4)
    assert found.band == pytest.approx(2e-3)
    assert found.scale == pytest.approx(0.5)


GONE, OTHERWISE = (stored(), Unmade.GONE, np.nan), (stored(), Unmade.OTHERWISE, np.nan)
SAME = stored(), made(), 1.0


def test_what_can_not_be_computed_anew_is_counted_and_compared_with_nothing():
    found = difference(GONE, OTHERWISE, OTHERWISE, SAME)

    assert (found.forecasts, found.gone, found.otherwise) == (4, 1, 2)
    assert found.smile == found.band == found.scale == 0.0


@pytest.mark.parametrize(("one", "again"), [(np.nan, 0.01), (0.01, np.nan)])
def test_a_band_that_only_one_of_them_has_is_a_difference_without_bound(one, again):
    assert difference((stored(half=one), made(again), 1.0)).band == np.inf
    assert difference((stored(half=np.nan), made(np.nan), 1.0)).band == 0.0


def test_the_table_tells_differences_in_basis_points():
    found = {("smile", "1", "champion"): difference((stored(SMILE + 2.5e-3), made(), 1.0))}

    assert "25 bp" in list(as_table(found, "SPY").columns[6].cells)


def test_where_nothing_was_compared_the_table_tells_no_difference():
    found = {("smile", "1", "champion"): difference(GONE, OTHERWISE)}

    assert [next(iter(column.cells)) for column in as_table(found, "SPY").columns] == [
        "smile", "1", "champion", "2", "1", "1", "-", "-", "-"]


@pytest.mark.parametrize(("found", "code"), [
    (difference((stored(SMILE + 1e-9), made(), 1.0)), 0),
    (difference((stored(SMILE + 1e-6), made(), 1.0)), 3),
    (difference((stored(half=0.0101), made(), 1.0)), 3),
    (difference((stored(), made(), 1.01)), 3),
    (difference(SAME, GONE), 0), (difference(SAME, OTHERWISE), 3),
    (difference(OTHERWISE), 3), (difference(GONE, OTHERWISE), 3)],
    ids=["rounding", "smile", "band", "scale", "some rows gone", "another's", "all another's",
         "another's or gone"])
def test_more_than_rounding_is_an_error_with_a_code_of_its_own(found, code, monkeypatch, capsys):
    tell(monkeypatch, {("smile", "7", "champion"): found})

    assert recompute.main(["--symbol", "SPY"]) == code
    assert ("stored forecasts of smile 7 (champion) differ" in capsys.readouterr().err) is bool(
        code)


def tell(monkeypatch, found):
    """The command finds this."""
    for name in ("SMILE_DATABASE_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "postgresql://nowhere")
    monkeypatch.setattr(recompute, "recompute", lambda *given: found)


@pytest.mark.parametrize(("found", "sentence"), [
    ({}, "the table predicted_smile holds no forecast of SPY"),
    ({("smile", "7", "champion"): difference(GONE, GONE),
      ("ewma", "7", "baseline"): difference(GONE)},
     "none of the 3 stored forecasts of SPY can be computed anew: the rows of option_features that "
     "they were made of are gone")])
def test_nothing_that_could_be_computed_is_no_success(found, sentence, monkeypatch, capsys):
    tell(monkeypatch, found)

    assert recompute.main(["--symbol", "SPY"]) == 2
    assert capsys.readouterr().err == f"error: {sentence}\n"


def test_a_registry_that_is_not_there_is_not_made(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SMILE_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mistyped/mlflow.db")

    assert recompute.main(["--symbol", "SPY"]) == 2
    assert "error: there is no registry at sqlite:///" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", ["SMILE_DATABASE_URL", "MLFLOW_TRACKING_URI"])
def test_a_setting_that_is_missing_is_named(missing, monkeypatch, capsys):
    for name in ("SMILE_DATABASE_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "postgresql://nowhere")
    monkeypatch.delenv(missing)

    assert recompute.main(["--symbol", "SPY"]) == 2
    assert capsys.readouterr().err == f"error: {missing} is not set; --symbol needs it\n"


def test_a_database_that_does_not_answer_is_said(monkeypatch, capsys):
    monkeypatch.setenv("SMILE_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")

    assert recompute.main(["--symbol", "SPY"]) == 1
    assert capsys.readouterr().err.startswith("error: the forecasts can't be read")
