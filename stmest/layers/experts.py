"""Mixture of multiscale Mamba experts: router, mixture, and the two auxiliary losses that go with them.

Chen et al., "STM3" (arXiv 2508.12247), section 4.5; the router's weighting and its balance term follow Fedus et al.,
"Switch Transformers" (JMLR 2022), equations 2 and 4 to 6. Builds on ``layers.multiscale``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..runtime import random_generator
from .multiscale import MultiscaleMamba

__all__ = ["ExpertMixture", "Mixed", "Router", "Routing", "balance_loss", "contrastive_loss"]


class Routing(NamedTuple):
    """Which experts each row goes to.

    Attributes
    ----------
    probabilities : Tensor of shape (r, e)
        Of all experts.
    experts : Tensor of shape (r, top_k), int64
        The chosen ones, best first.
    weights : Tensor of shape (r, top_k)
        Factors on their outputs.
    """

    probabilities: Tensor
    experts: Tensor
    weights: Tensor


class Router(nn.Module):
    """Choose experts by a linear map of what describes a row: a node's embedding, or a window's features.

    A single expert is weighted by its probability as it is, so that the choice gets a gradient; several by
    their probabilities renormalised. While training, a little noise breaks ties.

    Parameters
    ----------
    n_features : int
        Width of the description.
    n_experts, top_k : int
        Experts, and how many of them each row goes to.
    noise : float
        Width of the uniform noise on the scores while training.

    Shapes
    ------
    (r, n_features) -> `Routing`
    """

    def __init__(self, n_features: int, n_experts: int, top_k: int = 1, noise: float = 0.01) -> None:
        super().__init__()
        self.top_k, self.noise = top_k, noise
        self.weight = nn.Parameter(torch.empty(n_features, n_experts))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, description: Tensor) -> Routing:
        """Route the rows described by (r, n_features)."""
        scores = description @ self.weight
        if self.training and self.noise > 0:
            drawn = torch.rand(
                scores.shape,
                generator=random_generator(scores.device),
                dtype=scores.dtype,
                device=scores.device,
            )
            scores = scores + self.noise * drawn
        probabilities = torch.softmax(scores, dim=-1)
        weights, experts = probabilities.topk(self.top_k, dim=-1)
        if self.top_k > 1:
            weights = weights / weights.sum(-1, keepdim=True)
        return Routing(probabilities, experts, weights)

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"n_experts={self.weight.shape[1]}, top_k={self.top_k}"


def one_hot(experts: Tensor, probabilities: Tensor) -> Tensor:
    """Rows (r, e) of the identity, one for each of the experts chosen (r,); e and the dtype are those of `probabilities`."""
    every = torch.arange(probabilities.shape[1], device=experts.device)
    return (experts.unsqueeze(-1) == every).to(probabilities.dtype)


def balance_loss(routing: Routing) -> Tensor:
    """Penalty on uneven use of the experts: ``e * sum_e share_e * mean probability_e``; 1 when they are used evenly.

    Returns
    -------
    Tensor of shape ()
    """
    n_experts = routing.probabilities.shape[1]
    # compared, not counted: torch.bincount waits for a CUDA device
    share = one_hot(routing.experts.flatten(), routing.probabilities).mean(0)
    return n_experts * (share * routing.probabilities.mean(0)).sum()


class Mixed(NamedTuple):
    """What a mixture returns.

    Attributes
    ----------
    output : Tensor of shape (r, k, d, m)
        Weighted sum over the chosen experts and the shared one.
    routed : Tensor of shape (r, top_k, k, d, m), or None
        Outputs of the chosen experts before weighting; only on demand.
    """

    output: Tensor
    routed: Tensor | None


class ExpertMixture(nn.Module):
    """Send each row to its experts, and all rows to the shared expert, if there is one.

    ``out_i = sum_{e chosen for i} p_{i,e} expert_e(x_i) + sigmoid(E_i . w_s) shared(x_i)``. All experts, the shared one
    last, live in one bank. Rows are sorted by expert once, so that every expert reads one contiguous block.

    Parameters
    ----------
    experts : MultiscaleMamba
        Bank of ``n_experts`` blocks, plus one with `shared`.
    n_experts : int
        Routed experts.
    gate_features : int
        Width of what the gate of the shared expert sees.
    shared : bool
        Whether the last block of the bank is a shared expert.

    Shapes
    ------
    x (r, k, d, m), routing of r rows, gate description (r, gate_features) -> `Mixed`
    """

    def __init__(
        self, experts: MultiscaleMamba, n_experts: int, gate_features: int, shared: bool = True
    ) -> None:
        super().__init__()
        self.experts, self.n_experts = experts, n_experts
        self.gate = nn.Parameter(torch.zeros(gate_features)) if shared else None

    def forward(
        self, x: Tensor, n_steps: int, routing: Routing, description: Tensor, keep_routed: bool = False
    ) -> Mixed:
        """Mix the experts' outputs for x (r, k, d, m)."""
        if self.experts.takes_any_order(x):
            return self._mix_unsorted(x, n_steps, routing, description, keep_routed)
        r, top_k = routing.experts.shape
        chosen = routing.experts.flatten()
        order = torch.argsort(chosen, stable=True)  # entries (row, slot), sorted by expert
        rows = torch.div(order, top_k, rounding_mode="floor")
        n_rows = torch.bincount(chosen, minlength=self.n_experts).tolist()
        if self.gate is not None:  # the shared expert's rows follow those of all others, in their own order
            rows = torch.cat([rows, torch.arange(r, device=rows.device)])
            n_rows.append(r)
        out = self.experts(x.index_select(0, rows), n_rows, n_steps)
        places = torch.argsort(order).view(r, top_k)  # where in `out` the outputs of each row's experts are
        if self.gate is not None:
            places = torch.cat([places, torch.arange(r * top_k, len(out), device=places.device)[:, None]], 1)
        parts = out.index_select(0, places.flatten()).view(r, places.shape[1], -1)
        output = torch.bmm(self._weights(routing, description).unsqueeze(1), parts).view_as(x)
        return Mixed(output, out[places[:, :top_k]] if keep_routed else None)

    def _mix_unsorted(
        self, x: Tensor, n_steps: int, routing: Routing, description: Tensor, keep_routed: bool
    ) -> Mixed:
        """The same without sorting, whose counts of rows the CPU would have to wait for."""
        r, top_k = routing.experts.shape
        chosen = one_hot(routing.experts, self.experts.in_proj[:, 0, :1].t())  # (r, top_k, e)
        if self.gate is not None:
            shared = one_hot(routing.experts.new_full((r, 1), self.n_experts), chosen[0])
            chosen = torch.cat([chosen, shared], 1)
        rows = x.unsqueeze(1).expand(-1, chosen.shape[1], *x.shape[1:]).flatten(0, 1)
        out = self.experts.run_unsorted(rows, chosen.flatten(0, 1), n_steps).unflatten(0, (r, -1))
        weights = self._weights(routing, description).unsqueeze(1)
        output = torch.bmm(weights, out.flatten(2)).view_as(x)
        return Mixed(output, out[:, :top_k] if keep_routed else None)

    def _weights(self, routing: Routing, description: Tensor) -> Tensor:
        """Factors on the outputs of each row's experts, (r, top_k), and of the shared one behind them."""
        if self.gate is None:
            return routing.weights
        return torch.cat([routing.weights, torch.sigmoid(description @ self.gate)[:, None]], 1)

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"n_experts={self.n_experts}, shared={self.gate is not None}"


def contrastive_loss(
    features: Tensor, expert: Tensor, temperature: float = 0.1, gamma: float = 0.1, max_rows: int = 128
) -> Tensor:
    """Pull outputs of one expert and scale together, push scales and experts apart, coarse scales leading.

    InfoNCE with several positives. Anchor: row i at scale q. Positives: other rows of the same expert, same scale.
    Negatives: rows of the same expert at other scales, with logits multiplied by ``(|p - q| + 1) ** gamma``, and
    rows of other experts at the same scale. In a pair of scales the coarser one is held fixed: the fine one moves away
    from it. Features are normalised to length one; anchors without a positive are left out.

    Parameters
    ----------
    features : Tensor of shape (r, k, d)
        Outputs of the experts, pooled over time; scales from fine to coarse.
    expert : Tensor of shape (r,), int64
        The expert that made each row.
    temperature : float
        Divides the cosines.
    gamma : float
        How much more distant scales are pushed apart.
    max_rows : int
        Cost grows with the square of the rows; at most so many, chosen at random, are used.

    Returns
    -------
    Tensor of shape ()
        Mean over the anchors; 0 if none has a positive.
    """
    if len(features) > max_rows:
        source = random_generator(features.device)
        chosen = torch.randperm(len(features), generator=source, device=features.device)[:max_rows]
        features, expert = features[chosen], expert[chosen]
    r, k, _ = features.shape
    f = F.normalize(features, dim=-1)
    same = expert[:, None] == expert  # (i, j)
    positive = same & ~torch.eye(r, dtype=torch.bool, device=same.device)
    within = torch.einsum("iqd,jqd->qij", f, f) / temperature  # same scale
    scale = torch.arange(k, device=f.device)
    distance = (scale[:, None] - scale).abs()
    fine_moves = torch.einsum("iqd,jpd->qpij", f, f.detach())  # anchor q finer than key p
    key_moves = torch.einsum("iqd,jpd->qpij", f.detach(), f)
    finer = (scale[:, None] < scale)[..., None, None]
    across = torch.where(finer, fine_moves, key_moves) / temperature
    across = across * (distance + 1.0).pow(gamma)[..., None, None]
    barred = -math.inf
    across = across.masked_fill((distance == 0)[..., None, None] | ~same, barred)  # (q, p, i, j)
    others = within.masked_fill(same, barred)
    negatives = torch.cat([across.transpose(1, 2).reshape(k, r, k * r), others], dim=-1).logsumexp(
        -1
    )  # (q, i)
    # each positive against the negatives alone: positives do not push one another away
    terms = F.softplus(negatives.unsqueeze(-1) - within)  # -log e^s / (e^s + sum of negatives)
    n_positive = positive.sum(-1)
    per_anchor = (terms * positive).sum(-1) / n_positive.clamp(min=1)  # (q, i)
    return per_anchor.sum() / (k * (n_positive > 0).sum()).clamp(min=1)
