"""Flat arrays of quotes say what one smile after the other says."""

import numpy as np
import pytest

from ml.baselines import band_at, on_grid
from ml.evaluation.observed import at_targets, edges_at, vols_at
from ml.smile.grid import GRID_Z, vol_at
from tests.unit.judged import dataset
from tests.unit.smiles import SHAPE


@pytest.fixture(scope="module")
def data():
    return dataset()


def crooked(count, seed=0):
    random = np.random.default_rng(seed)
    return 0.2 * SHAPE + random.normal(0.0, 2e-3, (count, 17)), random.uniform(0.01, 1.0, count)


def test_volatilities_are_those_of_each_smile_beyond_the_grid_too():
    smiles, tau = crooked(5)
    z = np.tile(np.linspace(-4.0, 3.0, 41), 5)
    of = np.repeat(np.arange(5), 41)
    log_moneyness = z * smiles[of, 10] * np.sqrt(tau[of])

    found = vols_at(smiles, of, tau[of], log_moneyness)

    for place in range(5):
        own = of == place
        assert found[own] == pytest.approx(vol_at(smiles[place], tau[place], log_moneyness[own]),
                                           abs=1e-12)


def test_a_band_lies_where_each_smiles_own_does(data):
    smiles, _ = crooked(40, seed=1)
    target = data.samples.target[:40, 0]
    quotes = at_targets(data.observations, target)
    width = np.linspace(1e-3, 3e-3, 17)
    change = np.stack([-width, 0.0 * width, 2 * width]).astype(np.float32)

    lower, middle, upper = edges_at(smiles, np.tile(change, (40, 1, 1)), quotes)

    for place in range(40):
        own = quotes.of == place
        where = float(quotes.tau[own][0]), quotes.log_moneyness[own]
        assert middle[own] == pytest.approx(vol_at(smiles[place], *where), abs=1e-9)
        for edge, moved in ((lower, change[0]), (upper, change[2])):
            expected = band_at(smiles[place] + moved, smiles[place], *where)
            assert edge[own] == pytest.approx(expected, abs=1e-9)


def test_quotes_are_those_on_the_grid_of_each_target(data):
    target = np.array([3, -1, 0, 3])
    quotes = at_targets(data.observations, target)

    for place, row in enumerate(target):
        own = quotes.of == place
        if row < 0:
            assert not own.any()
            continue
        k, mid, half = data.observations.quotes(row)
        used = on_grid(k, data.observations.atm_vol[row], data.observations.tau[row])
        assert quotes.log_moneyness[own].tolist() == k[used].tolist()
        assert quotes.mid_iv[own].tolist() == mid[used].tolist()
        assert quotes.half_spread[own].tolist() == half[used].tolist()
    assert (quotes.z >= GRID_Z[0]).all()
    assert (quotes.z <= GRID_Z[-1]).all()


def test_no_target_has_no_quotes(data):
    assert len(at_targets(data.observations, np.array([-1, -1]))) == 0
