import pytest
import torch

from ml.args import KINDS, NETWORKS, ModelArgs
from ml.baselines import BASELINES
from ml.models import MODELS, Shape, Targets, build

SHAPE = Shape(window=10, features=7, horizons=2, grid=17)
Z_BAND = 1.645
TARGETS = Targets(loadings=torch.eye(17)[:3] * 17**0.5, straight=torch.zeros(2, 3, 7),
                  z_band=Z_BAND)


@pytest.fixture(params=NETWORKS)
def network(request):
    torch.manual_seed(0)
    return build(ModelArgs(kind=request.param), SHAPE, TARGETS).eval()


def shaken(network):
    """The network with weights anywhere but at the start, the head's too."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.3)
    return network


def windows(batch):
    return torch.randn(batch, 10, 7, generator=torch.Generator().manual_seed(1))


def test_every_kind_is_a_network_or_a_baseline():
    assert (*MODELS, *BASELINES) == KINDS


@pytest.mark.parametrize("batch", [1, 2, 32])
def test_windows_become_quantiles_of_each_horizon_and_point(network, batch):
    assert network(windows(batch)).shape == (batch, 2, 3, 17)


def test_an_untrained_network_says_nothing_with_a_band_of_the_targets_own_width(network):
    low, middle, high = network(windows(4)).unbind(dim=2)

    assert torch.equal(middle, torch.zeros_like(middle))
    torch.testing.assert_close(high, torch.full_like(high, Z_BAND))
    torch.testing.assert_close(low, -high)


@pytest.mark.parametrize("kind", NETWORKS)
def test_past_the_network_the_last_row_speaks_through_the_ridge_regression(kind):
    straight = torch.zeros(2, 3, 7)
    straight[1, 2, 4] = 0.5
    network = build(ModelArgs(kind=kind), SHAPE, TARGETS._replace(straight=straight)).eval()

    middle = network(windows(4))[:, :, 1]

    assert torch.equal(middle[:, 0], torch.zeros(4, 17))
    torch.testing.assert_close(middle[:, 1, 2], 0.5 * windows(4)[:, -1, 4] * 17**0.5)


def test_quantiles_never_cross_whatever_the_weights(network):
    quantiles = shaken(network)(windows(64))

    assert (quantiles.diff(dim=2) >= 0).all()


def test_the_answer_to_a_window_does_not_depend_on_its_batch(network):
    network = shaken(network)
    together = network(windows(8))
    alone = torch.cat([network(one[None]) for one in windows(8)])

    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-5)


def test_every_row_of_the_window_matters(network):
    network, some = shaken(network), windows(1)
    before = network(some)
    for row in range(10):
        other = some.clone()
        other[0, row] += 1.0
        assert not torch.equal(network(other), before), f"row {row}"


@pytest.mark.filterwarnings("ignore:The tensor attributes")
def test_an_exported_model_answers_any_batch_as_the_model_does(network):
    network = shaken(network)
    dynamic = ({0: torch.export.Dim.AUTO},)
    exported = torch.export.export(network, (windows(4),), dynamic_shapes=dynamic).module()

    for batch in (1, 2, 32):
        torch.testing.assert_close(exported(windows(batch)), network(windows(batch)))
