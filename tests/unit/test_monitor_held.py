"""What the monitor has the champion's baselines hold is what they say offline and as stand-ins."""

import dataclasses

import msgspec
import numpy as np
import pytest

from ml import offline
from ml.baselines import changes
from ml.features import DEVIATIONS, filtered_smile, window_indices, window_input
from ml.stand_in import StandIns
from services.monitor.past import FITTED, Past, held_smiles
from tests.unit.small_baselines import make_baselines
from tests.unit.small_model import HORIZONS, make_contract
from tests.unit.smiles import make_history

WINDOW = 10
CONTRACT = msgspec.structs.replace(make_contract(), window=WINDOW,
                                   baselines=make_baselines(WINDOW, len(HORIZONS)))
BY_NAME = {one.name: one for one in CONTRACT.baselines}
NOWHERE: list[int] = []
HOLES = [NOWHERE, [7], [0], [0, 1], [7, 8]]
SHORT = [[6, 7, 8], [0, 1, 2, 3], [1, 2, 4, 5, 7, 8], list(range(WINDOW - 1))]


def history(holes):
    """Smiles of as many minutes as a window, without those at these places."""
    [series] = make_history(days=1, minutes=WINDOW, expiries=1, pull=0.5)
    for column in (series.grid_vol, series.atm_vol, series.forward):
        column[holes] = np.nan
    return series


def held(grid_vol):
    """The monitor's, of the first horizon."""
    past = Past.of(grid_vol, CONTRACT.filter_weight, 0.1, 600.0)
    return held_smiles(CONTRACT, [past], HORIZONS[:1])[0]


@pytest.mark.parametrize("holes", HOLES)
def test_of_a_model_s_window_they_are_what_training_and_evaluation_take_them_for(holes):
    series = history(holes)
    rows = window_indices(series.times_s, series.times_s[-1], 60.0, WINDOW, 30.0)
    window = window_input(series.window(rows), CONTRACT.filter_weight)
    filtered = filtered_smile(series.grid_vol, CONTRACT.filter_weight)

    told = held(series.grid_vol)

    assert set(told) == set(FITTED)
    for name, smile in told.items():
        change = changes(BY_NAME[name], window[None, :, DEVIATIONS])[0, 0]
        assert smile == pytest.approx(filtered + change, abs=1e-15)


@pytest.mark.parametrize("holes", [*HOLES, *SHORT])
@pytest.mark.parametrize("rows", ["empty", "gone"])
@pytest.mark.parametrize("name", FITTED)
def test_they_are_what_stands_in_for_a_silent_model_with_and_without_holes(name, holes, rows):
    """Whether a row has no smile or is not there: then the history is short."""
    series = history(holes)
    terms = dataclasses.replace(
        offline.Terms.of(CONTRACT), stand_ins=StandIns.of(CONTRACT.baselines, (name,) * 2, WINDOW))
    known = without(series, holes) if rows == "gone" else series
    past = offline.Past.of(known, len(known.at) - 1, terms)
    names, change = past.stand_in(terms)

    assert names[0] == name
    assert held(series.grid_vol)[name] == pytest.approx(past.filtered + change[0, 1], abs=1e-15)


def without(series, holes):
    kept = np.delete(np.arange(WINDOW), holes)
    columns = {field.name: getattr(series, field.name)
               for field in dataclasses.fields(series) if field.name not in ("symbol", "expiry")}
    return dataclasses.replace(series, **{
        name: values[kept] if isinstance(values, np.ndarray) else [values[place] for place in kept]
        for name, values in columns.items()})
