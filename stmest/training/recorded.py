"""Training steps recorded once as a CUDA graph and replayed: a small network costs its launches, not its arithmetic.

Builds on ``runtime`` and torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..runtime import random_generator

__all__ = ["RecordedSteps"]

# Ordinary steps of the same shape before one is recorded: they load and compile what it uses, and short trainings need no more.
_ORDINARY = 3

Inputs = Mapping[str, Tensor]
Losses = tuple[Tensor, Tensor, dict[str, Tensor]]


class _Recorded:
    """One training step, forward and backward, on inputs and a target at fixed places in the memory of the device.

    Parameters
    ----------
    network : Module
    compute : callable
        ``(inputs, target) -> (loss, forecast, auxiliary terms)``; waits for nothing, moves nothing from or to the device.
    inputs : mapping of str to Tensor
    target : Tensor
    """

    def __init__(
        self, network: nn.Module, compute: Callable[[Inputs, Tensor], Losses], inputs: Inputs, target: Tensor
    ) -> None:
        self.inputs = {name: value.clone() for name, value in inputs.items()}
        self.target = target.clone()
        self.graph = torch.cuda.CUDAGraph()
        generator = random_generator(target.device)
        if generator is not None:
            self.graph.register_generator_state(generator)
        network.zero_grad(set_to_none=True)
        # other threads of the process may go on using the device
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            loss, forecast, auxiliary = compute(self.inputs, self.target)
            loss.backward()
        # nothing may keep the nodes that add up gradients: they belong to the stream of the recording
        self.losses = (
            loss.detach(),
            forecast.detach(),
            {name: term.detach() for name, term in auxiliary.items()},
        )
        self.gradients = [(p, p.grad) for p in network.parameters() if p.grad is not None]

    def replay(self, inputs: Inputs, target: Tensor) -> Losses:
        """Loss, forecast and auxiliary terms of a batch; the gradients are then those of its loss."""
        for name, value in inputs.items():
            self.inputs[name].copy_(value, non_blocking=True)
        self.target.copy_(target, non_blocking=True)
        self.graph.replay()
        for parameter, gradient in self.gradients:
            parameter.grad = gradient
        return self.losses


class RecordedSteps:
    """The training steps of one network, recorded by the shapes of their batches.

    A step that cannot be recorded, as the network waits for the device, is computed as before: `obstacle` then says why.

    Parameters
    ----------
    network : Module
        On a CUDA device.
    compute : callable
        As for a recorded step.
    """

    def __init__(self, network: nn.Module, compute: Callable[[Inputs, Tensor], Losses]) -> None:
        self.network, self.compute = network, compute
        self.obstacle = ""
        self._seen: dict[Any, int] = {}
        self._recorded: dict[Any, _Recorded] = {}

    def step(self, inputs: Inputs, target: Tensor) -> Losses | None:
        """Run a step, if one like it is recorded or can be by now; else None, and nothing was done.

        Parameters
        ----------
        inputs : mapping of str to Tensor
            Of one batch, on the device.
        target : Tensor

        Returns
        -------
        tuple or None
            Loss, forecast and auxiliary terms, overwritten by the next step; gradients are in the parameters.
        """
        key = self._key(inputs, target)
        if key not in self._recorded:
            self._seen[key] = self._seen.get(key, 0) + 1
            if self.obstacle or self._seen[key] <= _ORDINARY:
                return None
            if not self._record(key, inputs, target):
                return None
        return self._recorded[key].replay(inputs, target)

    def _key(self, inputs: Inputs, target: Tensor) -> Any:
        """What a recording is bound to: the shapes of a batch, and which parameters are trained."""
        shapes = tuple((name, value.shape, value.dtype) for name, value in inputs.items())
        return shapes, target.shape, tuple(p.requires_grad for p in self.network.parameters())

    def _record(self, key: Any, inputs: Inputs, target: Tensor) -> bool:
        torch.cuda.synchronize()
        own = random_generator(target.device)
        generators = [*torch.cuda.default_generators, *([] if own is None else [own])]
        states = [generator.clone_state() for generator in generators]
        try:
            self._recorded[key] = _Recorded(self.network, self.compute, inputs, target)
        except RuntimeError as error:
            self.obstacle = str(error).splitlines()[0]
            # a recording that broke off leaves them in a state in which they serve nothing else
            for generator, state in zip(generators, states, strict=True):
                generator.graphsafe_set_state(state)
            self.network.zero_grad(set_to_none=True)
            return False
        return True
