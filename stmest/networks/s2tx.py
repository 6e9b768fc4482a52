"""S2TX: coarse patches of all nodes through Mamba, fine patches of each node through attention, also to the coarse ones.

Wu, Dong, Yang and Tarokh, "S2TX: Cross-Attention Multi-Scale State-Space Transformer for Time Series Forecasting"
(arXiv 2502.11340). There is no public code, and the available text of the paper gives no sizes. Sizes and patching
are those of its parent SST (Xu et al., arXiv 2404.14757), from its program. The paper calls a node a variate.

=========================  =====================================================================
paper                      here
=========================  =====================================================================
B, D, L, H                 b windows, n nodes, t input steps, h steps ahead
S                          ``local_length``, the last steps of the look-back
P_g, s_g, PN_g             ``global_patch``, ``global_stride``, q tokens of a node
P_l, s_l, PN_l             ``local_patch``, ``local_stride``, p tokens of a node
d_model                    d
Z_g                        ``context`` (b * n, q, d)
global Mamba               `GlobalLayer`
decoder layer              `LocalLayer`
local window               ``attention_window``
=========================  =====================================================================

1. Mean and standard deviation of the whole look-back are removed (`InstanceNorm`), and restored in the forecast.
2. Global: q coarse patches of each node, plus a learned vector of the node; tokens of all nodes in one sequence of n * q; Mamba
   in both directions.
3. Local: p fine patches of the last steps, each node on its own. In every layer tokens attend to their neighbours in time
   (window), then to the q global tokens of their node, which contain the other nodes; then a feed-forward part.
4. A linear map from the p local tokens of a node to its h steps, the same for all nodes.

Where we differ, and why
------------------------
- *The window is a window.* The mask of SST's program is inverted: it hides the neighbours and shows all others.
- *Residual and norm around Mamba*, which that program creates and does not use; *norms in front* of every step, and a
  last one before head and cross-attention. Batch norm, as in SST, unless layer norm is asked for.
- *No attention scores passed between layers*, no dropout of attention weights: both rule out the fused attention. No
  dropout inside the feed-forward part: its random numbers took a quarter of a training step.
- *Positions of the global patches* have a learned table as the local ones; otherwise Mamba cannot see in a long
  sequence where a node begins.
- *Nodes* have a learned vector in the global sequence. Selection chooses by what is in a token, and patches alone do not say
  whose they are: without it the state holds a mixture of all nodes, and a node that leads another one many columns away is lost.
- *The global Mamba starts with a far reach* (`start_far`). As Mamba usually starts, in these widths nothing arrives from tokens
  beyond the width of the convolution, and training does not find them.
- *Missing values* are forward-filled, and an observation mask is one more channel.
- *Added*: several features of a node, calendar channels (part of every patch), patches that shrink with the look-back.

The paper leaves open what "concatenated" means. Tokens, not channels: selection can only choose among nodes and
patches that are tokens. Node by node (``token_order="variate"``), or patch by patch (``"time"``): in both, the result
of a node depends on the order of the nodes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..exceptions import ParameterError
from ..layers.attention import local_window
from ..layers.dropout import recomputed
from ..layers.mamba import BidirectionalMamba, MambaBlock
from ..layers.norms import InstanceNorm, token_norm
from ..layers.patching import PatchEmbedding, choose_patching
from ..layers.s2tx_layers import GlobalLayer, LocalLayer, start_far
from .base import ForecastNetwork

__all__ = ["TOKEN_ORDERS", "S2TXNetwork"]

TOKEN_ORDERS = ("variate", "time")
# Elements (b, n, p, d) that go through the network at a time; some 500 bytes each in training. Larger batches are cut by
# windows and computed again on the way back, which costs a third more time and keeps memory flat.
MOST_ELEMENTS = 1 << 21
_SPREAD = 0.5  # of the vectors of the nodes at the start, about that of a patch's token


class S2TXNetwork(ForecastNetwork):
    """Forecaster of all nodes; see the module's head for the architecture.

    Parameters
    ----------
    local_length : int or None
        Last steps that the local branch sees; None: half of the look-back.
    global_patch, global_stride, local_patch, local_stride : int or None
        None: see `choose_patching`; 48/16 and 16/8 where the windows are long enough.
    attention_window : int or None
        Odd number of local tokens that a token sees; None: all.
    cross_variate : bool
        Whether the tokens of all nodes are one sequence for Mamba; else one sequence per node.
    cross_attention : bool
        False: no global branch.
    token_order : {"variate", "time"}
        Order of the sequence: node by node, or patch by patch.
    bidirectional : bool
        Whether a second Mamba processes the sequence backwards.
    d_model, n_heads, n_layers, n_global_layers, d_ff : int
        Width, heads, local layers, Mamba layers, hidden units of the feed-forward parts.
    d_state, d_conv, expand : int
        As in `stmest.layers.mamba.MambaBlock`.
    dropout : float
    norm : {"layer", "batch"}
    target_channels : list of int
        Input channels that are forecast.
    observed_channels : list of int or None
        For each of them the input channel with its observation mask; None: no missing values.
    scan_backend : str
        As in `stmest.ops.selective_scan`.
    **sizes : int
        As `stmest.networks.base.ForecastNetwork`.
    """

    mask: Tensor | None

    def __init__(
        self,
        *,
        local_length: int | None,
        global_patch: int | None,
        global_stride: int | None,
        local_patch: int | None,
        local_stride: int | None,
        attention_window: int | None,
        cross_variate: bool,
        cross_attention: bool,
        token_order: str,
        bidirectional: bool,
        d_model: int,
        n_heads: int,
        n_layers: int,
        n_global_layers: int,
        d_ff: int,
        d_state: int,
        d_conv: int,
        expand: int,
        dropout: float,
        norm: str,
        target_channels: list[int],
        observed_channels: list[int] | None,
        scan_backend: str,
        **sizes: int,
    ) -> None:
        super().__init__(**sizes)
        self.token_order = token_order
        local_length = _local_length(local_length, self.input_length)
        self.local = choose_patching(local_length, local_patch, local_stride, 16, 2)
        self.coarse = choose_patching(self.input_length, global_patch, global_stride, 48, 3)
        self.instance_norm = InstanceNorm(target_channels, observed_channels, keep_filled=True)
        channels = self.n_inputs + self.n_time_features
        self.embed_local = PatchEmbedding(channels, *self.local[:3], d_model, dropout)
        self.layers = nn.ModuleList(
            LocalLayer(d_model, n_heads, d_ff, dropout, norm, cross_attention) for _ in range(n_layers)
        )
        self.register_buffer("mask", local_window(self.local.n_patches, attention_window), persistent=False)
        self.embed_global = self.norm_context = self.embed_node = None
        self.global_layers = nn.ModuleList()
        if cross_attention:
            self.embed_global = PatchEmbedding(channels, *self.coarse[:3], d_model, dropout)
            if cross_variate:
                self.embed_node = nn.Parameter(_SPREAD * torch.randn(self.n_nodes, 1, d_model))
            mamba = BidirectionalMamba if bidirectional else MambaBlock
            self.global_layers.extend(
                GlobalLayer(mamba(d_model, d_state, d_conv, expand, "auto", scan_backend), d_model, d_ff, dropout, norm)
                for _ in range(n_global_layers)
            )  # fmt: skip
            for block in self.global_layers.modules():
                if isinstance(block, MambaBlock):
                    start_far(block, self.coarse.n_patches * (self.n_nodes if cross_variate else 1))
            self.norm_context = token_norm(norm, d_model)
        self.norm = token_norm(norm, d_model)
        self.head = nn.Linear(self.local.n_patches * d_model, self.horizon * self.n_outputs)

    @torch.no_grad()
    def start_at_zero(self) -> None:
        """Begin with a forecast of 0 everywhere; the level of a window is not restored."""
        self.head.weight.zero_()
        self.head.bias.zero_()
        self.instance_norm.returns_level = False

    def forward(
        self, x: Tensor, time: Tensor | None = None, ahead: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Forecast; see `ForecastNetwork.forward`. There are no auxiliary losses."""
        scaled, statistics = self.instance_norm(x)
        if self.n_time_features and time is not None:
            calendar = time[:, : self.input_length, None].expand(-1, -1, self.n_nodes, -1)
            scaled = torch.cat([scaled, calendar], dim=-1)
        at_once = max(1, MOST_ELEMENTS // (self.n_nodes * self.head.in_features))
        if len(x) <= at_once:
            forecast = self._forecast(scaled)
        elif torch.is_grad_enabled():
            parts = [recomputed(self._forecast, part) for part in scaled.split(at_once)]
            forecast = torch.cat(parts)
        else:
            forecast = torch.cat([self._forecast(part) for part in scaled.split(at_once)])
        return self.instance_norm.inverse(forecast, statistics), {}

    def _forecast(self, x: Tensor) -> Tensor:
        series = x.transpose(1, 2).flatten(0, 1)  # (b * n, t, f)
        context = self._context(series)
        tokens = self.embed_local(series[:, -self.local.length :])
        for layer in self.layers:
            tokens = layer(tokens, context, self.mask)
        forecast = self.head(self.norm(tokens).flatten(1))
        return forecast.view(len(x), self.n_nodes, self.horizon, self.n_outputs).transpose(1, 2)

    def _context(self, series: Tensor) -> Tensor | None:
        """Encoded look-back of all nodes, per node (b * n, q, d); None without the global branch."""
        if self.embed_global is None or self.norm_context is None:
            return None
        tokens = self.embed_global(series)
        if self.embed_node is not None:
            tokens = self._joined((tokens.unflatten(0, (-1, self.n_nodes)) + self.embed_node).flatten(0, 1))
        for layer in self.global_layers:
            tokens = layer(tokens)
        tokens = self.norm_context(tokens)
        return tokens if self.embed_node is None else self._apart(tokens)

    def _joined(self, tokens: Tensor) -> Tensor:
        """Tokens of each node (b * n, q, d) -> one sequence of all nodes (b, n * q, d)."""
        tokens = tokens.unflatten(0, (-1, self.n_nodes))
        return (tokens.transpose(1, 2) if self.token_order == "time" else tokens).flatten(1, 2)

    def _apart(self, sequence: Tensor) -> Tensor:
        """Undo `_joined`."""
        if self.token_order == "time":
            return sequence.unflatten(1, (-1, self.n_nodes)).transpose(1, 2).flatten(0, 1)
        return sequence.unflatten(1, (self.n_nodes, -1)).flatten(0, 1)


def _local_length(local_length: int | None, input_length: int) -> int:
    if local_length is None:
        return max(1, input_length // 2)
    if not 1 <= local_length <= input_length:
        raise ParameterError(
            f"local_length={local_length}; needed: 1 to input_length={input_length}, as it is a part of the look-back."
        )
    return local_length
