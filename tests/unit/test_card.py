import re
from dataclasses import replace

import numpy as np
import pytest

from ml import card
from ml.args import DataArgs
from ml.baselines.linear import BASELINES
from ml.dataset import make_dataset
from ml.evaluation.gate import losses, unseen
from ml.evaluation.scores import summarise
from ml.evaluation.tables import label
from ml.registry import LONGEST_DESCRIPTION
from tests.unit.small_model import HORIZONS, WINDOW, make_forecaster
from tests.unit.smiles import make_history


@pytest.fixture(scope="module")
def evaluation():
    dataset = make_dataset([make_history(days=2, minutes=60, noise=3e-4)],
                           DataArgs(window=WINDOW, horizons_s=HORIZONS))
    return summarise(losses(make_forecaster(), dataset, unseen(dataset, -np.inf)))


@pytest.fixture(scope="module")
def contract():
    return make_forecaster().contract


@pytest.fixture(scope="module")
def text(contract, evaluation):
    return card.write(contract, evaluation)


def test_it_says_what_the_model_is_and_how_to_go_back(text, contract):
    assert text.startswith("# smile: gru\n")
    assert "60, 300 s ahead" in text
    assert f"4 rows of {len(contract.feature_names)} features, 60 s apart" in text
    assert "`python -m ml.promote --name smile --rollback`" in text


def test_it_says_on_which_data(text, contract):
    assert "nothing outside 2026-08-03 14:00 to 2026-08-04 14:00 has shaped it" in text
    assert contract.data_fingerprint in text


def test_the_scores_of_every_horizon_stand_beside_every_baselines(text, evaluation):
    for one in evaluation.horizons:
        assert f"| {one.horizon_s} s | {one.forecasts:,} | {one.rmse_bp:.2f} | " in text
        errors = " | ".join(f"{one.against(name).rmse_bp:.2f}"
                            for name in ("filtered_persistence", *BASELINES))
        assert f"| {one.horizon_s} s | {errors} |" in text
    for name in BASELINES:
        assert label(name) in text


def test_it_says_where_the_model_keeps_to_its_anchor(text):
    assert "| 60 s | tuned EWMA | 0.80 |" in text
    assert "| 300 s | filtered persistence | 0.40 |" in text


def test_its_tables_are_tables(text):
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.M):
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_what_is_unknown_is_a_dash(contract, evaluation):
    """As where a history is too short to tell how sure its figures are."""
    unknown = dict.fromkeys(("r2", "r2_lower", "r2_upper", "p_value"), np.nan)
    horizons = tuple(replace(one, half_spread_bp=np.nan, rivals=tuple(
        replace(rival, **unknown) for rival in one.rivals)) for one in evaluation.horizons)
    folds = tuple(replace(one, r2_filtered=np.nan, r2_best=np.nan) for one in evaluation.folds)

    text = card.write(contract, replace(evaluation, horizons=horizons, folds=folds))

    assert "nan" not in text
    assert re.search(r"\n\| 60 s \| [\d,]+ \| [\d.]+ \| - - \| [\w ]+ \| - \| - \|", text)


def test_four_horizons_and_four_folds_go_into_a_versions_description(contract, evaluation):
    horizons = evaluation.horizons * 2
    folds = evaluation.folds * 8

    text = card.write(contract, replace(evaluation, horizons=horizons, folds=folds))

    assert len(text) < LONGEST_DESCRIPTION


def test_its_plots_are_pictures_of_their_own(evaluation):
    drawn = card.plots(evaluation)

    assert drawn.keys() == {"plots/buckets.svg", "plots/coverage.svg", "plots/over_time.svg"}
    assert all(picture.startswith(b"<svg") for picture in drawn.values())


def test_without_matplotlib_there_are_none(evaluation, monkeypatch):
    monkeypatch.setattr(card, "find_spec", lambda name: None)

    assert card.plots(evaluation) == {}
