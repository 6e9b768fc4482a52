"""Dropout that draws from the generators of a fit, and the recomputation of a part of a network with the same numbers.

torch's own dropout draws from a generator of the whole process, which other threads move. Builds on ``runtime``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..runtime import random_generator, seeded

__all__ = ["Dropout", "recomputed"]

_LARGEST_SEED = 2**63 - 1


class Dropout(nn.Module):
    """Set a share of the values to 0 in training, and scale the others so that their mean stays.

    The random numbers are those of the block of `stmest.runtime.seeded` around; outside of one they come from torch's own
    generator.

    Parameters
    ----------
    p : float
        Share of the values, in [0, 1).

    Shapes
    ------
    any -> the same
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Drop values of x; in evaluation mode none."""
        if not self.training or self.p == 0:
            return x
        kept = torch.empty_like(x).bernoulli_(1 - self.p, generator=random_generator(x.device))
        return x * kept.div_(1 - self.p)

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"p={self.p}"


def recomputed(part: Callable[..., Tensor], *args: Any) -> Tensor:
    """Run a part of a network and keep nothing but its arguments; it is run again for the backward pass.

    Parameters
    ----------
    part : callable
        Takes the arguments, returns a tensor.
    *args
        Tensors, and anything else.

    Returns
    -------
    Tensor
        What `part` returns.

    Notes
    -----
    Within a block of `stmest.runtime.seeded` both runs draw the same random numbers, from a seed that the block draws.
    """
    source = random_generator(torch.device("cpu"))
    if source is None:
        return checkpoint(part, *args, use_reentrant=False)
    seed = int(torch.randint(_LARGEST_SEED, (), generator=source))

    def run(*args: Any) -> Tensor:
        with seeded(seed):
            return part(*args)

    return checkpoint(run, *args, use_reentrant=False, preserve_rng_state=False)
