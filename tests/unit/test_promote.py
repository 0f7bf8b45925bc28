"""The command, with a registry in memory; what it does to a real one is tested with succession."""

import msgspec
import pytest

from ml import promote
from ml.args import DataArgs
from ml.dataset import make_dataset
from ml.errors import RegistryError, TrainingDataError, UnavailableError
from ml.evaluation.gate import Verdict
from ml.registry import LoadedModel
from tests.unit.small_model import HORIZONS, WINDOW, make_forecaster
from tests.unit.smiles import make_history

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
        monkeypatch.setattr(promote, "crown", lambda name, version, uri, verdict, forced:
                            self.crowned.append((version, verdict, forced)))
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


def test_a_challenger_that_passes_is_crowned(registry, told):
    decision = decide()

    assert decision.promoted
    assert registry.crowned == [("2", PASSED.sentence(), None)]
    assert promote.outcome(decision).endswith("; it is champion")


def test_one_that_does_not_pass_stays_challenger_and_is_told_why(registry, told):
    told["verdict"] = FAILED

    decision = decide()

    assert not decision.promoted
    assert registry.refused == [("2", "refused: worse than ewma at 60 s")]
    assert registry.crowned == []
    assert "; it stays challenger (--force REASON would" in promote.outcome(decision)


def test_force_promotes_it_all_the_same_and_keeps_both_reasons(registry, told):
    told["verdict"] = FAILED

    decision = decide(force="the market has changed")

    assert registry.crowned == [
        ("2", "refused: worse than ewma at 60 s", "the market has changed")]
    assert promote.outcome(decision).endswith("made champion all the same: the market has changed")


def test_one_that_passes_is_not_noted_as_forced(registry, told):
    decide(force="in a hurry")

    assert registry.crowned == [("2", PASSED.sentence(), None)]


def test_a_history_that_is_too_short_is_a_refusal(registry, monkeypatch):
    def short(*models):
        raise TrainingDataError("there is nothing to judge on")

    monkeypatch.setattr(promote, "_judged", short)

    assert decide().verdict.reasons == ("there is nothing to judge on",)


def test_models_of_other_horizons_are_not_compared(registry, told):
    registry.models["1"] = silent("ewma", horizons_s=(60, 900))

    assert decide().verdict.reasons == (
        "it can't be compared with the champion: another horizons_s",)


@pytest.mark.parametrize("champion", [
    RegistryError("version 1 of smile can't be loaded"),
    silent("ewma", feature_names=("volume",))])
def test_a_champion_that_nobody_could_ask_counts_as_none(registry, told, capsys, champion):
    registry.models["1"] = champion

    assert decide().promoted
    assert "the champion counts as none: " in capsys.readouterr().err


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
    assert registry.crowned == [("2", f"refused: {promote.NO_HISTORY}", "the first one")]


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
