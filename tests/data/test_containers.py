"""Every container becomes the same panel and comes back as its own kind."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from stmest.data.containers import as_panel
from stmest.data.time_index import follows, future_index
from stmest.exceptions import DataError, StmestError
from tests.faults.unusable import UNUSABLE_X

INDEX = pd.date_range("2024-03-01", periods=6, freq="h", name="time")
NODES = ["north", "south", "west"]


@pytest.fixture
def wide():
    values = np.arange(18.0).reshape(6, 3)
    values[2, 1] = np.nan
    return pd.DataFrame(values, index=INDEX, columns=NODES)


def long_of(wide):
    return (
        wide.rename_axis(index="time")
        .reset_index()
        .melt("time", var_name="node")
        .sort_values("time", kind="stable")
    )


def containers(wide):
    long = long_of(wide)
    return {
        "array": wide.to_numpy(),
        "array 3-D": wide.to_numpy()[..., None],
        "list": wide.to_numpy().tolist(),
        "tensor": torch.tensor(wide.to_numpy(copy=True)),
        "wide": wide,
        "wide, nullable": wide.astype("Float64"),
        "long columns": long,
        "long, Nixtla's names": long.rename(columns={"time": "ds", "node": "unique_id", "value": "y"}),
        "long rows (time, node)": long.set_index(["time", "node"]),
        "long rows (node, time)": long.set_index(["node", "time"]),
        "xarray": xr.DataArray(wide.to_numpy(), coords={"time": INDEX, "node": NODES}, dims=["time", "node"]),
        "xarray, node first": xr.DataArray(
            wide.to_numpy().T, coords={"node": NODES, "time": INDEX}, dims=["node", "time"]
        ),
    }


KINDS = list(containers(pd.DataFrame(np.zeros((6, 3)), index=INDEX, columns=NODES)))


@pytest.mark.parametrize("kind", KINDS)
def test_all_containers_hold_the_same_values(wide, kind):
    panel = as_panel(containers(wide)[kind])
    np.testing.assert_array_equal(panel.values[..., 0], wide.to_numpy())
    assert panel.nodes in (None, NODES)
    assert panel.index is None or panel.index.equals(INDEX)


@pytest.mark.parametrize("kind", KINDS)
def test_panels_can_be_pickled(wide, kind):
    panel = as_panel(containers(wide)[kind])
    again = pickle.loads(pickle.dumps(panel))
    forecast = np.full((2, 3, 1), 7.0)
    assert str(again.like(forecast, [0])) == str(panel.like(forecast, [0]))


@pytest.mark.parametrize("kind", KINDS)
def test_forecasts_come_back_in_the_kind_that_came_in(wide, kind):
    X = containers(wide)[kind]
    panel = as_panel(X)
    forecast = panel.like(np.full((2, 3, 1), 7.0), [0])
    again = as_panel(forecast)
    assert type(forecast) is (np.ndarray if kind == "list" else type(X))
    assert again.values.shape == (2, 3, 1)
    assert (again.values == 7.0).all()
    assert again.nodes == panel.nodes
    if panel.index is not None:
        assert list(again.index) == list(INDEX[-1] + pd.to_timedelta([1, 2], unit="h"))
    if hasattr(X, "dims"):
        assert forecast.dims == X.dims
    if kind.startswith("long"):
        assert list(forecast.columns) == list(X.columns)
        assert forecast.index.names == X.index.names


def test_float_arrays_are_not_copied():
    for dtype in (np.float32, np.float64):
        X = np.random.default_rng(0).normal(size=(10, 4)).astype(dtype)
        assert np.shares_memory(as_panel(X).values, X)
    frame = pd.DataFrame(X)
    assert np.shares_memory(as_panel(frame).values, frame.to_numpy())


def test_memory_maps_stay_on_disk(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((100, 3), dtype=np.float32))
    X = np.load(tmp_path / "x.npy", mmap_mode="r")
    values = as_panel(X).values
    assert np.shares_memory(values, X)


def test_node_feature_columns_make_a_third_axis():
    columns = pd.MultiIndex.from_product([["a", "b"], ["flow", "speed"]])
    frame = pd.DataFrame(np.arange(12.0).reshape(3, 4), index=INDEX[:3], columns=columns)
    panel = as_panel(frame[[("b", "speed"), ("a", "flow"), ("b", "flow"), ("a", "speed")]])
    assert panel.features == ["speed", "flow"]
    assert panel.nodes == ["b", "a"]
    np.testing.assert_array_equal(panel.values[1], [[7.0, 6.0], [5.0, 4.0]])
    back = panel.like(np.ones((1, 2, 1)), [1])
    assert list(back.columns) == [("b", "flow"), ("a", "flow")]


def test_long_table_with_absent_rows_has_gaps(wide):
    long = long_of(wide).reset_index(drop=True).drop(index=[4, 5])
    panel = as_panel(long.sample(frac=1, random_state=0))
    expected = wide.reindex(columns=panel.nodes).to_numpy().copy()
    expected[1, [panel.nodes.index("south"), panel.nodes.index("west")]] = np.nan
    np.testing.assert_array_equal(panel.values[..., 0], expected)


@pytest.mark.parametrize("case", UNUSABLE_X)
def test_what_cannot_be_used_is_refused_with_a_reason(case):
    X, words = UNUSABLE_X[case]
    with pytest.raises(DataError, match=f"(?s){words}"):
        as_panel(X)


def test_a_data_array_of_one_axis():
    with pytest.raises(DataError, match="needed"):
        as_panel(xr.DataArray(np.zeros(3), dims="time"))


def test_our_own_refusals_are_data_errors():
    assert issubclass(DataError, ValueError)
    assert issubclass(DataError, StmestError)


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (pd.RangeIndex(0, 6, 2), [6, 8]),
        (pd.Index([1.0, 1.5, 2.0]), [2.5, 3.0]),
        (pd.period_range("2024-01", periods=3, freq="M"), list(pd.period_range("2024-04", periods=2, freq="M"))),
        (pd.date_range("2024-01-31", periods=3, freq="ME"), list(pd.to_datetime(["2024-04-30", "2024-05-31"]))),
        (pd.to_datetime(["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 05:00", "2024-01-01 06:00"]),
         list(pd.to_datetime(["2024-01-01 07:00", "2024-01-01 08:00"]))),
        (pd.DatetimeIndex(["2024-01-01"]), list(pd.to_datetime(["2024-01-01 01:00", "2024-01-01 02:00"]))),
    ],
)  # fmt: skip
def test_future_index(index, expected):
    assert list(future_index(index, 2)) == expected


def test_future_index_keeps_the_time_zone():
    index = pd.date_range("2024-03-30", periods=30, freq="h", tz="Europe/Paris")
    assert future_index(index, 1)[0] == index[-1] + pd.Timedelta(1, "h")


def test_follows():
    index = pd.date_range("2024-01-01", periods=4, freq="D")
    assert follows(index[:2], index[2:])
    assert not follows(index[:2], index[3:])
    assert not follows(None, index)
    assert not follows(index, pd.RangeIndex(4))
    assert not follows(index[:2], index[2:].tz_localize("UTC"))


@settings(deadline=None, max_examples=40)
@given(n_times=st.integers(1, 7), n_nodes=st.integers(1, 4), seed=st.integers(0, 2**20))
def test_long_and_wide_tables_agree(n_times, n_nodes, seed):
    rng = np.random.default_rng(seed)
    values = np.where(rng.random((n_times, n_nodes)) < 0.2, np.nan, rng.normal(size=(n_times, n_nodes)))
    frame = pd.DataFrame(
        values, index=pd.RangeIndex(n_times, name="time"), columns=[f"n{i}" for i in range(n_nodes)]
    )
    long = long_of(frame)
    panel = as_panel(long.sample(frac=1, random_state=seed)).with_nodes(list(frame.columns))
    np.testing.assert_array_equal(panel.values[..., 0], values)
