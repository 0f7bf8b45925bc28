"""The surfaces of real quotes, held to what a desk asks; figures are printed."""

import itertools
from collections import Counter

import numpy as np
import pytest

from benchmarks.real_smiles import side_gaps_of_strikes
from ml.quotes.format import iter_chains
from ml.quotes.lean import import_lean
from ml.quotes.snapshot import import_snapshot
from ml.smile.desk import rich_cheap
from ml.smile.surface import build_surface


def surfaces(frame, every=1):
    """(surface, chains) of every n-th instant."""
    instants = itertools.groupby(iter_chains(frame), key=lambda chain: chain.at)
    kept = [list(chains) for number, (_, chains) in enumerate(instants) if number % every == 0]
    return [(build_surface(chains), chains) for chains in kept]


@pytest.fixture(scope="module")
def goog(shared_data):
    frame = import_lean(shared_data / "lean_goog_2015-12-24")
    chosen = frame[frame["ts"].dt.minute % 10 == 5].reset_index(drop=True)
    return surfaces(chosen)


@pytest.fixture(scope="module")
def spy(shared_data):
    folders = sorted((shared_data / "spy_chain_2026-08").glob("*/meta.json"))
    return [one for meta in folders for one in surfaces(import_snapshot(meta.parent))]


def made(real):
    return [smile for surface, _ in real for smile in surface.smiles if smile.reason is None]


def inside_share(real):
    inside = np.concatenate([rich_cheap(smile).inside for smile in made(real)])
    return float(inside.mean()), len(inside)


def test_nearly_every_expiry_of_goog_has_a_smile(goog):
    reasons = Counter(smile.reason for surface, _ in goog for smile in surface.smiles)
    print(dict(reasons))
    assert reasons[None] > 0.95 * reasons.total()


def test_smiles_of_goog_lie_inside_bid_and_ask(goog):
    share, strikes = inside_share(goog)
    fit = np.median([smile.fit_error for smile in made(goog)]) * 1e4
    print(f"{share:.1%} of {strikes} strikes inside, median fit error {fit:.1f} bp")
    assert share > 0.98


def test_smiles_of_spy_err_about_as_much_as_its_quotes_contradict_one_another(spy):
    """No curve can be inside bid-ask there: mids of neighbouring strikes scatter by more."""
    share, strikes = inside_share(spy)
    fit = np.median([smile.fit_error for smile in made(spy)]) * 1e4
    print(f"{share:.1%} of {strikes} strikes inside, median fit error {fit:.1f} bp")
    assert share > 0.6
    assert fit < 12


@pytest.mark.parametrize(("name", "reach", "bound_bp"), [("goog", 0.5, 10), ("spy", 1.0, 10)])
def test_put_and_call_of_one_strike_agree_near_the_money(name, reach, bound_bp, request):
    gaps = np.concatenate([
        gap for surface, chains in request.getfixturevalue(name)
        for gap in side_gaps_of_strikes(chains, surface.smiles, reach)])
    print(f"{name}: median {np.median(gaps) * 1e4:.1f} bp of {len(gaps)} strikes")
    assert len(gaps) > 500
    assert np.median(gaps) * 1e4 < bound_bp


@pytest.mark.parametrize("name", ["goog", "spy"])
def test_no_arbitrage_is_left_on_the_checked_range(name, request):
    smiles = made(request.getfixturevalue(name))
    before = Counter(kind for smile in smiles for kind in smile.repaired)
    print(f"{name}: {len(smiles)} smiles, before repair {dict(before)}")
    assert all(smile.butterfly_ok and smile.calendar_ok and smile.lee_ok for smile in smiles)


def test_a_warm_start_and_a_cold_one_give_the_same_smiles(shared_data):
    frame = import_lean(shared_data / "lean_goog_2015-12-24")
    times = frame["ts"].drop_duplicates().iloc[60:75]
    chosen = frame[frame["ts"].isin(times)].reset_index(drop=True)
    gaps, warm = [], None
    for cold, chains in surfaces(chosen):
        warm = build_surface(chains, warm)
        assert [one.reason for one in warm.smiles] == [one.reason for one in cold.smiles]
        gaps += [np.abs(one.grid_vol - other.grid_vol)[one.grid_observed].max()
                 for one, other in zip(warm.smiles, cold.smiles, strict=True) if one.curve]
    far = np.mean(np.array(gaps) > 1e-4)
    print(f"{len(gaps)} smiles, {far:.1%} differ by more than 1 bp, most {max(gaps) * 1e4:.1f} bp")
    assert far < 0.03
