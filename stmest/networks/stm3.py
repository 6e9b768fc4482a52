"""STM3: mixture of multiscale Mamba, and STM2, its base with a single expert.

Chen, Zhang, Xin and Zhu, "STM3: Mixture of Multiscale Mamba for Long-Term Spatio-Temporal Time-Series Prediction"
(arXiv 2508.12247): section 4.2 lift and scales, 4.3 AGCCN, 4.4 multiscale Mamba, 4.5 experts, routing, contrastive loss.
The paper's equations are known to us through summaries and the authors' public program.

=================  =====================================================================
paper              here
=================  =====================================================================
N, T or L, H       n nodes, t input steps, h horizon
B                  b windows
Q, kernels k_q     k scales, ``scales``; from fine to coarse
d                  d, ``d_model``: channels per scale
M                  e, ``n_experts``
E (n, e)           ``embedding`` (n, c), c = ``node_embedding_dim``
K                  ``cheb_order``
Omega              ``MultiscaleMamba.omega``
W_g, w_s           ``Router.weight``, ``ExpertMixture.gate``
tau, lambda        ``contrastive_temperature``; weights of auxiliary losses belong to training
=================  =====================================================================

The figure of the paper, in one line per step, with z (n, k, d, b * t) all the way::

    z = lift(x, calendar)                              a dense convolution over time for each scale
    z = z + AGCCN(z)                        \\ times     graph convolution, then attention over the scales
    z = z + experts(norm(z))                / n_layers  mixture of multiscale Mamba blocks, over time
    y = head(z, node embedding, calendar)              flattened window of each node to its horizon

Where we differ, and why
------------------------
- *Convolution axis.* The authors' program slides its scale kernels over the node index, so neighbours in the numbering mix
  and renumbering the sensors changes the model. Ours run over time, and repeat the ends of the window.
- *Norms.* Theirs span scales, which lets fine scales leak into coarse ones and undoes the causal order; ours see one scale.
- *One base, many scales.* Their scale bias is one number per channel on top of a bias that is already there, and all
  weights mix the scales. Here scales share one Mamba and differ in a step-size offset, ``-log k_q`` at the start, and
  in their convolution; only attention mixes them. The tanh on the selection is dropped.
- *Router.* A renormalised single expert has weight 1 and its gate learns nothing. The probability itself is the
  weight here, noise stops at evaluation, a balance term exists, and a node is routed once, not once per window.
- *Pre-norm* in front of the experts, because two un-normalised residual branches drift.
- *Contrastive loss.* Theirs counts other scales as positives and so merges what it means to separate; see
  `stmest.layers.experts.contrastive_loss`. It is computed on demand only.
- *Initialisation* stays with each layer. Re-initialising everything afterwards would erase Mamba's step sizes and decays.
- *Added*: calendar channels, a given graph beside the learned one, instance normalisation, a head that knows the
  calendar and the node. All can be left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..exceptions import GraphError, ParameterError
from ..layers.experts import ExpertMixture, Router, Routing, balance_loss, contrastive_loss
from ..layers.graph_conv import AGCCN, GraphSupports
from ..layers.head import ForecastHead
from ..layers.multiscale import MultiscaleLift, MultiscaleMamba
from ..layers.norms import InstanceNorm, ScaleNorm

__all__ = ["STM3Network"]


class LayerState(NamedTuple):
    """What one layer hands on.

    Attributes
    ----------
    z : Tensor of shape (n, k, d, b * t)
        Output.
    mixed : Tensor of shape (n, k, d, b * t)
        Output of its AGCCN half, before the experts.
    routed : Tensor of shape (n * b, top_k, k, d), or None
        Outputs of the chosen experts, mean over time; only on demand.
    routing : Routing or None
        With n rows, or n * b if windows are routed; None without experts.
    """

    z: Tensor
    mixed: Tensor
    routed: Tensor | None
    routing: Routing | None


class STM3Layer(nn.Module):
    """One layer: ``z + AGCCN(z)``, then ``z + experts(norm(z))``.

    Parameters
    ----------
    experts : MultiscaleMamba
        Bank of ``n_experts`` blocks and one more if `shared`; a single block if `n_experts` is 0.
    agccn : AGCCN
        Spatial half.
    embedding_dim : int
        Width of the node embeddings.
    n_experts, top_k, shared, routing
        As `STM3Network`.
    dropout : float
        On both branches; whole positions share nothing.

    Shapes
    ------
    z (n, k, d, b * t), E (n, c), supports (n_supports, n, n) -> `LayerState`
    """

    def __init__(
        self,
        agccn: AGCCN,
        experts: MultiscaleMamba,
        embedding_dim: int,
        n_experts: int,
        top_k: int,
        shared: bool,
        routing: str,
        dropout: float,
    ) -> None:
        super().__init__()
        d_model, k = experts.in_proj.shape[1], len(experts.scales)
        self.by_input = routing == "input"
        described = k * d_model if self.by_input else embedding_dim
        self.agccn = agccn
        self.norm = ScaleNorm(k, d_model)
        self.router = Router(described, n_experts, top_k) if n_experts else None
        self.experts = ExpertMixture(experts, n_experts, described, shared) if n_experts else experts
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, z: Tensor, embedding: Tensor, supports: Tensor, n_steps: int, keep_routed: bool = False
    ) -> LayerState:
        """Map z (n, k, d, b * t) to its next state."""
        mixed = z + self.dropout(self.agccn(z, embedding, supports))
        update, routed, routing = self._mix(self.norm(mixed), embedding, n_steps, keep_routed)
        return LayerState(mixed + self.dropout(update), mixed, routed, routing)

    def route(self, x: Tensor, embedding: Tensor, n_steps: int) -> tuple[Tensor, Tensor, Routing]:
        """Return rows (r, k, d, m), their descriptions (r, ...) and their routing, for normed x (n, k, d, b * t)."""
        if self.router is None:
            raise ParameterError("the network has no experts, so nothing is routed; n_experts must be positive.")
        if self.by_input:
            n, k, d, m = x.shape
            x = x.view(n, k, d, -1, n_steps).permute(0, 3, 1, 2, 4).reshape(-1, k, d, n_steps)
            embedding = x.mean(-1).flatten(1)
        return x, embedding, self.router(embedding)

    def _mix(
        self, x: Tensor, embedding: Tensor, n_steps: int, keep_routed: bool
    ) -> tuple[Tensor, Tensor | None, Routing | None]:
        n, k, d, m = x.shape
        if isinstance(self.experts, MultiscaleMamba):
            out = self.experts(x, [n], n_steps)
            return out, _pooled(out.unsqueeze(1), n_steps) if keep_routed else None, None
        rows, description, routing = self.route(x, embedding, n_steps)
        output, routed = self.experts(rows, n_steps, routing, description, keep_routed)
        if self.by_input:
            output = output.view(n, -1, k, d, n_steps).permute(0, 2, 3, 1, 4).reshape(n, k, d, m)
        return output, None if routed is None else _pooled(routed, n_steps), routing


def _pooled(out: Tensor, n_steps: int) -> Tensor:
    """Mean over the steps of each window: (r, top_k, k, d, g * t) -> (r * g, top_k, k, d)."""
    pooled = out.unflatten(-1, (-1, n_steps)).mean(-1)
    return pooled.permute(0, 4, 1, 2, 3).flatten(0, 1)


class STM3Network(nn.Module):
    """Forecaster of all nodes of a sensor network; see the module's head for the architecture.

    Parameters
    ----------
    n_nodes, n_inputs, n_outputs : int
        Nodes, input channels of each, channels forecast.
    input_length, horizon : int
        Input steps, steps ahead.
    n_time_features : int
        Calendar channels.
    adjacency : Tensor of shape (n, n), optional
        Given graph: [i, j] is the weight of edge i -> j.
    graph : {"both", "given", "learned"}
        Which graphs the convolution uses; without `adjacency`, "both" is "learned".
    scales : sequence of int
        Odd widths of the convolutions over time, ascending.
    d_model : int
        Channels per scale.
    n_layers : int
    n_experts : int
        Routed experts; 0 is STM2, a single multiscale Mamba for all nodes.
    top_k : int
        Experts each node is sent to.
    shared_expert : bool
        Whether one more expert sees all nodes.
    node_embedding_dim : int
    cheb_order : int
        Chebyshev terms of the learned graph, the identity included.
    d_state, d_conv, expand : int
        As in `stmest.layers.mamba.MambaBlock`.
    dropout : float
        On the branches of each layer.
    instance_norm : bool
        Remove level and spread of each window and give them back to the forecast.
    routing : {"node", "input"}
        Route each node by its embedding, or each window of each node by its features.
    causal_scales : bool
        Whether scales attend to themselves and coarser ones only.
    contrastive : bool
        Whether to compute the contrastive term.
    contrastive_temperature : float
    target_channels : sequence of int, optional
        Input channels that are forecast, for `instance_norm`; the first `n_outputs` by default.
    observed_channels : sequence of int, optional
        For each of them, the 0/1 input channel that says where it was observed.
    head_width : int
        Hidden units of the head.
    zero_init_head : bool
        Start with a forecast of 0.
    scan_backend : str
        As in `stmest.ops.selective_scan`.

    Shapes
    ------
    x (b, t, n, f_in), time (b, t + h, c) or None -> forecast (b, h, n, f_out), dict of auxiliary losses
    """

    def __init__(
        self,
        n_nodes: int,
        n_inputs: int,
        n_outputs: int,
        input_length: int,
        horizon: int,
        n_time_features: int = 0,
        *,
        adjacency: Tensor | None = None,
        graph: str = "both",
        scales: Sequence[int] = (1, 3, 5, 7),
        d_model: int = 4,
        n_layers: int = 2,
        n_experts: int = 4,
        top_k: int = 1,
        shared_expert: bool = True,
        node_embedding_dim: int = 12,
        cheb_order: int = 3,
        d_state: int = 16,
        d_conv: int = 4,
        expand: int = 2,
        dropout: float = 0.0,
        instance_norm: bool = False,
        routing: str = "node",
        causal_scales: bool = True,
        contrastive: bool = False,
        contrastive_temperature: float = 0.1,
        target_channels: Sequence[int] | None = None,
        observed_channels: Sequence[int] | None = None,
        head_width: int = 32,
        zero_init_head: bool = False,
        scan_backend: str = "auto",
    ) -> None:
        super().__init__()
        _check(n_nodes, adjacency, graph, scales, n_experts, top_k, routing)
        self.n_nodes, self.input_length, self.horizon = n_nodes, input_length, horizon
        self.n_time_features, self.n_experts = n_time_features, n_experts
        self.contrastive, self.contrastive_temperature = contrastive and n_experts > 0, contrastive_temperature
        k, c = len(scales), node_embedding_dim
        targets = range(n_outputs) if target_channels is None else target_channels
        self.instance_norm = InstanceNorm(targets, observed_channels) if instance_norm else None
        self.embedding = nn.Parameter(torch.randn(n_nodes, c) * c**-0.5)  # rows of expected length one
        self.supports = GraphSupports(cheb_order, None if graph == "learned" else adjacency, graph != "given")
        self.lift = MultiscaleLift(n_inputs, n_time_features, d_model, scales)
        n_blocks = n_experts + shared_expert if n_experts else 1
        self.layers = nn.ModuleList(
            STM3Layer(
                AGCCN(self.supports.n_supports, k, d_model, c, causal_scales),
                MultiscaleMamba(n_blocks, d_model, scales, d_state, d_conv, expand, scan_backend),
                c, n_experts, top_k, shared_expert, routing, dropout,
            )
            for _ in range(n_layers)
        )  # fmt: skip
        self.head = ForecastHead(
            k * d_model * input_length, horizon, n_outputs, c, n_time_features, head_width, zero_init_head
        )

    @torch.no_grad()
    def start_embedding(self, node_features: Tensor) -> None:
        """Let the node embeddings of an untrained network start from what is known of the nodes.

        Parameters
        ----------
        node_features : Tensor of shape (n, any)
            For instance Laplacian eigenvectors. As many columns as fit take the place of random ones, in their size;
            columns without spread are skipped.
        """
        c = self.embedding.shape[1]
        known = node_features[:, :c].to(self.embedding)
        known = known - known.mean(0)
        spread = known.square().mean(0).sqrt()
        columns = (spread > 1e-6).nonzero().flatten()
        self.embedding[:, columns] = known[:, columns] / spread[columns] * c**-0.5

    def forward(self, x: Tensor, time: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Forecast.

        Parameters
        ----------
        x : Tensor of shape (b, t, n, f_in)
            Scaled readings without NaN.
        time : Tensor of shape (b, t + h, c), optional
            Calendar of input and target steps.

        Returns
        -------
        forecast : Tensor of shape (b, h, n, f_out)
        auxiliary : dict of str to Tensor of shape ()
            In training with experts: "balance", and "contrastive" if asked for; mean over the layers, not weighted.
        """
        with torch.autocast(x.device.type, enabled=False):  # too narrow to gain by half precision, and its kernels need more
            return self._forward(x, time if self.n_time_features else None)

    def _forward(self, x: Tensor, calendar: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        t = self.input_length
        statistics = None
        if self.instance_norm is not None:
            x, statistics = self.instance_norm(x)
        states = self._encode(x, calendar, keep_routed=self.training and self.contrastive)
        encoded = states[-1].z.unflatten(-1, (-1, t)).permute(0, 3, 1, 2, 4).flatten(2)  # (n, b, k * d * t)
        origin, targets = (None, None) if calendar is None else (calendar[:, t - 1], calendar[:, t:])
        forecast = self.head(encoded, self.embedding, origin, targets)
        if self.instance_norm is not None and statistics is not None:
            forecast = self.instance_norm.inverse(forecast, statistics)
        return forecast, self._auxiliary(states) if self.training else {}

    def _encode(self, x: Tensor, calendar: Tensor | None, keep_routed: bool = False) -> list[LayerState]:
        z = self.lift(x, None if calendar is None else calendar[:, : self.input_length])
        supports = self.supports(self.embedding)
        states: list[LayerState] = []
        for layer in self.layers:
            states.append(layer(z, self.embedding, supports, self.input_length, keep_routed))
            z = states[-1].z
        return states

    def _auxiliary(self, states: list[LayerState]) -> dict[str, Tensor]:
        losses: dict[str, list[Tensor]] = {}
        for state in states:
            if state.routing is not None:
                losses.setdefault("balance", []).append(balance_loss(state.routing))
                if state.routed is not None:
                    losses.setdefault("contrastive", []).append(self._contrast(state.routed, state.routing))
        return {name: torch.stack(terms).mean() for name, terms in losses.items()}

    def _contrast(self, routed: Tensor, routing: Routing) -> Tensor:
        """Contrastive term of outputs (n * b, top_k, k, d); rows of the routing are nodes, or node-window pairs."""
        experts = routing.experts.repeat_interleave(len(routed) // len(routing.experts), dim=0)
        return contrastive_loss(routed.flatten(0, 1), experts.flatten(), self.contrastive_temperature)

    @torch.no_grad()
    def learned_graph(self) -> Tensor:
        """Return (n, n), rows summing to one: how much each node listens to each other one.

        With ``graph="given"`` nothing is learned and the given graph's transition matrix is returned.
        """
        if not self.supports.learned and self.supports.walks is not None:
            return self.supports.walks[0].clone()
        return self.supports.graph(self.embedding)

    @torch.no_grad()
    def routing(self, x: Tensor | None = None, time: Tensor | None = None, *, layer: int = -1) -> Tensor:
        """Return the probabilities (n, e) of the experts of one layer, without noise.

        Parameters
        ----------
        x, time
            Windows as for `forward`; needed with ``routing="input"``, where the mean over windows is returned.
        layer : int
            Position of the layer.
        """
        chosen = self.layers[layer]
        if chosen.router is None:
            raise ParameterError("the network has no experts (n_experts=0), so there is no routing.")
        if not chosen.by_input:
            return torch.softmax(self.embedding @ chosen.router.weight, dim=-1)
        if x is None:
            raise ParameterError('routing="input" depends on the windows: give x, and time if the network has calendar.')
        state = self._evaluated(x, time)[layer]
        return state.routing.probabilities.view(self.n_nodes, -1, self.n_experts).mean(1)

    @torch.no_grad()
    def representations(self, x: Tensor, time: Tensor | None = None) -> dict[str, Tensor]:
        """Return what scales and experts of the last layer made of windows, for pictures of their separation.

        Returns
        -------
        dict
            "scales": features of each scale before the experts, mean over time, (b, n, k, d);
            "experts": output of the chosen experts (without the shared one), mean over time, (b, n, k, d).
        """
        state = self._evaluated(x, time)[-1]
        scales = _pooled(state.mixed.unsqueeze(1), self.input_length).squeeze(1)  # (n * b, k, d)
        routed = state.routed
        if routed is None:
            raise ParameterError("no expert output was kept; this is a defect of the network.")
        if state.routing is None:
            experts = routed.squeeze(1)
        else:
            weights = state.routing.weights / state.routing.weights.sum(-1, keepdim=True)
            weights = weights.repeat_interleave(len(routed) // len(weights), dim=0)
            experts = (routed * weights[..., None, None]).sum(1)
        shape = (self.n_nodes, -1, *scales.shape[1:])
        return {"scales": scales.view(shape).transpose(0, 1), "experts": experts.reshape(shape).transpose(0, 1)}

    def _evaluated(self, x: Tensor, time: Tensor | None) -> list[LayerState]:
        """Layer states in evaluation mode, whatever mode the network is in."""
        was_training = self.training
        self.eval()
        try:
            if self.instance_norm is not None:
                x, _ = self.instance_norm(x)
            return self._encode(x, time if self.n_time_features else None, keep_routed=True)
        finally:
            self.train(was_training)

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"n_nodes={self.n_nodes}, input_length={self.input_length}, horizon={self.horizon}"


def _check(
    n_nodes: int, adjacency: Tensor | None, graph: str, scales: Sequence[int], n_experts: int, top_k: int, routing: str
) -> None:
    if graph not in ("both", "given", "learned"):
        raise ParameterError(f'graph={graph!r} is not known; choose "both", "given" or "learned".')
    if graph == "given" and adjacency is None:
        raise ParameterError('graph="given" needs an adjacency.')
    if adjacency is not None and tuple(adjacency.shape) != (n_nodes, n_nodes):
        raise GraphError(f"adjacency has shape {tuple(adjacency.shape)}; {n_nodes} nodes need {(n_nodes, n_nodes)}.")
    widths = list(scales)
    if not widths or any(width < 1 or width % 2 == 0 for width in widths) or widths != sorted(widths):
        raise ParameterError(f"scales={tuple(widths)} must be odd positive widths in ascending order.")
    if n_experts < 0 or (n_experts and not 1 <= top_k <= n_experts):
        raise ParameterError(f"top_k={top_k} must lie between 1 and n_experts={n_experts}.")
    if routing not in ("node", "input"):
        raise ParameterError(f'routing={routing!r} is not known; choose "node" or "input".')
