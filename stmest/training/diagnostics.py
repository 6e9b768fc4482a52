"""Errors that explain a lack of memory, and values that are not finite.

The memory of a training is estimated before it starts: the tensors that the network keeps for its backward pass are counted on
one and on two windows, and extrapolated to the batch. The aim is a factor of 2. Builds on `encoding` and torch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data.panel import Panel
from ..exceptions import OutOfMemoryError, TrainingError
from ..runtime import free_memory, seeded
from .encoding import WindowLoader
from .extremes import most_extreme, node_name

__all__ = [
    "MemoryEstimate", "available_memory", "estimate_training", "explain_lack", "explained_training",
    "is_out_of_memory",
]  # fmt: skip

# Weights, gradients, two moments of AdamW, the best weights so far
_COPIES_OF_WEIGHTS = 5
# At its peak, the backward pass holds about as much again in gradients and in the workspace of its kernels (measured)
_BACKWARD = 2.2


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that training needs beside the data and the libraries.

    Attributes
    ----------
    fixed : int
        Weights, their gradients and moments, and all else that does not depend on the batch.
    per_window : int
        For each window of a batch.
    """

    fixed: int
    per_window: int

    def total(self, batch_size: int) -> int:
        """Bytes for batches of that many windows."""
        return self.fixed + batch_size * self.per_window

    def largest_batch(self, available: int) -> int:
        """Number of windows that fit into so many bytes; 0 if not one fits."""
        return max(0, (available - self.fixed) // max(1, self.per_window))


def estimate_training(
    network: nn.Module, load: Callable[[list[int]], tuple[dict[str, Tensor], Any]], device: torch.device
) -> MemoryEstimate:
    """Estimate the memory of training, from two small forward passes of a copy of the network.

    Parameters
    ----------
    network : Module
        The network; neither it nor torch's random state is changed.
    load : callable
        Takes positions of windows, returns ``(inputs, target)``.
    device : torch.device
        Where the network will be trained.

    Returns
    -------
    MemoryEstimate
        Bytes.
    """
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    available = available_memory(device)
    if available is not None and _COPIES_OF_WEIGHTS * weights > 2 * available:
        return MemoryEstimate(_COPIES_OF_WEIGHTS * weights, 1)  # not even a copy of it may fit
    trial = copy.deepcopy(network).to(device).train()
    with seeded(0):
        try:
            one, two = (_kept(trial, load(positions)[0], device, available) for positions in ([0], [0, 0]))
        except _TooLargeError:  # one or two windows take all memory that is free
            return MemoryEstimate(_COPIES_OF_WEIGHTS * weights, int(2 * _BACKWARD * (available or 0)))
    per_window = max(two - one, 1)
    return MemoryEstimate(
        int(_COPIES_OF_WEIGHTS * weights + _BACKWARD * max(0, one - per_window)), int(_BACKWARD * per_window)
    )


def _kept(network: nn.Module, inputs: dict[str, Tensor], device: torch.device, limit: int | None) -> int:
    """Bytes that a forward pass keeps for the backward pass, weights not counted, each storage once; it ends at a limit."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*network.parameters(), *network.buffers())}
    sizes: dict[int, int] = {}
    total = 0

    def note(tensor: Tensor) -> Tensor:
        nonlocal total
        if tensor.layout is not torch.strided:  # a given graph, which does not grow with the windows
            return tensor
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            total += storage.nbytes() - sizes.get(storage.data_ptr(), 0)
            sizes[storage.data_ptr()] = storage.nbytes()
        if limit is not None and total > limit:
            raise _TooLargeError
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        out = network(**{name: tensor.to(device) for name, tensor in inputs.items()})
    del out
    return total


def available_memory(device: torch.device) -> int | None:
    """Bytes that are free on a device; None where that is unknown.

    On a CPU the limit of a Linux container applies where it is below the memory of the machine.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return free_memory()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means a lack of memory, for which torch has several messages."""
    words = ("out of memory", "not enough memory", "can't allocate memory", "bad_alloc", "cannot allocate")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
    )


@contextmanager
def explain_lack(
    what: str,
    sizes: str,
    batch_size: int,
    estimate: MemoryEstimate | None,
    device: torch.device,
) -> Iterator[None]:
    """Raise an `OutOfMemoryError` with sizes and remedy: beforehand where the work cannot fit, or in place of torch's error.

    Parameters
    ----------
    what : str
        The work, as "training STM3Forecaster".
    sizes : str
        Sizes of the data, as "207 nodes, 24 + 12 rows".
    batch_size : int
        Windows per batch.
    estimate : MemoryEstimate or None
        Memory that is needed; None where it is unknown.
    device : torch.device
        Where the work is done.

    Raises
    ------
    OutOfMemoryError
        If more than twice the available memory is needed, before the block is entered; or if the block ran out of it.
    """
    available = available_memory(device)
    # The estimate may be wrong by a factor of 2: only work that surely does not fit is refused beforehand
    if estimate is not None and available is not None and estimate.total(batch_size) > 2 * available:
        raise OutOfMemoryError(_lack(what, sizes, batch_size, estimate, available, device))
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, OutOfMemoryError) or not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(_lack(what, sizes, batch_size, estimate, available, device)) from error


class _TooLargeError(Exception):
    """One or two windows do not fit."""


def _lack(
    what: str,
    sizes: str,
    batch_size: int,
    estimate: MemoryEstimate | None,
    available: int | None,
    device: torch.device,
) -> str:
    free = "" if available is None else f"; about {_size(available)} are free on {device}"
    if estimate is None:
        remedy = f"Use batch_size={max(1, batch_size // 2)}."
        return f"memory did not suffice for {what} ({sizes}) with batch_size={batch_size}{free}. {remedy}"
    needed = (
        f"it needs about {_size(estimate.total(batch_size))}: {_size(estimate.per_window)} for each window of a batch and "
        f"{_size(estimate.fixed)} for batches of any size"
    )
    fits = min(estimate.largest_batch(available or 0), batch_size // 2)
    remedy = (
        f"Use batch_size={_power_of_two(fits)}."
        if fits
        else "Not even batch_size=1 is sure to fit: take a smaller network (d_model, d_state, n_layers), fewer nodes, or a "
        "shorter input_length."
    )
    return (
        f"memory does not suffice for {what} ({sizes}) with batch_size={batch_size}: {needed}{free}. {remedy}"
    )


def _power_of_two(number: int) -> int:
    """The largest power of two that is not above a number of at least 1."""
    return 1 << (number.bit_length() - 1)


def _size(n_bytes: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if n_bytes < 1000 or unit == "GB":
            break
        n_bytes /= 1000
    return f"{n_bytes:.3g} {unit}" if n_bytes < 1000 else f"{n_bytes:,.0f} {unit}"


# ---------------------------------------------------------------- values that are not finite


@contextmanager
def explained_training(
    name: str, network: nn.Module, load: WindowLoader, batch_size: int, device: torch.device, panel: Panel
) -> Iterator[None]:
    """Refuse a training for which memory does not suffice, and explain errors during it.

    Parameters
    ----------
    name : str
        Name of the forecaster.
    network : Module
        The untrained network.
    load : WindowLoader
        Reads the training windows.
    batch_size : int
        Windows per batch.
    device : torch.device
        Where the network is trained.
    panel : Panel
        Training data in their own units, to name time and node of an extreme value.

    Raises
    ------
    OutOfMemoryError
        If memory does not suffice, naming the sizes and a batch size that fits.
    TrainingError
        If the loss is not finite, naming node and time of the most extreme value of that batch.
    """
    try:
        estimate = estimate_training(network, load, device)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        estimate = None
    windows = load.windows
    _, n_nodes, n_features = panel.values.shape
    sizes = f"{windows.input_length} + {windows.horizon} rows, {n_nodes} nodes, {n_features} feature(s)"
    with explain_lack(f"training {name}", sizes, batch_size, estimate, device):
        try:
            yield
        except OutOfMemoryError:
            raise
        except TrainingError as error:
            raise TrainingError(f"{error} {_worst_of_batch(panel, load)}".rstrip()) from error


def _worst_of_batch(panel: Panel, load: WindowLoader) -> str:
    """Name the most extreme value of the last batch."""
    windows, positions, scaler = load.windows, load.latest, load.encoding.scaler
    if not positions:
        return ""
    rows = windows.starts[positions][:, None] + np.arange(windows.input_length + windows.horizon)
    (window, step, node, feature), spreads = most_extreme(np.asarray(windows.values[rows]), scaler)
    row = int(rows[window, step])
    when = f"row {row}" if panel.index is None else f"{panel.index[row]} (row {row})"
    return (
        f"The most extreme value of that batch is {panel.values[row, node, feature]:.4g} at node {node_name(panel.nodes, node)}, "
        f"{when}: {spreads:.3g} spreads from the centre of the training data."
    )
