"""MAD: the claims of its paper and of ours, each as a test; above all that the Mamba branch is used."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stmest.exceptions import ParameterError
from stmest.layers.norms import FieldBatchNorm, TokenBatchNorm
from stmest.networks.mad import MADNetwork
from stmest.networks.mad_prediction import PREDICTIONS
from stmest.networks.mad_space import GridSpace, NodeConv
from tests.networks.cases import build, shaken, windows

T, H, B, C = 5, 3, 3, 2
GRID = (6, 9)
CHAIN = torch.diag(torch.ones(6), 1)  # seven nodes, 0 -> 1 -> ... -> 6


def _network(grid=GRID, seed=0, n_nodes=7, **changes):
    return build(MADNetwork, seed, grid_shape=grid, n_nodes=n_nodes, **changes)


def _mamba(network):
    return [p for name, p in network.named_parameters() if ".mamba.mamba." in name]


# ---------------------------------------------------------------- the Mamba branch is used


@pytest.mark.parametrize("grid", [GRID, None], ids=["grid", "nodes"])
def test_the_gradient_of_the_forecast_reaches_the_mamba(grid):
    network = shaken(_network(grid))
    forecast, _ = network(*windows(network))
    gradients = torch.autograd.grad(forecast.square().mean(), _mamba(network), allow_unused=True)
    assert len(gradients) == 18  # two directions of nine parameters
    assert all(gradient is not None and gradient.any() for gradient in gradients)


@pytest.mark.parametrize("grid", [GRID, None], ids=["grid", "nodes"])
def test_other_mamba_weights_give_another_forecast(grid):
    network = shaken(_network(grid)).eval()
    x, _ = windows(network)
    before = network(x)[0]
    with torch.no_grad():
        for parameter in _mamba(network):
            parameter.add_(0.5 * torch.randn_like(parameter))
    difference = (network(x)[0] - before).abs()
    assert (difference.amax((0, 2, 3)) > 0).all()
    assert difference.max() > 1e-3 * before.abs().max()


def test_a_few_steps_of_training_move_the_mamba_from_its_start():
    """Also from the untrained network, whose forecast does not depend on it yet, and without the auxiliary loss."""
    network = _network()
    start = [p.detach().clone() for p in _mamba(network)]
    x, _ = windows(network)
    target = torch.randn(B, H, GRID[0] * GRID[1], 1)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(6):
        optimizer.zero_grad()
        (network(x)[0] - target).square().mean().backward()
        optimizer.step()
    assert all(not torch.equal(before, p) for before, p in zip(start, _mamba(network), strict=True))


def test_the_reconstruction_is_made_of_the_mamba_alone():
    """No skip goes around it: with silent refined latents the reconstruction knows nothing of the input."""
    network = shaken(_network()).eval()
    x, _ = windows(network)
    rebuilt = network.reconstruct(x)
    assert rebuilt.shape == (B, T, 54, 1)
    assert not torch.equal(rebuilt[0], rebuilt[1])
    network.reconstruction.refine.register_forward_hook(lambda module, inputs, output: 0 * output)
    silent = network.reconstruct(x)
    assert torch.equal(silent[0], silent[1])
    with pytest.raises(ParameterError, match="fusion_weight=0"):
        _network(fusion_weight=0.0).reconstruct(x)


def test_the_mamba_reads_the_pixels_in_both_directions():
    network = shaken(_network()).eval()
    tokens = torch.randn(1, 15, 6)
    mamba = network.reconstruction.refine.mamba
    before = mamba(tokens)
    torch.manual_seed(0)
    for token in (0, 7, 14):
        moved = tokens.clone()
        moved[:, token] += torch.randn(6)
        assert ((mamba(moved) - before).abs().amax((0, 2)) > 0).all()


def test_the_mamba_of_nodes_reads_the_steps_of_one_node():
    network = shaken(_network(None)).eval()
    frames = network.space.open(windows(network)[0])
    before = network.reconstruction(frames)
    frames = frames.clone()
    frames[:, 2, :, 4] += 1.0
    changed = (network.reconstruction(frames) - before).abs().amax((0, 2)) > 0  # (t, n)
    assert changed.any(0).tolist() == [node == 4 for node in range(7)]
    assert changed[:, 4].all()


def test_reconstruction_improves_with_training():
    network = _network()
    x, _ = windows(network)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    errors = []
    for _ in range(30):
        optimizer.zero_grad()
        error = network(x)[1]["reconstruction"]
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.7 * errors[0]


def test_missing_values_are_not_reconstructed():
    """The second half of the inputs says where the first was observed."""
    network = shaken(_network(n_inputs=2, n_features=1))
    x, _ = windows(network)
    x[..., 1] = (x[..., 1] > 0).float()
    error = (network.reconstruct(x) - x[..., :1]).square()
    seen = x[..., 1:] > 0
    torch.testing.assert_close(network(x)[1]["reconstruction"], error[seen].mean())


# ---------------------------------------------------------------- how it starts


@pytest.mark.parametrize(
    ("grid", "prediction"), [(GRID, kind) for kind in PREDICTIONS] + [(None, "dit"), (None, "vit")]
)
def test_the_untrained_forecast_is_the_last_frame(grid, prediction):
    network = _network(grid, n_inputs=3, n_outputs=2, target_channels=[2, 0], prediction=prediction)
    x, _ = windows(network)
    assert torch.equal(network(x)[0], x[:, -1:, :, [2, 0]].expand(-1, H, -1, -1))


def test_the_untrained_trunk_is_silent():
    network = _network()
    z, _ = network.space.encode(network.space.open(windows(network)[0]))
    assert not network.trunk(z, network.condition(None, B)).any()


# ---------------------------------------------------------------- grids


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 5), (4, 4), (8, 13)])
@pytest.mark.parametrize("strides", [(2, 2), (1, 2, 1, 2), (1, 2)])
def test_any_grid_goes_in_and_comes_out(shape, strides):
    network = shaken(_network(shape, strides=strides)).eval()
    forecast, _ = network(windows(network)[0])
    assert forecast.shape == (B, H, shape[0] * shape[1], 1)
    assert forecast.isfinite().all()


def test_frames_lie_as_the_nodes_are_numbered():
    space = GridSpace(2, 1, T, H, 4, (3, 5), (2, 2))
    x = torch.randn(B, T, 15, 2)
    frames = space.open(x)
    assert frames.shape == (B, T, 2, 4, 8)
    assert torch.equal(frames[1, 2, :, 1, 3], x[1, 2, 1 * 5 + 3])
    assert torch.equal(space.close(frames), x)


def test_far_pixels_reach_each_other():
    network = shaken(_network()).eval()
    x, _ = windows(network)
    before = network(x)[0]
    x = x.clone()
    x[:, 1, 0] += 3.0  # first pixel of an early frame
    assert (network(x)[0] - before)[:, :, -1].abs().min() > 0


@pytest.mark.parametrize("horizon", [1, T, 9])
def test_any_horizon(horizon):
    network = _network(horizon=horizon)
    assert network(windows(network)[0])[0].shape == (B, horizon, 54, 1)


@pytest.mark.parametrize("step", range(T))
def test_every_input_frame_counts(step):
    network = shaken(_network()).eval()
    x, _ = windows(network)
    before = network(x)[0]
    x = x.clone()
    x[:, step] += torch.randn(54, 1)
    assert ((network(x)[0] - before).abs().amax((0, 2, 3)) > 0).all()


# ---------------------------------------------------------------- condition


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_calendar_of_the_origin_conditions_the_forecast(prediction):
    network = shaken(_network(n_time_features=C, prediction=prediction)).eval()
    x, time = windows(network)
    before = network(x, time)[0]
    other = time.clone()
    other[:, T:] += 1.0  # what follows the origin follows from it
    assert torch.equal(network(x, other)[0], before)
    other[:, T - 1] += 1.0
    assert ((network(x, other)[0] - before).abs().amax((1, 2, 3)) > 0).all()


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_each_step_is_predicted_on_its_own_with_an_embedding_of_it(prediction):
    network = shaken(_network(step_embedding=True, prediction=prediction, n_layers=2)).eval()
    x, _ = windows(network)
    before = network(x)[0]
    network.trunk.waves[1] += 1.0  # another number of the second step
    changed = (network(x)[0] - before).abs().amax((0, 2, 3)) > 0
    assert changed.tolist() == [False, True, False]
    network.trunk.waves[:] = 0.0
    same = network.trunk(network.space.encode(network.space.open(x))[0], network.condition(None, B))
    torch.testing.assert_close(same, same[:, :1].expand_as(same))  # nothing else tells the steps apart


# ---------------------------------------------------------------- as the paper has it


def test_a_mean_of_the_latents_has_fixed_weights():
    network = shaken(_network(fusion="mean", fusion_weight=0.3)).eval()
    torch.nn.init.constant_(network.fusion_weight, 0.3)
    assert not network.fusion_weight.requires_grad
    seen = []
    network.trunk.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    x, _ = windows(network)
    network(x)
    frames = network.space.open(x)
    z, r = network.space.encode(frames)[0], network.reconstruction.project(network.reconstruction(frames))
    torch.testing.assert_close(seen[0], 0.7 * z + 0.3 * r)
    assert _network(fusion="sum").fusion_weight.requires_grad


@pytest.mark.parametrize("grid", [GRID, None], ids=["grid", "nodes"])
def test_directions_side_by_side_reach_the_forecast_both(grid):
    network = shaken(_network(grid, directions="concat"))
    forecast, _ = network(*windows(network))
    gradients = torch.autograd.grad(forecast.square().mean(), _mamba(network))
    assert len(gradients) == 18
    assert all(gradient.any() for gradient in gradients)
    mamba = network.reconstruction.refine.mamba if grid else network.reconstruction.mamba
    tokens = torch.randn(1, 9, 6)
    before = mamba(tokens)
    for token in (0, 4, 8):
        moved = tokens.clone()
        moved[:, token] += torch.randn(6)
        assert ((mamba(moved) - before).abs().amax((0, 2)) > 0).all()


def _kinds(network, kind):
    return sum(isinstance(module, kind) for module in network.modules())


def test_norms():
    group, layer, batch = (_network(norm=norm) for norm in ("group", "layer", "batch"))
    n_fields = _kinds(group, nn.GroupNorm)
    assert {m.num_groups for m in group.modules() if isinstance(m, nn.GroupNorm)} == {2}
    assert {m.num_groups for m in layer.modules() if isinstance(m, nn.GroupNorm)} == {1}
    assert _kinds(layer, nn.GroupNorm) == _kinds(batch, FieldBatchNorm) == n_fields > 0
    assert _kinds(batch, nn.GroupNorm) == 0
    assert [_kinds(network, TokenBatchNorm) for network in (group, layer, batch)] == [0, 0, 1]


def test_batch_norm_takes_a_single_value():
    network = _network((1, 1), norm="batch", input_length=1, prediction="convlstm", fusion_weight=0.0)
    forecast, _ = network.train()(torch.randn(1, 1, 1, 1))
    assert forecast.isfinite().all()


# ---------------------------------------------------------------- nodes


def test_graph_convolutions_follow_the_edges():
    network = _network(None, adjacency=CHAIN)
    layer = network.space.encoder[0]
    z = torch.randn(1, 1, 7)
    before = layer(z)
    z = z.clone()
    z[..., 3] += 1.0
    changed = (layer(z) - before).abs().amax((0, 1)) > 0
    # a directed graph is walked both ways; the other nodes do not notice
    assert changed.tolist() == [node in (2, 3, 4) for node in range(7)]
    forth = NodeConv(1, 4, layer.walks[:1])
    before, after = forth(torch.zeros(1, 1, 7)), forth(torch.eye(7)[None, 3:4])
    assert ((after - before).abs().amax((0, 1)) > 0).tolist() == [node in (3, 4) for node in range(7)]


def test_nodes_have_places_of_their_own():
    network = shaken(_network(None)).eval()
    x = torch.randn(B, T, 1, 1).expand(-1, -1, 7, -1)
    forecast = network(x)[0]
    assert (forecast[:, :, 1:] - forecast[:, :, :1]).abs().min() > 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reconstruction", "unet"),
        ("prediction", "convlstm"),
        ("prediction", "swin"),
        ("prediction", "earthformer"),
    ],
)
def test_what_needs_a_grid_says_so(name, value):
    with pytest.raises(ParameterError, match="needs a grid"):
        _network(None, **{name: value})


# ---------------------------------------------------------------- parameters


@pytest.mark.parametrize("kwargs", [{}, {"grid": None}, {"fusion_weight": 0.0}])
def test_stages_hold_every_parameter_once(kwargs):
    network = _network(**kwargs)
    staged = [id(p) for stage in network.stages() for p in stage]
    assert len(staged) == len(set(staged))
    assert set(staged) == {id(p) for p in network.parameters()}
    assert all(network.stages())
