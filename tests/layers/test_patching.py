import pytest
import torch

from stmest.exceptions import ParameterError
from stmest.layers.patching import PatchEmbedding, Patching, choose_patching, make_patches, n_patches


def test_patches_of_the_published_sizes():
    assert n_patches(672, 48, 16) == 41
    assert n_patches(336, 16, 8) == 42
    assert make_patches(torch.randn(2, 672, 3), 48, 16).shape == (2, 41, 3, 48)


def test_patches_hold_the_series_and_repeat_its_end():
    series = torch.arange(10.0).view(1, 10, 1)
    patches = make_patches(series, 4, 2)[0, :, 0]
    assert patches.tolist() == [
        [0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7], [6, 7, 8, 9], [8, 9, 9, 9],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("length", "patch", "stride"), [(10, 4, 3), (11, 4, 3), (12, 4, 3), (7, 7, 7), (5, 1, 1), (9, 4, 4)]
)
def test_every_step_is_in_some_patch(length, patch, stride):
    series = torch.arange(1.0, length + 1).view(1, length, 1)
    patches = make_patches(series, patch, stride)
    assert patches.shape == (1, n_patches(length, patch, stride), 1, patch)
    assert set(patches.flatten().tolist()) == set(series.flatten().tolist())


@pytest.mark.parametrize("length", [1, 2, 3, 5, 8, 24, 96, 336, 672, 2880])
def test_patches_shrink_with_the_window(length):
    coarse = choose_patching(length, None, None, 48, 3)
    fine = choose_patching(length, None, None, 16, 2)
    for plan, largest in ((coarse, 48), (fine, 16)):
        assert plan.patch == max(1, min(largest, length // 4))
        assert 1 <= plan.stride <= plan.patch
        assert make_patches(torch.zeros(1, length, 1), plan.patch, plan.stride).shape[1] == plan.n_patches
    assert choose_patching(672, None, None, 48, 3) == Patching(672, 48, 16, 41)


def test_given_sizes_are_kept():
    assert choose_patching(100, 10, None, 48, 3) == Patching(100, 10, 3, 32)
    assert choose_patching(100, 10, 10, 48, 3) == Patching(100, 10, 10, 11)


@pytest.mark.parametrize(("patch", "stride"), [(101, None), (10, 11), (10, 0)])
def test_sizes_that_cannot_be(patch, stride):
    with pytest.raises(ParameterError, match="in a window of 100 steps"):
        choose_patching(100, patch, stride, 48, 3)


def test_embedding():
    torch.manual_seed(0)
    embedding = PatchEmbedding(3, 20, 8, 4, 5)
    series = torch.randn(2, 20, 3)
    tokens = embedding(series)
    assert tokens.shape == (2, 5, 5)
    assert embedding.position.abs().max() <= 0.02
    bumped = series.clone()
    bumped[:, 5] += 1.0  # in the patches that begin at 0 and at 4
    assert ((embedding(bumped) - tokens).abs().amax((0, 2)) > 0).tolist() == [True, True, False, False, False]
    with torch.no_grad():
        embedding.position[2] += 1.0
    assert ((embedding(series) - tokens).abs().amax((0, 2)) > 0).tolist() == [
        False,
        False,
        True,
        False,
        False,
    ]
    assert repr(embedding).startswith("PatchEmbedding(\n  patch=8, stride=4")
