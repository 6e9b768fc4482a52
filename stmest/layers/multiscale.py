"""Multiscale features: convolutions of several widths over time, and a bank of multiscale Mamba blocks.

Chen et al., "STM3: Mixture of Multiscale Mamba for Long-Term Spatio-Temporal Time-Series Prediction" (arXiv
2508.12247). Builds on ``ops`` and ``layers.mamba``.

All tensors are channel-major: (r, k, d, m) with r rows (nodes, or node-window pairs), k scales from fine to coarse, d
channels, and m = g * t positions, g windows of t steps one after the other. The short axes k and d are then sums of
long contiguous planes, and every linear map is a product with matrices that stay in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..ops import causal_conv1d, choose_backend, selective_scan
from ..ops.multiscale import MAX_STEPS, BankWeights, convolve_rows, multiscale_mamba, scan_rows
from .mamba import init_a_log, init_dt_bias, init_dt_weight, no_decay

__all__ = ["MultiscaleLift", "MultiscaleMamba", "unfold_time"]


def unfold_time(x: Tensor, n_taps: int) -> Tensor:
    """Lay the neighbouring steps of each step side by side; the ends of the window repeat their value.

    Parameters
    ----------
    x : Tensor of shape (r, d, g, t)
    n_taps : int
        Odd width of the neighbourhood, centred.

    Returns
    -------
    Tensor of shape (r, n_taps * d, g * t)
        Taps outside, channels inside.
    """
    r, d, g, t = x.shape
    before, after = (end.expand(r, d, g, n_taps // 2) for end in (x[..., :1], x[..., -1:]))
    padded = torch.cat([before, x, after], -1)
    return torch.cat([padded[..., tap : tap + t] for tap in range(n_taps)], 1).view(r, n_taps * d, g * t)


def _convolve(x: Tensor, bias: Tensor, weights: Iterable[Tensor]) -> Tensor:
    """Convolve densely over time, with kernels of its own for each row and scale.

    x (r, k, d, g, t), bias (r, k, o), for each scale q a weight (r, k_q * d, o) -> (r, k, g * t, o), position-major.
    """
    d = x.shape[2]
    scales = zip(x.unbind(1), weights, strict=True)
    outputs = [torch.bmm(unfold_time(z, w.shape[1] // d).transpose(1, 2), w) for z, w in scales]
    return torch.stack(outputs, 1) + bias.unsqueeze(2)


class MultiscaleLift(nn.Module):
    """Lift the input channels to `d_model` and convolve them over time once per scale.

    ``z_q = conv_{k_q}(W [x, time])``: a linear map shared by all scales, then for each a dense convolution along time
    of its own width, centred, the ends repeated. Both are linear, so they are multiplied into one kernel per scale
    first. The calendar is the same for all nodes and is convolved once. arXiv 2508.12247, section 4.2; see
    `stmest.networks.stm3` for why the convolution runs along time.

    Parameters
    ----------
    n_inputs : int
        Input channels of each node.
    n_time_features : int
        Calendar channels.
    d_model : int
        Channels per scale.
    scales : sequence of int
        Odd kernel widths, ascending.

    Shapes
    ------
    x (b, t, n, f), time (b, t, c) or None -> (n, k, d, b * t)
    """

    def __init__(self, n_inputs: int, n_time_features: int, d_model: int, scales: Sequence[int]) -> None:
        super().__init__()
        self.n_inputs, self.scales = n_inputs, tuple(scales)
        self.lift = nn.Linear(n_inputs + n_time_features, d_model)
        self.kernels = nn.ParameterList(
            _uniform(width, d_model, d_model, fan_in=width * d_model) for width in self.scales
        )
        self.bias = nn.Parameter(torch.zeros(len(self.scales), d_model))

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        """Map x (b, t, n, f) and time (b, t, c) to (n, k, d, b * t)."""
        b, t, n, _ = x.shape
        widest, k = self.scales[-1], len(self.scales)
        kernel, bias = self._composed()
        f = self.n_inputs
        values = unfold_time(x.permute(2, 3, 0, 1), widest)  # (n, widest * f, b * t)
        out = torch.matmul(kernel[..., :f].flatten(1), values)  # (n, k * d, b * t)
        shared = bias.unsqueeze(-1)
        if time is not None:
            calendar = unfold_time(time.permute(2, 0, 1).unsqueeze(0), widest)[0]  # (widest * c, b * t)
            shared = shared + kernel[..., f:].flatten(1) @ calendar
        return (out + shared).view(n, k, -1, b * t)

    def _composed(self) -> tuple[Tensor, Tensor]:
        """Return the kernels of lift and convolution in one, (k * d, widest, f + c), and their bias (k * d)."""
        kernels, biases = [], []
        for width, kernel in zip(self.scales, self.kernels, strict=True):
            pad = (self.scales[-1] - width) // 2
            composed = torch.matmul(kernel.transpose(1, 2), self.lift.weight)  # (width, d, f + c)
            kernels.append(F.pad(composed, (0, 0, 0, 0, pad, pad)).transpose(0, 1))
            biases.append(self.lift.bias @ kernel.sum(0))
        return torch.cat(kernels), (torch.stack(biases) + self.bias).flatten()

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"scales={self.scales}"


class MultiscaleMamba(nn.Module):
    """A bank of Mamba blocks, each for all scales, with one shared base and a scale-specific step size.

    Inside a block, scale is a batch axis: projections, short convolution, decay rates and skip are shared by them all.
    Scale q has a dense convolution along time of width k_q behind the input projection, and an offset of the raw step
    size, ``step = softplus(W_dt r + b_dt + Omega_q)``, that starts at ``-log k_q``: coarse scales remember longer.
    Scales do not mix here. arXiv 2508.12247, section 4.4, in the form described in `stmest.networks.stm3`.

    The blocks of the bank have their parameters stacked along a leading axis e. Input and scale convolution are linear
    and adjoining, so their product is convolved with; it differs from row to row, hence no loop over blocks. The
    scan runs block by block over the rows that belong to it and over no others.

    Parameters
    ----------
    n_blocks : int
        Blocks in the bank.
    d_model : int
        Channels per scale.
    scales : sequence of int
        Odd kernel widths, ascending.
    d_state, d_conv, expand : int
        As in `stmest.layers.mamba.MambaBlock`.
    scan_backend : str
        As in `stmest.ops.selective_scan`.

    Shapes
    ------
    x (r, k, d, m) with rows sorted by block, n_rows: one count per block -> (r, k, d, m)
    """

    def __init__(
        self,
        n_blocks: int,
        d_model: int,
        scales: Sequence[int],
        d_state: int = 16,
        d_conv: int = 4,
        expand: int = 2,
        scan_backend: str = "auto",
    ) -> None:
        super().__init__()
        e, k, d_inner = n_blocks, len(scales), expand * d_model
        self.n_blocks, self.scales, self.scan_backend = e, tuple(scales), scan_backend
        self.d_inner, self.d_state = d_inner, d_state
        dt_rank = math.ceil(d_model / 16)
        self.in_proj = _uniform(e, d_model, 2 * d_inner, fan_in=d_model)
        self.scale_kernels = nn.ParameterList(
            _uniform(e, width, d_inner, d_inner, fan_in=width * d_inner) for width in self.scales
        )
        self.scale_bias = nn.Parameter(torch.zeros(e, k, d_inner))
        self.conv_weight = _uniform(e, d_inner, d_conv, fan_in=d_conv)
        self.conv_bias = nn.Parameter(torch.zeros(e, d_inner))
        self.x_proj = _uniform(e, d_inner, dt_rank + 2 * d_state, fan_in=d_inner)
        self.dt_proj = nn.Parameter(torch.stack([init_dt_weight(d_inner, dt_rank).t() for _ in range(e)]))
        self.dt_bias = no_decay(nn.Parameter(torch.stack([init_dt_bias(d_inner).detach() for _ in range(e)])))
        offset = -torch.log(torch.tensor(self.scales, dtype=torch.float32))
        self.omega = no_decay(nn.Parameter(offset[None, :, None].repeat(e, 1, d_inner)))
        self.A_log = no_decay(
            nn.Parameter(torch.stack([init_a_log(d_inner, d_state).detach() for _ in range(e)]))
        )
        self.D = no_decay(nn.Parameter(torch.ones(e, d_inner)))
        self.out_proj = _uniform(e, d_inner, d_model, fan_in=d_inner)

    def forward(self, x: Tensor, n_rows: Sequence[int], n_steps: int) -> Tensor:
        """Run each block over its rows.

        Parameters
        ----------
        x : Tensor of shape (r, k, d, m)
            Rows of block 0 first, then those of block 1, ...
        n_rows : sequence of int
            Rows of each block; they sum to r.
        n_steps : int
            t, the steps of one window; m is a multiple of it.

        Returns
        -------
        Tensor of shape (r, k, d, m)
        """
        r, k, d, m = x.shape
        x = x.reshape(r, k, d, m // n_steps, n_steps)
        if self.takes_any_order(x):
            choice = x.new_zeros(r, self.n_blocks)
            for block, rows in enumerate(choice.split(list(n_rows))):
                rows[:, block] = 1.0
            out = self._run_rows(x, choice)
        else:
            out = self._run_fused(x, n_rows) if self._can_fuse(x) else self._run_blocks(x, n_rows)
        return out.view(r, k, d, m)

    def takes_any_order(self, x: Tensor) -> bool:
        """Whether rows like x (r, k, d, ...) may go to their blocks unsorted, by `run_unsorted`."""
        if self.scan_backend == "auto":
            return choose_backend(x).name == "triton"
        return self.scan_backend == "triton"

    def run_unsorted(self, x: Tensor, choice: Tensor, n_steps: int) -> Tensor:
        """Run each row through its block.

        Parameters
        ----------
        x : Tensor of shape (r, k, d, m)
        choice : Tensor of shape (r, e)
            1 at the block of each row, else 0.
        n_steps : int
            As in `forward`.

        Returns
        -------
        Tensor of shape (r, k, d, m)
        """
        r, k, d, m = x.shape
        return self._run_rows(x.reshape(r, k, d, m // n_steps, n_steps), choice).view(r, k, d, m)

    def _can_fuse(self, x: Tensor) -> bool:
        usable = x.dtype == torch.float32 and x.shape[-1] <= MAX_STEPS
        return usable and self.scan_backend in ("auto", "numba") and choose_backend(x).name == "numba"

    def _run_fused(self, x: Tensor, n_rows: Sequence[int]) -> Tensor:
        """All of the bank as one operator, which keeps nothing but its input; (r, k, d, g, t) -> the same."""
        to_scan, to_gate = self.in_proj.chunk(2, dim=-1)
        kernels = torch.cat([torch.matmul(to_scan.unsqueeze(1), kernel) for kernel in self.scale_kernels], 1)
        low_rank, to_b, to_c = self._selection_weights()
        weights = BankWeights(
            kernels=kernels,
            to_gate=to_gate,
            bias=self.scale_bias,
            conv=self.conv_weight,
            conv_bias=self.conv_bias,
            to_delta=low_rank @ self.dt_proj,
            to_b=to_b,
            to_c=to_c,
            delta_bias=self.dt_bias.unsqueeze(1) + self.omega,
            rates=-torch.exp(self.A_log),
            skip=self.D,
            to_out=self.out_proj,
        )
        return multiscale_mamba(x, weights, n_rows, self.scales)

    def _run_blocks(self, x: Tensor, n_rows: Sequence[int]) -> Tensor:
        """The same in torch around the scan, block by block."""
        r, k, d, g, t = x.shape
        block = torch.repeat_interleave(torch.tensor(n_rows)).to(x.device)
        kernels, bias = self._composed()
        weights = (kernel.index_select(0, block) for kernel in kernels)
        mixed, gates = _convolve(x, bias.index_select(0, block), weights).chunk(
            2, -1
        )  # (r, k, g * t, d_inner)
        parts = zip(mixed.split(list(n_rows)), gates.split(list(n_rows)), strict=True)
        outputs = [self._scan(e, h, gate, t) for e, (h, gate) in enumerate(parts) if len(h) > 0]
        out = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
        weight = self.out_proj.index_select(0, block).transpose(1, 2)  # (r, d, d_inner)
        return torch.matmul(weight.unsqueeze(1), out.transpose(2, 3)).view(r, k, d, g, t)

    def _run_rows(self, x: Tensor, choice: Tensor) -> Tensor:
        """The same with all rows at once, each with the weights of its own block: few launches, and no waiting for counts."""

        def own(
            weight: Tensor,
        ) -> Tensor:  # a product: its gradient is a sum in a fixed order, unlike that of a selection
            return (choice @ weight.flatten(1)).view(-1, *weight.shape[1:])

        r, k, d, g, t = x.shape
        kernels, bias = self._composed()
        mixed, gates = _convolve(x, own(bias), (own(kernel) for kernel in kernels)).chunk(2, -1)
        h = convolve_rows(_sequences(mixed, t), own(self.conv_weight), own(self.conv_bias))
        low_rank, to_b, to_c = self._selection_weights()
        selection = own(torch.cat([low_rank @ self.dt_proj, to_b, to_c], -1))  # (r, i, i + 2 s)
        selected = torch.bmm(h.view(r, -1, self.d_inner), selection).view(r, k, g * t, -1)
        delta, B, C = selected.split([self.d_inner, self.d_state, self.d_state], dim=-1)
        delta = delta + own(self.omega).unsqueeze(2)
        y = scan_rows(
            h, _sequences(delta, t), own(-torch.exp(self.A_log)), _sequences(B, t), _sequences(C, t),
            own(self.D), _sequences(gates, t), own(self.dt_bias),
        )  # fmt: skip
        out = own(self.out_proj).transpose(1, 2).unsqueeze(1)  # (r, 1, d, i)
        return torch.matmul(out, y.reshape(r, k, g * t, -1).transpose(2, 3)).view(r, k, d, g, t)

    def _composed(self) -> tuple[list[Tensor], Tensor]:
        """Return input projection and scale convolution in one.

        Returns
        -------
        kernels : list of Tensor of shape (e, k_q * d, 2 * d_inner)
            Halves of the output: to the scan, to the gate (which sees the present step alone).
        bias : Tensor of shape (e, k, 2 * d_inner)
        """
        to_scan, to_gate = self.in_proj.chunk(2, dim=-1)  # (e, d, d_inner) each
        kernels = []
        for width, kernel in zip(self.scales, self.scale_kernels, strict=True):
            scan_part = torch.matmul(to_scan.unsqueeze(1), kernel)  # (e, k_q, d, d_inner)
            gate_part = F.pad(to_gate.unsqueeze(1), (0, 0, 0, 0, width // 2, width // 2))
            kernels.append(torch.cat([scan_part, gate_part], dim=-1).flatten(1, 2))
        return kernels, F.pad(self.scale_bias, (0, self.d_inner))

    def _scan(self, e: int, h: Tensor, gate: Tensor, n_steps: int) -> Tensor:
        """Short convolution and gated scan of block e: twice (r, k, m, d_inner) -> (r, k, m, d_inner)."""
        shape = h.shape
        h, gate = (_sequences(v, n_steps) for v in (h, gate))  # (r * k * g, t, d_inner)
        h = causal_conv1d(h, self.conv_weight[e], self.conv_bias[e], backend=self._conv_backend)
        low_rank, to_b, to_c = (weight[e] for weight in self._selection_weights())
        delta = torch.matmul(h.reshape(shape), low_rank @ self.dt_proj[e]) + self.omega[e].unsqueeze(1)
        y = selective_scan(
            h, _sequences(delta, n_steps), -torch.exp(self.A_log[e]), h @ to_b, h @ to_c, self.D[e], gate,
            self.dt_bias[e], backend=self.scan_backend,
        )  # fmt: skip
        return y.reshape(shape)  # type: ignore[union-attr]  # a view only where the backend writes (b, t, d)

    def _selection_weights(self) -> tuple[Tensor, ...]:
        """Parts of `x_proj` for the step size (of low rank), B and C, (e, d_inner, ...)."""
        return self.x_proj.split([self.dt_proj.shape[1], self.d_state, self.d_state], dim=-1)

    @property
    def _conv_backend(self) -> str:
        return "torch" if self.scan_backend in ("reference", "chunked") else "auto"

    def extra_repr(self) -> str:
        """Shown by repr."""
        e, d_model = self.in_proj.shape[:2]
        return f"n_blocks={e}, d_model={d_model}, scales={self.scales}, d_inner={self.d_inner}, d_state={self.d_state}"


def _sequences(x: Tensor, n_steps: int) -> Tensor:
    """(r, k, g * t, c) -> (r * k * g, t, c), a view."""
    return x.unflatten(2, (-1, n_steps)).flatten(0, 2)


def _uniform(*shape: int, fan_in: int) -> nn.Parameter:
    """Weights that keep the variance of their input: uniform with variance 1 / fan_in."""
    bound = math.sqrt(3.0 / fan_in)
    return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))
