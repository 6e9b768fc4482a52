from __future__ import annotations

import pytest
import torch

from stmest.ops.chunked import scan_chunked

from .scan_inputs import assert_gradients_of_one_result, assert_like_oracle, make_inputs


@pytest.mark.parametrize("block_elements", [1, 60, 1 << 19])
@pytest.mark.parametrize("optional", [True, False])
def test_gradients_are_those_of_finite_differences(block_elements, optional):
    inputs = make_inputs(2, 5, 3, 2, optional=optional, dtype=torch.float64)
    leaves = [v.requires_grad_() for v in inputs if v is not None]

    def scan(*given):
        rest = [None] * (9 - len(given))
        return scan_chunked(*given, *rest, block_elements=block_elements)

    assert torch.autograd.gradcheck(scan, leaves)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 7, 5, 3), (2, 150, 4, 2)])
@pytest.mark.parametrize("block_elements", [1, 200, 1 << 19])
def test_blocks_do_not_change_the_result(shape, block_elements):
    inputs = make_inputs(*shape, dtype=torch.float64, strided=True)
    assert_like_oracle(lambda *v: scan_chunked(*v, block_elements=block_elements), inputs, 1e-12)


def test_float32_is_as_close_as_float32_can_be():
    assert_like_oracle(scan_chunked, make_inputs(3, 100, 8, 16), 1e-5)


@pytest.mark.parametrize("used", [0, 1])
def test_only_the_output_or_only_the_final_state_may_be_used(used):
    assert_gradients_of_one_result(scan_chunked, make_inputs(2, 5, 3, 2, dtype=torch.float64), used)


def test_the_past_does_not_see_the_future():
    x, *rest = make_inputs(2, 12, 3, 2)
    changed = x.clone()
    changed[:, 7:] += 1
    before, after = scan_chunked(x, *rest)[0], scan_chunked(changed, *rest)[0]
    assert torch.equal(before[:, :7], after[:, :7])
    assert not torch.equal(before[:, 7:], after[:, 7:])
