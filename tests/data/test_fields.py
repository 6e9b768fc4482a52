"""Fields and trajectories: their cells become nodes, row by row, and come back with axes and coordinates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from stmest.data.containers import as_panel
from stmest.data.splits import temporal_split
from stmest.exceptions import DataError

INDEX = pd.date_range("2024-03-01", periods=6, freq="h")
LAT, LON = [52.0, 51.0, 50.0], [-1.0, 0.0, 1.0, 2.0]
VALUES = np.arange(6 * 3 * 4, dtype=float).reshape(6, 3, 4)


def field(**changes):
    coords = {"time": INDEX, "lat": LAT, "lon": LON}
    return xr.DataArray(VALUES, coords, ["time", "lat", "lon"], name="t2m", attrs={"units": "K"}, **changes)


def test_cells_are_nodes_row_by_row():
    panel = as_panel(VALUES[..., None])
    assert panel.grid == (3, 4)
    assert panel.values.shape == (6, 12, 1)
    np.testing.assert_array_equal(panel.values[2, 1 * 4 + 3, 0], VALUES[2, 1, 3])
    assert np.shares_memory(panel.values, VALUES)


def test_three_axes_are_nodes_with_features_unless_fields_are_read():
    assert as_panel(VALUES).grid is None
    assert as_panel(VALUES).values.shape == (6, 3, 4)
    assert as_panel(VALUES, fields=True).grid == (3, 4)
    assert as_panel(torch.tensor(VALUES), fields=True).grid == (3, 4)
    assert as_panel(VALUES[..., 0], fields=True).grid is None  # two axes are always nodes


@pytest.mark.parametrize("order", [("time", "lat", "lon"), ("lon", "time", "lat"), ("lat", "lon", "time")])
def test_named_dimensions_are_a_field_in_any_order(order):
    X = field().transpose(*order)
    panel = as_panel(X)
    assert panel.grid == (3, 4)
    np.testing.assert_array_equal(panel.values.reshape(6, 3, 4), VALUES)
    out = panel.like(np.full((2, 12, 1), 7.0), [0])
    assert out.dims == order
    assert out.name == "t2m"
    assert out.attrs == {"units": "K"}
    np.testing.assert_array_equal(out.lat, LAT)
    np.testing.assert_array_equal(out.lon, LON)
    assert list(out.indexes["time"]) == list(pd.date_range("2024-03-01 06:00", periods=2, freq="h"))


def test_other_names_of_three_dimensions_are_nodes_with_features():
    assert as_panel(xr.DataArray(VALUES, dims=["time", "node", "feature"])).grid is None


def test_coordinates_of_the_cells_are_kept():
    X = field().assign_coords(height=(("lat", "lon"), np.ones((3, 4))), step=("time", np.arange(6)))
    out = as_panel(X).like(np.zeros((2, 12, 1)), [0])
    assert set(out.coords) == {"time", "lat", "lon", "height"}


def test_features_of_a_field():
    X = xr.DataArray(
        np.stack([VALUES, -VALUES], axis=-1),
        {"time": INDEX, "channel": ["u", "v"]},
        ["time", "y", "x", "channel"],
    ).transpose("channel", "time", "y", "x")
    panel = as_panel(X)
    assert panel.features == ["u", "v"]
    assert panel.values.shape == (6, 12, 2)
    out = panel.like(np.zeros((2, 12, 1)), [1])
    assert out.dims == ("channel", "time", "y", "x")
    assert list(out.channel.values) == ["v"]
    unnamed = as_panel(X.transpose("time", "y", "x", "channel").rename(y="a", x="b"))
    assert unnamed.grid == (3, 4)


def test_five_axes_are_trajectories():
    X = np.stack([VALUES, VALUES + 100])[..., None]
    panel = as_panel(X)
    assert list(panel.bounds) == [0, 6, 12]
    assert np.shares_memory(panel.values, X)
    assert list(panel.starts(5)) == [0, 1, 6, 7]
    assert list(panel.starts(7)) == []
    out = panel.like(np.zeros((2, 3, 12, 1)), [0])
    assert out.shape == (2, 3, 3, 4, 1)
    tensor = as_panel(torch.tensor(X)).like(np.zeros((2, 3, 12, 1)), [0])
    assert isinstance(tensor, torch.Tensor)
    assert tensor.shape == (2, 3, 3, 4, 1)


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_list_of_containers_is_trajectories(kind):
    X = kind([field(), field()[:4]])
    panel = as_panel(X)
    assert list(panel.bounds) == [0, 6, 10]
    out = panel.like(np.zeros((2, 2, 12, 1)), [0])
    assert type(out) is kind
    assert [part.indexes["time"][0] for part in out] == [INDEX[5] + pd.Timedelta("1h"), INDEX[4]]


def test_a_list_of_tables_is_trajectories_of_nodes_by_name():
    first = pd.DataFrame(np.arange(8.0).reshape(4, 2), columns=["a", "b"])
    panel = as_panel([first, first[["b", "a"]]])
    assert panel.nodes == ["a", "b"]
    np.testing.assert_array_equal(panel.values[4:], panel.values[:4])
    assert as_panel(first.to_numpy().tolist()).parts == ()  # nested lists of numbers stay one array


def test_a_dimension_named_trajectory():
    X = xr.concat([field(), field() + 1], pd.Index([10, 20], name="member")).transpose("time", "member", ...)
    panel = as_panel(X)
    assert list(panel.bounds) == [0, 6, 12]
    out = panel.like(np.stack([np.zeros((2, 12, 1)), np.ones((2, 12, 1))]), [0])
    assert out.dims == ("time", "member", "lat", "lon")
    assert list(out.member.values) == [10, 20]
    assert float(out.sel(member=20).min()) == 1


def _different():
    return {
        "grid": ([VALUES[..., None], VALUES[:, :2, :, None]], "a grid of 2 x 4"),
        "axes": ([VALUES[..., None], VALUES], "3 nodes with 4 feature"),
        "names": ([pd.DataFrame({"a": [1.0]}), pd.DataFrame({"b": [1.0]})], "missing"),
        "nested": ([VALUES[None, ..., None]], "themselves hold"),
        "infinity": (
            np.where(VALUES == 30, np.inf, VALUES)[None, ..., None],
            "trajectory 0, row 2, y 1, x 2",
        ),
        "empty": (np.zeros((2, 3, 0, 1)), "no values"),
        "many dimensions": (xr.DataArray(np.zeros((1,) * 5), dims=list("abcde")), "dimensions"),
    }


@pytest.mark.parametrize("case", list(_different()))
def test_what_does_not_fit_is_refused_with_a_reason(case):
    X, words = _different()[case]
    with pytest.raises(DataError, match=words):
        as_panel(X)


@pytest.mark.parametrize(
    ("lengths", "fraction", "cut"),
    [
        ([20] * 8, 0.125, 140),  # whole trajectories
        ([20] * 10, 0.125, 180),  # the cut would fall into one that has but one window
        ([20] * 3, 0.125, 40),  # not to the end, where nothing would be left to validate on
        ([100, 100], 0.125, 175),  # long enough to be cut in time
    ],
)
def test_validation_trajectories(lengths, fraction, cut):
    bounds = np.cumsum([0, *lengths])
    train, validation, found = temporal_split(bounds[-1], 10, 10, fraction, bounds)
    assert found == cut
    assert len(train)
    assert len(validation)
    starts = np.concatenate([train, validation])
    for start in starts:
        assert np.searchsorted(bounds, start, "right") == np.searchsorted(bounds, start + 19, "right")
    assert (train + 20 <= cut).all()
    assert (validation + 10 >= cut).all()
