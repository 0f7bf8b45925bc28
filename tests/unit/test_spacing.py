"""Settings for quotes of any step."""

import math

import numpy as np
import pytest

from ml.args import DataArgs
from ml.dataset import make_dataset
from ml.quotes.format import write_quotes
from ml.spacing import at_spacing, spacing_of
from tests.unit.quotes_data import quotes_frame
from tests.unit.smiles import make_history
from tests.unit.test_quotes_merged import quotes, utc


@pytest.mark.parametrize(("rows_s", "step_s", "window", "horizons_s"), [
    (2.0, 60.0, 10, (60, 300, 900, 1800)),
    (60.0, 60.0, 10, (60, 300, 900, 1800)),
    (math.nan, 60.0, 10, (60, 300, 900, 1800)),
    (300.0, 300.0, 10, (300, 900, 1800)),
    (1800.0, 1800.0, 6, (1800,)),
    (3600.0, 3600.0, 3, (3600, 7200)),
])
def test_a_coarser_step_takes_what_does_not_fit_it(rows_s, step_s, window, horizons_s):
    found = at_spacing(DataArgs(), rows_s)

    assert (found.step_s, found.window, found.horizons_s) == (step_s, window, horizons_s)


@pytest.mark.parametrize("step_s", [7.0, 60.0, 300.0, 1800.0, 3600.0])
def test_a_day_of_any_step_up_to_an_hour_gives_samples_at_every_horizon(step_s):
    args = at_spacing(DataArgs(), step_s)
    samples = make_dataset([make_history(days=1, minutes=389, expiries=1, step_s=step_s)],
                           args).samples

    assert (samples.target >= 0).any(axis=0).all()
    assert np.isfinite(samples.windows).all()


def test_the_spacing_is_read_off_the_quotes(tmp_path):
    write_quotes(quotes_frame(), tmp_path / "q.parquet")

    assert spacing_of([tmp_path]) == 60.0


@pytest.mark.parametrize("name", ["q.parquet", "q.csv"])
def test_the_spacing_knows_nothing_of_what_comes_after_the_last_instant(tmp_path, name):
    """Minutes until then, and more rows five minutes apart after it, all in one file."""
    later = [10 + 5 * place for place in range(1, 30)]
    write_quotes(quotes(*range(11), *later), tmp_path / name)

    assert spacing_of([tmp_path], utc(10)) == 60.0
    assert spacing_of([tmp_path]) == 300.0
