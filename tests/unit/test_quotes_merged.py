"""Sources of quotes read together by time."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from ml.errors import QuotesFileError
from ml.quotes import merged
from ml.quotes.format import order_quotes, write_quotes
from ml.quotes.merged import instants, spacing_s, survey
from tests.unit.quotes_data import T0, quotes_frame
from tests.unit.test_quotes_source import make_lean, make_snapshot


def quotes(*minutes, day=0, symbol="GOOG"):
    """Four quotes at each of these minutes."""
    first = quotes_frame(symbol=symbol)
    first = first[first["ts"] == T0]
    times = [T0 + pd.Timedelta(days=day, minutes=minute) for minute in minutes]
    return order_quotes(pd.concat([first.assign(ts=at) for at in times], ignore_index=True), "m")


def utc(minute, day=0):
    return (T0 + pd.Timedelta(days=day, minutes=minute)).to_pydatetime()


def write(folder, **frames):
    folder.mkdir(exist_ok=True)
    for name, frame in frames.items():
        write_quotes(frame, folder / name.replace("_", "."))
    return folder


@pytest.mark.parametrize("kind", ["parquet", "csv", "csv_gz"])
def test_a_folder_of_days_is_its_files_in_the_order_of_time(tmp_path, kind):
    folder = write(tmp_path / "days", **{f"b_{kind}": quotes(0, 1), f"a_{kind}": quotes(0, day=1)})
    (folder / "notes.txt").write_text("about these days")
    found = list(instants(survey([folder])))

    assert [at for at, _ in found] == [utc(0), utc(1), utc(0, day=1)]
    assert [sum(map(len, frames)) for _, frames in found] == [4, 4, 4]


def test_folders_in_a_folder_are_read_too_each_as_what_it_is(tmp_path):
    write(tmp_path / "files", **{"q_parquet": quotes(0)})
    make_lean(tmp_path / "lean")
    (tmp_path / "snapshots").mkdir()
    make_snapshot(tmp_path / "snapshots" / "2026-08-14")

    assert [source.path.name for source in survey([tmp_path])] == [
        "q.parquet", "lean", "snapshots"]


def test_files_that_overlap_come_together_at_each_instant(tmp_path):
    folder = write(tmp_path, one_parquet=quotes(0, 2, symbol="ONE"),
                   two_csv=quotes(1, 2, symbol="TWO"))
    found = [(at, [frame["symbol"].iat[0] for frame in frames])
             for at, frames in instants(survey([folder]))]

    assert found == [(utc(0), ["ONE"]), (utc(1), ["TWO"]), (utc(2), ["ONE", "TWO"])]


def test_nothing_after_the_last_instant_is_given_and_no_later_file_opened(tmp_path, monkeypatch):
    folder = write(tmp_path, a_parquet=quotes(0, 1, 2), b_parquet=quotes(0, day=1))
    sources = survey([folder])
    opened = []
    monkeypatch.setattr(merged, "iter_instants", lambda path: opened.append(path.name) or
                        original(path))
    assert [at for at, _ in instants(sources, utc(1))] == [utc(0), utc(1)]
    assert opened == ["a.parquet"]
    assert [source.path.name for source in survey([folder], utc(1))] == ["a.parquet"]


original = merged.iter_instants


@pytest.mark.parametrize("name", ["q.parquet", "q.csv"])
def test_a_survey_tells_the_span_and_the_step(tmp_path, name):
    write_quotes(quotes(0, 5, 10, 20), tmp_path / name)
    source, = survey([str(tmp_path / name)])

    assert (source.first, source.last, source.quotes) == (utc(0), utc(20), 16)
    assert source.first.tzinfo == UTC
    assert spacing_s([source]) == 300.0


def test_a_file_without_statistics_or_out_of_order_is_read_all_the_same(tmp_path):
    frame = quotes(0, 1, 2).iloc[::-1].reset_index(drop=True)
    frame.to_parquet(tmp_path / "q.parquet", row_group_size=2)
    sources = survey([tmp_path / "q.parquet"])

    assert [at for at, _ in instants(sources)] == [utc(0), utc(1), utc(2)]


def test_one_instant_has_no_step(tmp_path):
    write_quotes(quotes(0), tmp_path / "q.parquet")

    assert np.isnan(spacing_s(survey([tmp_path / "q.parquet"])))


def test_a_row_group_for_each_instant_has_a_step_all_the_same(tmp_path):
    quotes(0, 5, 10, 15).to_parquet(tmp_path / "q.parquet", row_group_size=4)

    assert spacing_s(survey([tmp_path / "q.parquet"])) == 300.0
    assert np.isnan(spacing_s(survey([tmp_path / "q.parquet"], utc(4))))


def test_what_is_no_source_is_refused_by_name(tmp_path):
    (tmp_path / "empty").mkdir()
    write_quotes(quotes(0), tmp_path / "q.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    for path, reason in (("none", "no such file"), ("empty", "a folder without quotes"),
                         ("bad.parquet", "bad.parquet: not a readable Parquet")):
        with pytest.raises(QuotesFileError, match=reason):
            survey([tmp_path / path])
    with pytest.raises(QuotesFileError, match="holds no quotes until 2015-01-01"):
        survey([tmp_path / "q.parquet"], datetime(2015, 1, 1, tzinfo=UTC))
    frame = quotes(0, 1)
    frame.assign(ts=frame["ts"].dt.tz_localize(None)).to_parquet(tmp_path / "naive.parquet")
    with pytest.raises(QuotesFileError, match="zone"):
        survey([tmp_path / "naive.parquet"], utc(1))
