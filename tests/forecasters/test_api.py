"""The API of every forecaster, through the smallest network: containers, graphs, windows, errors, pickles, seeds."""

from __future__ import annotations

import copy
import io
import os
import pickle
import subprocess
import sys
from pathlib import Path

import joblib
import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from stmest.exceptions import DataError, DeviceError, GraphError, ParameterError, StmestError, TrainingError
from stmest.graphs import Graph

from .tiny import TinyForecaster

N_TIMES, N_NODES = 120, 4
NODES = list("abcd")


@pytest.fixture
def frame():
    rng = np.random.default_rng(1)
    index = pd.date_range("2024-01-01", periods=N_TIMES, freq="h")
    values = (
        10
        + np.sin(np.arange(N_TIMES)[:, None] / 4 + np.arange(N_NODES))
        + 0.1 * rng.normal(size=(N_TIMES, N_NODES))
    )
    return pd.DataFrame(values, index=index, columns=NODES)


@pytest.fixture
def adjacency():
    return np.array([[0, 1, 0, 0], [0, 0, 2, 0], [0.5, 0, 0, 1], [0, 0, 0, 0]], dtype=float)


def tiny(**parameters):
    return TinyForecaster(**{"random_state": 0, **parameters})


# ------------------------------------------------------------------ graphs


def graph_forms(adjacency):
    directed = nx.from_numpy_array(adjacency, create_using=nx.DiGraph)
    edges = np.array(np.nonzero(adjacency))
    return {
        "dense": adjacency,
        "DataFrame": pd.DataFrame(adjacency, index=NODES, columns=NODES),
        "permuted DataFrame": pd.DataFrame(adjacency, index=NODES, columns=NODES).loc[
            list("dbca"), list("dbca")
        ],
        "sparse": sparse.csr_array(adjacency),
        "networkx": nx.relabel_nodes(directed, dict(enumerate(NODES))),
        "edges": (edges, adjacency[tuple(edges)]),
        "Graph": Graph(adjacency, nodes=NODES),
    }


@pytest.mark.parametrize("form", list(graph_forms(np.eye(4))))
def test_one_forecast_from_every_graph_container(frame, adjacency, form):
    expected = tiny(adj=adjacency).fit(frame).predict()
    graph = graph_forms(adjacency)[form]
    pd.testing.assert_frame_equal(tiny().fit(frame, adj=graph).predict(), expected)
    pd.testing.assert_frame_equal(tiny().fit(frame, graph).predict(), expected)
    assert not tiny().fit(frame).predict().equals(expected)


def test_the_graph_of_fit_wins(frame, adjacency):
    model = tiny(adj=np.zeros((4, 4))).fit(frame, adj=adjacency)
    np.testing.assert_array_equal(model.given_graph_.to_dense(), adjacency)


def test_as_many_rows_as_nodes_is_ambiguous():
    X = np.random.default_rng(0).normal(size=(12, 12))
    with pytest.raises(GraphError, match="adj="):
        tiny().fit(X, np.eye(12))
    assert tiny().fit(X, adj=np.eye(12)).given_graph_ is not None


def test_y_that_is_no_graph(frame):
    targets = [
        np.zeros(N_TIMES),
        np.zeros((N_TIMES, 1)),
        np.zeros(7),
        [0.0] * N_TIMES,
        frame["a"],
        frame,
        frame.shift(-1),
        3,
    ]
    for y in [*targets, "adj.csv"]:
        with pytest.raises(DataError, match=r"no graph of 4 nodes.*target=.*adj=.*forecast_scorer"):
            tiny().fit(frame, y)
    square = pd.DataFrame(np.eye(4))
    with pytest.raises(DataError, match="no graph of 4 nodes"):  # values of four rows, beside a graph
        tiny(input_length=1, horizon=1).fit(square, square, adj=np.eye(4))
    model = tiny().fit(frame)
    for y in (frame["a"], np.eye(4)):
        with pytest.raises(DataError, match=r"Write score\(X\)"):
            model.score(frame, y)


def test_a_number_is_no_data(frame):
    model = tiny().fit(frame)
    for number in (5, np.int64(5), 5.0):
        with pytest.raises(DataError, match=r"predict\(steps=5"):
            model.predict(number)
    with pytest.raises(DataError, match=r"predict_interval\(coverage=0.8\)"):
        model.predict_interval(0.8)


def test_windows_as_a_frame(frame):
    model = tiny().fit(frame.iloc[:100])
    truth, forecast = model.predict_windows(frame.iloc[100:], stride=3)
    table = model.predict_windows(frame.iloc[100:], stride=3, as_frame=True)
    assert list(table.index.names) == ["origin", "step", "time", "node"]
    assert list(table.columns) == ["truth", "forecast"]
    np.testing.assert_array_equal(table["truth"].to_numpy().reshape(truth.shape), truth)
    np.testing.assert_array_equal(table["forecast"].to_numpy().reshape(forecast.shape), forecast)
    first = table.reset_index().iloc[0]
    assert (first["origin"], first["step"], first["time"], first["node"]) == (
        frame.index[99],
        1,
        frame.index[100],
        "a",
    )
    observed = table["truth"].droplevel(["origin", "step"])
    for (time, node), value in observed.items():
        assert value == frame.loc[time, node]


def test_windows_as_a_frame_from_other_containers(frame):
    values = np.stack([frame.to_numpy(), 2 * frame.to_numpy()], axis=-1)
    table = tiny(target=[1]).fit(values).predict_windows(values, stride=50, as_frame=True)
    assert list(table.index.names) == ["origin", "step", "time", "node", "feature"]
    origin, step, time, node, feature = table.index[-1]
    assert (time, node, feature) == (origin + step, 3, 1)
    assert table["truth"].iloc[-1] == values[time, node, feature].astype(table["truth"].dtype)
    parts = [frame.iloc[:60], frame.iloc[60:]]
    table = tiny().fit(parts).predict_windows(parts, stride=20, as_frame=True)
    assert list(table.index.names) == ["trajectory", "origin", "step", "time", "node"]
    assert table.index.get_level_values("origin")[-1] in parts[1].index
    for (number, _, _, time, node), value in table["truth"].items():
        assert value == parts[number].loc[time, node]
    untimed = tiny(seasonal_profile=None).fit([part.to_numpy() for part in parts])
    table = untimed.predict_windows([part.to_numpy() for part in parts], stride=20, as_frame=True)
    for (number, _, _, row, node), value in table["truth"].items():
        assert value == parts[number].to_numpy()[row, node]


def test_a_graph_of_another_size(frame):
    with pytest.raises(GraphError, match=r"\(5, 5\)"):
        tiny().fit(frame, adj=np.eye(5))


def test_a_warm_start_keeps_the_graph(frame, adjacency):
    model = tiny(warm_start=True).fit(frame, adjacency)
    assert model.fit(frame).given_graph_ is not None
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(model)).predict(), model.predict())
    model.fit(frame, pd.DataFrame(adjacency, NODES, NODES))
    with pytest.raises(GraphError, match="graph of the first fit"):
        model.fit(frame, adjacency * 2)


def test_a_warm_start_that_fails_leaves_the_weights(frame):
    model = tiny(warm_start=True).fit(frame)
    before = model.predict()
    with pytest.raises(TrainingError):
        model.set_params(learning_rate=1e30, grad_clip=None, loss="mse", max_epochs=5).fit(frame)
    pd.testing.assert_frame_equal(model.predict(), before)


# ------------------------------------------------------------------ predict


def test_frame_in_frame_out(frame):
    forecast = tiny().fit(frame).predict()
    assert list(forecast.columns) == NODES
    assert list(forecast.index) == list(pd.date_range("2024-01-06", periods=2, freq="h"))


def test_predict_starts_after_what_it_is_given(frame):
    model = tiny().fit(frame)
    pd.testing.assert_frame_equal(model.predict(), model.predict(frame))
    pd.testing.assert_frame_equal(model.predict(), model.predict(frame.iloc[-4:]))
    assert model.predict(frame.iloc[:50]).index[0] == frame.index[50]


def test_axes_out_as_axes_in(frame):
    X = frame.to_numpy()
    assert tiny().fit(X).predict().shape == (2, 4)
    assert tiny().fit(X[..., None]).predict().shape == (2, 4, 1)
    assert tiny().fit(X.astype(np.float32)).predict().dtype == np.float32


def test_several_features_and_targets(frame):
    X = np.stack([frame, frame * 100, frame - 3], axis=-1)
    assert tiny().fit(X).predict().shape == (2, 4, 3)
    model = tiny(target=[1]).fit(X)
    assert model.predict().shape == (2, 4, 1)
    assert model.predict().mean() > 500
    y_true, y_pred = model.predict_windows(X)
    np.testing.assert_allclose(y_true[3, 0], X[7, :, 1:2])
    assert y_pred.shape == y_true.shape
    with pytest.raises(ParameterError, match="target=3"):
        tiny(target=3).fit(X)


def test_windows_are_the_forecasts_of_their_origins(frame):
    model = tiny().fit(frame)
    y_true, y_pred = model.predict_windows(frame, stride=5)
    assert len(y_true) == len(range(0, N_TIMES - 6 + 1, 5))
    np.testing.assert_array_equal(y_true[2], frame.iloc[14:16])
    np.testing.assert_allclose(y_pred[2], model.predict(frame.iloc[10:14]), rtol=1e-5)


def test_rows_that_continue_the_training_data_are_all_forecast(frame):
    model = tiny().fit(frame.iloc[:100])
    y_true, _ = model.predict_windows(frame.iloc[100:])
    np.testing.assert_array_equal(y_true[0], frame.iloc[100:102])
    y_true, _ = model.predict_windows(frame.iloc[101:])
    np.testing.assert_array_equal(y_true[0], frame.iloc[105:107])


def test_score_is_the_variance_weighted_r2(frame):
    model = tiny(max_epochs=20).fit(frame)
    y_true, y_pred = model.predict_windows(frame)
    truth, forecast = y_true.reshape(-1, 4), y_pred.reshape(-1, 4)
    expected = 1 - ((truth - forecast) ** 2).sum() / ((truth - truth.mean(0)) ** 2).sum()
    assert model.score(frame) == pytest.approx(expected)
    holey = frame.copy()
    holey.iloc[50, 2] = np.nan
    assert model.score(holey) == pytest.approx(expected, abs=0.02)


def test_update_moves_the_origin(frame):
    model = tiny().fit(frame.iloc[:100])
    expected = model.predict(frame.iloc[:110])
    pd.testing.assert_frame_equal(model.update(frame.iloc[100:110]).predict(), expected)
    with pytest.raises(DataError, match="so that the next one is 2024-01-05 14"):
        model.update(frame.iloc[112:])


def test_calendar_features_are_used_where_there_are_dates(frame):
    assert tiny().fit(frame).time_features_ == ("time_of_day",)
    assert tiny(time_features=None).fit(frame).time_features_ == ()
    assert tiny(time_features=["day_of_week"]).fit(frame).time_features_ == ("day_of_week",)
    with pytest.raises(DataError, match="DatetimeIndex"):
        tiny().fit(frame).predict(frame.reset_index(drop=True))
    with pytest.raises(ParameterError, match="dates"):
        tiny(time_features=["day_of_week"]).fit(frame.to_numpy())


# ------------------------------------------------------------------ missing values


def test_missing_values_are_normal(frame):
    holey = frame.copy()
    holey.iloc[10:30, 1] = np.nan
    holey.iloc[:, 3] = np.nan
    model = tiny().fit(holey)
    assert model.has_gaps_
    assert np.isfinite(model.predict()).all(axis=None)
    assert np.isfinite(model.score(holey))
    everything = holey.copy()
    everything.iloc[-4:] = np.nan
    assert np.isfinite(model.predict(everything)).all(axis=None)
    assert np.isfinite(tiny().fit(frame).predict(holey)).all(axis=None)


def test_windows_without_any_observation_are_skipped_and_counted(frame):
    holey = frame.copy()
    holey.iloc[40:48] = np.nan
    assert tiny().fit(frame).history_.attrs["skipped_windows"] == 0
    # windows of 4 + 2 time steps: 7 have all targets in the gap of 8 time steps, 5 have all inputs there, 3 have both
    assert tiny().fit(holey).history_.attrs["skipped_windows"] == 9
    with pytest.raises(DataError, match="all missing"):
        tiny().fit(np.full((50, 3), np.nan))


# ------------------------------------------------------------------ errors


def test_devices(frame):
    with pytest.raises(DeviceError, match="cpu"):
        tiny(device="gpu").fit(frame)
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match=r"'cuda'.*\['cpu'\]"):
            tiny(device="cuda").fit(frame)
    assert tiny(device="cpu").fit(frame).device_ == torch.device("cpu")


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.zeros((5, 4)), "n_samples = 5 rows; input_length . horizon = 6"),
        (np.zeros((0, 4)), "0 sample"),
        (np.zeros((1, 40, 4, 1, 1, 1)), "6 axes"),
    ],
)
def test_data_that_do_not_fit(X, words):
    with pytest.raises(ValueError, match=words):
        tiny().fit(X)


def test_other_data_at_predict(frame):
    model = tiny().fit(frame)
    with pytest.raises(ValueError, match="3 features"):
        tiny().fit(frame.to_numpy()).predict(frame.to_numpy()[:, :3])
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename(columns={"a": "z"}))
    with pytest.raises(DataError, match="at least 4 rows"):
        model.predict(frame.iloc[:3])
    with pytest.raises(DataError, match=r"look-back . horizon = 6 rows"):
        model.score(frame.iloc[:5])
    with pytest.raises(ParameterError, match="stride"):
        model.predict_windows(frame, stride=0)


def test_long_tables_are_aligned_by_node_name(frame):
    long = frame.rename_axis(index="time").reset_index().melt("time", var_name="node")
    model = tiny().fit(long)
    shuffled = long.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(model.predict(shuffled), model.predict(long))


def test_unfitted():
    for use in (
        lambda m: m.predict(),
        lambda m: m.score(np.zeros((9, 2))),
        lambda m: m.update(np.zeros((9, 2))),
    ):
        with pytest.raises(NotFittedError):
            use(tiny())


def test_every_error_of_ours_has_one_root():
    assert all(issubclass(kind, StmestError) for kind in (DataError, GraphError, ParameterError, DeviceError))


# ------------------------------------------------------------------ pickles, seeds


def _joblib_copy(model):
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


@pytest.mark.parametrize("copy_of", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy, _joblib_copy])
def test_copies_forecast_the_same(frame, adjacency, copy_of):
    model = tiny().fit(frame, adjacency)
    other = copy_of(model)
    pd.testing.assert_frame_equal(other.predict(), model.predict())
    pd.testing.assert_frame_equal(other.history_, model.history_)
    other.set_params(warm_start=True).fit(frame, adjacency)
    assert len(other.history_) == 2 * len(model.history_)


def test_pickles_hold_no_module(frame):
    content = pickle.dumps(tiny().fit(frame))
    assert b"torch.nn" not in content
    assert b"skorch" not in content
    assert b"TinyNetwork" not in content
    assert len(content) < 20_000


def test_a_pickle_from_a_missing_device_opens_on_the_cpu(frame):
    model = tiny().fit(frame)
    model.device = "cuda:7"
    with pytest.warns(RuntimeWarning, match="loaded on the CPU"):
        other = pickle.loads(pickle.dumps(model))
    pd.testing.assert_frame_equal(other.predict(), model.predict())


def test_clone_is_unfitted(frame, adjacency):
    model = tiny(adj=adjacency, max_epochs=1).fit(frame)
    other = clone(model)
    assert not hasattr(other, "network_")
    assert other.get_params()["max_epochs"] == 1
    pd.testing.assert_frame_equal(other.fit(frame).predict(), model.predict())


def test_same_seed_same_bits(frame):
    first, second = (tiny(random_state=7).fit(frame).network_.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = tiny(random_state=8).fit(frame).network_.state_dict()
    assert not torch.equal(first["own.weight"], other["own.weight"])


def test_the_callers_random_state_is_untouched(frame):
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    tiny().fit(frame).predict()
    assert torch.equal(torch.get_rng_state(), torch_before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


def test_predict_changes_nothing(frame):
    model = tiny().fit(frame)
    before = dict(vars(model))
    first, second = model.predict(), model.predict()
    model.score(frame)
    pd.testing.assert_frame_equal(first, second)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is before[name] for name in before)


def test_the_test_part_changes_no_fitted_byte(frame):
    """What comes after the rows given to fit cannot matter; neither may validation rows reach the scaler."""
    changed = frame.copy()
    changed.iloc[-12:] += 100.0
    model = tiny(validation_fraction=0.1).fit(changed)
    np.testing.assert_array_equal(
        model.scaler_.center, tiny(validation_fraction=0.1).fit(frame).scaler_.center
    )


def test_memory_maps_are_fitted_without_a_copy(tmp_path, frame):
    np.save(tmp_path / "x.npy", frame.to_numpy().astype(np.float32))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    model = tiny().fit(mapped)
    np.testing.assert_array_equal(model.predict(), tiny().fit(np.array(mapped)).predict())


_FIT_A_MEMORY_MAP = """
import pathlib, sys
import numpy as np
from tests.forecasters.tiny import TinyForecaster


def resident(field):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


parameters = {"batch_size": 16, "max_epochs": 1, "random_state": 0}
TinyForecaster(**parameters).fit(np.random.default_rng(0).normal(size=(40, 3)))  # what is imported is not data
X = np.load(sys.argv[1], mmap_mode="r")
pathlib.Path("/proc/self/clear_refs").write_text("5")
before = resident("VmRSS")
TinyForecaster(**parameters).fit(X)
sys.stdout.write(str((resident("VmHWM") - before) / X.nbytes))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak of memory from /proc")
def test_fit_needs_at_most_twice_the_memory_of_the_data(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.standard_normal((2000, 10_000), dtype=np.float32))  # 80 MB
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", _FIT_A_MEMORY_MAP, str(tmp_path / "x.npy")],
        # what malloc keeps back of freed memory is not needed, and is more or less by chance
        cwd=root, env={**os.environ, "PYTHONPATH": str(root), "MALLOC_TRIM_THRESHOLD_": "1000000"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 2.0  # pages of the map that were touched count too
