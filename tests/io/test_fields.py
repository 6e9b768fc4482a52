"""Fields from npz and netCDF files."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from stmest.exceptions import DataError, MissingDependencyError
from stmest.io.fields import holds_field, read_field
from stmest.io.tables import read_table

TIME = pd.date_range("2024-01-01", periods=5, freq="h")
VALUES = np.arange(5 * 3 * 4 * 2, dtype=np.float32).reshape(5, 3, 4, 2)


def test_an_npz_with_channels(tmp_path):
    path = tmp_path / "field.npz"
    meta = json.dumps({"unit": "K"})
    np.savez(
        path, values=VALUES, time=TIME.to_numpy(), lat=np.arange(3.0), lon=np.arange(4.0),
        channels=np.array(["u", "v"]), meta=meta,
    )  # fmt: skip
    assert holds_field(path)
    fields = read_field(path)
    assert list(fields) == ["u", "v"]
    v = fields["v"]
    assert v.dims == ("time", "lat", "lon")
    assert v.attrs["unit"] == "K"
    assert list(v.indexes["time"]) == list(TIME)
    np.testing.assert_array_equal(v.values, VALUES[..., 1])


def test_an_npz_of_three_axes_is_a_field_where_it_names_two(tmp_path):
    np.savez(tmp_path / "nodes.npz", values=VALUES[..., 0])
    assert not holds_field(tmp_path / "nodes.npz")
    assert read_table(tmp_path / "nodes.npz")[0].shape == (5, 12)  # three nodes with four channels
    np.savez(tmp_path / "field.npz", values=VALUES[..., 0], y=np.arange(3), x=np.arange(4))
    assert holds_field(tmp_path / "field.npz")
    field = read_field(tmp_path / "field.npz")["0"]
    assert field.dims == ("time", "y", "x")
    assert list(field.indexes["time"]) == list(range(5))


def test_netcdf_variables_of_the_right_dimensions(tmp_path):
    data = xr.Dataset(
        {
            "t2m": (("latitude", "longitude", "time"), VALUES[..., 0].transpose(1, 2, 0), {"units": "K"}),
            "wind": (("time", "height", "latitude", "longitude"), VALUES[:, None, ..., 1]),
            "mask": (("latitude", "longitude"), np.ones((3, 4))),
            "levels": (("time", "level", "latitude", "longitude"), np.zeros((5, 2, 3, 4))),
        },
        {"time": TIME, "latitude": [3.0, 2.0, 1.0], "longitude": np.arange(4.0)},
    )
    data.to_netcdf(tmp_path / "era.nc")
    assert holds_field(tmp_path / "era.nc")
    fields = read_field(tmp_path / "era.nc")
    assert list(fields) == ["t2m", "wind"]
    assert fields["t2m"].dims == ("time", "latitude", "longitude")
    assert fields["t2m"].attrs["unit"] == "K"
    np.testing.assert_array_equal(fields["t2m"].values, VALUES[..., 0])
    np.testing.assert_array_equal(fields["wind"].values, VALUES[..., 1])
    assert list(fields["wind"].indexes["time"]) == list(TIME)


def test_files_that_do_not_fit_are_told(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_field(tmp_path / "none.nc")
    xr.Dataset({"mask": (("lat", "lon"), np.ones((3, 4)))}).to_netcdf(tmp_path / "mask.nc")
    with pytest.raises(DataError, match=r"mask\.nc: holds mask \('lat', 'lon'\); needed: an npz"):
        read_field(tmp_path / "mask.nc")
    np.savez(tmp_path / "words.npz", values=np.full((2, 3, 4, 1), "a"))
    with pytest.raises(DataError, match=r"words\.npz: `values` has shape"):
        read_field(tmp_path / "words.npz")
    np.savez(tmp_path / "times.npz", values=VALUES, time=TIME.to_numpy()[:2])
    with pytest.raises(DataError, match=r"times\.npz"):
        read_field(tmp_path / "times.npz")
    np.savez(tmp_path / "back.npz", values=VALUES, time=TIME.to_numpy()[::-1])
    with pytest.raises(DataError, match="increasing"):
        read_field(tmp_path / "back.npz")
    np.savez(tmp_path / "names.npz", values=VALUES, channels=np.array(["u", "u"]))
    with pytest.raises(DataError, match="2 different names"):
        read_field(tmp_path / "names.npz")

    def no_backend(path):
        raise ValueError("did not find a match in any of xarray's currently installed IO backends")

    monkeypatch.setattr(xr, "open_dataset", no_backend)
    with pytest.raises(MissingDependencyError, match=r"stmest\[io\]"):
        read_field(tmp_path / "mask.nc")


def test_what_is_no_field(tmp_path):
    (tmp_path / "broken.npz").write_bytes(b"PK no archive")
    (tmp_path / "table.csv").write_text("time,a\n1,2\n")
    assert not holds_field(tmp_path / "broken.npz")
    assert not holds_field(tmp_path / "table.csv")
