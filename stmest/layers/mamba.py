"""The Mamba block, its bidirectional pair, and the initialisation that other selective state-space blocks reuse.

Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces" (arXiv 2312.00752), section 3, figure 3.
Builds on ``ops``.

==============  =========================================
paper           here
==============  =========================================
B, L, D, N      b, t, d, s (rows, steps, channels, states)
E               ``expand``
Delta           ``step``; its raw form is ``delta``
A, B, C, D      ``A = -exp(A_log)``, ``B``, ``C``, ``D``
==============  =========================================
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..ops import causal_conv1d, selective_scan

__all__ = [
    "BidirectionalMamba",
    "MambaBlock",
    "MambaCache",
    "init_a_log",
    "init_dt_bias",
    "init_dt_weight",
    "no_decay",
]


class _UndecayedParameter(nn.Parameter):
    """A parameter that weight decay leaves alone; the mark is its class, so that copies of a network keep it."""

    _no_weight_decay = True

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return type(self), (self.data, self.requires_grad)


def no_decay(parameter: nn.Parameter) -> nn.Parameter:
    """Mark a parameter that weight decay must leave alone, as the optimiser's parameter groups read it."""
    return _UndecayedParameter(parameter.data, parameter.requires_grad)


def init_a_log(d_inner: int, d_state: int) -> nn.Parameter:
    """Return the initial log decay rates, log(1..s) in every channel.

    Returns
    -------
    nn.Parameter of shape (d_inner, d_state), without weight decay
    """
    rates = torch.arange(1, d_state + 1, dtype=torch.float32)
    return no_decay(nn.Parameter(torch.log(rates).repeat(d_inner, 1)))


def init_dt_bias(
    d_inner: int, dt_min: float = 1e-3, dt_max: float = 1e-1, dt_floor: float = 1e-4
) -> nn.Parameter:
    """Return a bias such that the initial step sizes are log-uniform between `dt_min` and `dt_max`.

    Returns
    -------
    nn.Parameter of shape (d_inner,), without weight decay
    """
    low, high = math.log(dt_min), math.log(dt_max)
    step = torch.exp(low + torch.rand(d_inner) * (high - low)).clamp(min=dt_floor)
    return no_decay(nn.Parameter(step + torch.log(-torch.expm1(-step))))  # the inverse of softplus


def init_dt_weight(d_inner: int, dt_rank: int) -> Tensor:
    """Return initial weights of the step-size projection, uniform with the variance of its rank kept.

    Returns
    -------
    Tensor of shape (d_inner, dt_rank)
    """
    bound = dt_rank**-0.5
    return torch.empty(d_inner, dt_rank).uniform_(-bound, bound)


class MambaCache(NamedTuple):
    """What a Mamba block has to remember between steps.

    Attributes
    ----------
    window : Tensor of shape (b, d_conv - 1, d_inner)
        The last inputs of the convolution.
    state : Tensor of shape (b, d_inner, d_state)
        State of the scan.
    """

    window: Tensor
    state: Tensor


class MambaBlock(nn.Module):
    """One Mamba block: projection, short causal convolution, selective scan, gate, projection.

    Parameter names and shapes are those of ``mamba_ssm.Mamba``, so a ``state_dict`` loads in either direction.

    Parameters
    ----------
    d_model : int
        Width of input and output.
    d_state : int
        States per channel.
    d_conv : int
        Width of the causal convolution.
    expand : int
        Inner channels per model channel.
    dt_rank : int or "auto"
        Rank of the step-size projection; "auto" is a sixteenth of `d_model`, rounded up.
    scan_backend : str
        Backend of the scan, see `stmest.ops.selective_scan`.

    Shapes
    ------
    input (b, t, d_model) -> output (b, t, d_model)
    """

    def __init__(
        self,
        d_model: int,
        d_state: int = 16,
        d_conv: int = 4,
        expand: int = 2,
        dt_rank: int | str = "auto",
        scan_backend: str = "auto",
    ) -> None:
        super().__init__()
        self.d_model, self.d_state, self.d_conv = d_model, d_state, d_conv
        self.d_inner = expand * d_model
        self.dt_rank = math.ceil(d_model / 16) if isinstance(dt_rank, str) else dt_rank
        self.scan_backend = scan_backend
        self.in_proj = nn.Linear(d_model, 2 * self.d_inner, bias=False)
        # nn.Conv1d only holds the parameters under mamba_ssm's names; ops.causal_conv1d computes
        self.conv1d = nn.Conv1d(self.d_inner, self.d_inner, d_conv, groups=self.d_inner, padding=d_conv - 1)
        self.x_proj = nn.Linear(self.d_inner, self.dt_rank + 2 * d_state, bias=False)
        self.dt_proj = nn.Linear(self.dt_rank, self.d_inner)
        with torch.no_grad():
            self.dt_proj.weight.copy_(init_dt_weight(self.d_inner, self.dt_rank))
        self.dt_proj.bias = init_dt_bias(self.d_inner)
        self.A_log = init_a_log(self.d_inner, d_state)
        self.D = no_decay(nn.Parameter(torch.ones(self.d_inner)))
        self.out_proj = nn.Linear(self.d_inner, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, t, d_model) to (b, t, d_model)."""
        h, z = self.in_proj(x).chunk(2, dim=-1)  # (b, t, d_inner) each, views of one tensor
        h = causal_conv1d(h, self.conv1d.weight.squeeze(1), self.conv1d.bias, backend=self._conv_backend)
        delta, B, C = self._selection(h)
        y = selective_scan(
            h, delta, self._rates(), B, C, self.D, z, self.dt_proj.bias.float(), backend=self.scan_backend
        )
        return self.out_proj(y)

    def empty_cache(self, batch_size: int) -> MambaCache:
        """Return the cache of a sequence that has not begun.

        Returns
        -------
        MambaCache
            Zeros, on the device and in the dtype of the parameters.
        """
        window = self.in_proj.weight.new_zeros(batch_size, self.d_conv - 1, self.d_inner)
        state = self.A_log.new_zeros(batch_size, self.d_inner, self.d_state)
        return MambaCache(window, state)

    def prefill(self, x: Tensor, cache: MambaCache | None = None) -> tuple[Tensor, MambaCache]:
        """Run a stretch of a sequence in parallel and return what stepping on from its end needs.

        Parameters
        ----------
        x : Tensor of shape (b, t, d_model)
        cache : MambaCache, optional
            From an earlier stretch; missing at the start of a sequence.

        Returns
        -------
        y : Tensor of shape (b, t, d_model)
        cache : MambaCache
        """
        cache = self.empty_cache(len(x)) if cache is None else cache
        h, z = self.in_proj(x).chunk(2, dim=-1)
        past = self.d_conv - 1
        h = torch.cat([cache.window.to(h.dtype), h], dim=1)  # (b, d_conv - 1 + t, d_inner)
        window = h[:, h.shape[1] - past :]
        h = causal_conv1d(h, self.conv1d.weight.squeeze(1), self.conv1d.bias, backend=self._conv_backend)[
            :, past:
        ]
        delta, B, C = self._selection(h)
        y, state = selective_scan(
            h,
            delta,
            self._rates(),
            B,
            C,
            self.D,
            z,
            self.dt_proj.bias.float(),
            initial_state=cache.state,
            return_final_state=True,
            backend=self.scan_backend,
        )
        return self.out_proj(y), MambaCache(window, state)

    def step(self, x: Tensor, cache: MambaCache) -> tuple[Tensor, MambaCache]:
        """Advance by one step, at a cost that does not grow with the length of the past.

        Parameters
        ----------
        x : Tensor of shape (b, d_model)
        cache : MambaCache
            From `empty_cache`, `prefill` or the previous step.

        Returns
        -------
        y : Tensor of shape (b, d_model)
        cache : MambaCache
            The caches given are left as they were.
        """
        h, z = self.in_proj(x).chunk(2, dim=-1)  # (b, d_inner)
        taps = torch.cat([cache.window.to(h.dtype), h.unsqueeze(1)], dim=1)  # (b, d_conv, d_inner)
        h = (taps * self.conv1d.weight.squeeze(1).t()).sum(1)
        h = F.silu(h if self.conv1d.bias is None else h + self.conv1d.bias)
        delta, B, C = self._selection(h)
        step = F.softplus(delta.float() + self.dt_proj.bias)  # (b, d_inner)
        decay = torch.exp(step.unsqueeze(-1) * self._rates())
        state = decay * cache.state + (step * h).unsqueeze(-1) * B.unsqueeze(1)  # (b, d_inner, d_state)
        y = (state * C.unsqueeze(1)).sum(-1) + self.D * h
        return self.out_proj((y * F.silu(z)).to(x.dtype)), MambaCache(taps[:, 1:], state)

    def _selection(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return raw step size (..., d_inner), B and C (..., d_state): the recurrence's dependence on its input."""
        low_rank, B, C = self.x_proj(h).split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        return F.linear(low_rank, self.dt_proj.weight), B, C

    def _rates(self) -> Tensor:
        return -torch.exp(self.A_log.float())

    @property
    def _conv_backend(self) -> str:
        return "torch" if self.scan_backend in ("reference", "chunked") else "auto"

    def extra_repr(self) -> str:
        """Name the sizes in the repr."""
        sizes = f"d_model={self.d_model}, d_state={self.d_state}, d_conv={self.d_conv}"
        return f"{sizes}, scan_backend={self.scan_backend!r}"


class BidirectionalMamba(nn.Module):
    """Two independent Mamba blocks, one for the reversed sequence; their outputs are summed.

    Parameters are those of `MambaBlock`.

    Shapes
    ------
    input (b, t, d_model) -> output (b, t, d_model)
    """

    def __init__(
        self,
        d_model: int,
        d_state: int = 16,
        d_conv: int = 4,
        expand: int = 2,
        dt_rank: int | str = "auto",
        scan_backend: str = "auto",
    ) -> None:
        super().__init__()
        self.forwards = MambaBlock(d_model, d_state, d_conv, expand, dt_rank, scan_backend)
        self.backwards = MambaBlock(d_model, d_state, d_conv, expand, dt_rank, scan_backend)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, t, d_model) to (b, t, d_model)."""
        return self.forwards(x) + self.backwards(x.flip(1)).flip(1)
