import dataclasses

import numpy as np
import pytest

from ml.args import DataArgs
from ml.dataset import make_dataset
from ml.errors import TrainingDataError
from ml.evaluation.gate import judge, losses, unseen
from ml.evaluation.records import MODEL, Records, columns
from tests.unit.small_model import HORIZONS, WINDOW, make_forecaster
from tests.unit.smiles import make_history, utc

NAMES = (MODEL, "filtered_persistence", "ewma")
MINUTES = 240


def records(level, seed=0, minutes=MINUTES, horizons=HORIZONS):
    """Losses of `level` squared basis points on average, by name and horizon, two forecasts an
    instant; the same luck befalls all forecasters, and each has a little of its own."""
    random = np.random.default_rng(seed)
    rows = len(horizons) * minutes
    luck = random.chisquare(5, rows) / 5
    sums = np.zeros((rows, columns(NAMES)))
    for place, name in enumerate(NAMES):
        of_its_own = np.random.default_rng([seed, place, int(1e6 * level[name][0])])
        own = of_its_own.normal(1.0, 0.05, rows)
        sums[:, place] = 2e-8 * np.repeat(level[name], minutes) * luck * own
    nothing = np.zeros((len(horizons), 5, 5, 5))
    return Records(
        kind="gru", horizons_s=horizons, step_s=60.0, names=NAMES, fold=np.zeros(rows, int),
        horizon=np.repeat(np.arange(len(horizons)), minutes),
        at_s=np.tile(60.0 * np.arange(minutes), len(horizons)), forecasts=np.full(rows, 2.0),
        sums=sums, cell_forecasts=nothing, cell_quotes=nothing, cell_sums=nothing[..., None],
        cell_spreads=nothing[..., None].astype(int))


def level(model, ewma=(1.0, 4.0)):
    return {MODEL: model, "ewma": ewma, "filtered_persistence": (2.0, 5.0)}


GOOD = level((0.9, 3.6))
LIKE_EWMA = level((1.0, 4.0))


def test_the_first_model_passes_when_it_is_not_worse_than_the_best_baseline():
    verdict = judge(records(GOOD), None)

    assert verdict.passed
    assert verdict.sentence() == ("passed: the first of its name, and not worse than the best "
                                  "baseline at any horizon")
    assert [one.best for one in verdict.horizons] == ["ewma", "ewma"]
    assert [one.instants for one in verdict.horizons] == [MINUTES, MINUTES]
    assert verdict.horizons[0].challenger_bp == pytest.approx(np.sqrt(0.9), rel=0.05)
    assert verdict.horizons[1].r2_best == pytest.approx(0.1, abs=0.01)
    assert all(np.isnan(one.champion_bp) for one in verdict.horizons)


def test_a_model_that_is_as_good_as_the_best_baseline_passes():
    own = records(LIKE_EWMA)
    own.sums[:, 0] = own.sums[:, 2]

    assert judge(own, None).passed


@pytest.mark.parametrize(("model", "where"), [
    ((1.1, 3.6), "worse than ewma at 60 s"), ((0.9, 4.4), "worse than ewma at 300 s")])
def test_worse_than_the_best_baseline_at_one_horizon_is_refused(model, where):
    verdict = judge(records(level(model)), None)

    assert not verdict.passed
    assert where in verdict.sentence()
    assert len(verdict.reasons) == 1


def test_surely_worse_by_less_than_half_a_per_cent_is_refused():
    own = records(LIKE_EWMA)
    own.sums[:, 0] = own.sums[:, 2] * 1.003

    [at_60, _] = judge(own, None).horizons

    assert at_60.r2_best == pytest.approx(-0.003)
    assert at_60.p_worse < 0.05
    assert at_60.worse


def swinging(share, horizons=HORIZONS):
    """Losses of the EWMA's times 1 + `share`, half of it more or less at random; it evens out."""
    own, random = records(LIKE_EWMA, horizons=horizons), np.random.default_rng(0)
    turns = [random.permutation(np.tile([0.5, -0.5], MINUTES // 2)) for _ in horizons]
    own.sums[:, 1], own.sums[:, 2] = 4e-8, 2e-8
    own.sums[:, 0] = 2e-8 * (1.0 + share + np.concatenate(turns))
    return own


@pytest.mark.parametrize(("share", "passes"), [
    (0.004, True), (0.0049, True), (0.0051, False), (0.006, False), (0.02, False)])
def test_half_a_per_cent_worse_is_refused_however_unsure(share, passes):
    verdict = judge(swinging(share), None)

    assert verdict.passed is passes
    for one in verdict.horizons:
        assert one.r2_best == pytest.approx(-share)
        assert 0.1 < one.p_worse < 0.9
        assert one.worse is not passes


def test_better_than_the_champion_by_what_may_be_luck_is_refused():
    verdict = judge(swinging(-0.02), swinging_not())

    assert verdict.horizons[0].r2_champion == pytest.approx(0.02)
    assert 0.1 < verdict.p_better < 0.4
    assert verdict.reasons == (f"not better than the champion (p = {verdict.p_better:.3f})",)


def swinging_not(horizons=HORIZONS):
    """The EWMA's losses, as the champion's."""
    champion = swinging(0.0, horizons)
    champion.sums[:, 0] = champion.sums[:, 2]
    return champion


def test_half_an_hours_luck_is_no_thirty_minutes_evidence():
    """Better in six half hours of eight: much of minutes, little of forecasts half an hour long."""
    horizons = (60, 1800)
    own, champion = swinging(0.0, horizons), swinging_not(horizons)
    turns = np.repeat([-1, -1, 1, -1, -1, 1, -1, -1], MINUTES // 8)
    own.sums[:, 0] = 2e-8 * (1.0 + 0.3 * np.tile(turns, 2))

    assert judge(own, champion).p_better > 0.05
    minutes = [dataclasses.replace(one, horizons_s=(60, 120)) for one in (own, champion)]
    assert judge(*minutes).p_better < 0.05

    own.sums[:, 0] = 2e-8 * (1.0 - 0.3 * np.tile(turns, 2))
    at_minute, at_half_hour = judge(own, None).horizons
    assert at_minute.r2_best == at_half_hour.r2_best
    assert at_minute.p_worse < 0.05 < at_half_hour.p_worse


def test_better_than_the_champion_passes():
    verdict = judge(records(GOOD), records(LIKE_EWMA))

    assert verdict.passed
    assert verdict.p_better < 0.05
    assert verdict.horizons[0].r2_champion == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("champion", [(0.9, 3.6), (0.8, 3.2)])
def test_as_good_as_the_champion_or_worse_is_refused(champion):
    verdict = judge(records(GOOD), records(level(champion)))

    assert verdict.reasons == (f"not better than the champion (p = {verdict.p_better:.3f})",)


def test_the_same_forecast_as_the_champions_is_no_better():
    verdict = judge(records(GOOD), records(GOOD))

    assert verdict.p_better == 0.5
    assert not verdict.passed


def test_the_test_weighs_forecasts_as_r2_does():
    count = np.where(np.arange(2 * MINUTES) % 5 == 0, 12.0, 1.0)
    champion, challenger = (dataclasses.replace(
        records(GOOD), forecasts=count, sums=records(GOOD).sums * count[:, None])
        for _ in range(2))
    challenger.sums[:, 0] *= np.where(count == 1.0, 0.8, 1.25)

    verdict = judge(challenger, champion)

    assert all(one.r2_champion < 0.0 for one in verdict.horizons)
    assert verdict.p_better > 0.5


def test_a_rounding_error_of_a_tiny_loss_is_no_evidence():
    own, champion = records(GOOD), records(GOOD)
    champion.sums[7, 0] = own.sums[7, 0] = 1e-16
    own.sums[7, 0] *= 0.99

    assert judge(own, champion).p_better == 0.5


def test_horizons_count_alike_against_the_champion():
    """A tenth of a small loss is worth a tenth of a large one."""
    better_near = judge(records(level((0.8, 3.6))), records(level((0.9, 3.6))))
    worse_far = judge(records(level((0.8, 4.0))), records(level((0.9, 3.4))))

    assert better_near.p_better < 0.05 < 0.95 < worse_far.p_better

    # A fifth better of the small loss, a tenth worse of the large one, which is more in all.
    fifth = judge(records(level((0.8, 4.4))), records(level((1.0, 4.0))))
    assert fifth.p_better < 0.05


def test_a_horizon_that_nothing_was_scored_at_is_a_reason():
    short = dataclasses.replace(records(GOOD), horizons_s=(*HORIZONS, 1800))

    assert judge(short, None).reasons == (
        "no unseen forecast of 1800 s has a quote to be judged by",)


def test_too_few_instants_are_named():
    verdict = judge(records(GOOD, minutes=20), None)

    assert verdict.reasons == ("20 unseen instants at 60 s are too few, 30 are needed",)


@pytest.mark.parametrize(("minutes", "enough"), [(29, False), (30, True)])
def test_thirty_instants_are_enough(minutes, enough):
    assert judge(records(GOOD, minutes=minutes), None).passed is enough


def test_too_few_independent_instants_leave_the_champion_champion():
    short = {"minutes": 40, "horizons": (60, 1800)}
    verdict = judge(records(GOOD, **short), records(LIKE_EWMA, **short))

    assert np.isnan(verdict.p_better)
    assert verdict.reasons == ("too few independent instants to tell it from the champion",)


def test_losses_of_other_forecasts_are_no_comparison():
    with pytest.raises(ValueError, match="different forecasts"):
        judge(records(GOOD), records(GOOD, minutes=100))


@pytest.fixture(scope="module")
def dataset():
    history = make_history(days=3, minutes=90, noise=3e-4)
    return make_dataset([history], DataArgs(window=WINDOW, horizons_s=HORIZONS))


def silent(anchor):
    """A model that says what a baseline says."""
    return make_forecaster(anchor=(anchor,) * 2, shrinkage=(0.0, 0.0))


def test_only_what_is_later_than_an_instant_is_unseen(dataset):
    after_s = utc(2026, 8, 4, 14).timestamp()

    part = unseen(dataset, after_s)

    assert dataset.samples.at_s[part.places].min() > after_s
    assert len(part) == (dataset.samples.at_s > after_s).sum()
    assert part.known.any(axis=1).all()


def test_nothing_unseen_is_told(dataset):
    with pytest.raises(TrainingDataError, match="nothing to judge on"):
        unseen(dataset, utc(2026, 8, 6).timestamp())


def test_a_model_that_says_what_a_baseline_says_has_that_baselines_losses(dataset):
    part = unseen(dataset, utc(2026, 8, 4, 14).timestamp())

    own = losses(silent("ewma"), dataset, part)

    assert own.losses(MODEL, "squared") == pytest.approx(own.losses("ewma", "squared"), rel=1e-3)


def test_on_noisy_smiles_the_filtered_one_is_promoted_over_the_newest_one(dataset):
    part = unseen(dataset, utc(2026, 8, 4, 14).timestamp())
    filtered, newest = (losses(silent(anchor), dataset, part) for anchor in ("ewma", "persistence"))

    assert judge(filtered, newest).p_better < 0.05
    assert "not better than the champion" in judge(newest, filtered).sentence()
