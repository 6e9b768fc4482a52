"""Hidden nodes in training: a network that has met silent sensors does without them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from tests.forecasters.small import small

FORECASTERS = ["STM3Forecaster", "STMambaForecaster"]
both = pytest.mark.parametrize("name", FORECASTERS)


def echoed(n_rows=500, seed=0):
    """Nodes 1 and 2 are both the noise of node 0 two rows before, so that one of them can stand in for another."""
    rng = np.random.default_rng(seed)
    source = rng.normal(size=n_rows + 2)
    values = 0.2 * rng.normal(size=(n_rows, 3))
    values[:, 0] += source[2:]
    values[:, 1:] += source[:-2, None]
    return values


@pytest.fixture(scope="module")
def X():
    return echoed()


class Bits(Callback):
    """Keeps the training losses of all batches."""

    def on_train_end(self, net, **kwargs):
        self.losses = [batch["train_loss"] for batch in net.history[0]["batches"] if "train_loss" in batch]


@both
def test_the_same_seed_hides_the_same_nodes_and_only_in_training(X, name):
    models = [small(name, node_dropout=share, callbacks=[Bits()]) for share in (0.5, 0.5, 0.0)]
    first, second, whole = (model.fit(X) for model in models)
    assert first.has_gaps_
    assert not whole.has_gaps_
    assert first.callbacks[0].losses == second.callbacks[0].losses
    weights = zip(first.network_.parameters(), second.network_.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in weights)
    assert np.array_equal(first.predict(), second.predict())
    assert np.array_equal(first.predict(), first.predict())  # nothing is hidden here


def test_a_network_that_met_silent_sensors_is_harmed_less_by_one():
    """All of the future of nodes 1 and 2 lies in node 0, whose own future nothing says; STM3 on this task is not helped."""
    X = echoed(500)
    settings = {
        "horizon": 2, "linear_skip": False, "seasonal_profile": None, "max_epochs": 10, "learning_rate": 1e-2,
        "patience": None,
    }  # fmt: skip
    late = X[350:].copy()
    late[:, 1] = np.nan  # node 1 fails after the training
    errors = {}
    for share in (0.0, 0.3):
        model = small("STMambaForecaster", node_dropout=share, **settings).fit(X[:350])
        _, forecast = model.predict_windows(late)
        starts = np.arange(len(forecast))[:, None] + np.arange(4, 6)
        errors[share] = np.abs(X[350:][starts][..., 1:] - forecast[..., 1:]).mean()
    assert errors[0.3] < errors[0.0]
