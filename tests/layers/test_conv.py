"""Convolutions for fields: shapes, what is kept, padding, and what a frame may see."""

from __future__ import annotations

import pytest
import torch

from stmest.layers.conv import (
    ConvBlock,
    ConvLSTM,
    FieldDecoder,
    FieldEncoder,
    MultiKernelBlock,
    UpBlock,
    pad_to,
)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (4, 8), (7, 2), (33, 49)])
def test_padding_repeats_the_edge_and_crops_back(shape):
    field = torch.randn(2, 3, *shape)
    padded = pad_to(field, 4)
    rows, columns = padded.shape[2:]
    assert (rows % 4, columns % 4) == (0, 0)
    assert (rows - shape[0], columns - shape[1]) < (4, 4)
    assert torch.equal(padded[..., : shape[0], : shape[1]], field)
    assert torch.equal(padded[..., -1, : shape[1]], field[..., -1, :])
    assert torch.equal(padded[..., : shape[0], -1], field[..., -1])


def test_what_needs_no_padding_is_not_copied():
    field = torch.randn(2, 3, 8, 4)
    assert pad_to(field, 4) is field


@pytest.mark.parametrize("strides", [(1, 2, 1, 2), (2, 2), (2,), (1, 2)])
@pytest.mark.parametrize("skip", [True, False])
def test_the_decoder_undoes_the_encoder(strides, skip):
    stride = torch.tensor(strides).prod().item()
    encoder, decoder = FieldEncoder(3, 4, strides), FieldDecoder(4, 2, strides, skip=skip)
    latent, kept = encoder(torch.randn(5, 3, 8, 12))
    assert latent.shape == (5, 4, 8 // stride, 12 // stride)
    assert kept.shape == (5, 4, 8 // strides[0], 12 // strides[0])
    out = decoder(latent, kept if skip else None)
    assert out.shape == (5, 2, 8, 12)
    out.square().sum().backward()
    parameters = [*encoder.named_parameters(), *decoder.named_parameters()]
    assert [name for name, p in parameters if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("strides", [(1, 2), (2, 2)])
def test_a_decoder_can_start_with_zero(strides):
    decoder = FieldDecoder(4, 2, strides, zero_init=True)
    latent, kept = FieldEncoder(3, 4, strides)(torch.randn(1, 3, 8, 8))
    assert torch.equal(decoder(latent, kept), torch.zeros(1, 2, 8, 8))


def test_frames_do_not_see_each_other():
    encoder = FieldEncoder(1, 4, (2, 2))
    frames = torch.randn(3, 1, 8, 8)
    before = encoder(frames)[0]
    frames[1] += torch.randn(1, 8, 8)
    changed = (encoder(frames)[0] - before).abs().amax((1, 2, 3)) > 0
    assert changed.tolist() == [False, True, False]


def test_growing_doubles_and_reaches_every_pixel_equally():
    assert UpBlock(3, 4)(torch.randn(2, 3, 5, 7)).shape == (2, 4, 10, 14)
    convolution = UpBlock(1, 1)[0]
    with torch.no_grad():
        convolution.weight.fill_(1.0)
        convolution.bias.zero_()
    inside = convolution(torch.ones(1, 1, 6, 6))[0, 0, 1:-1, 1:-1]
    assert torch.equal(inside, torch.full_like(inside, 4.0))  # no checkerboard


def test_the_sum_of_kernels_sees_as_far_as_the_widest():
    block = MultiKernelBlock(1, 2, 2, (3, 5))
    for branch in block.branches:
        branch[1] = torch.nn.Identity()  # the norm sees the whole frame
    field = torch.randn(1, 1, 9, 9)
    before = block(field)
    field[0, 0, 4, 4] += 1.0
    changed = ((block(field) - before).abs().amax((0, 1)) > 0).nonzero()
    assert changed.amin(0).tolist() == [2, 2]
    assert changed.amax(0).tolist() == [6, 6]


@pytest.mark.parametrize("channels", [1, 3])
def test_odd_channels(channels):
    assert ConvBlock(1, channels)(torch.randn(1, 1, 4, 4)).shape == (1, channels, 4, 4)


@pytest.mark.parametrize(("steps", "horizon"), [(4, 4), (3, 7), (5, 1)])
def test_the_recurrent_cell_gives_any_horizon(steps, horizon):
    cell = ConvLSTM(4, 2)
    assert cell(torch.randn(2, steps, 4, 3, 5), horizon).shape == (2, horizon, 4, 3, 5)


def test_the_recurrent_cell_is_causal_and_uses_all_frames():
    cell = ConvLSTM(2, 2)
    z = torch.randn(1, 5, 2, 4, 4)
    before = cell(z, 3)
    for step in range(5):
        moved = z.clone()
        moved[:, step] += 1.0
        assert ((cell(moved, 3) - before).abs().amax((0, 2, 3, 4)) > 0).all()
    assert torch.equal(cell(z, 1), before[:, :1])  # a longer horizon does not change the first step
