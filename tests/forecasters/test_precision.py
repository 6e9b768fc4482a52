"""precision="bfloat16" computes the matrix products of a network in half precision, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from stmest.exceptions import ParameterError
from tests.forecasters.small import small

X = np.sin(np.arange(80)[:, None] / 4 + np.arange(3)) + 0.1 * np.random.default_rng(0).normal(size=(80, 3))
PRODUCTS = {"mm", "addmm", "bmm", "baddbmm", "convolution"}


class Seen(TorchDispatchMode):
    """The types of the floating-point numbers that go into operations, by their names."""

    def __init__(self):
        super().__init__()
        self.types = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = self.types.setdefault(func.overloadpacket.__name__, set())
        tensors = [leaf for leaf in tree_leaves((args, kwargs or {})) if isinstance(leaf, torch.Tensor)]
        found |= {tensor.dtype for tensor in tensors if tensor.is_floating_point()}
        return func(*args, **(kwargs or {}))


class Training(Callback):
    """The types of loss, weights and gradients."""

    def __init__(self):
        self.types = set()

    def on_batch_end(self, net, loss=None, training=False, **kwargs):
        self.types |= {loss.dtype, *(p.dtype for p in net.module_.parameters())}
        self.types |= {p.grad.dtype for p in net.module_.parameters() if p.grad is not None}


@pytest.mark.parametrize("name", ["S2TXForecaster", "MADForecaster", "STMambaForecaster"])
def test_products_are_in_half_precision_and_states_weights_and_loss_are_not(name):
    training, products = Training(), {}
    for precision in ("float32", "bfloat16"):
        with Seen() as seen:
            model = small(name, precision=precision, scan_backend="numba", callbacks=[training]).fit(X)
        used = [seen.types[operation] for operation in PRODUCTS if operation in seen.types]
        products[precision] = set().union(*used)
        assert seen.types["selective_scan"] == {torch.float32}
        assert model.predict().dtype == X.dtype
    assert products["float32"] == {torch.float32}
    assert torch.bfloat16 in products["bfloat16"]
    assert training.types == {torch.float32}


def test_stm3_refuses_it():
    with pytest.raises(ParameterError, match="would change nothing in STM3Forecaster"):
        small("STM3Forecaster", precision="bfloat16").fit(X)
