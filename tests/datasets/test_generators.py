"""The simulated network: reproducible, and a task on which the graph and the types of nodes really matter."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from stmest.datasets import make_sensor_network, mask_gaps
from stmest.exceptions import DataError, ParameterError


@pytest.fixture(scope="module")
def network():
    return make_sensor_network(random_state=0)


def without_cycle(values, n_train):
    """Observations less the mean of their hour of the week, in standard deviations; both from the training data."""
    hour = np.arange(len(values)) % 168
    mean = np.stack([values[:n_train][hour[:n_train] == h].mean(0) for h in range(168)])
    left = values - mean[hour]
    return left / left[:n_train].std(0)


def windows(series, length):
    return np.lib.stride_tricks.sliding_window_view(series, length, axis=0)


def ridge(inputs, targets, alpha=10.0):
    return np.linalg.solve(inputs.T @ inputs + alpha * np.eye(inputs.shape[1]), inputs.T @ targets)


def error_by_step(z, n_train, extra=(), t=24, h=12):
    """Mean absolute error (h,) of one linear model per node of its own past and of extra series (t, n)."""
    errors = []
    for node in range(z.shape[1]):
        past = [windows(series[:, node], t + h)[:, :t] for series in (z, *extra)]
        inputs = np.hstack([*past, np.ones((len(past[0]), 1))])
        targets = windows(z[:, node], t + h)[:, t:]
        weights = ridge(inputs[: n_train - t - h + 1], targets[: n_train - t - h + 1])
        errors.append(np.abs(inputs[n_train - t :] @ weights - targets[n_train - t :]).mean(0))
    return np.mean(errors, axis=0)


def test_shapes_and_names(network):
    assert network.values.shape == (2016, 30)
    assert isinstance(network.values.index, pd.DatetimeIndex)
    assert network.values.index[1] - network.values.index[0] == pd.Timedelta("1h")
    assert list(network.values.columns) == network.graph.nodes
    assert network.values.columns[0] == "s00"
    assert network.graph.coordinates.shape == (30, 2)
    assert network.node_types.shape == (30,)
    assert np.issubdtype(network.node_types.dtype, np.integer)
    assert np.bincount(network.node_types).tolist() == [10, 10, 10]
    assert network.values.notna().all().all()
    spread = network.values.std()
    assert spread.between(3.9, 12.1).all()


def test_same_seed_same_network_and_the_global_generator_is_untouched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    one = make_sensor_network(6, 60, missing=0.2, random_state=3)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    two = make_sensor_network(6, 60, missing=0.2, random_state=3)
    pd.testing.assert_frame_equal(one.values, two.values)
    assert one.graph == two.graph
    assert one.node_types.tolist() == two.node_types.tolist()
    other = make_sensor_network(6, 60, missing=0.2, random_state=4)
    assert not one.values.equals(other.values)
    generator = np.random.default_rng(3)
    pd.testing.assert_frame_equal(
        make_sensor_network(6, 60, missing=0.2, random_state=generator).values, one.values
    )


def test_every_node_is_reached_and_half_of_the_edges_are_one_way(network):
    dense = make_sensor_network(40, 2, random_state=0).graph.to_dense()
    assert not dense.diagonal().any()
    assert (dense > 0).any(axis=0).all()
    mutual = ((dense > 0) & (dense.T > 0)).sum() / (dense > 0).sum()
    assert 0.4 < mutual < 0.9


def test_the_neighbours_past_helps(network):
    n_train = 1612
    z = without_cycle(network.values.to_numpy(), n_train)
    flow = network.graph.to_dense().T.astype(float)
    flow /= flow.sum(axis=1, keepdims=True)
    own = error_by_step(z, n_train)
    seeing = error_by_step(z, n_train, (z @ flow.T, z @ (flow @ flow).T))
    assert seeing.mean() < 0.87 * own.mean()
    assert (seeing[:6] < 0.8 * own[:6]).all()
    wrong = np.random.default_rng(0).permutation(30)
    misled = error_by_step(z, n_train, (z @ flow[:, wrong].T, z @ (flow @ flow)[:, wrong].T))
    assert misled.mean() > 0.97 * own.mean()
    backward = flow.T / np.maximum(flow.T.sum(axis=1, keepdims=True), 1e-9)
    reversed_ = error_by_step(z, n_train, (z @ backward.T, z @ (backward @ backward).T))
    assert seeing.mean() < 0.95 * reversed_.mean()  # the direction of the edges matters


def test_the_graph_can_be_recovered(network):
    z = without_cycle(network.values.to_numpy(), 2016)
    order, n = 8, z.shape[1]
    past = np.hstack([z[order - lag : -lag] for lag in range(1, order + 1)])
    weights = ridge(past, z[order:]).reshape(order, n, n)
    strength = np.sqrt(np.square(weights).sum(axis=0))  # [i, j]: what i adds to a forecast of j
    pairs = ~np.eye(n, dtype=bool)
    truth = network.graph.to_dense() > 0
    assert roc_auc_score(truth[pairs], strength[pairs]) > 0.9
    assert roc_auc_score(truth[pairs], strength[pairs]) > roc_auc_score(truth.T[pairs], strength[pairs])


def test_types_differ_in_persistence_and_cycle():
    network = make_sensor_network(24, 2000, n_types=4, incident_rate=0.0, noise=0.0, random_state=2)
    z = without_cycle(network.values.to_numpy(), 2000)
    persistence = np.array([np.corrcoef(column[1:], column[:-1])[0, 1] for column in z.T])
    by_type = [persistence[network.node_types == kind].mean() for kind in range(4)]
    assert by_type[3] < by_type[0] - 0.1
    assert by_type[0] < by_type[2] - 0.1
    assert by_type[2] < by_type[1] - 0.1
    index = network.values.index
    days = network.values[index.dayofweek < 5].groupby(index[index.dayofweek < 5].hour).mean()
    peaks = days.idxmax().to_numpy()
    assert [int(np.median(peaks[network.node_types == kind])) for kind in range(3)] == [8, 19, 13]


def test_incidents_are_felt_by_type_and_travel():
    calm = make_sensor_network(12, 400, incident_rate=0.0, random_state=5)
    busy = make_sensor_network(12, 400, incident_rate=0.05, random_state=5)
    unit = calm.values.std()
    change = (
        (busy.values - busy.values.mean()) / busy.values.std() - (calm.values - calm.values.mean()) / unit
    ).abs()
    felt = change.mean().groupby(calm.node_types).mean()
    assert felt[0] > 2 * felt[1]


def test_missing_values_are_single_and_in_gaps():
    network = make_sensor_network(10, 600, missing=0.3, random_state=0)
    gone = network.values.isna().to_numpy()
    assert gone.sum() == round(0.3 * gone.size)
    runs = _runs(gone)
    assert min(runs) == 1
    assert max(runs) > 10


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.5, 0.95])
def test_mask_gaps_removes_the_share_asked_for(fraction):
    X = np.random.default_rng(0).normal(size=(50, 4))
    given_array = X.copy()
    out = mask_gaps(X, fraction, max_gap=5, random_state=1)
    assert np.isnan(out).sum() == round(fraction * 200)
    np.testing.assert_array_equal(X, given_array)
    np.testing.assert_array_equal(out[~np.isnan(out)], X[~np.isnan(out)])
    np.testing.assert_array_equal(mask_gaps(X, fraction, max_gap=5, random_state=1), out)


def _runs(gone):
    return [len(run) for column in gone.T for run in "".join("x" if g else " " for g in column).split()]


def test_mask_gaps_in_gaps_only_or_singly():
    X = np.zeros((5000, 2))
    gaps, singles = (
        _runs(np.isnan(mask_gaps(X, 0.1, max_gap=10, random_state=0, single=share))) for share in (0.0, 1.0)
    )
    assert sum(gaps) == sum(singles) == 1000
    assert np.mean(gaps) > 4.5  # lengths are uniform from 1 to 10, and some gaps meet
    assert np.mean(singles) < 1.3


def test_mask_gaps_other_inputs():
    features = mask_gaps(np.zeros((30, 3, 2), dtype=np.float32), 0.2, random_state=0)
    assert features.dtype == np.float32
    assert np.isnan(features).all(axis=2).sum() == np.isnan(features).any(axis=2).sum() == 18
    frame = pd.DataFrame(np.ones((20, 2), dtype=int), columns=["a", "b"])
    assert mask_gaps(frame, 0.1, random_state=0).isna().sum().sum() == 4
    half_gone = np.where(np.arange(40).reshape(20, 2) < 30, np.nan, 1.0)
    assert np.isnan(mask_gaps(half_gone, 0.9, random_state=0)).all()
    with pytest.raises(DataError, match=r"got \(5,\)"):
        mask_gaps(np.zeros(5), 0.1)


def test_other_steps_keep_the_day():
    network = make_sensor_network(4, 200, freq="15min", random_state=0)
    assert network.values.index[96] - network.values.index[0] == pd.Timedelta("1D")
    assert make_sensor_network(2, 5, n_types=1, random_state=0).node_types.tolist() == [0, 0]


@pytest.mark.parametrize(
    "kwargs",
    [
        {"n_nodes": 1},
        {"n_times": 0},
        {"n_types": 5},
        {"n_neighbors": 0},
        {"incident_rate": 2},
        {"noise": -1},
        {"missing": 1.0},
        {"freq": "7h"},
        {"freq": "soon"},
    ],
)
def test_bad_arguments(kwargs):
    with pytest.raises(ParameterError, match=next(iter(kwargs))):
        make_sensor_network(**{"n_nodes": 4, "n_times": 10, **kwargs})
    for wrong in ({"fraction": -0.1}, {"fraction": 0.1, "max_gap": 0}, {"fraction": 0.1, "single": 2}):
        with pytest.raises(ParameterError):
            mask_gaps(np.zeros((4, 4)), **wrong)
