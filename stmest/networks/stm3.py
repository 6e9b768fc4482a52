r"""STM3: mixture of multiscale Mamba, and STM2, its base with a single expert.

Chen, Zhang, Xin and Zhu, "STM3: Mixture of Multiscale Mamba for Long-Term Spatio-Temporal Time-Series Prediction"
(arXiv 2508.12247): section 4.2 lift and scales, 4.3 AGCCN, 4.4 multiscale Mamba, 4.5 experts, routing and losses.
The paper's equations are taken from summaries and the authors' public program.

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
    z = z + AGCCN(z)             \ n_layers            graph convolution, then attention over the scales
    z = z + experts(norm(z))     / times               mixture of multiscale Mamba blocks, over time
    y = head(z, x, node embedding, calendar)           flattened window of each node to its horizon

Where we differ, and why
------------------------
- *Convolution axis.* The authors' program slides its scale kernels over the node index, so neighbours in the numbering
  mix, and renumbering the nodes changes the model. Ours run over time, and repeat the ends of the window.
- *Norms.* Theirs span scales, which mixes fine scales into coarse ones against the causal order; ours normalise one scale.
- *One base, many scales.* Their scale bias is one number per channel on top of a bias that is already there, and all
  weights mix the scales. Here scales share one Mamba and differ in a step-size offset, ``-log k_q`` at the start, and
  in their convolution; only attention mixes them. No tanh bounds the selection. A norm stands in front.
- *Router.* A renormalised single expert has weight 1, so that its gate gets no gradient. The probability itself is the
  weight here, noise stops at evaluation, a balance term exists, and a node is routed once, not once per window.
- *Learned graph.* Its scores lack the paper's ReLU: nodes whose embeddings point apart get no gradient from it, and are
  never joined.
- *Start.* Embeddings start from a graph or from correlations (`start_embedding`), and the routing from nodes that behave alike
  (`start_routing`): an expert learns from the nodes that it has, so that a chance routing stays.
- *Contrastive loss.* Theirs counts other scales as positives, so that it merges the scales instead of separating them; see
  `stmest.layers.experts.contrastive_loss`. It is computed on demand only.
- *Initialisation* stays with each layer; re-initialising everything afterwards erases Mamba's step sizes and decays.
- *Added*: calendar channels, a given graph, instance normalisation, a head (unless ``head_width=0``) that also sees the window,
  calendar and node, what is known of the target steps (`ahead`: linear forecast, seasonal mean, earlier days and weeks;
  holidays), what a Mamba block makes of the time steps before the window (`stmest.layers.older`), and the means of all this over
  the nodes around, one and two steps along and against the given edges and by the learned graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..exceptions import ParameterError
from ..layers.experts import Router, Routing
from ..layers.graph_conv import AGCCN, GraphSupports, Supports
from ..layers.head import ForecastHead, LinearHead
from ..layers.multiscale import MultiscaleLift, MultiscaleMamba
from ..layers.norms import InstanceNorm
from ..layers.older import OLDER_WIDTH, OlderPatches
from ..layers.stm3_layer import LayerState, STM3Layer, auxiliary_losses, pool_steps
from ..ops.backends import without_autocast
from .base import ForecastNetwork, check_adjacency

__all__ = ["STM3Network"]


class STM3Network(ForecastNetwork):
    """Forecaster of all nodes; see the module's head for the architecture.

    Parameters
    ----------
    adjacency : Tensor of shape (n, n) or None
        Given graph: [i, j] is the weight of edge i -> j.
    graph : {"both", "given", "learned"}
        Which graphs the convolution uses; without `adjacency`, "both" is "learned".
    scales : sequence of int
        Odd widths of the convolutions over time, from the finest to the coarsest.
    d_model : int
        Channels per scale.
    n_layers, node_embedding_dim : int
        Layers; width of the node embeddings.
    n_experts, top_k : int
        Routed experts, 0 being STM2, a single multiscale Mamba for all nodes; experts of each node.
    shared_expert : bool
        Whether one more expert sees all nodes.
    cheb_order : int
        Chebyshev terms of the learned graph, the identity included.
    d_state, d_conv, expand : int
        As in `stmest.layers.mamba.MambaBlock`.
    dropout : float
        On the branches of each layer.
    instance_norm : bool
        Remove mean and standard deviation of each window and restore them in the forecast.
    routing : {"node", "input"}
        Route each node by its embedding, or each window of each node by its features.
    causal_scales : bool
        Whether scales attend to themselves and coarser ones only.
    contrastive, contrastive_temperature : bool, float
        Whether to compute the contrastive term, and its temperature.
    target_channels : sequence of int
        Input channels that are forecast, for `instance_norm`.
    observed_channels : sequence of int or None
        For each of them the input channel with its observation mask; None: no missing values.
    head_width : int
        Hidden units of the head; 0: a linear map from the encoded window alone.
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
        scales: Sequence[int],
        d_model: int,
        n_layers: int,
        n_experts: int,
        top_k: int,
        shared_expert: bool,
        node_embedding_dim: int,
        cheb_order: int,
        d_state: int,
        d_conv: int,
        expand: int,
        dropout: float,
        instance_norm: bool,
        routing: str,
        causal_scales: bool,
        contrastive: bool,
        contrastive_temperature: float,
        target_channels: Sequence[int],
        observed_channels: Sequence[int] | None,
        head_width: int,
        older: tuple[int, int] | None,
        scan_backend: str,
        **sizes: int,
    ) -> None:
        super().__init__(**sizes)
        check_adjacency(adjacency, self.n_nodes)
        if graph == "given" and adjacency is None:
            raise ParameterError("graph='given' needs a graph: give adj to fit or to the constructor.")
        self.n_experts = n_experts
        self.contrastive = contrastive and n_experts > 0
        self.contrastive_temperature = contrastive_temperature
        k, c = len(scales), node_embedding_dim
        self.instance_norm = InstanceNorm(target_channels, observed_channels) if instance_norm else None
        self.embedding = nn.Parameter(torch.randn(self.n_nodes, c) * c**-0.5)  # rows of expected length one
        self.supports = GraphSupports(cheb_order, None if graph == "learned" else adjacency, graph != "given")
        self.lift = MultiscaleLift(self.n_inputs, self.n_time_features, d_model, scales)
        n_blocks = n_experts + shared_expert if n_experts else 1
        self.layers = nn.ModuleList(
            STM3Layer(
                AGCCN(self.supports.n_supports, k, d_model, c, causal_scales),
                MultiscaleMamba(n_blocks, d_model, scales, d_state, d_conv, expand, scan_backend),
                c, n_experts, top_k, shared_expert, routing, dropout,
            )
            for _ in range(n_layers)
        )  # fmt: skip
        n_encoded = k * d_model * self.input_length
        self.head: ForecastHead | LinearHead
        self.older: OlderPatches | None = None
        if head_width == 0:
            self.head = LinearHead(n_encoded, self.horizon, self.n_outputs)
            return
        self.head = ForecastHead(
            n_encoded, self.input_length * self.n_inputs, self.horizon, self.n_outputs,
            c, self.n_origin_features, head_width, n_ahead=self.n_ahead, n_around=self.supports.n_around,
            n_older=OLDER_WIDTH if older else 0,
        )  # fmt: skip
        if older is not None:
            self.older = OlderPatches(
                *older, self.n_time_features, c, OLDER_WIDTH, d_state, d_conv, expand, scan_backend
            )

    uses_ahead = True

    def start_at_zero(self) -> None:
        """Begin with a forecast of 0 everywhere; with `instance_norm`, the level of a window is not restored."""
        self.head.start_at_zero()
        if self.instance_norm is not None:
            self.instance_norm.returns_level = False

    @torch.no_grad()
    def start_embedding(self, node_features: Tensor) -> None:
        """Initialise the node embeddings of an untrained network from features of the nodes.

        Parameters
        ----------
        node_features : Tensor of shape (n, any)
            For instance Laplacian eigenvectors. They replace as many random columns as fit, in their scale; constant
            columns are skipped.
        """
        c = self.embedding.shape[1]
        known = node_features[:, :c].to(self.embedding)
        known = known - known.mean(0)
        spread = known.square().mean(0).sqrt()
        columns = (spread > 1e-6).nonzero().flatten()
        self.embedding[:, columns] = known[:, columns] / spread[columns] * c**-0.5

    @torch.no_grad()
    def start_routing(self, groups: Tensor) -> None:
        """Let an untrained network route the nodes of a group to the same expert, by the least change of their embeddings.

        Parameters
        ----------
        groups : Tensor of shape (n,), int64
            Group of each node, from 0; fewer than there are experts, or as many.
        """
        routers = torch.cat(
            [cast(Router, layer.router).weight for layer in self.layers], 1
        )  # (c, layers * e)
        chosen = F.one_hot(groups.to(routers.device), self.n_experts) - 1.0 / self.n_experts
        wanted = chosen.repeat(1, len(self.layers)).to(routers)
        self.embedding.add_((wanted - self.embedding @ routers) @ torch.linalg.pinv(routers))

    def forward(
        self,
        x: Tensor,
        time: Tensor | None = None,
        ahead: Tensor | None = None,
        older: Tensor | None = None,
        older_time: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Forecast; see `ForecastNetwork.forward`.

        The auxiliary losses are those of the experts: "balance", and "contrastive" with `contrastive`, each the mean over the
        layers.
        """
        # the network is too narrow to gain by half precision, and its kernels compute in single
        with without_autocast(x.device.type):
            known = None
            if self.older is not None and older is not None:
                known = self.older(older, older_time, self.embedding)
            return self._forward(x, time if self.n_time_features else None, ahead, known)

    def _forward(
        self, x: Tensor, calendar: Tensor | None, ahead: Tensor | None, older: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        t = self.input_length
        statistics = None
        if self.instance_norm is not None:
            x, statistics = self.instance_norm(x)
        supports = self.supports(self.embedding)
        states = self._encode(x, calendar, supports, keep_routed=self.training and self.contrastive)
        encoded = states[-1].z.unflatten(-1, (-1, t)).permute(0, 3, 1, 2, 4).flatten(2)  # (n, b, k * d * t)
        origin = None if calendar is None else self.origin(calendar)
        around = partial(self.supports.around, supports)
        forecast = self.head(encoded, x, self.embedding, origin, ahead, around, older)
        if self.instance_norm is not None and statistics is not None:
            forecast = self.instance_norm.inverse(forecast, statistics)
        return forecast, auxiliary_losses(states, self.contrastive_temperature) if self.training else {}

    def _encode(
        self, x: Tensor, calendar: Tensor | None, supports: Supports, keep_routed: bool = False
    ) -> list[LayerState]:
        z = self.lift(x, None if calendar is None else calendar[:, : self.input_length])
        states: list[LayerState] = []
        for layer in self.layers:
            states.append(layer(z, self.embedding, supports, self.input_length, keep_routed))
            z = states[-1].z
        return states

    @torch.no_grad()
    def learned_graph(self) -> Tensor:
        """Return (n, n), rows summing to one: row i holds the weight of each node for node i.

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
        chosen = cast(STM3Layer, self.layers[layer])
        if chosen.router is None:
            raise ParameterError("the network has no experts (n_experts=0), so there is no routing.")
        if not chosen.by_input:
            return torch.softmax(self.embedding @ chosen.router.weight, dim=-1)
        if x is None:
            raise ParameterError(
                'routing="input" depends on the windows: give x, and time if there is a calendar.'
            )
        routing = cast(Routing, self._evaluated(x, time)[layer].routing)
        return routing.probabilities.view(self.n_nodes, -1, self.n_experts).mean(1)

    @torch.no_grad()
    def representations(self, x: Tensor, time: Tensor | None = None) -> dict[str, Tensor]:
        """Representations of windows by the scales and experts of the last layer, for plots of their separation.

        Returns
        -------
        dict
            "scales": features of each scale before the experts, mean over time, (b, n, k, d);
            "experts": output of the chosen experts (without the shared one), mean over time, (b, n, k, d).
        """
        state = self._evaluated(x, time)[-1]
        scales = pool_steps(state.mixed.unsqueeze(1), self.input_length).squeeze(1)  # (n * b, k, d)
        routed = cast(Tensor, state.routed)  # kept, as `_evaluated` asks for it
        if state.routing is None:
            experts = routed.squeeze(1)
        else:
            weights = state.routing.weights / state.routing.weights.sum(-1, keepdim=True)
            weights = weights.repeat_interleave(len(routed) // len(weights), dim=0)
            experts = (routed * weights[..., None, None]).sum(1)
        shape = (self.n_nodes, -1, *scales.shape[1:])
        found = {"scales": scales, "experts": experts}
        return {name: value.reshape(shape).transpose(0, 1) for name, value in found.items()}

    def _evaluated(self, x: Tensor, time: Tensor | None) -> list[LayerState]:
        """Layer states in evaluation mode, whatever mode the network is in."""
        was_training = self.training
        self.eval()
        try:
            if self.instance_norm is not None:
                x, _ = self.instance_norm(x)
            calendar = time if self.n_time_features else None
            return self._encode(x, calendar, self.supports(self.embedding), keep_routed=True)
        finally:
            self.train(was_training)
