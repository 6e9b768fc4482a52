"""Trainings that are asked to end."""

from __future__ import annotations

import time

import numpy as np
import pytest
from skorch.callbacks import Callback

import stmest
from stmest import DLinearForecaster, STIDForecaster, make_sensor_network
from stmest.exceptions import TrainingError
from stmest.training.stopping import StopRequest, active_request, trainings_stop_at
from tests.forecasters.tiny import TinyForecaster

ENDED = "ignore:training was interrupted"
pytestmark = pytest.mark.filterwarnings(ENDED)
SMALL = {"input_length": 6, "horizon": 2, "random_state": 0}


class Ask(Callback):
    """Asks for the end in the middle of an epoch."""

    def __init__(self, request, epoch):
        self.request, self.epoch = request, epoch

    def on_batch_end(self, net, training=False, **kwargs):
        if training and len(net.history) == self.epoch:
            self.request.wanted = True


@pytest.fixture
def X():
    return make_sensor_network(n_nodes=3, n_times=400, random_state=0).values


def test_a_training_that_is_asked_to_end_keeps_its_best_weights(X):
    request = StopRequest()
    model = TinyForecaster(max_epochs=20, random_state=0, batch_size=32, callbacks=[Ask(request, 4)])
    with trainings_stop_at(request):
        model.fit(X)
    assert model.n_iter_ == 3
    assert model.history_.attrs["interrupted"]
    alone = TinyForecaster(max_epochs=20, random_state=0, batch_size=32).fit(X)
    np.testing.assert_array_equal(model.history_["valid_loss"], alone.history_["valid_loss"][:3])
    assert "interrupted" not in alone.history_.attrs


def test_before_the_first_epoch_the_linear_forecast_is_kept(X, tmp_path):
    with trainings_stop_at(StopRequest(wanted=True)):
        model = STIDForecaster(**SMALL).fit(X)
    assert (model.n_iter_, model.best_epoch_, model.residual_weight_) == (0, 0, 0.0)
    assert np.isfinite(model.predict()).all(axis=None)
    model.save(tmp_path / "stid.safetensors")
    assert stmest.load(tmp_path / "stid.safetensors").predict().equals(model.predict())


def test_before_the_first_epoch_a_network_alone_has_learnt_nothing(X):
    model = DLinearForecaster(**SMALL)
    with (
        trainings_stop_at(StopRequest(wanted=True)),
        pytest.raises(TrainingError, match="nothing was learnt"),
    ):
        model.fit(X)
    assert not hasattr(model, "predictor_")


def test_all_members_that_follow_are_left_out(X):
    request = StopRequest()
    model = TinyForecaster(
        max_epochs=3, random_state=0, n_members=3, batch_size=32, callbacks=[Ask(request, 2)]
    )
    with trainings_stop_at(request):
        model.fit(X)
    assert len(model.networks_) == 1


def test_a_deadline_ends_a_training_by_itself(X):
    with trainings_stop_at(StopRequest(deadline=time.monotonic() - 1)):
        model = TinyForecaster(max_epochs=20, random_state=0).fit(X)
    assert model.n_iter_ == 0
    with trainings_stop_at(StopRequest(deadline=time.monotonic() + 3600)):
        assert TinyForecaster(max_epochs=2, random_state=0).fit(X).n_iter_ == 2


def test_without_the_context_nothing_is_looked_at(X):
    with trainings_stop_at(StopRequest(wanted=True)) as request:
        assert active_request() is request
    assert active_request() is None
    assert TinyForecaster(max_epochs=2, random_state=0).fit(X).n_iter_ == 2
