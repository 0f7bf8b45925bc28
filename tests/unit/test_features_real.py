"""Real quotes: nothing from after t is in anything at t, and streaming sees what training sees."""

import itertools
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from ml import sampling
from ml.args import DataArgs
from ml.dataset import make_dataset
from ml.features import window_indices, window_input
from ml.history import days_from_quotes
from ml.quotes.format import read_quotes, write_quotes
from ml.quotes.lean import import_lean
from ml.quotes.stream import iter_frame
from services.common import messages
from services.common.messages import ChainSlice, FeatureRow
from services.features.step import FeaturesStage
from services.ingest.recording import chain_slices
from services.predictor.history import Histories

ARGS = DataArgs(horizons_s=(60, 300))
BEGIN = pd.Timestamp("2015-12-24T15:00Z")
MINUTES, EXPIRIES = 26, 4
NOW = BEGIN + pd.Timedelta(minutes=16)


@pytest.fixture(scope="module")
def frame(shared_data):
    """Some minutes of GOOG's nearest expiries, as quoted."""
    quotes = import_lean(shared_data / "lean_goog_2015-12-24")
    near = sorted(quotes["expiry"].unique())[:EXPIRIES]
    within = quotes["ts"].between(BEGIN, BEGIN + pd.Timedelta(minutes=MINUTES), inclusive="left")
    return quotes[within & quotes["expiry"].isin(near)].reset_index(drop=True)


def history(frame, folder, until=None):
    write_quotes(frame, folder / "quotes.parquet")
    day, = days_from_quotes([folder / "quotes.parquet"], until)
    return day


@pytest.fixture(scope="module")
def as_quoted(frame, tmp_path_factory):
    return history(frame, tmp_path_factory.mktemp("goog"))


def rows_until(series, now):
    """What is known of an expiry at `now`, as arrays."""
    known = [row for row, at in enumerate(series.at) if at <= now]
    columns = {field.name: getattr(series, field.name) for field in fields(series)}
    arrays = {name: values[known] for name, values in columns.items()
              if isinstance(values, np.ndarray)}
    quotes = [getattr(series.quotes[row], name) for row in known
              for name in ("log_moneyness", "mid_iv", "half_spread")]
    return [*arrays.values(), *quotes]


def inputs_until(day, now):
    """What a model would see at each sample up to `now`, by its time and expiry."""
    dataset = make_dataset([day], ARGS)
    samples, observed = dataset.samples, dataset.observations
    return {(at, dataset.keys[key]): (window, filtered, observed.grid_vol[row],
                                      observed.forward[row], *observed.quotes(int(row)))
            for at, key, window, filtered, row in zip(
                samples.at_s.tolist(), samples.key, samples.windows, samples.filtered,
                samples.row, strict=True) if at <= now.timestamp()}


def same(one, two):
    return len(one) == len(two) and all(
        np.array_equal(first, second, equal_nan=True)
        for first, second in zip(one, two, strict=True))


def one_quote(frame, random):
    """Any later quote, its ask doubled."""
    row = random.choice(np.flatnonzero(frame["ts"] > NOW))
    return frame.assign(ask=np.where(np.arange(len(frame)) == row, 2 * frame["ask"], frame["ask"]))


def everything(frame, random):
    """Every later quote at another price, of another underlying."""
    later = (frame["ts"] > NOW).to_numpy()
    factor = np.where(later, random.uniform(0.7, 1.3, len(frame)), 1.0)
    prices = {name: frame[name] * factor for name in ("bid", "ask")}
    stock = {name: frame[name] * np.where(later, 1.02, 1.0)
             for name in ("underlying_bid", "underlying_ask")}
    return frame.assign(**prices, **stock)


def fewer(frame, random):
    """Of the later quotes only some are there."""
    kept = (frame["ts"] <= NOW) | (random.random(len(frame)) < 0.7)
    return frame[kept].reset_index(drop=True)


def other_instants(frame, random):
    """Later quotes come thirty seconds later each."""
    return frame.assign(ts=frame["ts"].where(frame["ts"] <= NOW,
                                             frame["ts"] + pd.Timedelta(seconds=30)))


@pytest.mark.parametrize("altered", [one_quote, everything, fewer, other_instants])
def test_altering_quotes_after_t_changes_nothing_at_or_before_t(
        frame, as_quoted, tmp_path, altered):
    other = history(altered(frame, np.random.default_rng(7)), tmp_path)

    assert [(one.symbol, one.expiry) for one in other] == [
        (one.symbol, one.expiry) for one in as_quoted]
    for before, after in zip(as_quoted, other, strict=True):
        assert same(rows_until(before, NOW), rows_until(after, NOW))
    before, after = inputs_until(as_quoted, NOW), inputs_until(other, NOW)
    common = before.keys() & after.keys()
    assert len(common) > 10
    assert all(same(before[sample], after[sample]) for sample in common)
    end = frame["ts"].max()
    assert any(not same(rows_until(one, end), rows_until(two, end))
               for one, two in zip(as_quoted, other, strict=True))


def test_a_window_that_looks_a_row_ahead_would_be_noticed(
        frame, as_quoted, tmp_path, monkeypatch):
    def ahead(times_s, now_s, step_s, window, tolerance_s):
        rows = window_indices(times_s, now_s, step_s, window, tolerance_s)
        return None if rows is None else rows + 1

    monkeypatch.setattr(sampling, "window_indices", ahead)
    other = history(everything(frame, np.random.default_rng(7)), tmp_path)
    before, after = inputs_until(as_quoted, NOW), inputs_until(other, NOW)

    assert not all(same(before[sample], after[sample])
                   for sample in before.keys() & after.keys())


def test_a_history_that_ends_at_t_is_the_beginning_of_a_longer_one(frame, as_quoted, tmp_path):
    for short, long in zip(history(frame, tmp_path, NOW), as_quoted, strict=True):
        assert short.at[-1] == NOW
        assert same(rows_until(short, NOW), rows_until(long, NOW))


class Nowhere:
    """A producer and a database that take nothing."""

    def transaction(self):
        raise AssertionError("a test of features alone")


@pytest.fixture(scope="module")
def streamed(frame, tmp_path_factory):
    """The feature rows that the stage publishes of the recording, instant by instant."""
    path = tmp_path_factory.mktemp("recording") / "quotes.parquet"
    write_quotes(frame, path)
    stage = FeaturesStage(Nowhere(), Nowhere())
    rows = []
    for instant in iter_frame(read_quotes(path)):
        slices = [messages.decode(messages.encode(one), ChainSlice)
                  for one in chain_slices(instant, str(path), "recorded")]
        rows += stage.features(slices)
    return [messages.decode(messages.encode(row), FeatureRow) for row in rows]


def test_rows_from_the_stream_are_the_rows_of_training(streamed, as_quoted):
    rows = {key: list(group) for key, group in itertools.groupby(
        sorted(streamed, key=lambda row: (row.symbol, row.expiry, row.ts)),
        key=lambda row: (row.symbol, row.expiry))}
    assert list(rows) == [(series.symbol, series.expiry) for series in as_quoted]
    for series in as_quoted:
        own = rows[series.symbol, series.expiry]
        assert [row.ts for row in own] == series.at
        for name in ("atm_vol", "forward", "grid_vol", "features"):
            assert np.array_equal(np.array([getattr(row, name) for row in own], dtype=float),
                                  getattr(series, name), equal_nan=True), name


def test_windows_row_by_row_are_the_windows_of_training(streamed, as_quoted):
    dataset = make_dataset([as_quoted], ARGS)
    batch = {(at, dataset.keys[key]): window for at, key, window in zip(
        dataset.samples.at_s.tolist(), dataset.samples.key, dataset.samples.windows,
        strict=True)}
    histories = Histories(lambda before, span_s: {})
    compared = 0
    for row in streamed:
        histories.prepare([row], ARGS.step_s, ARGS.window)
        past = histories.add(row)
        window = past.window(ARGS.step_s, ARGS.window) if past.has_smile_now() else None
        found = None if window is None else window_input(window, ARGS.filter_weight)
        expected = batch.get((row.ts.timestamp(), (row.symbol, row.expiry)))
        if expected is not None:
            assert found is not None and np.array_equal(found, expected)
            compared += 1
    assert compared == len(batch) > 20
