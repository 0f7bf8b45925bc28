import msgspec
import pytest

from ml import contract as contracts
from ml.contract import ModelContract
from ml.errors import ModelContractError
from ml.smile.grid import GRID_Z
from tests.unit.small_baselines import make_baselines, make_reference
from tests.unit.smiles import utc

NAMES = ("log_atm_vol", "skew")


def make_contract(**other) -> ModelContract:
    values = {
        "name": "smile", "kind": "gru", "step_s": 60.0, "window": 10, "horizons_s": (60, 300),
        "grid_z": tuple(GRID_Z.tolist()), "feature_names": NAMES, "filter_weight": 0.5,
        "baselines": make_baselines(10, 2), "anchor": ("ewma+har", "filtered_persistence"),
        "reference": make_reference(), "shrinkage": (0.5, 0.0), "band_factor": (1.2, 0.9),
        "band_fallback": ((1e-3,) * 17,) * 2,
        "trained_from": utc(2026, 8, 3, 14), "trained_until": utc(2026, 8, 4, 14), "samples": 100,
        "data_fingerprint": "0123456789abcdef"}
    return ModelContract(**{**values, **other})


def test_its_own_step_grid_and_features_pass():
    make_contract().check(60.0, GRID_Z, NAMES)


@pytest.mark.parametrize(("step", "grid", "names", "sentence"), [
    (2.0, GRID_Z, NAMES, "a step of 60 s, not 2 s"),
    (60.0, GRID_Z[:-1], NAMES, "17 points from -2.5 to 1.5, not 16 points from -2.5 to 1.25"),
    (60.0, GRID_Z + 0.001, NAMES, "a grid of 17 points"),
    (60.0, GRID_Z * float("nan"), NAMES, "not 17 points from nan to nan"),
    (60.0, [], NAMES, "not no points"),
    (60.0, GRID_Z, ("log_atm_vol",), "missing skew"),
    (60.0, GRID_Z, (*NAMES, "volume"), "unknown volume"),
    (60.0, GRID_Z, NAMES[::-1], "another order"),
])
def test_another_step_grid_or_feature_is_refused_by_name(step, grid, names, sentence):
    with pytest.raises(ModelContractError, match=sentence):
        make_contract().check(step, grid, names)


def test_it_survives_json():
    contract = make_contract()

    assert contracts.from_json(contracts.to_json(contract)) == contract


def test_it_is_read_from_a_file(tmp_path):
    path = tmp_path / "contract.json"
    path.write_bytes(contracts.to_json(make_contract()))

    assert contracts.read(path) == make_contract()


@pytest.mark.parametrize(("content", "why"), [
    (b"[]", "not a model contract: Expected `object`"), (b"\xff", "not a model contract"),
    (b"{}", "not a model contract: .*`name`"), (None, "can't be read: Is a directory")])
def test_a_file_that_is_no_contract_is_named(tmp_path, content, why):
    path = tmp_path / "thing.json"
    path.mkdir() if content is None else path.write_bytes(content)

    with pytest.raises(ModelContractError, match=f"^{path}: {why}"):
        contracts.read(path)


@pytest.mark.parametrize(("change", "field"), [
    ({"shrinkage": [0.5]}, "shrinkage"),
    ({"shrinkage": [0.5, 2.0]}, "shrinkage"),
    ({"band_fallback": [[0.1], [0.1]]}, "band_fallback"),
    ({"anchor": ["ewma"]}, "anchor"),
    ({"anchor": ["ewma", "sticky_strike"]}, "held by moneyness: sticky_strike"),
    ({"anchor": ["ewma+filtered_persistence"] * 2}, "held by moneyness: filtered_persistence"),
    ({"anchor": ["ewma+sticky_strike"] * 2}, "held by moneyness: sticky_strike"),
    ({"baselines": [{"name": "ewma", "base": [[1.0], [1.0]]}]}, "baselines"),
    ({"baselines": [{"name": "ewma", "base": [[0.5], [1.0]]}]}, "sum to 1"),
    ({"reference": {"names": ["skew"], "quantiles": [[0.1]]}}, "101 quantiles"),
    ({"band_factor": [1.0, -0.5]}, "band_factor"),
    ({"horizons_s": [0, 60]}, "horizons_s"),
    ({"window": "ten"}, "window"),
])
def test_a_broken_file_is_refused_by_the_fields_name(change, field):
    broken = {**msgspec.to_builtins(make_contract()), **change}

    with pytest.raises(ModelContractError, match=field):
        contracts.from_json(msgspec.json.encode(broken))


def test_keys_of_a_later_version_are_ignored():
    later = {**msgspec.to_builtins(make_contract()), "colour": "blue", "model_version": "7"}

    assert contracts.from_json(msgspec.json.encode(later)) == make_contract()
