"""Older time steps in patches: all of them are read, in order, each node by itself."""

from __future__ import annotations

import pytest
import torch

from stmest.layers.older import OLDER_WIDTH, OlderPatches

N, B, PATCHES, PATCH = 3, 2, 4, 5


def layer(n_time_features=2):
    torch.manual_seed(0)
    return OlderPatches(2, PATCH, n_time_features, 3, OLDER_WIDTH, 4, 4, 2)


def inputs():
    generator = torch.Generator().manual_seed(1)
    older = torch.randn(B, PATCHES * PATCH, N, 2, generator=generator)
    return (
        older,
        torch.randn(B, PATCHES * PATCH, 2, generator=generator),
        torch.randn(N, 3, generator=generator),
    )


def test_gradients_reach_every_step_and_every_parameter():
    encode, (older, time, embedding) = layer(), inputs()
    older.requires_grad_()
    encoded = encode(older, time, embedding)
    assert encoded.shape == (N, B, OLDER_WIDTH)
    encoded.square().mul(torch.rand_like(encoded)).sum().backward()
    assert (older.grad != 0).all()
    assert [name for name, p in encode.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_nodes_and_windows_do_not_see_each_other():
    encode, (older, time, embedding) = layer(), inputs()
    before = encode(older, time, embedding)
    older[1, 0, 2] += 1
    moved = (encode(older, time, embedding) - before).abs().amax(-1) > 1e-6
    assert moved.tolist() == [[False, False], [False, False], [False, True]]


def test_the_order_of_the_patches_counts():
    encode, (older, time, embedding) = layer(), inputs()
    turned = older.unflatten(1, (PATCHES, PATCH))[:, [1, 0, 2, 3]].flatten(1, 2)
    assert not torch.allclose(encode(turned, time, embedding), encode(older, time, embedding), atol=1e-4)


@pytest.mark.parametrize("n_patches", [1, 9])
def test_any_number_of_patches_without_a_calendar(n_patches):
    encode = layer(n_time_features=0)
    older = torch.randn(B, n_patches * PATCH, N, 2)
    assert encode(older, None, torch.randn(N, 3)).isfinite().all()
    assert "patch=5" in repr(encode)


def test_a_patch_without_an_observation_says_nothing():
    encode, (older, time, embedding) = layer(), inputs()
    older[0, :PATCH] = 0
    before = encode(older, time, embedding)
    time[0, :PATCH] += 1
    torch.testing.assert_close(encode(older, time, embedding), before)
    older[0, 0, 1, 1] = 1  # one observation of one node
    moved = (encode(older, time, embedding) - before).abs().amax(-1) > 1e-6
    assert moved.tolist() == [[False, False], [True, False], [False, False]]
