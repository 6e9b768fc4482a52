"""STM3 as a forecaster: what it learns, its ablations, its labels, and that seeds decide every bit."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from stmest import STM3Forecaster, make_sensor_network
from stmest.exceptions import ParameterError

SMALL = {"input_length": 8, "horizon": 3, "d_model": 4, "n_layers": 1, "d_state": 4, "node_embedding_dim": 4}


@pytest.fixture(scope="module")
def data():
    return make_sensor_network(n_nodes=6, n_times=200, random_state=0)


@pytest.fixture(scope="module")
def fitted(data):
    return STM3Forecaster(**SMALL, max_epochs=2, random_state=0).fit(data.values, data.graph)


def test_what_it_learnt_is_labelled(fitted, data):
    names = list(data.values.columns)
    assert list(fitted.graph_.index) == list(fitted.graph_.columns) == names
    np.testing.assert_allclose(fitted.graph_.sum(axis=1), 1.0, rtol=1e-5)
    assert list(fitted.routing_.index) == names
    assert fitted.routing_.shape == (6, 4)
    np.testing.assert_allclose(fitted.routing_.sum(axis=1), 1.0, rtol=1e-5)
    assert fitted.routing_change_.shape == (2,)
    assert ((fitted.routing_change_ >= 0) & (fitted.routing_change_ <= 1)).all()
    assert {"train_loss", "valid_loss", "train_balance", "learning_rate", "seconds"} <= set(fitted.history_)
    assert fitted.scan_backend_ in ("numba", "chunked", "mamba_ssm")


def test_embeddings_of_scales_and_experts(fitted, data):
    scales = fitted.scale_embeddings(data.values, stride=50)
    experts = fitted.expert_embeddings(data.values, stride=50)
    assert scales.shape == experts.shape == (4, 6, 4, 4)
    assert not np.allclose(scales[:, :, 0], scales[:, :, -1])


def test_stm2_has_no_routing(data):
    model = STM3Forecaster(**SMALL, n_experts=0, max_epochs=1, random_state=0).fit(data.values)
    assert model.routing_.shape == (6, 0)
    assert model.routing_change_.shape == (0,)
    assert "train_balance" not in model.history_
    full = STM3Forecaster(**SMALL, max_epochs=1, random_state=0).fit(data.values)
    assert model.n_parameters_ < full.n_parameters_


ABLATIONS = {
    "scales": (1, 3),
    "n_layers": 2,
    "n_experts": 2,
    "top_k": 2,
    "shared_expert": False,
    "cheb_order": 1,
    "d_conv": 2,
    "expand": 1,
    "dropout": 0.5,
    "instance_norm": True,
    "routing": "input",
    "graph": "given",
    "causal_scales": False,
    "contrastive_weight": 0.5,
    "balance_weight": 5.0,
    "head_width": 4,
    "linear head": {"head_width": 0},
}


@pytest.fixture(scope="module")
def without_skip(data):
    return STM3Forecaster(**SMALL, linear_skip=False, max_epochs=2, random_state=0).fit(
        data.values, data.graph
    )


@pytest.mark.parametrize("parameter", ABLATIONS)
def test_every_architecture_parameter_changes_the_forecast(without_skip, data, parameter):
    value = ABLATIONS[parameter]
    changed = {**SMALL, **(value if isinstance(value, dict) else {parameter: value})}
    model = STM3Forecaster(**changed, linear_skip=False, max_epochs=2, random_state=0)
    forecast = model.fit(data.values, data.graph).predict()
    assert np.isfinite(forecast).all(axis=None)
    assert not np.allclose(forecast, without_skip.predict(), rtol=1e-6)


def test_contrastive_term_is_recorded(data):
    model = STM3Forecaster(**SMALL, contrastive_weight=0.1, max_epochs=1, random_state=0).fit(data.values)
    assert np.isfinite(model.history_["train_contrastive"]).all()


def test_the_graph_matters_and_permuting_it_with_the_nodes_changes_nothing_else(data):
    """Node embeddings start from random numbers per node, so only a forecast without learned parts is comparable."""
    model = STM3Forecaster(**SMALL, max_epochs=1, random_state=0)
    with_graph = model.fit(data.values, data.graph).predict()
    assert not np.allclose(with_graph, model.fit(data.values).predict())


def test_a_graph_of_few_edges_trains_and_forecasts_like_a_dense_one(data, monkeypatch):
    ring = np.roll(np.eye(6), 1, 1)
    forecasts = []
    for share, sparse in ((np.inf, True), (0.0, False)):
        monkeypatch.setattr("stmest.layers.graph_conv.SPARSE_SHARE", share)
        model = STM3Forecaster(**SMALL, max_epochs=1, linear_skip=False, random_state=0).fit(
            data.values, ring
        )
        assert model.network_.supports(model.network_.embedding).walks.is_sparse == sparse
        forecasts.append(model.predict())
    np.testing.assert_allclose(*forecasts, rtol=1e-3, atol=1e-3)


def test_given_graph_is_needed_for_graph_given(data):
    with pytest.raises(ParameterError, match="graph='given' needs a graph"):
        STM3Forecaster(**SMALL, graph="given").fit(data.values)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"scales": (2, 4)}, "odd"),
        ({"scales": (3, 1)}, "increase"),
        ({"scales": ()}, "odd"),
        ({"top_k": 5}, "n_experts=4"),
        ({"routing": "nodes"}, "nodes"),
        ({"graph": "all"}, "all"),
        ({"dropout": 1.0}, "dropout"),
        ({"n_experts": -1}, "n_experts"),
        ({"contrastive_temperature": 0.0}, "contrastive_temperature"),
        ({"d_model": 2}, "d_model"),
    ],
)
def test_wrong_architecture_values(data, parameters, words):
    with pytest.raises(ParameterError, match=words):
        STM3Forecaster(**{**SMALL, **parameters}).fit(data.values)


def test_missing_values_and_instance_norm(data):
    holey = data.values.mask(np.random.default_rng(0).random(data.values.shape) < 0.2)
    model = STM3Forecaster(**SMALL, instance_norm=True, max_epochs=1, random_state=0).fit(holey)
    assert model.has_gaps_
    assert np.isfinite(model.predict()).all(axis=None)


def test_several_features_one_target(data):
    X = np.stack([data.values, data.values**2], axis=-1)
    model = STM3Forecaster(**SMALL, target=[1], instance_norm=True, max_epochs=1, random_state=0).fit(X)
    assert model.predict().shape == (3, 6, 1)


def test_pickles_keep_everything(fitted, data):
    other = pickle.loads(pickle.dumps(fitted))
    pd.testing.assert_frame_equal(other.predict(), fitted.predict())
    pd.testing.assert_frame_equal(other.graph_, fitted.graph_)
    pd.testing.assert_frame_equal(other.routing_, fitted.routing_)


def test_it_beats_the_last_value_where_there_is_something_to_learn():
    """A travelling wave with noise: the last value is wrong by construction, the neighbours show where the wave is."""
    t, n = np.ogrid[:600, :6]
    X = np.sin(2 * np.pi * (t / 12 + n / 6)) + 0.1 * np.random.default_rng(0).normal(size=(600, 6))
    model = STM3Forecaster(**SMALL, max_epochs=6, learning_rate=1e-2, random_state=0).fit(X[:500])
    y_true, y_pred = model.predict_windows(X[500:])
    assert np.abs(y_true - y_pred).mean() < 0.25  # the last value is off by 0.8 on average, the noise by 0.08
