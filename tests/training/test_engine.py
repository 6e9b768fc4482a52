"""The training loop through a small forecaster: best weights, early stop, Ctrl-C, NaN, callbacks."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback

from stmest import STIDForecaster, STM3Forecaster
from stmest.exceptions import TrainingError
from stmest.linear.window_ridge import fit_ensemble
from stmest.plotting import GraphDisplay
from stmest.training.callbacks import BestWeights, _best_residual_weight
from tests.forecasters.tiny import TinyForecaster

ALONE = {"linear_skip": False, "seasonal_profile": None}


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return np.sin(np.arange(300)[:, None] / 4 + np.arange(3)) + 0.1 * rng.normal(size=(300, 3))


class Interrupt(Callback):
    """Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, net, training=False, **kwargs):
        if training and len(net.history) == self.epoch:
            raise KeyboardInterrupt


class WeightsByEpoch(Callback):
    """Remember the weights after each epoch."""

    def on_train_begin(self, net, **kwargs):
        self.weights = []

    def on_epoch_end(self, net, **kwargs):
        self.weights.append(net.module_.own.weight.detach().clone())


def test_best_weights_are_restored(X):
    seen = WeightsByEpoch()
    model = TinyForecaster(linear_skip=False, max_epochs=12, learning_rate=0.5, patience=None, random_state=0)
    model.set_params(patience=50, callbacks=[seen], lr_schedule=None).fit(X)
    best = int(model.history_["valid_loss"].argmin()) + 1
    assert model.best_epoch_ == best < 12
    assert torch.equal(model.network_.own.weight, seen.weights[best - 1])


def test_patience_stops(X):
    settings = {"max_epochs": 60, "learning_rate": 0.5, "lr_schedule": None, "patience": 3}
    model = TinyForecaster(**settings, **ALONE, random_state=0).fit(X)
    assert model.n_iter_ == model.best_epoch_ + 3 < 60


@pytest.mark.parametrize("patience", [8, 16, 24])
def test_training_with_nothing_to_win_ends_sooner(X, patience):
    settings = {"max_epochs": 60, "learning_rate": 5.0, "lr_schedule": None, "patience": patience}
    model = TinyForecaster(**settings, random_state=0).fit(X)
    assert model.best_epoch_ == 0
    assert model.n_iter_ < patience
    lowest = int(model.history_["valid_loss"].argmin()) + 1
    assert model.n_iter_ == max(patience // 2, lowest + 1)  # no end while errors fall


def test_training_never_ends_below_its_start(X):
    model = TinyForecaster(max_epochs=30, learning_rate=0.01, random_state=0, warm_start=True).fit(X)
    before = model.predict()
    model.set_params(learning_rate=5.0, max_epochs=1, lr_schedule=None).fit(X)
    assert model.history_["valid_loss"].iloc[-1] > model.history_["valid_loss"].min()
    np.testing.assert_array_equal(model.predict(), before)


def test_without_validation_the_last_epoch_is_kept(X):
    model = TinyForecaster(max_epochs=3, validation_fraction=0.0, random_state=0).fit(X)
    assert "valid_loss" not in model.history_
    assert model.best_epoch_ == 3


def test_ctrl_c_keeps_the_best_model_so_far(X):
    model = TinyForecaster(max_epochs=20, random_state=0, callbacks=[Interrupt(4)])
    with pytest.warns(UserWarning, match="interrupted after 3 finished epoch"):
        model.fit(X)
    assert model.n_iter_ == 3
    assert np.isfinite(model.predict()).all()
    uninterrupted = TinyForecaster(max_epochs=20, random_state=0).fit(X)
    np.testing.assert_array_equal(model.history_["valid_loss"], uninterrupted.history_["valid_loss"][:3])


def test_ctrl_c_in_the_first_epoch_is_raised_and_nothing_is_half_fitted(X):
    model = TinyForecaster(max_epochs=20, random_state=0, callbacks=[Interrupt(1)])
    before = dict(vars(model))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X)
    assert vars(model) == before


def test_a_loss_that_is_no_number_names_the_epoch(X):
    model = TinyForecaster(max_epochs=5, learning_rate=1e30, grad_clip=None, loss="mse", random_state=0)
    with pytest.raises(TrainingError, match=r"epoch \d.*learning_rate"):
        model.fit(X)
    assert not hasattr(model, "network_")


def test_auxiliary_terms_are_recorded_and_weighted(X):
    plain = TinyForecaster(**ALONE, max_epochs=3, random_state=0).fit(X)
    pressed = TinyForecaster(**ALONE, max_epochs=3, random_state=0, size_weight=10.0).fit(X)
    assert (pressed.history_["train_size"] < plain.history_["train_size"]).all()
    assert np.abs(pressed.predict()).max() < np.abs(plain.predict()).max()


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", None])
def test_learning_rate_schedules(X, schedule):
    model = TinyForecaster(
        max_epochs=4, lr_schedule=schedule, learning_rate=0.01, patience=9, random_state=0
    ).fit(X)
    rates = model.history_["learning_rate"].to_numpy()
    assert rates.max() <= 0.01
    assert (rates[-1] < rates.max()) == (schedule is not None)
    assert np.isfinite(model.history_["train_loss"]).all()


def test_bfloat16_trains(X):
    single = TinyForecaster(max_epochs=3, random_state=0).fit(X)
    half = TinyForecaster(max_epochs=3, random_state=0, precision="bfloat16").fit(X)
    np.testing.assert_allclose(half.history_["train_loss"], single.history_["train_loss"], rtol=0.05)


def test_no_decay_for_marked_parameters(X):
    class Marked(TinyForecaster):
        def _build_network(self, predictor, graph):
            network = super()._build_network(predictor, graph)
            network.others.weight._no_weight_decay = True  # on a graph without edges its gradient is 0
            return network

    settings = {
        "linear_skip": False,
        "max_epochs": 1,
        "weight_decay": 0.9,
        "learning_rate": 0.1,
        "validation_fraction": 0,
        "random_state": 0,
    }
    kept, decayed = (kind(**settings).fit(X, adj=np.zeros((3, 3))) for kind in (Marked, TinyForecaster))
    assert kept.network_.others.weight.norm() > 2 * decayed.network_.others.weight.norm()


@pytest.mark.parametrize(
    ("gains", "kept"),
    [([0.1, 0.1, 0.1], True), ([0.5, -0.4, 0.1], False), ([-0.1, -0.2, -0.1], False), ([0.1, -0.05], True)],
)
def test_a_gain_within_the_noise_of_the_validation_batches_leaves_the_start(gains, kept):
    """Two batches cannot show noise; then the mean decides, which the callback looked at before."""
    best = BestWeights()
    best._start_batches = [(8, 1.0)] * len(gains)
    best.best_batches_ = [(8, 1.0 - gain) for gain in gains]
    assert best._beats_the_start() == kept


class Overshooting(TinyForecaster):
    """A network that forecasts twice the residual it learnt, on top of a linear forecast that knows next to nothing."""

    def _fit_linear(self, values, target, graph, split):
        weak = [(1.0, "global", 1e9, 0)]
        return fit_ensemble(weak, values[: split.cut], target, self.input_length, self.horizon)

    def _build_network(self, predictor, graph):
        network = super()._build_network(predictor, graph)
        network.register_forward_hook(
            lambda module, inputs, out: out if module.training else (2 * out[0], out[1])
        )
        return network


SETTINGS = {"max_epochs": 20, "learning_rate": 0.02, "seasonal_profile": None, "random_state": 0}


def reverting():
    rng = np.random.default_rng(0)
    X = np.zeros((600, 3))
    for t in range(1, len(X)):
        X[t] = 0.6 * X[t - 1] + rng.normal(size=3)
    return X


def test_a_residual_that_is_too_large_gets_a_weight_below_one():
    X = reverting()
    model = Overshooting(**SETTINGS).fit(X)
    assert model.residual_weight_ == 0.5
    assert model.best_epoch_ > 0
    linear = model.linear_.forecast(X[None, -4:, :, None])[0, ..., 0]
    whole = copy.deepcopy(model)
    whole.predictor_ = whole.predictor_.with_networks(whole.networks_, whole.device_, (1.0,))
    np.testing.assert_allclose(model.predict() - linear, 0.5 * (whole.predict() - linear), rtol=1e-4)
    assert pickle.loads(pickle.dumps(model)).residual_weight_ == 0.5
    plain = TinyForecaster(**SETTINGS, linear_skip=False).fit(X)
    assert plain.residual_weight_ == 1.0  # there is no linear forecast below it


def test_training_that_goes_on_keeps_what_it_had_where_it_only_spoils():
    X = reverting()
    model = Overshooting(**SETTINGS, warm_start=True).fit(X)
    before = model.predict()
    model.set_params(max_epochs=1, learning_rate=100.0).fit(X)
    assert model.residual_weight_ == 0.5
    np.testing.assert_allclose(model.predict(), before, rtol=1e-5)


@pytest.mark.parametrize(
    ("losses", "weight"),
    [
        ([[1.0, 0.9, 0.8, 0.9, 1.0]] * 3, 0.5),
        ([[1.0, 0.9, 0.8, 0.7, 0.6]] * 3, 1.0),
        ([[1.0, 1.1, 1.2, 1.3, 1.4]] * 3, 0.0),
        ([[1.0, 0.9, 0.8, 0.7, 0.6], [1.0, 1.1, 1.2, 1.3, 1.35], [1.0, 1.0, 1.0, 1.0, 1.0]], 0.0),  # chance
    ],
)
def test_the_residual_weight_with_the_least_loss_is_taken_if_its_gain_is_no_chance(losses, weight):
    assert _best_residual_weight(np.array([8, 8, 8]), np.array(losses)) == weight


@pytest.mark.parametrize(
    ("gains", "weight"),
    [([0.2, 0.21], 0.0), ([0.2, 0.21, 0.22], 1.0), ([0.1, 0.3, 0.2], 0.0), ([0.1, 0.3, 0.2] * 4, 1.0)],
)
def test_a_gain_needs_three_blocks_and_more_where_there_are_few(gains, weight):
    losses = np.array([[1.0, 1.0, 1.0, 1.0, 1.0 - gain] for gain in gains])
    assert _best_residual_weight(np.array([8.0] * len(gains)), losses) == weight


@pytest.mark.parametrize("seed", range(4))
def test_random_walks_are_left_to_the_linear_forecast(seed):
    X = np.random.default_rng(seed).normal(size=(240, 3)).cumsum(0)
    model = TinyForecaster(input_length=8, horizon=4, max_epochs=15, learning_rate=0.02, random_state=0).fit(
        X
    )
    linear = model.linear_.forecast(X[None, -8:, :, None])[0, ..., 0]
    np.testing.assert_allclose(model.predict(), linear, rtol=1e-5)


def test_a_network_that_is_not_used_says_so():
    X = np.random.default_rng(0).normal(size=(90, 3))
    model = STM3Forecaster(
        input_length=4, horizon=2, scales=(1, 3), d_model=3, max_epochs=2, random_state=0
    ).fit(X)
    assert model.residual_weight_ == 0.0
    assert repr(model).endswith(")  # kept the linear forecast")
    assert str(clone(model)) == repr(clone(model)) == repr(model).split("  #")[0]
    for name in ("graph_", "routing_"):
        with pytest.warns(UserWarning, match="kept the linear forecast"):
            table = getattr(model, name)
        assert table.attrs["residual_weight"] == 0.0
    with pytest.warns(UserWarning, match="kept the linear forecast"):
        model.scale_embeddings(X)
    with pytest.warns(UserWarning, match="kept the linear forecast") as warned:
        GraphDisplay.from_estimator(model)
    assert len(warned) == 1
    assert {"graph_", "routing_"} <= set(dir(model))  # without a warning, as for a page in a notebook
    assert "kept the linear forecast" in model._repr_html_()
    alone = STM3Forecaster(
        input_length=4, horizon=2, scales=(1, 3), d_model=3, max_epochs=1, linear_skip=False, random_state=0
    ).fit(X)
    assert alone.graph_.attrs["residual_weight"] == alone.residual_weight_ == 1.0
    embedded = STIDForecaster(input_length=4, horizon=2, d_model=4, max_epochs=1, random_state=0).fit(X)
    assert embedded.residual_weight_ == 0.0
    with pytest.warns(UserWarning, match="kept the linear forecast"):
        assert embedded.node_embedding_.shape == (3, 4)
