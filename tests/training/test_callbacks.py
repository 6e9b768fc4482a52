"""What happens between epochs: parts of a network that learn one after the other."""

from __future__ import annotations

import numpy as np
import pytest
from skorch.callbacks import Callback

from stmest.training.callbacks import Unfreeze
from tests.forecasters.tiny import TinyForecaster


class Watch(Callback):
    """Remember which parts may learn in each epoch."""

    def __init__(self):
        self.seen = []

    def on_batch_begin(self, net, training=False, **kwargs):
        parts = (net.module_.own, net.module_.others)
        if training:
            self.seen.append([p.weight.requires_grad for p in parts])


class Gradual(TinyForecaster):
    """The nodes' own past learns first, the neighbours' two epochs later."""

    def _more_callbacks(self, network):
        parts = (network.own, network.others)
        network.own.bias.requires_grad_(False)
        return [("unfreeze", Unfreeze([list(part.parameters()) for part in parts], 2))]


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(60, 3))


def test_parts_learn_one_after_the_other(X):
    watch = Watch()
    Gradual(max_epochs=4, batch_size=100, patience=None, callbacks=[watch], random_state=0).fit(
        X, adj=np.eye(3)
    )
    assert watch.seen == [[True, False]] * 2 + [[True, True]] * 2


def test_what_was_frozen_before_stays_frozen(X):
    network = Gradual(max_epochs=3, random_state=0).fit(X, adj=np.eye(3)).network_
    frozen = [name for name, parameter in network.named_parameters() if not parameter.requires_grad]
    assert frozen == ["own.bias"]


def test_training_that_ends_early_leaves_nothing_frozen(X):
    network = Gradual(max_epochs=1, random_state=0).fit(X, adj=np.eye(3)).network_
    assert network.others.weight.requires_grad
