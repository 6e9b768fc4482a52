"""Scaled dot-product attention of nodes along the edges of a graph: one entry, a CPU kernel and a torch form.

Both work channel-major, (n, h, c, r): nodes, heads, channels of a head, rows that share the graph. Builds on the
backends beside it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..exceptions import ParameterError
from . import backends

__all__ = ["Edges", "edge_attention", "edge_softmax"]

BACKENDS = ("numba", "torch")


class Edges(NamedTuple):
    """The edges of a graph, ordered by target; every node is the target of one at least.

    Attributes
    ----------
    starts : Tensor of shape (n + 1,), int64
        Position of each target's first edge, and their number.
    sources, targets : Tensor of shape (m,), int64
    log_weight : Tensor of shape (m,), float32
        Added to the scores.
    """

    starts: Tensor
    sources: Tensor
    targets: Tensor
    log_weight: Tensor


def edge_attention(projected: Tensor, edges: Edges, *, backend: str = "auto") -> Tensor:
    """Let every node attend to the sources of its edges.

    ``out_j = sum_i softmax_i(q_j . k_i / sqrt(c) + log_weight_ij) v_i`` over the edges i -> j.

    Parameters
    ----------
    projected : Tensor of shape (n, 3, h, c, r)
        Queries, keys and values. Half precision is computed in float32.
    edges : Edges
    backend : {"auto", "numba", "torch"}
        "auto" takes the kernel on a CPU with numba.

    Returns
    -------
    Tensor of shape (n, h, c, r), dtype of `projected`
    """
    if projected.dim() != 5 or projected.shape[1] != 3 or projected.shape[0] + 1 != len(edges.starts):
        raise ParameterError(
            f"edge_attention needs projected (n, 3, h, c, r) with a node per target; got {tuple(projected.shape)} "
            f"and {len(edges.starts) - 1} targets."
        )
    wanted = torch.promote_types(projected.dtype, torch.float32)
    usable = projected.device.type == "cpu" and wanted == torch.float32
    obstacle = backends.numba_problem() if usable else "the kernel computes in float32 on the CPU"
    if backend == "auto":
        backend = "torch" if obstacle else "numba"
    elif backend not in BACKENDS:
        raise ParameterError(f"backend={backend!r} is not known; choose from {('auto', *BACKENDS)}.")
    with backends.without_autocast(projected.device.type):
        if backend == "numba":
            backends.require_usable("numba", obstacle)
            from .cpu.edge_attention import EdgeAttention  # needs numba

            log_weight = edges.log_weight.float().contiguous()
            out = EdgeAttention.apply(projected.float(), edges.starts, edges.sources, log_weight)
        else:
            out = _attend(projected.to(wanted), edges)
        return out.to(projected.dtype)


def edge_softmax(scores: Tensor, edges: Edges) -> Tensor:
    """Softmax over the edges of each target.

    Parameters
    ----------
    scores : Tensor of shape (m, ...)
    edges : Edges

    Returns
    -------
    Tensor of shape (m, ...)
    """
    n = len(edges.starts) - 1
    index = edges.targets.view(-1, *[1] * (scores.dim() - 1)).expand_as(scores)
    with torch.no_grad():  # the largest score only keeps the exponentials in range
        top = scores.new_full((n, *scores.shape[1:]), -torch.inf).scatter_reduce(0, index, scores, "amax")
    weight = torch.exp(scores - top.index_select(0, edges.targets))
    total = scores.new_zeros(n, *scores.shape[1:]).index_add(0, edges.targets, weight)
    return weight / total.index_select(0, edges.targets)


def _attend(projected: Tensor, edges: Edges) -> Tensor:
    query, key, value = projected.unbind(1)  # (n, h, c, r) each
    products = query.index_select(0, edges.targets) * key.index_select(0, edges.sources)
    scores = products.sum(2) * projected.shape[3] ** -0.5 + edges.log_weight.to(projected.dtype).view(
        -1, 1, 1
    )
    weight = edge_softmax(scores, edges).unsqueeze(2)  # (m, h, 1, r)
    carried = weight * value.index_select(0, edges.sources)
    return torch.zeros_like(query).index_add(0, edges.targets, carried)
