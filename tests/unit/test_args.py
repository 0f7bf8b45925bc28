import pytest

from ml import args
from ml.args import CONFIGS, KINDS, Config, DataArgs
from ml.errors import ConfigError


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_committed_configuration_loads(path):
    assert args.load(path).model.kind == path.stem


def test_every_kind_has_a_committed_configuration():
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == set(KINDS)


def test_without_a_file_the_defaults_hold():
    assert args.load() == Config()


def test_single_values_go_over_the_file_and_none_leaves_it():
    config = args.load(args.of_kind("mlp"), {"fit": {"epochs": 3, "seed": None},
                                             "data": {"window": 5}})

    assert (config.fit.epochs, config.fit.seed, config.data.window) == (3, 0, 5)
    assert config.model.hidden == 64


@pytest.mark.parametrize(("text", "named"), [
    ("model: {kind: gro}", "gro"),
    ("model: {colour: blue}", "colour"),
    ("models: {}", "models"),
    ("model: {hidden: 0}", "hidden"),
    ("model: {kind: transformer, hidden: 30}", "heads"),
    ("data: {horizons_s: [300, 60]}", "horizons_s"),
    ("data: {horizons_s: [30]}", "step_s"),
    ("data: {window: 1}", "`window` of one row has no deviations"),
    ("data: {filter_weight: 0}", "filter_weight"),
    ("model: {without: [colour]}", "colour"),
    ("model: {components: 18}", "components"),
    ("fit: {seed: -1}", "seed"),
    ("fit: {seed: 4294967296}", "seed"),
    ("fit: {seed: 99999999999999999999999}", "seed"),
    ("fit: {quantiles: [0.1, 0.4, 0.9]}", "quantiles"),
    ("- 1", "groups"),
    ("model: {", "not YAML"),
])
def test_a_bad_configuration_is_refused_naming_file_and_key(tmp_path, text, named):
    path = tmp_path / "bad.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=named) as caught:
        args.load(path)
    assert "bad.yaml" in str(caught.value)


def test_what_is_wrong_on_the_command_line_is_not_blamed_on_the_file(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("data: {horizons_s: [60]}")

    with pytest.raises(ConfigError, match=r"^command line: .*`step_s`"):
        args.load(path, {"data": {"step_s": 90.0}})
    with pytest.raises(ConfigError, match=r"^command line: .*window"):
        args.load(path, {"data": {"window": 0}})
    path.write_text("data: {horizons_s: [30]}")
    with pytest.raises(ConfigError, match=r"own\.yaml: .*`step_s`"):
        args.load(path, {"data": {"window": 5}})


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: can't be read"):
        args.load(tmp_path / "none.yaml")


@pytest.mark.parametrize("seed", [2**32, 10**23])
def test_a_seed_that_no_generator_takes_is_refused_on_the_command_line(seed):
    with pytest.raises(ConfigError, match=r"^command line: .*seed"):
        args.load(None, {"fit": {"seed": seed}})
    assert args.load(None, {"fit": {"seed": 2**32 - 1}}).fit.seed == 2**32 - 1


def test_horizons_equal_to_the_step_are_allowed():
    assert DataArgs(step_s=60.0, horizons_s=(60,)).horizons_s == (60,)
