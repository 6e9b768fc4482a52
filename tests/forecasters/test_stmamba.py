"""STMamba as a forecaster: its parameters, graph containers, attention weights, pickles, search, and that seeds decide."""

from __future__ import annotations

import json
import pickle
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import GridSearchCV

from stmest import ForecastSplit, Graph, STMambaForecaster, compare, make_sensor_network
from stmest.cli import main
from stmest.exceptions import DataError, MissingDependencyError, ParameterError

SMALL = {"input_length": 8, "horizon": 3, "d_model": 4, "n_layers": 1, "d_state": 4, "node_embedding_dim": 4}


@pytest.fixture(scope="module")
def data():
    return make_sensor_network(n_nodes=6, n_times=200, random_state=0)


@pytest.fixture(scope="module")
def fitted(data):
    return STMambaForecaster(**SMALL, max_epochs=2, random_state=0).fit(data.values, data.graph)


def test_what_it_learnt_is_labelled(fitted, data):
    names = list(data.values.columns)
    assert list(fitted.graph_.index) == list(fitted.graph_.columns) == names
    np.testing.assert_allclose(fitted.graph_.sum(axis=1), 1.0, rtol=1e-5)
    hears = data.graph.to_dense().T > 0
    np.testing.assert_array_equal(fitted.graph_.to_numpy() > 0, hears | np.eye(6, dtype=bool))
    assert {"train_loss", "valid_loss", "learning_rate", "seconds"} <= set(fitted.history_)
    assert fitted.attention_backend_ in ("dense", "sparse")
    assert fitted.scan_backend_ in ("numba", "chunked", "mamba_ssm")


def test_attention_weights_are_labelled_shares(fitted, data):
    weights = fitted.attention_weights(data.values)
    assert list(weights.index) == list(weights.columns) == list(data.values.columns)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-5)
    assert (weights.to_numpy()[fitted.graph_.to_numpy() == 0] == 0).all()
    two = STMambaForecaster(**{**SMALL, "n_layers": 2}, max_epochs=1, random_state=0).fit(data.values)
    layers = two.attention_weights(data.values, per_layer=True, stride=7)
    assert len(layers) == 2
    assert not np.allclose(*layers)
    mean = (layers[0] + layers[1]) / 2
    pd.testing.assert_frame_equal(two.attention_weights(data.values, stride=7), mean)


def test_attention_weights_need_attention_and_rows(fitted, data):
    model = STMambaForecaster(**SMALL, n_heads=0, max_epochs=1, random_state=0).fit(data.values)
    with pytest.raises(ParameterError, match="n_heads=0"):
        model.attention_weights(data.values)
    with pytest.raises(DataError, match="at least input_length = 8"):
        fitted.attention_weights(data.values[:5])


def test_attention_follows_the_edges_and_not_their_reverse():
    """Node 1 is fed by node 0 over the edge 0 -> 1, so 1 attends to 0, and 0 to itself only."""
    X = np.random.default_rng(0).normal(size=(100, 2))
    model = STMambaForecaster(**SMALL, max_epochs=1, random_state=0).fit(
        X, adj=np.array([[0.0, 1.0], [0.0, 0.0]])
    )
    weights = model.attention_weights(X).to_numpy()
    assert weights[0].tolist() == [1.0, 0.0]
    assert (weights[1] > 0).all()


ABLATIONS = {
    "n_layers": 2,
    "n_heads": 4,
    "no space": {"n_heads": 0},
    "attention": "gatv2",
    "graph": "learned",
    "temporal": False,
    "d_conv": 2,
    "expand": 1,
    "bidirectional": True,
    "feed_forward": 2,
    "node_embedding_dim": 0,
    "dropout": 0.5,
    "norm_first": False,
    "head": "last",
    "head_width": 4,
    "linear head": {"head_width": 0},
}


@pytest.mark.parametrize("parameter", ABLATIONS)
def test_every_architecture_parameter_changes_the_forecast(fitted, data, parameter):
    value = ABLATIONS[parameter]
    if value == "gatv2":
        pytest.importorskip("torch_geometric")
    changed = {**SMALL, **(value if isinstance(value, dict) else {parameter: value})}
    model = STMambaForecaster(**changed, max_epochs=2, random_state=0).fit(data.values, data.graph)
    forecast = model.predict()
    assert np.isfinite(forecast).all(axis=None)
    assert not np.allclose(forecast, fitted.predict(), rtol=1e-6)


@pytest.mark.parametrize("graph", [None, "given"], ids=["learned", "given"])
def test_dense_and_sparse_train_to_the_same_forecast(data, graph):
    adj = None if graph is None else data.graph
    forecasts = [
        STMambaForecaster(**SMALL, attention_backend=backend, max_epochs=2, random_state=0)
        .fit(data.values, adj)
        .predict()
        for backend in ("dense", "sparse")
    ]
    spread = float(data.values.to_numpy().std())
    np.testing.assert_allclose(forecasts[0], forecasts[1], rtol=0, atol=1e-4 * spread)


def test_every_graph_container_gives_the_same(fitted, data):
    from scipy import sparse

    dense = data.graph.to_dense()
    names = list(data.values.columns)
    order = names[::-1]
    containers = {
        "array": dense,
        "DataFrame in another order": pd.DataFrame(dense, index=names, columns=names).loc[order, order],
        "csr": sparse.csr_array(dense),
        "coo matrix": sparse.coo_matrix(dense),
        "tensor": torch.from_numpy(dense),
        "edge list": data.graph.edges(),
        "Graph": Graph(dense),
    }
    try:
        import networkx

        containers["networkx"] = networkx.relabel_nodes(
            networkx.from_numpy_array(dense, create_using=networkx.DiGraph), dict(enumerate(names))
        )
    except ImportError:
        pass
    try:
        from torch_geometric.data import Data

        edge_index, weight = (torch.from_numpy(part) for part in data.graph.edges())
        containers["torch_geometric"] = Data(edge_index=edge_index, edge_weight=weight, num_nodes=len(names))
    except ImportError:
        pass
    for name, adj in containers.items():
        model = STMambaForecaster(**SMALL, max_epochs=2, random_state=0).fit(data.values, adj=adj)
        np.testing.assert_array_equal(model.predict(), fitted.predict(), err_msg=name)


def test_early_values_change_the_forecast(fitted, data):
    X = data.values.copy()
    before = fitted.predict(X)
    X.iloc[-8:-1] += X.std()
    assert (np.abs(fitted.predict(X) - before) > 0).all(axis=None)


def test_a_graph_without_edges_makes_the_nodes_independent(data):
    """Of the network: the linear forecast may see all nodes whatever the graph is."""
    model = STMambaForecaster(**SMALL, linear_skip=False, max_epochs=1, random_state=0)
    model.fit(data.values, adj=np.zeros((6, 6)))
    X = data.values.copy()
    before = model.predict(X)
    X.iloc[:, 2] += 1.0
    changed = (model.predict(X) != before).any()
    assert changed.tolist() == [node == 2 for node in range(6)]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"n_heads": 3}, "multiple of n_heads=3"),
        ({"attention": "additive"}, "additive"),
        ({"attention_backend": "fast"}, "fast"),
        ({"attention": "gat", "attention_backend": "dense"}, "edges only|torch_geometric"),
        ({"graph": "both"}, "both"),
        ({"graph": "given"}, "graph='given' needs a graph"),
        ({"node_embedding_dim": 0, "graph": "learned"}, "needs node embeddings"),
        ({"temporal": False, "head": "last"}, "flatten"),
        ({"dropout": 1.0}, "dropout"),
        ({"d_model": 0}, "d_model"),
    ],
)
def test_wrong_architecture_values(data, parameters, words):
    if "attention" in parameters and parameters["attention"] == "gat":
        pytest.importorskip("torch_geometric")
    with pytest.raises(ParameterError, match=words):
        STMambaForecaster(**{**SMALL, **parameters}).fit(data.values)


def test_missing_torch_geometric_is_told_before_training(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_geometric", None)
    with pytest.raises(MissingDependencyError, match=r"stmest\[graph\]"):
        STMambaForecaster(**SMALL, attention="gat").fit(data.values, data.graph)


def test_missing_values(data):
    holey = data.values.mask(np.random.default_rng(0).random(data.values.shape) < 0.2)
    model = STMambaForecaster(**SMALL, max_epochs=1, random_state=0).fit(holey, data.graph)
    assert model.has_gaps_
    assert np.isfinite(model.predict()).all(axis=None)
    assert np.isfinite(model.attention_weights(holey)).all(axis=None)


def test_several_features_one_target(data):
    X = np.stack([data.values, data.values**2], axis=-1)
    model = STMambaForecaster(**SMALL, target=[1], max_epochs=1, random_state=0).fit(X)
    assert model.predict().shape == (3, 6, 1)


def test_bfloat16(data):
    model = STMambaForecaster(**SMALL, precision="bfloat16", max_epochs=1, random_state=0).fit(
        data.values, data.graph
    )
    assert np.isfinite(model.predict()).all(axis=None)


def test_pickles_keep_everything(fitted, data):
    other = pickle.loads(pickle.dumps(fitted))
    pd.testing.assert_frame_equal(other.predict(), fitted.predict())
    pd.testing.assert_frame_equal(other.graph_, fitted.graph_)
    pd.testing.assert_frame_equal(other.attention_weights(data.values), fitted.attention_weights(data.values))


def test_grid_search(data):
    model = STMambaForecaster(**SMALL, adj=data.graph, max_epochs=1, random_state=0)
    split = ForecastSplit(n_splits=2, test_size=30)
    search = GridSearchCV(model, {"head": ["flatten", "last"]}, cv=split).fit(data.values)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(data.values).shape == (3, 6)


def test_report_beside_others(data):
    report = compare(
        {"stmamba": STMambaForecaster(**SMALL, max_epochs=1, random_state=0)}, data.values, data.graph
    )
    assert report["stmamba"].error is None


def test_the_command_line_knows_it(data, tmp_path, capsys):
    data.values.to_csv(tmp_path / "readings.csv")
    arguments = ["--data", tmp_path / "readings.csv", "--models", "stmamba", "--max-epochs", 1, "--seed", 3]
    assert main(["report", *map(str, [*arguments, "--out", tmp_path])]) == 0
    assert "stmamba" in capsys.readouterr().out
    written = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert written["models"]["stmamba"]["parameters"]["random_state"] == 3


def test_same_seed_same_bytes(fitted, data):
    again = STMambaForecaster(**SMALL, max_epochs=2, random_state=0).fit(data.values, data.graph)
    first, second = fitted.network_.state_dict(), again.network_.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_it_beats_the_last_value_where_there_is_something_to_learn():
    """A travelling wave with noise: the last value is wrong by construction, the neighbours show where the wave is."""
    t, n = np.ogrid[:600, :6]
    X = np.sin(2 * np.pi * (t / 12 + n / 6)) + 0.1 * np.random.default_rng(0).normal(size=(600, 6))
    model = STMambaForecaster(**SMALL, max_epochs=8, learning_rate=1e-2, random_state=0).fit(X[:500])
    y_true, y_pred = model.predict_windows(X[500:])
    assert np.abs(y_true - y_pred).mean() < 0.25  # the last value is off by 0.8 on average, the noise by 0.08
