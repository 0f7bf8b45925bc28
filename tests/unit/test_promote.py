"""The command, with a registry in memory; what it does to a real one is tested with succession."""

import msgspec
import pytest
import torch

from ml import promote
from ml.args import DataArgs
from ml.dataset import make_dataset
from ml.errors import ModelContractError, RegistryError, TrainingDataError, UnavailableError
from ml.evaluation.gate import Verdict
from ml.features import WINDOW_FEATURES
from ml.registry import LoadedModel
from tests.unit.small_baselines import make_baselines
from tests.unit.small_model import (
    HORIZONS,
    WINDOW,
    broken_forecaster,
    make_forecaster,
)
from tests.unit.smiles import make_history, utc

URI = "http://registry"
PASSED, FAILED = Verdict(()), Verdict(("worse than ewma at 60 s",))


class Registry:
    """Versions by alias, their models, and what was done to them."""

    def __init__(self, monkeypatch):
        self.aliases = {"challenger": "2", "champion": "1"}
        self.models = {"1": silent("persistence"), "2": silent("ewma")}
        self.crowned, self.refused = [], []
        monkeypatch.setattr(promote, "find_alias", lambda name, alias, uri: self.aliases.get(alias))
        monkeypatch.setattr(promote, "load_version", self.load)
        monkeypatch.setattr(promote, "crown", lambda name, version, uri, verdict, forced, before:
                            self.crowned.append((version, verdict, forced, before)))
        monkeypatch.setattr(promote, "refuse", lambda name, version, uri, verdict:
                            self.refused.append((version, verdict)))
        monkeypatch.setattr(promote, "dethrone", lambda name, uri: ("2", "1"))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", URI)

    def load(self, name, version, uri):
        model = self.models[version]
        if isinstance(model, Exception):
            raise model
        return LoadedModel(model, version)


def silent(anchor, **changed):
    """A model that says what a baseline says."""
    return make_forecaster(**{"anchor": (anchor,) * 2, "shrinkage": (0.0, 0.0), **changed})


@pytest.fixture
def registry(monkeypatch):
    return Registry(monkeypatch)


@pytest.fixture(scope="module")
def dataset():
    """Noisy smiles, on which the filtered one is surely better than the newest."""
    return make_dataset([make_history(days=3, minutes=90, noise=3e-4)],
                        DataArgs(window=WINDOW, horizons_s=HORIZONS))


@pytest.fixture
def told(monkeypatch):
    """Make the gate say what is set here."""
    said = {"verdict": PASSED}
    monkeypatch.setattr(promote, "_judged", lambda *models: said["verdict"])
    return said


def decide(dataset=None, force=None):
    return promote.decide("smile", URI, lambda contract: dataset, force)


def test_challenger_and_champion_are_judged_on_what_neither_has_seen(registry, dataset):
    decision = decide(dataset)

    assert (decision.version, decision.before) == ("2", "1")
    assert decision.verdict.p_better < 0.05
    assert decision.verdict.days == 2
    assert decision.verdict.from_s > registry.models["1"].contract.trained_until.timestamp()
    table = promote.as_table(decision)
    assert "2 days that neither has seen" in table.title
    assert [len(list(column.cells)) for column in table.columns] == [2] * 9


@pytest.mark.parametrize("later", ["1", "2"])
def test_days_that_either_was_trained_on_decide_nothing(registry, dataset, later):
    """One is trained until noon of the first day of three, the other until the second's end."""
    until = utc(2026, 8, 4, 21)
    for version, anchor in (("1", "persistence"), ("2", "ewma")):
        registry.models[version] = silent(
            anchor, trained_until=until if version == later else utc(2026, 8, 3, 16))

    verdict = decide(dataset).verdict

    assert verdict.days == 1
    assert verdict.from_s > until.timestamp()
    assert verdict.until_s < utc(2026, 8, 5, 21).timestamp()


def test_a_challenger_that_passes_is_crowned(registry, told):
    decision = decide()

    assert decision.promoted
    assert registry.crowned == [("2", PASSED.sentence(), None, "1")]
    assert promote.outcome(decision).endswith("; it is champion")


def test_one_that_does_not_pass_stays_challenger_and_is_told_why(registry, told):
    told["verdict"] = FAILED

    decision = decide()

    assert not decision.promoted
    assert registry.refused == [("2", "refused: worse than ewma at 60 s")]
    assert registry.crowned == []
    assert "; it stays challenger (--force REASON would" in promote.outcome(decision)


@pytest.mark.parametrize(("verdict", "force"), [(PASSED, None), (FAILED, "the first")])
def test_one_that_may_replace_nobody_is_crowned_only_where_there_is_no_champion(
        registry, told, verdict, force):
    told["verdict"] = verdict

    promote.decide("smile", URI, lambda contract: None, force, replaces=False)

    assert [before for *_, before in registry.crowned] == [None]


def test_force_promotes_it_all_the_same_and_keeps_both_reasons(registry, told):
    told["verdict"] = FAILED

    decision = decide(force="the market has changed")

    assert registry.crowned == [
        ("2", "refused: worse than ewma at 60 s", "the market has changed", "anyone")]
    assert promote.outcome(decision).endswith("made champion all the same: the market has changed")


def test_one_that_passes_is_not_noted_as_forced(registry, told):
    decide(force="in a hurry")

    assert registry.crowned == [("2", PASSED.sentence(), None, "1")]


def test_a_history_that_is_too_short_is_a_refusal(registry, monkeypatch):
    def short(*models):
        raise TrainingDataError("there is nothing to judge on")

    monkeypatch.setattr(promote, "_judged", short)

    assert decide().verdict.reasons == ("there is nothing to judge on",)


@pytest.mark.parametrize(("other", "named"), [
    ({"horizons_s": (60, 900)}, "horizons_s"), ({"step_s": 30.0}, "step_s"),
    ({"filter_weight": 0.3}, "filter_weight"),
    ({"window": 5, "baselines": make_baselines(5, len(HORIZONS))}, "window"),
    ({"filter_weight": 0.3, "step_s": 30.0}, "step_s, filter_weight")])
def test_models_of_other_forecasts_are_not_compared(registry, told, other, named):
    registry.models["1"] = silent("ewma", **other)

    assert decide().verdict.reasons == (
        f"it can't be compared with the champion: another {named}",)
    assert registry.crowned == []


@pytest.mark.parametrize("other", [
    {"feature_names": WINDOW_FEATURES[::-1]}, {"feature_names": WINDOW_FEATURES[:-1]},
    {"grid_z": tuple(range(17))}])
def test_a_champion_of_other_features_or_grid_counts_as_none(registry, told, capsys, other):
    registry.models["1"] = silent("ewma", **other)

    assert decide().promoted
    assert "the champion counts as none: version 1: model smile" in capsys.readouterr().err


@pytest.mark.parametrize("force", [None, "in a hurry"])
@pytest.mark.parametrize("other", [
    {"feature_names": WINDOW_FEATURES[::-1]}, {"feature_names": WINDOW_FEATURES[:-1]},
    {"grid_z": tuple(range(17))}])
def test_such_a_challenger_is_refused_by_name_forced_or_not(registry, told, other, force):
    registry.models["2"] = silent("ewma", **other)

    with pytest.raises(ModelContractError, match="version 2: model smile is trained on"):
        decide(force=force)
    assert registry.crowned == []


@pytest.mark.parametrize("force", [None, "in a hurry"])
@pytest.mark.parametrize(("answer", "trouble"), [
    (None, "RuntimeError: no such kernel"),
    (lambda windows: torch.full((len(windows), 2, 3, 17), torch.nan), "finite numbers"),
    (lambda windows: torch.zeros((2, 2, 3, 17)), "finite numbers")])
def test_neither_does_one_that_can_not_forecast_come_in(registry, told, answer, trouble, force):
    registry.models["2"] = broken_forecaster(answer)

    with pytest.raises(RegistryError, match=f"version 2 of smile can't forecast: .*{trouble}"):
        decide(force=force)
    assert registry.crowned == []


def test_a_champion_that_can_not_be_loaded_is_replaced_by_force_only(registry, told):
    registry.models["1"] = RegistryError("version 1 of smile can't be loaded: No space left")

    assert decide().verdict.sentence() == ("refused: the champion can't be asked: version 1 of "
                                           "smile can't be loaded: No space left")
    assert registry.crowned == []
    assert decide(force="it is lost").promoted


def test_a_training_has_its_own_version_judged_whoever_is_challenger_now(registry, told):
    registry.models["3"] = registry.models["2"]

    decision = promote.decide("smile", URI, lambda contract: None, None, "3")

    assert decision.version == "3"
    assert [crowned[0] for crowned in registry.crowned] == ["3"]


@pytest.mark.parametrize("reason", ["", "  "])
def test_force_needs_a_reason(registry, capsys, reason):
    with pytest.raises(SystemExit):
        promote.main(["--force", reason])

    assert "argument --force: the reason is empty" in capsys.readouterr().err
    assert registry.crowned == []


def test_the_registrys_password_is_not_told(registry, monkeypatch, capsys):
    del registry.aliases["challenger"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://bob:hunter2@registry")

    assert promote.main(["--force", "x"]) == 2
    assert "at http://***@registry has the alias" in capsys.readouterr().err


def test_a_champion_that_is_out_of_reach_does_not_count_as_none(registry, told):
    registry.models["1"] = UnavailableError("MLflow does not answer")

    with pytest.raises(UnavailableError):
        decide()
    assert registry.crowned == []


def test_without_a_challenger_there_is_nothing_to_promote(registry, capsys):
    del registry.aliases["challenger"]

    assert promote.main(["--force", "x"]) == 2
    assert "there is nothing to promote: no version of smile" in capsys.readouterr().err


def test_a_refusal_has_an_exit_code_of_its_own(registry, monkeypatch, capsys):
    monkeypatch.setattr(promote, "decide",
                        lambda *told: promote.Decision("2", "1", FAILED))

    assert promote.main(["--quotes", "some.parquet"]) == promote.REFUSED
    assert capsys.readouterr().out.startswith("version 2 refused: worse than ewma at 60 s; it ")


def test_force_needs_no_history(registry, capsys):
    assert promote.main(["--force", "the first one"]) == 0
    assert registry.crowned == [
        ("2", f"refused: {promote.NO_HISTORY}", "the first one", "anyone")]


def test_neither_does_a_rollback(registry, capsys):
    assert promote.main(["--rollback"]) == 0
    assert capsys.readouterr().out == "smile: version 1 is champion again, version 2 was\n"


def test_else_a_history_must_be_named(registry, capsys):
    with pytest.raises(SystemExit):
        promote.main([])
    assert "--quotes" in capsys.readouterr().err


def test_a_history_is_cut_as_the_model_wants_it():
    contract = msgspec.structs.replace(make_forecaster().contract, step_s=30.0, filter_weight=0.3)

    args = promote.config_for(contract).data

    assert (args.step_s, args.window, args.horizons_s, args.filter_weight, args.within_day) \
        == (30.0, WINDOW, HORIZONS, 0.3, True)
