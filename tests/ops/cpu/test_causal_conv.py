import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stmest.ops import causal_conv1d
from stmest.ops.reference import causal_conv1d_reference

pytest.importorskip("stmest.ops.cpu.causal_conv")

TOLERANCE = 2e-5


@pytest.mark.parametrize("bias", [True, False])
def test_opcheck_of_the_convolution(bias):
    x, weight = torch.randn(2, 9, 6, requires_grad=True), torch.randn(6, 4, requires_grad=True)
    offset = torch.randn(6, requires_grad=True) if bias else None
    torch.library.opcheck(torch.ops.stmest.causal_conv1d.default, (x, weight, offset, True))


@settings(max_examples=40, deadline=None)
@given(
    b=st.integers(1, 40),
    t=st.integers(1, 150),
    d=st.integers(1, 40),
    width=st.integers(1, 6),
    activation=st.booleans(),
    bias=st.booleans(),
    strided=st.booleans(),
)
def test_convolution_matches_the_oracle(b, t, d, width, activation, bias, strided):
    generator = torch.Generator().manual_seed(b + t)
    x = torch.randn(b, t, 2 * d, generator=generator).chunk(2, -1)[1]
    inputs = [x if strided else x.contiguous(), torch.randn(d, width, generator=generator)]
    inputs += [torch.randn(d, generator=generator)] if bias else []
    grad_y = torch.randn(b, t, d, generator=generator)

    def run(convolve, leaves):
        leaves = [v.detach().requires_grad_() for v in leaves]
        y = convolve(*leaves)
        return [y, *torch.autograd.grad(y, leaves, grad_y.to(y.dtype))]

    got = run(lambda *v: causal_conv1d(*v, activation=activation, backend="numba"), inputs)
    expected = run(
        lambda x, w, b=None: causal_conv1d_reference(x, w, b, activation), [v.double() for v in inputs]
    )
    for value, wanted in zip(got, expected, strict=True):
        assert (value - wanted).abs().max() <= TOLERANCE * wanted.abs().max().clamp(min=1e-2)
