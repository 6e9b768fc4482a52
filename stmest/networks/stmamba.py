"""STMamba: graph attention over the nodes of each time step, Mamba over the steps of each node, in turn.

There is no paper. The design is that of the STMambaBlock document and program (akrist-rai/st-mamba on GitHub), which
report no results. Mamba: Gu and Dao (arXiv 2312.00752); attention: see ``layers.graph_attention``.

==================  ==============================================
document            here
==================  ==============================================
B, T, N             b windows, t input steps, n nodes
F                   d, ``d_model``
spatial layer       `SpatialStep`
temporal layer      `TemporalStep`
pivot               `by_node` and its inverse `by_step`
alpha_ij            ``GraphAttention.weights``: i attends to j
==================  ==============================================

One block, on x (b, t, n, d)::

    x = x + drop(attend(norm(x)))    nodes of one step attend to their neighbours; steps do not see each other
    x = x + drop(mamba(norm(x)))     steps of one node in order; nodes do not see each other
    x = x + drop(mlp(norm(x)))       only with ``feed_forward``

With ``norm_first=False`` each is ``norm(x + drop(...(x)))``, as in the document.

Tensors have the logical shape (b, t, n, d) and lie node by node in memory, (n, b, t, d): the pivots are views.

Where we differ, and why
------------------------
- *One residual.* The document's spatial layer adds its input, and its block adds it again.
- *Pre-norm* (``norm_first``), and a last norm in front of the head: the residual stream keeps the level of the series.
- *Isolated nodes* attend to themselves. With the finite mask of the program a node without edges attends to all.
- *Edge weights* count, as logarithms in the scores; the program uses the zeros of the matrix only.
- *Time is always modelled by Mamba*, with a backend that runs anywhere. The program falls back to a perceptron on
  single steps, whose forecast does not change with the past at all.
- *No dropout on attention weights*, which would rule out the fused forms; the branches have dropout.
- *Added*: node embeddings, calendar, a learned graph where none is given, the flattened head, the feed-forward part,
  additive attention, a bidirectional Mamba. All can be left out. The head also sees the window, what is known of the target
  steps (`ahead`: linear forecast, seasonal mean, earlier days and weeks; holidays), what a Mamba block makes of the time
  steps before the window (`stmest.layers.older`), and with a given graph the means of all this over the nodes one and two
  steps along and against the edges.

Attention is quadratic in the nodes unless the graph is sparse, and then linear in its edges.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from ..exceptions import ParameterError
from ..layers.dropout import Dropout, recomputed
from ..layers.graph_attention import AttentionGraph, GraphAttention
from ..layers.graph_conv import GraphSupports
from ..layers.head import ForecastHead, LinearHead
from ..layers.mamba import BidirectionalMamba, MambaBlock
from ..layers.older import OLDER_WIDTH, OlderPatches
from .base import ForecastNetwork, check_adjacency

__all__ = ["STMambaBlock", "STMambaNetwork", "SpatialStep", "TemporalStep", "by_node", "by_step"]

GRAPHS = ("auto", "given", "learned", "full")
# Elements (b, t, n, d) that go through the network at a time; about 300 bytes each in training. Larger batches are cut
# by windows and computed again on the way back, which costs a third more time and keeps memory flat.
MOST_ELEMENTS = 1 << 22


def by_node(x: Tensor) -> Tensor:
    """Pivot (b, t, n, d) to one sequence over time for each node and window, (n * b, t, d)."""
    b, t, n, d = x.shape
    return x.permute(2, 0, 1, 3).reshape(n * b, t, d)


def by_step(series: Tensor, n_nodes: int) -> Tensor:
    """Pivot (n * b, t, d) back to (b, t, n, d)."""
    return series.unflatten(0, (n_nodes, -1)).permute(1, 2, 0, 3)


def _joined(
    x: Tensor, step: Callable[[Tensor], Tensor], norm: nn.Module, dropout: nn.Module, norm_first: bool
) -> Tensor:
    """``x + drop(step(norm(x)))``, or ``norm(x + drop(step(x)))``."""
    return x + dropout(step(norm(x))) if norm_first else norm(x + dropout(step(x)))


class SpatialStep(nn.Module):
    """``x + drop(attend(norm(x)))``: over the nodes of each step.

    Shapes
    ------
    x (b, t, n, d), AttentionGraph, E (n, c) -> (b, t, n, d)
    """

    def __init__(self, attention: GraphAttention, dropout: float = 0.0, norm_first: bool = True) -> None:
        super().__init__()
        self.norm, self.norm_first = nn.LayerNorm(attention.d_model), norm_first
        self.attention = attention
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, graph: AttentionGraph, embedding: Tensor) -> Tensor:
        """Mix the nodes."""
        b, t, n, d = x.shape
        rows = by_node(x).view(n, b * t, d)
        attend = partial(self.attention, graph=graph, embedding=embedding)
        mixed = _joined(rows, attend, self.norm, self.dropout, self.norm_first)
        return by_step(mixed.view(n * b, t, d), n)

    def weights(self, x: Tensor, graph: AttentionGraph, embedding: Tensor) -> Tensor:
        """Return how much each node attends to each, (n, n)."""
        b, t, n, d = x.shape
        rows = by_node(x).view(n, b * t, d)
        return self.attention.weights(self.norm(rows) if self.norm_first else rows, graph, embedding)


class TemporalStep(nn.Module):
    """``x + drop(mamba(norm(x)))``: over the steps of each node.

    Shapes
    ------
    x (b, t, n, d) -> (b, t, n, d)
    """

    def __init__(
        self,
        mamba: MambaBlock | BidirectionalMamba,
        d_model: int,
        dropout: float = 0.0,
        norm_first: bool = True,
    ) -> None:
        super().__init__()
        self.norm, self.norm_first = nn.LayerNorm(d_model), norm_first
        self.mamba = mamba
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the steps."""
        series = by_node(x)
        return by_step(_joined(series, self.mamba, self.norm, self.dropout, self.norm_first), x.shape[2])


class FeedForward(nn.Module):
    """``x + drop(mlp(norm(x)))``: every position on its own."""

    def __init__(self, d_model: int, ratio: int, dropout: float = 0.0, norm_first: bool = True) -> None:
        super().__init__()
        self.norm, self.norm_first = nn.LayerNorm(d_model), norm_first
        self.mlp = nn.Sequential(
            nn.Linear(d_model, ratio * d_model), nn.GELU(), nn.Linear(ratio * d_model, d_model)
        )
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, t, n, d) to (b, t, n, d)."""
        series = by_node(x)
        return by_step(_joined(series, self.mlp, self.norm, self.dropout, self.norm_first), x.shape[2])


class STMambaBlock(nn.Module):
    """One block: spatial step, temporal step, feed-forward, each of which may be missing.

    Shapes
    ------
    x (b, t, n, d), AttentionGraph, E (n, c) -> (b, t, n, d)
    """

    def __init__(
        self, spatial: SpatialStep | None, temporal: TemporalStep | None, mlp: FeedForward | None
    ) -> None:
        super().__init__()
        self.spatial, self.temporal, self.mlp = spatial, temporal, mlp

    def forward(self, x: Tensor, graph: AttentionGraph, embedding: Tensor) -> Tensor:
        """Map (b, t, n, d) to (b, t, n, d)."""
        if self.spatial is not None:
            x = self.spatial(x, graph, embedding)
        if self.temporal is not None:
            x = self.temporal(x)
        return x if self.mlp is None else self.mlp(x)


class STMambaNetwork(ForecastNetwork):
    """Forecaster of all nodes; see the module's head for the architecture.

    Parameters
    ----------
    adjacency : Tensor of shape (n, n) or None
        Given graph: [i, j] is the weight of edge i -> j, by which j attends to i.
    graph : {"auto", "given", "learned", "full"}
        "auto" is "given" with `adjacency`, else "learned": all pairs, with a score from the node embeddings. "full": all
        pairs, without; also what "auto" is without embeddings.
    attention : {"dot", "gat", "gatv2"}
    attention_backend : {"auto", "dense", "sparse"}
    d_model, n_layers : int
    n_heads : int
        0: no spatial steps.
    temporal : bool
        False: no temporal steps.
    d_state, d_conv, expand : int
        As in `stmest.layers.mamba.MambaBlock`.
    bidirectional : bool
        Whether a second Mamba processes the look-back backwards.
    feed_forward : int
        Hidden units per model channel of the feed-forward part; 0: none.
    node_embedding_dim : int
        0: none; then the network is equivariant to permutations of the nodes.
    dropout : float
    head : {"flatten", "last"}
        Whether the forecast sees all encoded steps or the last one.
    norm_first : bool
        Whether norms stand before the steps, or after the sum.
    head_width : int
        Hidden units of the head; 0: a linear map from the encoding alone.
    older : (int, int) or None
        Channels of the time steps before the look-back and time steps of a patch of them; None: the network does not see them.
    scan_backend : str
        As in `stmest.ops.selective_scan`.
    **sizes : int
        As `stmest.networks.base.ForecastNetwork`.
    """

    def __init__(
        self,
        *,
        adjacency: Tensor | None,
        graph: str,
        attention: str,
        attention_backend: str,
        d_model: int,
        n_layers: int,
        n_heads: int,
        temporal: bool,
        d_state: int,
        d_conv: int,
        expand: int,
        bidirectional: bool,
        feed_forward: int,
        node_embedding_dim: int,
        dropout: float,
        norm_first: bool,
        head: str,
        head_width: int,
        older: tuple[int, int] | None,
        scan_backend: str,
        **sizes: int,
    ) -> None:
        super().__init__(**sizes)
        check_adjacency(adjacency, self.n_nodes)
        graph = _chosen_graph(graph, adjacency, node_embedding_dim, n_heads)
        self.head_kind, self.d_model = head, d_model
        n, c, width = self.n_nodes, self.n_time_features, node_embedding_dim or 1
        # Without embeddings the network cannot distinguish nodes
        embedding = torch.randn(n, width) * width**-0.5 if node_embedding_dim else torch.ones(n, 1)
        self.embedding = nn.Parameter(embedding, requires_grad=node_embedding_dim > 0)
        self.graph = AttentionGraph(n, adjacency if graph == "given" else None, attention, attention_backend)
        given = adjacency if graph == "given" and n_heads else None
        self.supports = GraphSupports(1, given, learned=False)  # for the head
        self.lift_inputs = nn.Linear(self.n_inputs, d_model)
        self.lift_node = nn.Linear(width, d_model, bias=False)
        self.lift_time = nn.Linear(c, d_model, bias=False) if c else None
        mamba = BidirectionalMamba if bidirectional else MambaBlock
        learned, weighted = width if graph == "learned" else 0, self.graph.weighted

        def block() -> STMambaBlock:
            layer = GraphAttention(d_model, n_heads, attention, learned, weighted) if n_heads else None
            return STMambaBlock(
                None if layer is None else SpatialStep(layer, dropout, norm_first),
                TemporalStep(
                    mamba(d_model, d_state, d_conv, expand, "auto", scan_backend),
                    d_model,
                    dropout,
                    norm_first,
                )
                if temporal
                else None,
                FeedForward(d_model, feed_forward, dropout, norm_first) if feed_forward else None,
            )

        self.blocks = nn.ModuleList(block() for _ in range(n_layers))
        self.norm = nn.LayerNorm(d_model)
        steps = self.input_length if head == "flatten" else 1
        self.head: ForecastHead | LinearHead
        self.older: OlderPatches | None = None
        if head_width == 0:
            self.head = LinearHead(steps * d_model, self.horizon, self.n_outputs)
            return
        self.head = ForecastHead(
            steps * d_model,
            self.input_length * self.n_inputs,
            self.horizon,
            self.n_outputs,
            width,
            self.n_origin_features,
            head_width,
            n_ahead=self.n_ahead,
            n_around=self.supports.n_around,
            n_older=OLDER_WIDTH if older else 0,
        )
        if older is not None:
            self.older = OlderPatches(*older, c, width, OLDER_WIDTH, d_state, d_conv, expand, scan_backend)

    uses_ahead = True

    def start_at_zero(self) -> None:
        """Begin with a forecast of 0 everywhere."""
        self.head.start_at_zero()

    def forward(
        self,
        x: Tensor,
        time: Tensor | None = None,
        ahead: Tensor | None = None,
        older: Tensor | None = None,
        older_time: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Forecast; see `ForecastNetwork.forward`. There are no auxiliary losses."""
        at_once = max(1, MOST_ELEMENTS // (self.input_length * self.n_nodes * self.d_model))
        if len(x) <= at_once:
            return self._forecast(x, time, ahead, older, older_time), {}
        others = (time, ahead, older, older_time)
        beside = [[None] * len(x) if known is None else known.split(at_once) for known in others]
        chunks = zip(x.split(at_once), *beside, strict=False)
        if torch.is_grad_enabled():
            parts = [recomputed(self._forecast, *chunk) for chunk in chunks]
        else:
            parts = [self._forecast(*chunk) for chunk in chunks]
        return torch.cat(parts), {}

    def _forecast(
        self,
        x: Tensor,
        time: Tensor | None,
        ahead: Tensor | None,
        older: Tensor | None,
        older_time: Tensor | None,
    ) -> Tensor:
        z = self._lift(x, time)
        for block in self.blocks:
            z = block(z, self.graph, self.embedding)
        if self.head_kind == "last":
            z = z[:, -1:]
        encoded = self.norm(by_node(z)).view(self.n_nodes, len(x), -1)  # (n, b, t * d)
        origin = None if time is None else self.origin(time)
        around = partial(self.supports.around, self.supports(self.embedding))
        known = None
        if self.older is not None and older is not None:
            known = self.older(older, older_time, self.embedding)
        return self.head(encoded, x, self.embedding, origin, ahead, around, known)

    def _lift(self, x: Tensor, time: Tensor | None) -> Tensor:
        """Values (b, t, n, f), calendar and embedding of the nodes -> (b, t, n, d), node by node in memory."""
        z = self.lift_inputs(x.permute(2, 0, 1, 3)) + self.lift_node(self.embedding)[:, None, None]
        if self.lift_time is not None and time is not None:
            z = z + self.lift_time(time[:, : self.input_length])
        return z.permute(1, 2, 0, 3)

    @torch.no_grad()
    def attention_weights(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        """Return how much each node attends to each, mean over windows, steps and heads.

        Parameters
        ----------
        x, time
            Windows as for `forward`.

        Returns
        -------
        Tensor of shape (n_layers, n, n)
            [l, i, j]: attention of node i to node j in layer l; rows sum to one.
        """
        steps, weights = self._spatial_steps(), []
        if not steps:
            raise ParameterError("the network has no attention (n_heads=0), so there are no weights.")
        z = self._lift(x, time)
        for block, step in zip(self.blocks, steps, strict=True):
            weights.append(step.weights(z, self.graph, self.embedding))
            z = block(z, self.graph, self.embedding)
        return torch.stack(weights)

    @torch.no_grad()
    def fixed_graph(self) -> Tensor:
        """Return (n, n), rows summing to one: the attention before any window is seen, mean over layers."""
        layers = [step.attention for step in self._spatial_steps()]
        if not layers:
            return torch.eye(self.n_nodes, device=self.embedding.device)
        return torch.stack([layer.fixed_weights(self.graph, self.embedding) for layer in layers]).mean(0)

    def _spatial_steps(self) -> list[SpatialStep]:
        return [block.spatial for block in self.blocks if isinstance(block.spatial, SpatialStep)]


def _chosen_graph(graph: str, adjacency: Tensor | None, embedding_dim: int, n_heads: int) -> str:
    """Resolve "auto"; raise an error if the chosen graph lacks something."""
    if graph == "given" and adjacency is None:
        raise ParameterError("graph='given' needs a graph: give adj to fit or to the constructor.")
    if graph == "auto":
        without = "learned" if embedding_dim else "full"
        graph = without if adjacency is None else "given"
    if graph == "learned" and n_heads and not embedding_dim:
        raise ParameterError(
            "a learned graph needs node embeddings; give a graph, node_embedding_dim > 0, or graph='full'."
        )
    return graph
