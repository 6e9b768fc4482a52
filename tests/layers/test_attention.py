import math

import pytest
import torch

from stmest.exceptions import ParameterError
from stmest.layers.attention import FeedForward, MultiHeadAttention, local_window


def test_the_window_shows_the_neighbours_and_hides_the_others():
    mask = local_window(42, 7)
    for i in range(42):
        assert mask[i].nonzero().flatten().tolist() == [j for j in range(42) if abs(i - j) <= 3]


def test_a_window_of_one_shows_itself_and_a_wide_one_everything():
    assert torch.equal(local_window(4, 1), torch.eye(4, dtype=torch.bool))
    assert local_window(4, 7) is None
    assert local_window(4, None) is None
    assert local_window(1, 7) is None


@pytest.mark.parametrize("width", [0, 4, -1])
def test_windows_are_odd(width):
    with pytest.raises(ParameterError, match="an odd number"):
        local_window(10, width)


def _by_hand(layer, x, context, mask):
    """The formula, head by head."""
    query = layer.query(x)
    key, value = layer.key_value(context).chunk(2, dim=-1)
    width = query.shape[-1] // layer.n_heads
    heads = []
    for head in range(layer.n_heads):
        part = slice(head * width, (head + 1) * width)
        scores = query[..., part] @ key[..., part].transpose(1, 2) / math.sqrt(width)
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        heads.append(torch.softmax(scores, dim=-1) @ value[..., part])
    return layer.out(torch.cat(heads, dim=-1))


@pytest.mark.parametrize("window", [None, 3])
def test_self_attention_is_the_formula(window):
    torch.manual_seed(0)
    layer, x = MultiHeadAttention(8, 2), torch.randn(3, 6, 8)
    mask = local_window(6, window)
    torch.testing.assert_close(layer(x, mask=mask), _by_hand(layer, x, x, mask), atol=1e-5, rtol=1e-5)


def test_cross_attention_is_the_formula():
    torch.manual_seed(0)
    layer, x, context = MultiHeadAttention(8, 4), torch.randn(3, 6, 8), torch.randn(3, 5, 8)
    torch.testing.assert_close(layer(x, context), _by_hand(layer, x, context, None), atol=1e-5, rtol=1e-5)


def test_a_token_changes_those_whose_window_it_is_in():
    torch.manual_seed(0)
    layer, x = MultiHeadAttention(8, 2), torch.randn(1, 9, 8)
    mask = local_window(9, 5)
    before = layer(x, mask=mask)
    x[:, 4] += 1.0
    changed = (layer(x, mask=mask) - before).abs().amax((0, 2)) > 0
    assert changed.tolist() == [abs(i - 4) <= 2 for i in range(9)]


@pytest.mark.parametrize("n_tokens", [1, 2, 3])
def test_few_tokens_are_no_nan(n_tokens):
    layer = MultiHeadAttention(8, 2)
    x = torch.randn(2, n_tokens, 8, requires_grad=True)
    out = layer(x, mask=local_window(n_tokens, 3))
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert torch.isfinite(x.grad).all()


def test_repr_names_the_heads():
    assert repr(MultiHeadAttention(8, 4)).startswith("MultiHeadAttention(\n  n_heads=4")


def test_feed_forward_keeps_tokens_apart():
    torch.manual_seed(0)
    layer, x = FeedForward(4, 8), torch.randn(2, 3, 4)
    before = layer(x)
    assert before.shape == x.shape
    x[:, 1] += 1.0
    assert ((layer(x) - before).abs().amax((0, 2)) > 0).tolist() == [False, True, False]
