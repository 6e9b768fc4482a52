"""Graph convolution on a learned and a given graph, and attention over scales: AGCCN.

Chen et al., "STM3" (arXiv 2508.12247), section 4.3. The learned graph and the node-adaptive weights are those of Bai et
al., "Adaptive Graph Convolutional Recurrent Network for Traffic Forecasting" (NeurIPS 2020), equations 4 and 5; the given
graph joins as in Li et al., "Diffusion Convolutional Recurrent Neural Network" (ICLR 2018), equation 2.
Builds on ``layers.norms``.

Tensors are channel-major, (n, k, d, m): nodes, scales from fine to coarse, channels, positions (windows times steps).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ..ops import choose_backend
from ..ops.scale_attention import scale_attention
from .norms import ScaleNorm

__all__ = ["AGCCN", "GraphSupports", "NodeAdaptiveConv", "ScaleAttention", "Supports", "transition_matrices"]

# Edges among the pairs of nodes below which a CPU multiplies faster edge by edge (up to 1,000 nodes, one thread). That way has no
# use for more threads, the dense one has.
SPARSE_SHARE = 0.15


def transition_matrices(adjacency: Tensor) -> Tensor:
    """Turn a given graph into random walks that nodes aggregate with.

    Row j of the first matrix weighs the nodes i whose edges i -> j point at j, so information moves along the edges;
    the second, only there if the graph is directed, moves it against them. Rows sum to one. A node without such edges
    keeps its own value, so that the convolution sees the size it is used to; other nodes get no self-loop, because the
    node itself is a support of its own in `NodeAdaptiveConv`.

    Parameters
    ----------
    adjacency : Tensor of shape (n, n)
        Non-negative; [i, j] is the weight of edge i -> j.

    Returns
    -------
    Tensor of shape (1 or 2, n, n)
    """
    forth = adjacency.t()
    walks = [forth] if torch.equal(forth, adjacency) else [forth, adjacency]
    stacked = torch.stack(walks)
    stacked = stacked / stacked.amax().clamp(min=torch.finfo(stacked.dtype).tiny)  # no overflow in the sums
    total = stacked.sum(-1, keepdim=True)
    alone = (total == 0) * torch.eye(len(adjacency), dtype=stacked.dtype, device=stacked.device)
    return stacked / total.masked_fill(total == 0, 1.0) + alone


class Supports(NamedTuple):
    """The matrices of one forward pass; the identity, which is always used, is not among them.

    Attributes
    ----------
    walks : Tensor of shape (n_given * n, n)
        Random walks on the given graph, one below the other; sparse or dense. Constant.
    learned : Tensor of shape (n_learned, n, n)
        Chebyshev terms of the learned graph.
    """

    walks: Tensor
    learned: Tensor


class GraphSupports(nn.Module):
    """The matrices by which nodes aggregate: Chebyshev terms of a learned graph, random walks on a given one.

    ``A = softmax_rows(E E^T)``; ``T_0 = I``, ``T_1 = A``, ``T_j = 2 A T_{j-1} - T_{j-2}``. They depend on no
    window and are computed once per forward pass, for all layers.

    Parameters
    ----------
    order : int
        Number of Chebyshev terms of the learned graph, the identity included.
    adjacency : Tensor of shape (n, n), optional
        Given graph, [i, j] the weight of edge i -> j.
    learned : bool
        Whether the learned graph takes part.

    Shapes
    ------
    E (n, c) -> `Supports` of n_supports matrices (n, n)
    """

    walks: Tensor | None

    def __init__(self, order: int, adjacency: Tensor | None = None, learned: bool = True) -> None:
        super().__init__()
        self.order, self.learned = order, learned
        self.register_buffer("walks", None if adjacency is None else transition_matrices(adjacency))
        n_given = 0 if self.walks is None else len(self.walks)
        self.n_supports = n_given + (order - 1 if learned else 0)

    def forward(self, embedding: Tensor) -> Supports:
        """Return the supports of node embeddings (n, c)."""
        n = len(embedding)
        if not self.learned or self.order < 2:
            return Supports(self._walks(embedding), embedding.new_empty(0, n, n))
        graph = self.graph(embedding)
        terms = [torch.eye(n, dtype=graph.dtype, device=graph.device), graph]
        while len(terms) < self.order:
            terms.append(2.0 * graph @ terms[-1] - terms[-2])
        return Supports(self._walks(embedding), torch.stack(terms[1:]))

    @property
    def n_around(self) -> int:
        """How many means `around` forms of each node."""
        n_given = 0 if self.walks is None else len(self.walks)
        return n_given + n_given**2 + (self.learned and self.order > 1)

    def around(self, supports: Supports, z: Tensor) -> Tensor:
        """Means of the nodes around each: one and two steps along the walks on the given graph, and by the learned graph.

        Parameters
        ----------
        supports : Supports
            Of this forward pass.
        z : Tensor of shape (n, m)
            What to form means of.

        Returns
        -------
        Tensor of shape (n, n_around, m)
        """
        n, m = z.shape
        means = []
        if len(supports.walks):
            one = (supports.walks @ z).view(-1, n, m).transpose(0, 1)
            two = (supports.walks @ one.reshape(n, -1)).view(-1, n, one.shape[1], m)
            means += [one, two.transpose(0, 1).flatten(1, 2)]
        if len(supports.learned):
            means.append((supports.learned[0] @ z).unsqueeze(1))
        return torch.cat(means, dim=1)

    def _walks(self, embedding: Tensor) -> Tensor:
        if self.walks is None:
            return embedding.new_empty(0, len(embedding))
        walks = self.walks.flatten(0, 1)
        most_edges = SPARSE_SHARE * walks.numel() / torch.get_num_threads()
        if walks.device.type != "cpu" or walks.count_nonzero() > most_edges:
            return walks
        return walks.to_sparse()

    @staticmethod
    def graph(embedding: Tensor) -> Tensor:
        """Return the learned graph (n, n): row i, which sums to one, holds the weight of each node for node i."""
        return torch.softmax(embedding @ embedding.t(), dim=1)

    def extra_repr(self) -> str:
        """Shown by repr."""
        given = 0 if self.walks is None else len(self.walks)
        return f"order={self.order}, learned={self.learned}, given={given}"


class _Aggregation(torch.autograd.Function):
    """``out_i = b_i + W_i[0] z_i + sum_j W_i[j] (sum_l S_j[i, l] z_l)`` for every scale and position.

    z (n, k, d, m), weights W (n, 1 + n_supports, d, d), bias (n, d), learned and walks as in `Supports` -> (n, k, d, m).
    Sums are formed in place, forwards and backwards; autograd would copy the widest tensors of the network for every term.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, weights: Tensor, bias: Tensor, learned: Tensor, walks: Tensor) -> Tensor:
        n, k, d, m = z.shape
        flat = z.reshape(n, k * d * m)
        gathered = flat.new_empty(weights.shape[1] - 1, n * k, d, m)
        given, taught = _rows(gathered, k * d * m, len(walks))
        torch.mm(walks, flat, out=given)
        torch.mm(learned.flatten(0, 1), flat, out=taught)
        ctx.save_for_backward(flat, weights, learned, gathered)
        ctx.walks = walks  # constant; hooks on saved tensors expect dense ones
        maps = _for_scales(weights, k)
        start = bias.view(n, 1, d, 1).expand(n, k, d, 1).reshape(n * k, d, 1)
        out = torch.baddbmm(start, maps[0], flat.view(n * k, d, m))
        for term, part in zip(maps[1:], gathered, strict=True):
            out.baddbmm_(term, part)
        return out.view(n, k, d, m)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        flat, weights, learned, gathered = ctx.saved_tensors
        walks, (n, k, d, m) = ctx.walks, gradient.shape
        gradient = gradient.reshape(n * k, d, m)
        maps = _for_scales(weights, k).transpose(2, 3)
        to_gathered = torch.empty_like(gathered)
        for term, out in zip(maps[1:], to_gathered, strict=True):
            torch.bmm(term, gradient, out=out)
        given, taught = _rows(to_gathered, k * d * m, len(walks))
        to_z = torch.bmm(maps[0], gradient).view_as(flat)
        to_z.addmm_(walks.t(), given).addmm_(learned.flatten(0, 1).t(), taught)
        terms = (flat.view(n * k, d, m), *gathered)
        to_weights = [torch.bmm(gradient, term.transpose(1, 2)).view(n, k, d, d).sum(1) for term in terms]
        to_bias = gradient.view(n, k, d, m).sum((1, 3))
        to_learned = (taught @ flat.t()).view_as(learned)
        return to_z.view(n, k, d, m), torch.stack(to_weights, 1), to_bias, to_learned, None


def _rows(gathered: Tensor, width: int, n_given: int) -> tuple[Tensor, Tensor]:
    """Cut (n_supports, n * k, d, m) into the rows of the given and of the learned graph, (rows, width = k * d * m) each."""
    rows = gathered.view(-1, width)
    return rows[:n_given], rows[n_given:]


def _for_scales(weights: Tensor, n_scales: int) -> Tensor:
    """Repeat the maps (n, terms, d, d) of each node for its scales: (terms, n * n_scales, d, d)."""
    n, terms, d, _ = weights.shape
    return (
        weights.transpose(0, 1)
        .unsqueeze(2)
        .expand(-1, -1, n_scales, -1, -1)
        .reshape(terms, n * n_scales, d, d)
    )


class NodeAdaptiveConv(nn.Module):
    """Graph convolution whose weights each node composes from a common pool by its embedding.

    ``U_i = b_i + sum_j (sum_l S_j[i, l] Z_l) W_i[j]`` with ``W_i = sum_c E[i, c] P[c]`` and ``b_i = E_i Pb``; S_0 is
    the identity. Every scale and step uses the same weights.

    Parameters
    ----------
    n_supports : int
        Supports beside the identity.
    d_model : int
        Channels per scale.
    embedding_dim : int
        c, width of the node embeddings.

    Shapes
    ------
    z (n, k, d, m), E (n, c), `Supports` -> (n, k, d, m)
    """

    def __init__(self, n_supports: int, d_model: int, embedding_dim: int) -> None:
        super().__init__()
        bound = math.sqrt(
            3.0 / (d_model * (n_supports + 1))
        )  # keeps the variance for embeddings of length one
        self.pool = nn.Parameter(
            torch.empty(embedding_dim, n_supports + 1, d_model, d_model).uniform_(-bound, bound)
        )
        self.bias_pool = nn.Parameter(torch.zeros(embedding_dim, d_model))

    def forward(self, z: Tensor, embedding: Tensor, supports: Supports) -> Tensor:
        """Aggregate z (n, k, d, m) over the supports."""
        n, _, d, _ = z.shape
        weights = (embedding @ self.pool.flatten(1)).view(n, -1, d, d)  # (n, support, to, from)
        bias = embedding @ self.bias_pool
        return _Aggregation.apply(z, weights, bias, supports.learned, supports.walks)

    def extra_repr(self) -> str:
        """Shown by repr."""
        embedding_dim, n_terms, d_model, _ = self.pool.shape
        return f"n_supports={n_terms - 1}, d_model={d_model}, embedding_dim={embedding_dim}"


class _AttendScales(torch.autograd.Function):
    """``softmax_j(q_i . k_j) v_j`` for every scale i over the scales j that it may see; (n, k, 3 d, m) -> (n, k, d, m).

    The tiny matrices of single positions (four by four) are worked on as planes over all positions, and gradients are
    added where they belong; autograd would pad the slice of every scale with zeros first.
    """

    @staticmethod
    def forward(ctx: Any, projected: Tensor, causal: bool) -> Tensor:
        query, key, value = projected.chunk(3, dim=2)
        factor = query.shape[2] ** -0.5
        out = torch.empty_like(query, memory_format=torch.contiguous_format)
        attention = []
        for i in range(projected.shape[1]):
            first = i if causal else 0
            scores = (
                (query[:, i : i + 1] * key[:, first:]).sum(2, keepdim=True).mul_(factor)
            )  # (n, seen, 1, m)
            attention.append(torch.softmax(scores, dim=1))
            torch.sum(attention[-1] * value[:, first:], dim=1, out=out[:, i])
        ctx.save_for_backward(projected, *attention)
        ctx.causal, ctx.factor = causal, factor
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        projected, *attention = ctx.saved_tensors
        query, key, value = projected.chunk(3, dim=2)
        out = torch.empty_like(projected)
        to_query, to_key, to_value = out.chunk(3, dim=2)
        for i, weight in enumerate(attention):
            seen = slice(i if ctx.causal else 0, None)
            part = gradient[:, i : i + 1]
            to_weight = (part * value[:, seen]).sum(2, keepdim=True)
            to_score = weight * (to_weight - (weight * to_weight).sum(1, keepdim=True)) * ctx.factor
            if i == 0:  # the finest scale sees all: its share comes first, and nothing has to be zeroed
                torch.mul(weight, part, out=to_value)
                torch.mul(to_score, query[:, :1], out=to_key)
            else:
                to_value[:, seen].addcmul_(weight, part)
                to_key[:, seen].addcmul_(to_score, query[:, i : i + 1])
            torch.sum(to_score * key[:, seen], dim=1, out=to_query[:, i])
        return out, None


class ScaleAttention(nn.Module):
    """Attention of the scales of one node and step to each other; with `causal`, to themselves and coarser ones.

    Single head: ``softmax(q_i . k_j / sqrt(d)) v_j`` over the allowed scales j of query scale i. Fine scales may look
    at coarse ones and not the other way round, so information flows from the trend to the detail. The maps have no bias of
    their own: the norm in front has one for each scale.

    Parameters
    ----------
    d_model : int
        Channels per scale.
    causal : bool
        Whether a scale is barred from finer ones.

    Shapes
    ------
    (n, k, d, m) -> (n, k, d, m)
    """

    def __init__(self, d_model: int, causal: bool = True) -> None:
        super().__init__()
        self.causal = causal
        self.in_proj = nn.Linear(d_model, 3 * d_model, bias=False)
        self.out_proj = nn.Linear(d_model, d_model, bias=False)
        for part in self.in_proj.weight.chunk(3):  # each of query, key and value has its own fan
            nn.init.xavier_uniform_(part)
        nn.init.xavier_uniform_(self.out_proj.weight)

    def forward(self, z: Tensor) -> Tensor:
        """Mix the scales of z (n, k, d, m)."""
        mixed = _AttendScales.apply(_map_channels(self.in_proj, z), self.causal)
        return _map_channels(self.out_proj, mixed)

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"causal={self.causal}"


def _map_channels(linear: nn.Linear, z: Tensor) -> Tensor:
    """Apply a linear map to the channels of z (n, k, d, m), node by node and scale by scale, as those fit the cache."""
    n, k, d, m = z.shape
    weight = linear.weight.expand(n * k, -1, -1)
    return torch.bmm(weight, z.reshape(n * k, d, m)).view(n, k, -1, m)


class AGCCN(nn.Module):
    """Adaptive graph causal convolution network: graph convolution, then attention over the scales.

    ``U = norm(conv(Z))``, ``out = norm(U + attention(U))``. The norms look at one scale at a time: norms over all
    scales together would let the fine scales reach the coarse ones past the causal order.

    Parameters
    ----------
    n_supports, n_scales, d_model, embedding_dim : int
        Supports beside the identity, scales, channels of each, width of the node embeddings.
    causal_scales : bool
        As `ScaleAttention`.

    Shapes
    ------
    z (n, k, d, m), E (n, c), `Supports` -> (n, k, d, m)
    """

    def __init__(
        self, n_supports: int, n_scales: int, d_model: int, embedding_dim: int, causal_scales: bool = True
    ) -> None:
        super().__init__()
        self.conv = NodeAdaptiveConv(n_supports, d_model, embedding_dim)
        self.conv_norm = ScaleNorm(n_scales, d_model)
        self.attention = ScaleAttention(d_model, causal_scales)
        self.attention_norm = ScaleNorm(n_scales, d_model)

    def forward(self, z: Tensor, embedding: Tensor, supports: Supports) -> Tensor:
        """Mix z (n, k, d, m) over nodes, then over scales."""
        u = self.conv(z, embedding, supports)
        if u.dtype == torch.float32 and choose_backend(u).name == "numba":
            return self._attend_fused(u)
        u = self.conv_norm(u)
        return self.attention_norm(u + self.attention(u))

    def _attend_fused(self, u: Tensor) -> Tensor:
        """All that follows the graph convolution as one operator, which keeps nothing but its input."""
        first, last, attention = self.conv_norm, self.attention_norm, self.attention
        return scale_attention(
            u, first.weight, first.bias, attention.in_proj.weight, attention.out_proj.weight, last.weight, last.bias,
            attention.causal, first.eps,
        )  # fmt: skip
