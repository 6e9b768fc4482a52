from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
from torch.nn import functional as F

from stmest.layers.mamba import BidirectionalMamba, MambaBlock, init_dt_bias
from stmest.ops import available_backends

BACKENDS = [name for name in ("reference", "chunked", "numba") if name in available_backends()]


def make_block(seed=0, **options):
    torch.manual_seed(seed)
    return MambaBlock(6, d_state=4, **options)


def textbook(block, x):
    """The block written out with torch's own operators, step by step."""
    h, z = block.in_proj(x).chunk(2, -1)
    t = x.shape[1]
    h = F.silu(block.conv1d(h.transpose(1, 2))[..., :t].transpose(1, 2))
    low_rank, B, C = block.x_proj(h).split([block.dt_rank, block.d_state, block.d_state], -1)
    step = F.softplus(block.dt_proj(low_rank))
    state, ys = 0, []
    for i in range(t):
        decay = torch.exp(step[:, i, :, None] * -torch.exp(block.A_log))
        state = decay * state + (step[:, i] * h[:, i])[..., None] * B[:, i, None]
        ys.append((state * C[:, i, None]).sum(-1) + block.D * h[:, i])
    return block.out_proj(torch.stack(ys, 1) * F.silu(z))


@pytest.mark.parametrize("backend", BACKENDS)
def test_block_is_the_textbook(backend):
    block = make_block(scan_backend=backend)
    x = torch.randn(3, 11, 6)
    y = block(x)
    assert y.shape == x.shape
    torch.testing.assert_close(y, textbook(block, x), rtol=1e-4, atol=1e-5)
    weight = torch.randn_like(y)
    got = torch.autograd.grad((y * weight).sum(), list(block.parameters()))
    expected = torch.autograd.grad((textbook(block, x) * weight).sum(), list(block.parameters()))
    for value, wanted in zip(got, expected, strict=True):
        torch.testing.assert_close(value, wanted, rtol=1e-3, atol=1e-4)


def test_double_precision():
    block = make_block().double()
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    # the rates are kept in single precision, as mamba_ssm keeps them
    torch.testing.assert_close(block(x), textbook(block, x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 30])
def test_stepping_is_the_parallel_form(length):
    block = make_block()
    x = torch.randn(3, length, 6)
    cache, ys = block.empty_cache(3), []
    with torch.no_grad():
        for t in range(length):
            y, cache = block.step(x[:, t], cache)
            ys.append(y)
        torch.testing.assert_close(torch.stack(ys, 1), block(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cut", [1, 2, 20])
def test_prefill_then_step(cut):
    block = make_block()
    x = torch.randn(3, 24, 6)
    with torch.no_grad():
        expected = block(x)
        first, cache = block.prefill(x[:, :cut])
        second, cache = block.prefill(x[:, cut:-1], cache)
        last, _ = block.step(x[:, -1], cache)
    got = torch.cat([first, second, last[:, None]], 1)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_a_step_leaves_the_given_cache_as_it_was():
    block = make_block()
    cache = block.empty_cache(2)
    block.step(torch.randn(2, 6), cache)
    assert not cache.state.any()
    assert not cache.window.any()


def test_width_one_convolution_has_an_empty_window():
    block = make_block(d_conv=1)
    x = torch.randn(2, 5, 6)
    y, cache = block.prefill(x[:, :4])
    assert cache.window.shape == (2, 0, 12)
    last, _ = block.step(x[:, 4], cache)
    torch.testing.assert_close(torch.cat([y, last[:, None]], 1), block(x), rtol=1e-5, atol=1e-5)


def test_the_past_does_not_see_the_future():
    block = make_block()
    x = torch.randn(2, 12, 6)
    changed = x.clone()
    changed[:, 7] += 1
    assert torch.equal(block(x)[:, :7], block(changed)[:, :7])


def test_initialisation():
    block = MambaBlock(40, d_state=3, expand=3, d_conv=2)
    assert block.d_inner == 120
    assert block.dt_rank == 3
    torch.testing.assert_close(block.A_log, torch.log(torch.tensor([1.0, 2.0, 3.0])).expand(120, 3))
    assert torch.equal(block.D, torch.ones(120))
    steps = F.softplus(block.dt_proj.bias)
    assert 1e-3 * 0.99 <= steps.min() <= steps.max() <= 1e-1 * 1.01
    assert block.dt_proj.weight.abs().max() <= 3**-0.5
    torch.testing.assert_close(
        F.softplus(init_dt_bias(5, 1e-9, 1e-8)), torch.full((5,), 1e-4), rtol=1e-3, atol=0
    )


def test_weight_decay_is_refused_where_it_harms():
    block = make_block()
    marked = {name for name, p in block.named_parameters() if getattr(p, "_no_weight_decay", False)}
    assert marked == {"A_log", "D", "dt_proj.bias"}


def test_names_and_shapes_are_those_of_mamba_ssm():
    block = MambaBlock(32, d_state=8, d_conv=3, expand=2)
    assert {name: tuple(v.shape) for name, v in block.state_dict().items()} == {
        "A_log": (64, 8),
        "D": (64,),
        "in_proj.weight": (128, 32),
        "conv1d.weight": (64, 1, 3),
        "conv1d.bias": (64,),
        "x_proj.weight": (2 + 16, 64),
        "dt_proj.weight": (64, 2),
        "dt_proj.bias": (64,),
        "out_proj.weight": (32, 64),
    }


def test_weights_travel_to_mamba_ssm_and_back():
    if not torch.cuda.is_available():
        pytest.skip("mamba_ssm is imported only where a CUDA device is; its kernels do not exist elsewhere")
    mamba_ssm = pytest.importorskip("mamba_ssm", reason="mamba_ssm is not installed", exc_type=ImportError)
    ours, theirs = MambaBlock(32).cuda(), mamba_ssm.Mamba(32).cuda()
    theirs.load_state_dict(ours.state_dict())
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 20, 32, device="cuda")
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_training_under_autocast_stays_finite_and_close(dtype):
    block = make_block()
    x = 3 * torch.randn(8, 40, 6)
    with torch.autocast("cpu", dtype=dtype):
        y = block(x)
        loss = y.float().square().mean()
    loss.backward()
    assert all(p.grad.isfinite().all() for p in block.parameters())
    torch.testing.assert_close(y.float(), block(x), rtol=0.1, atol=0.1)


def test_a_long_training_under_autocast_has_no_nan():
    block = make_block()
    optimiser = torch.optim.Adam(block.parameters(), 1e-2)
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        x = torch.randn(4, 64, 6, generator=generator)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = (block(x)[:, 1:].float() - x[:, :-1]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        assert math.isfinite(loss.item())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_exports_to_onnx_with_any_number_of_rows(tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    block = make_block().eval()
    rows = torch.export.Dim("rows", min=2, max=1000)
    with torch.no_grad():
        program = torch.onnx.export(
            block, (torch.randn(3, 9, 6),), dynamo=True, dynamic_shapes=({0: rows},), verbose=False
        )
    program.save(tmp_path / "block.onnx")
    session = runtime.InferenceSession(tmp_path / "block.onnx")
    x = torch.randn(20, 9, 6)
    (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    torch.testing.assert_close(torch.from_numpy(y), block(x).detach(), rtol=1e-4, atol=1e-5)


def test_bidirectional_reads_both_ways():
    torch.manual_seed(0)
    layer = BidirectionalMamba(6, d_state=4)
    x = torch.randn(2, 9, 6)
    y = layer(x)
    torch.testing.assert_close(y, layer.forwards(x) + layer.backwards(x.flip(1)).flip(1))
    # exchanging the two blocks and turning time round turns the output round
    layer.forwards, layer.backwards = layer.backwards, layer.forwards
    torch.testing.assert_close(layer(x.flip(1)), y.flip(1), rtol=1e-4, atol=1e-5)


def test_repr_names_the_sizes():
    assert "d_model=6, d_state=4, d_conv=4" in repr(make_block())


def test_copies_keep_the_marks_of_what_must_not_decay():
    block = MambaBlock(4, d_state=2)
    marked = {name for name, p in block.named_parameters() if getattr(p, "_no_weight_decay", False)}
    assert marked
    for other in (copy.deepcopy(block), pickle.loads(pickle.dumps(block)), copy.deepcopy(block).double()):
        assert {
            name for name, p in other.named_parameters() if getattr(p, "_no_weight_decay", False)
        } == marked
