"""What the predictor remembers across a gap: the table tells whether there were rows in it."""

from datetime import timedelta

import pytest

from services.predictor.history import Histories
from services.predictor.sample import sample
from tests.unit.predictor_rows import SHAPE, START, feature_row


class Table:
    """A table of features that has these rows, and counts how often it is read."""

    def __init__(self, rows):
        self.rows, self.reads = rows, 0

    def __call__(self, before, span_s):
        self.reads += 1
        return {key: [sample(row) for row in self.rows
                      if at - timedelta(seconds=span_s) <= row.ts < at]
                for key, at in before.items()}


def seconds(*count):
    return [feature_row(START + timedelta(seconds=at)) for at in count]


def take(histories, row):
    histories.prepare([row], SHAPE.step_s, SHAPE.window)
    return histories.add(row)


def used(history):
    """The instants that the model sees."""
    return history.window(SHAPE.step_s, SHAPE.window).at


@pytest.mark.parametrize("away_s", [6, 80])
def test_rows_that_another_replica_had_meanwhile_are_not_missed(away_s):
    rows = seconds(*range(0, 1400, 2))
    table = Table(rows)
    here = Histories(table)
    for row in rows[:400]:
        take(here, row)

    for row in rows[399 + away_s // 2:]:
        assert used(take(here, row)) == used(take(Histories(Table(rows)), row))
    assert table.reads == 2


@pytest.mark.parametrize(("feed", "gaps"), [
    ([*range(0, 400, 2), *range(500, 900, 2), *range(960, 1200, 2)], 2),
    (range(0, 3600, 60), 0), (range(0, 3600, 20), 0), (range(0, 400, 4), 0),
    ([at for at in range(0, 1200, 2) if at % 20], 0),
    ([at for at in range(0, 1200, 2) if at % 60 > 8], 19),
], ids=["two gaps", "each minute", "20 s", "4 s", "one sample left out", "some left out"])
def test_the_table_is_asked_once_for_each_gap_of_the_feed_itself(feed, gaps):
    table = Table(seconds(*feed))
    histories = Histories(table)
    for row in table.rows:
        take(histories, row)

    assert table.reads == 1 + gaps
