"""Marks of missing values: named by the user, never guessed, and hinted at where a value looks like one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from stmest import DataError
from stmest.data.validation import repeated_outlier
from stmest.io.fields import read_field
from stmest.io.tables import read_table

NAN = np.nan


def _written(tmp_path, text):
    path = tmp_path / "data.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("marks", "cells", "values"),
    [
        ("-9999", ["1", "-9999", "3"], [1, NAN, 3]),
        (-9999, ["1.5", "-9999.0", "3"], [1.5, NAN, 3]),
        ("-", ["1", "-", "3"], [1, NAN, 3]),
        ("-9999,-,0", ["-", "0", "-9999.00", "7"], [NAN, NAN, NAN, 7]),
        ([0, "?"], ["?", "0.0", "0.5"], [NAN, NAN, 0.5]),
        ("missing, no data", ["no data", "2.5", "missing"], [NAN, 2.5, NAN]),
        (".", [".", "2.5", "3"], [NAN, 2.5, 3]),
        (-9999, ['"-9999,0"', '"2,5"', '"3,5"'], [NAN, 2.5, 3.5]),
        (None, ["1", "-9999", "0"], [1, -9999, 0]),
    ],
)
def test_marks_in_text(tmp_path, marks, cells, values):
    text = "time,a\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells))
    frame, _ = read_table(_written(tmp_path, text), missing=marks)
    np.testing.assert_array_equal(frame["a"].to_numpy(), values)
    assert frame.index.tolist() == list(range(len(cells)))  # the time 0 is none of the marks


def test_a_mark_is_no_name_of_a_node(tmp_path):
    text = "time,node,value\n0,-,0\n0,0,5\n1,-,6\n1,0,7\n"
    frame, _ = read_table(_written(tmp_path, text), missing="-,0")
    assert frame.columns.tolist() == ["-", "0"]
    np.testing.assert_array_equal(frame.to_numpy(), [[NAN, 5], [6, 7]])


@pytest.mark.parametrize("mark", ["-", "?", "--", "n.d."])
def test_a_mark_that_was_not_named_is_refused_with_the_way_out(tmp_path, mark):
    with pytest.raises(DataError, match=r"in row 2.*missing="):
        read_table(_written(tmp_path, f"time,a\n0,1\n1,{mark}\n"))


@pytest.mark.parametrize("kind", ["npz", "parquet", "npy"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_marks_in_numbers(tmp_path, kind, dtype):
    values = np.array([[1, -9999], [-9999, 4], [5, 6]], dtype=dtype)
    path = tmp_path / f"data.{kind}"
    if kind == "npz":
        np.savez(path, values=values)
    elif kind == "npy":
        np.save(path, values)
    else:
        pd.DataFrame(values, columns=["a", "b"]).rename_axis("time").reset_index().to_parquet(path)
    frame, _ = read_table(path, missing=-9999)
    np.testing.assert_array_equal(frame.to_numpy(), [[1, NAN], [NAN, 4], [5, 6]])
    assert read_table(path)[0].min(axis=None) == -9999


@pytest.mark.parametrize("kind", ["npz", "nc"])
def test_marks_in_fields(tmp_path, kind):
    values = np.ones((4, 2, 3))
    values[1, 0, 2] = -999
    coords = {"time": pd.date_range("2024-01-01", periods=4), "lat": [1.0, 2], "lon": [0.0, 1, 2]}
    if kind == "npz":
        np.savez(tmp_path / "f.npz", values=values, lat=np.arange(2.0), lon=np.arange(3.0))
    else:
        xr.Dataset({"0": (("time", "lat", "lon"), values)}, coords).to_netcdf(tmp_path / "f.nc")
    field = read_field(tmp_path / f"f.{kind}", missing="-999")["0"]
    assert np.argwhere(np.isnan(field.values)).tolist() == [[1, 0, 2]]


@pytest.mark.parametrize(
    ("value", "others"),
    [
        (-9999.0, (9, 11)),
        (-9999.0, (0, 9000)),
        (0.0, (40, 60)),
        (9999.0, (0, 30)),
        (1e6, (0, 30)),
        (-99.0, (5, 40)),
    ],
)
def test_a_far_value_that_is_repeated_is_found(value, others):
    values = np.random.default_rng(0).uniform(*others, size=(60, 3, 1))
    assert repeated_outlier(values) is None
    values[::17, 1] = value
    values[5, 0] = NAN
    assert repeated_outlier(values) == (value, 4)
    values[:, 2] = value  # a sensor that has nothing else: not seen, and not in the way
    assert repeated_outlier(values) == (value, 4)


@pytest.mark.parametrize(
    "values",
    [
        np.repeat([0.0, 1.0], 20),  # off and on
        np.r_[np.zeros(20), np.linspace(0.1, 30, 20)],  # rain
        np.r_[np.full(2, -9999.0), np.arange(30.0)],  # twice only
        np.full(30, 7.0),
        np.full(30, NAN),
        np.r_[np.zeros(10), np.full(30, 5.0)],
    ],
)
def test_what_is_no_mark_is_not_hinted_at(values):
    assert repeated_outlier(values[:, None, None]) is None
