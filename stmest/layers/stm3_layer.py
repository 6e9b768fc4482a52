"""One layer of STM3: over nodes and scales, then over time.

Builds on ``layers.graph_conv`` and ``layers.experts``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..exceptions import ParameterError
from .dropout import Dropout
from .experts import ExpertMixture, Router, Routing, balance_loss, contrastive_loss
from .graph_conv import AGCCN, Supports
from .multiscale import MultiscaleMamba
from .norms import ScaleNorm

__all__ = ["LayerState", "STM3Layer", "auxiliary_losses", "pool_steps"]


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
    z (n, k, d, b * t), E (n, c), `Supports` -> `LayerState`
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
        self.dropout = Dropout(dropout)

    def forward(
        self, z: Tensor, embedding: Tensor, supports: Supports, n_steps: int, keep_routed: bool = False
    ) -> LayerState:
        """Map z (n, k, d, b * t) to its next state."""
        mixed = z + self.dropout(self.agccn(z, embedding, supports))
        update, routed, routing = self._mix(self.norm(mixed), embedding, n_steps, keep_routed)
        return LayerState(mixed + self.dropout(update), mixed, routed, routing)

    def route(self, x: Tensor, embedding: Tensor, n_steps: int) -> tuple[Tensor, Tensor, Routing]:
        """Return rows (r, k, d, m), their descriptions (r, ...) and their routing, for normed x (n, k, d, b * t)."""
        if self.router is None:
            raise ParameterError(
                "the network has no experts, so nothing is routed; n_experts must be positive."
            )
        if self.by_input:
            n, k, d, _ = x.shape
            x = x.view(n, k, d, -1, n_steps).permute(0, 3, 1, 2, 4).reshape(-1, k, d, n_steps)
            embedding = x.mean(-1).flatten(1)
        return x, embedding, self.router(embedding)

    def _mix(
        self, x: Tensor, embedding: Tensor, n_steps: int, keep_routed: bool
    ) -> tuple[Tensor, Tensor | None, Routing | None]:
        n, k, d, _ = x.shape
        if isinstance(self.experts, MultiscaleMamba):
            out = self.experts(x, [n], n_steps)
            return out, pool_steps(out.unsqueeze(1), n_steps) if keep_routed else None, None
        rows, description, routing = self.route(x, embedding, n_steps)
        output, routed = self.experts(rows, n_steps, routing, description, keep_routed)
        if self.by_input:
            output = output.view(n, -1, k, d, n_steps).permute(0, 2, 3, 1, 4).reshape(x.shape)
        return output, None if routed is None else pool_steps(routed, n_steps), routing


def pool_steps(out: Tensor, n_steps: int) -> Tensor:
    """Return the mean over the steps of each window: (r, top_k, k, d, g * t) -> (r * g, top_k, k, d)."""
    pooled = out.unflatten(-1, (-1, n_steps)).mean(-1)
    return pooled.permute(0, 4, 1, 2, 3).flatten(0, 1)


def auxiliary_losses(states: Sequence[LayerState], temperature: float) -> dict[str, Tensor]:
    """Losses of the experts, each the mean over the layers.

    Parameters
    ----------
    states : sequence of LayerState
        Of all layers.
    temperature : float
        Of the contrastive loss.

    Returns
    -------
    dict of str to Tensor of shape ()
        "balance", and "contrastive" where outputs of the experts were kept; empty without experts.
    """
    losses: dict[str, list[Tensor]] = {}
    for state in states:
        routing, routed = state.routing, state.routed
        if routing is None:
            continue
        losses.setdefault("balance", []).append(balance_loss(routing))
        if (
            routed is not None
        ):  # rows of the routing are nodes, or node-window pairs; those of the outputs always pairs
            experts = routing.experts.repeat_interleave(len(routed) // len(routing.experts), dim=0)
            term = contrastive_loss(routed.flatten(0, 1), experts.flatten(), temperature)
            losses.setdefault("contrastive", []).append(term)
    return {name: torch.stack(terms).mean() for name, terms in losses.items()}
