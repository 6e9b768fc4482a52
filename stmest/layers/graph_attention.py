"""Attention of nodes to their neighbours in a graph, the same graph in every row (window and step).

"dot": scaled dot-product attention, Vaswani et al., "Attention Is All You Need" (arXiv 1706.03762), section 3.2, masked
by the graph; dense through torch's fused attention, or along the edges. "gat" and "gatv2": additive attention, Velickovic
et al. (arXiv 1710.10903) and Brody et al. (arXiv 2105.14491), from torch_geometric, always along the edges.

Direction: an edge i -> j lets node j attend to node i. Every node attends to itself; one without edges to nothing else.
Builds on ``ops``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..ops import Choice
from ..ops.backends import numba_problem
from ..ops.edge_attention import Edges, edge_attention, edge_softmax
from ..runtime import require

__all__ = ["ATTENTION_BACKENDS", "KINDS", "AttentionGraph", "GraphAttention", "choose_attention"]

KINDS = ("dot", "gat", "gatv2")
ATTENTION_BACKENDS = ("auto", "dense", "sparse")
# Share of the pairs of nodes that are edges up to which the edges are the cheaper way. Measured in training the default
# network on one busy core, windows per second, 8 neighbours per node or all (benchmarks/speed_stmamba.py):
#
#   nodes   8: kernel   8: dense    all: kernel   all: dense
#      50          88         44             56           44
#     200          20        5.1            8.0          3.7
#     500         4.7        1.7            1.2          1.2
#    1000         1.6       0.38           0.31         0.53
#    2000         1.2       0.12           0.03         0.14
#
# Beyond some 500 nodes the complete graph is cheaper dense. No density in between was measured: straight lines between
# the ends cross at 0.5 to 0.8 (1,000 nodes) and 0.2 (2,000; there the kernel pads 24 rows to 64), and 0.3 is a choice
# between. One run each, batches of 32 windows where that was bearable, else of 1 to 4.
# torch's indexing, which devices without the kernel take, needs memory for every edge and
# row; forward and backward of the attention alone took 130 : 166 ms (indexing : dense) at 69 nodes and a density of 13 %,
# 959 : 2233 at 207 nodes and 5 %, 494 : 8306 at 1,000 nodes and 1 %.
SMALL_GRAPH = 500
MOST_DENSITY_SMALL, MOST_DENSITY_KERNEL, MOST_DENSITY_TORCH = 1.0, 0.3, 0.1
# Scores that `GraphAttention.weights` holds at a time.
SCORES_AT_ONCE = 1 << 24


def choose_attention(n_nodes: int, n_edges: int, kind: str = "dot", device_type: str = "cpu") -> Choice:
    """Say whether attention runs dense or along the edges, and why.

    Parameters
    ----------
    n_nodes, n_edges : int
        Size of the graph, self-loops counted.
    kind : {"dot", "gat", "gatv2"}
    device_type : str
        "cpu", "cuda" or "mps".

    Returns
    -------
    Choice
        "dense" or "sparse", with the reason.
    """
    if kind != "dot":
        return Choice("sparse", f"{kind} is computed along the edges only")
    density = n_edges / n_nodes**2
    if device_type == "cpu" and not numba_problem():
        form, limit = "the CPU kernel", MOST_DENSITY_SMALL if n_nodes <= SMALL_GRAPH else MOST_DENSITY_KERNEL
    else:
        form, limit = "torch's indexing", MOST_DENSITY_TORCH
    reason = f"{density:.1%} of all pairs of {n_nodes} nodes are edges; {form} is the cheaper way up to {limit:.0%}"
    return Choice("sparse" if density <= limit else "dense", reason)


class AttentionGraph(nn.Module):
    """Who attends to whom, with which log-weight: the part of graph attention that all layers share.

    Weights are taken relative to the largest one, so that their unit does not matter beside the self-loops, whose weight
    is that of the heaviest edge where the graph gives none.

    Parameters
    ----------
    n_nodes : int
    adjacency : Tensor of shape (n, n), optional
        Non-negative; [i, j] is the weight of edge i -> j. Without it all nodes attend to all.
    kind : {"dot", "gat", "gatv2"}
    backend : {"auto", "dense", "sparse"}
        See `choose_attention`.
    """

    starts: Tensor
    sources: Tensor
    targets: Tensor
    log_weight: Tensor

    def __init__(
        self, n_nodes: int, adjacency: Tensor | None = None, kind: str = "dot", backend: str = "auto"
    ) -> None:
        super().__init__()
        self.n_nodes, self.kind, self.backend, self.complete = n_nodes, kind, backend, adjacency is None
        # A function of the given graph, and so not part of the weights
        edges = _edges(torch.eye(n_nodes) if adjacency is None else adjacency)
        for name, tensor in edges._asdict().items():
            self.register_buffer(name, tensor, persistent=False)

    @property
    def n_edges(self) -> int:
        """Number of edges, self-loops included."""
        return self.n_nodes**2 if self.complete else len(self.sources)

    @property
    def weighted(self) -> bool:
        """Whether the edges have different weights."""
        return bool((self.log_weight != 0).any())

    def choice(self, device_type: str) -> Choice:
        """Which path attention takes on a device, and why."""
        if self.backend != "auto":
            return Choice(self.backend, "as asked for")
        return choose_attention(self.n_nodes, self.n_edges, self.kind, device_type)

    def edges(self) -> Edges:
        """Return the edges, ordered by target."""
        if not self.complete:
            return Edges(self.starts, self.sources, self.targets, self.log_weight)
        n, device = self.n_nodes, self.sources.device
        one_each = torch.arange(n, device=device)
        starts = torch.arange(0, n * n + 1, n, device=device)
        return Edges(
            starts, one_each.repeat(n), one_each.repeat_interleave(n), torch.zeros(n * n, device=device)
        )

    def mask(self, dtype: torch.dtype) -> Tensor | None:
        """Return what is added to the scores (target, source): log-weights, minus infinity where there is no edge."""
        if self.complete:
            return None
        mask = self.log_weight.new_full((self.n_nodes, self.n_nodes), -torch.inf)
        mask[self.targets, self.sources] = self.log_weight
        return mask.to(dtype)

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"n_nodes={self.n_nodes}, n_edges={self.n_edges}, kind={self.kind!r}, backend={self.backend!r}"


class GraphAttention(nn.Module):
    """Every node gathers from its neighbours, weighted by attention, in each row on its own.

    With `embedding_dim`, the graph is learned: projected node embeddings join queries and keys, so that besides what the
    nodes hold, a fixed score for every pair decides which node attends to which.

    Parameters
    ----------
    d_model : int
    n_heads : int
        A divisor of `d_model`.
    kind : {"dot", "gat", "gatv2"}
    embedding_dim : int
        Width of the node embeddings if these shape the graph, else 0.
    weighted : bool
        Whether the edges have weights that "gat" and "gatv2" should learn a coefficient for.

    Shapes
    ------
    x (n, r, d), AttentionGraph, E (n, c) or None -> (n, r, d); r counts rows: windows times steps
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int = 2,
        kind: str = "dot",
        embedding_dim: int = 0,
        weighted: bool = False,
    ) -> None:
        super().__init__()
        self.d_model, self.n_heads, self.kind = d_model, n_heads, kind
        self.by_node = nn.Linear(embedding_dim, 2 * d_model, bias=False) if embedding_dim else None
        if kind == "dot":
            self.in_proj = nn.Parameter(torch.empty(3 * d_model, d_model))
            self.out_proj = nn.Linear(d_model, d_model)
            for part in self.in_proj.chunk(3):  # each of query, key and value has its own fan
                nn.init.xavier_uniform_(part)
            return
        layers = require("torch_geometric.nn", "graph")
        conv = {"gat": layers.GATConv, "gatv2": layers.GATv2Conv}[kind]
        self.conv = conv(
            d_model, d_model // n_heads, heads=n_heads, add_self_loops=False,
            edge_dim=1 if weighted or embedding_dim else None,
        )  # fmt: skip

    def forward(self, x: Tensor, graph: AttentionGraph, embedding: Tensor | None = None) -> Tensor:
        """Mix the nodes of x (n, r, d)."""
        if self.kind != "dot":
            return self._additive(x, graph.edges(), embedding)[0]
        if graph.choice(x.device.type).name == "sparse":
            return self._along_edges(x, graph.edges(), embedding)
        return self._fused(x, graph.mask(x.dtype), embedding)

    def _fused(self, x: Tensor, mask: Tensor | None, embedding: Tensor | None) -> Tensor:
        n, r, _ = x.shape
        projected = F.linear(x, self.in_proj)
        if self.by_node is not None:
            projected = projected + F.pad(self.by_node(embedding), (0, self.d_model)).unsqueeze(1)
        query, key, value = projected.view(n, r, 3, self.n_heads, -1).permute(2, 1, 3, 0, 4)  # (r, h, n, c)
        mask = None if mask is None else mask.to(query.dtype)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.out_proj(mixed.permute(2, 0, 1, 3).reshape(n, r, -1))

    def _along_edges(self, x: Tensor, edges: Edges, embedding: Tensor | None) -> Tensor:
        n = len(x)
        mixed = edge_attention(self._projected(x, embedding), edges).flatten(1, 2)  # (n, d, r)
        weight = self.out_proj.weight.t().expand(n, -1, -1)
        return torch.bmm(mixed.transpose(1, 2), weight) + self.out_proj.bias

    def _projected(self, x: Tensor, embedding: Tensor | None) -> Tensor:
        """Queries, keys and values (n, 3, h, c, r)."""
        n, r, _ = x.shape
        projected = torch.bmm(self.in_proj.expand(n, -1, -1), x.transpose(1, 2))  # (n, 3 d, r)
        if self.by_node is not None:
            projected = projected + F.pad(self.by_node(embedding), (0, self.d_model)).unsqueeze(-1)
        return projected.view(n, 3, self.n_heads, -1, r)

    def _additive(self, x: Tensor, edges: Edges, embedding: Tensor | None) -> tuple[Tensor, Tensor]:
        """Output (n, r, d) and weights (m, h, r) of torch_geometric's layers, on one graph of n * r nodes."""
        n, r, _ = x.shape
        rows = torch.arange(r, device=x.device)
        index = torch.stack(
            [(nodes.unsqueeze(1) * r + rows).flatten() for nodes in (edges.sources, edges.targets)]
        )
        features = None
        if self.conv.edge_dim is not None:
            fixed = edges.log_weight if self.by_node is None else self._fixed_scores(edges, embedding).mean(1)
            features = fixed.repeat_interleave(r).unsqueeze(1)
        out, (_, weights) = self.conv(
            x.reshape(n * r, -1), index, edge_attr=features, return_attention_weights=True
        )
        return out.view(n, r, -1), weights.view(-1, r, self.n_heads).transpose(1, 2)

    def _fixed_scores(self, edges: Edges, embedding: Tensor | None) -> Tensor:
        """The part of the scores of the edges that does not depend on the values of the nodes: (m, h)."""
        fixed = edges.log_weight.unsqueeze(1).expand(-1, self.n_heads)
        if self.by_node is None:
            return fixed
        query, key = self.by_node(embedding).view(len(edges.starts) - 1, 2, self.n_heads, -1).unbind(1)
        products = query.index_select(0, edges.targets) * key.index_select(0, edges.sources)
        return fixed + products.sum(-1) * query.shape[-1] ** -0.5

    @torch.no_grad()
    def weights(self, x: Tensor, graph: AttentionGraph, embedding: Tensor | None = None) -> Tensor:
        """Return how much each node attends to each, mean over rows and heads.

        Returns
        -------
        Tensor of shape (n, n)
            Row i holds how much node i attends to every node; rows sum to one.
        """
        edges = graph.edges()
        total = x.new_zeros(len(edges.sources))
        for rows in x.split(max(1, SCORES_AT_ONCE // (len(total) * self.n_heads)), dim=1):
            if self.kind == "dot":
                query, key, _ = self._projected(rows, embedding).unbind(1)
                products = query.index_select(0, edges.targets) * key.index_select(0, edges.sources)
                scores = products.sum(2) * query.shape[2] ** -0.5 + edges.log_weight.view(-1, 1, 1)
                weight = edge_softmax(scores, edges)
            else:
                weight = self._additive(rows, edges, embedding)[1]
            total += weight.mean(1).sum(-1) / x.shape[1]
        return _as_matrix(total, edges)

    @torch.no_grad()
    def fixed_weights(self, graph: AttentionGraph, embedding: Tensor | None = None) -> Tensor:
        """Return the weights (n, n) that result if all nodes hold the same values: the graph itself, mean over heads."""
        edges = graph.edges()
        return _as_matrix(edge_softmax(self._fixed_scores(edges, embedding), edges).mean(1), edges)

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"d_model={self.d_model}, n_heads={self.n_heads}, kind={self.kind!r}"


def _as_matrix(weight: Tensor, edges: Edges) -> Tensor:
    n = len(edges.starts) - 1
    out = weight.new_zeros(n, n)
    out[edges.targets, edges.sources] = weight
    return out


def _edges(adjacency: Tensor) -> Edges:
    """List the edges of a matrix (n, n), with a self-loop wherever it has none."""
    n = len(adjacency)
    weight = adjacency.t().clone()  # (target, source)
    largest = weight.max()
    loops = weight.diagonal()
    loops[loops == 0] = largest if largest > 0 else 1.0
    targets, sources = weight.nonzero(as_tuple=True)
    tiny = torch.finfo(weight.dtype).tiny
    log_weight = (weight[targets, sources] / weight.max()).clamp(min=tiny).log().float()
    starts = torch.zeros(n + 1, dtype=torch.int64)
    starts[1:] = torch.bincount(targets, minlength=n).cumsum(0)
    return Edges(starts, sources.contiguous(), targets.contiguous(), log_weight.contiguous())
