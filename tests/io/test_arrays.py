"""Arrays and archives: what field files hold, and sizes that are refused before anything is read."""

from __future__ import annotations

import contextlib
import gzip
import importlib.util
import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from stmest import DataError, runtime
from stmest.io.fields import holds_field, read_field
from stmest.io.tables import read_table

h5py = pytest.importorskip("h5py")
TIMES = pd.date_range("2012-03-01", periods=6, freq="5min", unit="ns")
VALUES = np.arange(12.0).reshape(6, 2)


def _npy(shape, descr="<f8", data=b""):
    """An npy whose header claims a shape."""
    head = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    head += b" " * (63 - (len(head) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data


def _zip(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


# ---------------------------------------------------------------- K25: what the files of the field hold


def test_npz_with_data_as_pems_has_it(tmp_path):
    data = np.arange(36.0).reshape(6, 2, 3)
    np.savez(tmp_path / "pems04.npz", data=data)
    frame, graph = read_table(tmp_path / "pems04.npz")
    assert frame.shape == (6, 6)
    assert frame.columns[:4].tolist() == [(0, 0), (0, 1), (0, 2), (1, 0)]
    np.testing.assert_array_equal(frame.to_numpy(), data.reshape(6, 6))
    assert graph is None
    np.savez(tmp_path / "both.npz", data=data, values=VALUES)  # `values` is the name of this house
    np.testing.assert_array_equal(read_table(tmp_path / "both.npz")[0].to_numpy(), VALUES)


def test_npy_and_names_as_bytes(tmp_path):
    np.save(tmp_path / "a.npy", VALUES)
    np.testing.assert_array_equal(read_table(tmp_path / "a.npy")[0].to_numpy(), VALUES)
    np.savez(
        tmp_path / "a.npz",
        values=VALUES,
        nodes=np.array([b"773869", "Köln".encode()]),
        time=np.array([f"{t}".encode() for t in TIMES]),
    )
    frame, _ = read_table(tmp_path / "a.npz")
    assert frame.columns.tolist() == ["773869", "Köln"]
    assert frame.index.tolist() == list(TIMES)


@pytest.mark.parametrize(
    "arrays", [{"x": VALUES, "y": VALUES}, {"data": np.zeros((2, 3, 4, 5))}, {"data": np.array(["a"])}]
)
def test_npz_with_other_arrays_is_refused(tmp_path, arrays):
    np.savez(tmp_path / "train.npz", **arrays)
    with pytest.raises(DataError, match=r"train\.npz: (holds x, y; needed|`data` has shape)"):
        read_table(tmp_path / "train.npz")


def _pandas_h5(
    path,
    key="df",
    zone=None,
    columns=(b"773869", b"767541"),
    kind="datetime64",
    pandas_type="frame",
    blocks=1,
):
    """A file as pandas writes it with PyTables."""
    with h5py.File(path, "w") as file:
        group = file.create_group(key)
        group.attrs.update(
            pandas_type=np.bytes_(pandas_type), nblocks=np.int64(blocks), encoding=np.bytes_("UTF-8")
        )
        group.attrs.update(
            {
                f"{axis}_variety": np.bytes_("regular")
                for axis in ("axis0", "axis1", "block0_items", "block1_items")
            }
        )
        names = np.array(columns)
        group["axis0"], group["axis1"] = names, TIMES.asi8
        group["axis0"].attrs["kind"] = np.bytes_("string" if names.dtype.kind == "S" else "integer")
        group["axis1"].attrs["kind"] = np.bytes_(kind)
        group["axis1"].attrs["freq"] = np.bytes_(
            b"cposix\nsystem\np0\n(S'exit 1'\np1\ntp2\nRp3\n."
        )  # a pickle, never opened
        if zone:
            group["axis1"].attrs["tz"] = np.bytes_(zone)
        for block in range(blocks):
            part = slice(None) if blocks == 1 else [1 - block]
            group[f"block{block}_items"], group[f"block{block}_values"] = names[part], VALUES[:, part]
            group[f"block{block}_items"].attrs["kind"] = group["axis0"].attrs["kind"]


@pytest.mark.parametrize("kind", ["datetime64", "datetime64[ns]"])
@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("suffix", ["h5", "hdf5"])
def test_a_frame_in_h5_as_metr_la_has_it(tmp_path, kind, blocks, suffix):
    path = tmp_path / f"metr-la.{suffix}"
    _pandas_h5(path, kind=kind, blocks=blocks)
    frame, _ = read_table(path)
    assert frame.columns.tolist() == ["773869", "767541"]
    assert frame.index.tolist() == list(TIMES)
    np.testing.assert_array_equal(frame.to_numpy(), VALUES)
    assert np.isnan(read_table(path, missing=0)[0].to_numpy()).sum() == 1


def test_a_frame_in_h5_with_numbers_as_names_and_a_time_zone(tmp_path):
    _pandas_h5(tmp_path / "bay.h5", "speed", "Europe/Berlin", (400001, 400017))
    frame, _ = read_table(tmp_path / "bay.h5")
    assert [str(c) for c in frame.columns] == ["400001", "400017"]
    assert list(frame.index) == list(TIMES.tz_localize("UTC"))
    assert str(frame.index.tz) == "Europe/Berlin"


@pytest.mark.skipif(importlib.util.find_spec("tables") is None, reason="PyTables is not installed")
@pytest.mark.parametrize("name", ["speed", None])
def test_a_frame_that_pandas_wrote(tmp_path, name):
    pd.DataFrame(VALUES, index=TIMES.rename(name), columns=["773869", "767541"]).to_hdf(
        tmp_path / "a.h5", key="df"
    )
    np.testing.assert_array_equal(read_table(tmp_path / "a.h5")[0].to_numpy(), VALUES)


def test_arrays_in_h5(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"], file["nodes"] = VALUES, ["a", "b"]
    frame, _ = read_table(tmp_path / "a.h5")
    assert frame.columns.tolist() == ["a", "b"]
    np.testing.assert_array_equal(frame.to_numpy(), VALUES)


def test_h5_that_does_not_fit_is_refused(tmp_path):
    _pandas_h5(tmp_path / "table.h5", pandas_type="frame_table")
    with pytest.raises(DataError, match=r"'frame_table'.*read_hdf.*to_parquet"):
        read_table(tmp_path / "table.h5")
    (tmp_path / "text.h5").write_text("time,a\n1,2\n")
    with pytest.raises(DataError, match="cannot be read as HDF5"):
        read_table(tmp_path / "text.h5")
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file["x"] = VALUES
    with pytest.raises(DataError, match="holds x; needed: `values`"):
        read_table(tmp_path / "empty.h5")
    with h5py.File(tmp_path / "large.h5", "w") as file:
        file.create_dataset("values", (10**8, 10**5), "f8", chunks=(1000, 100))
    with pytest.raises(DataError, match="of memory are free"):
        read_table(tmp_path / "large.h5")


@pytest.mark.parametrize("suffix", [".xls", ".ods", ".pkl", ".mat", ".json", ""])
def test_other_kinds_are_refused_with_the_way_out(tmp_path, suffix):
    path = tmp_path / f"data{suffix}"
    path.write_bytes(b"x")
    with pytest.raises(DataError, match="are not read; needed") as caught:
        read_table(path)
    assert str(caught.value).endswith(".npz, .npy, .h5, .hdf5, .hdf.") == (suffix == "")


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize("shape", [(10**12, 8), (2**62, 2**62), (-1, 5), (10**6,)])
@pytest.mark.parametrize("key", ["values", "data", "time", "nodes"])
def test_a_header_that_claims_more_than_there_is(tmp_path, shape, key):
    members = {"values": _npy((6, 2), data=VALUES.tobytes()), key: _npy(shape, data=b"\0" * 64)}
    path = _zip(tmp_path / "large.npz", **members)
    with pytest.raises(DataError, match="the header claims the shape"):
        read_table(path)
    assert holds_field(path) is False
    (tmp_path / "large.npy").write_bytes(members[key])
    with pytest.raises(DataError, match="the header claims the shape"):
        read_table(tmp_path / "large.npy")


def test_a_field_that_claims_more_than_there_is(tmp_path):
    path = _zip(tmp_path / "field.npz", values=_npy((10**9, 10, 10, 10)))
    assert not holds_field(path)
    with pytest.raises(DataError, match="the header claims the shape"):
        read_field(path)


def _bomb(n_bytes):
    """An npy of zeros that is written in a few kilobytes."""
    return _npy((n_bytes // 8 // 10, 10), data=bytes(n_bytes // 80 * 80))


def test_a_zip_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("stmest.io.arrays._SMALL", 2**16)
    n_bytes = 2**24
    path = _zip(tmp_path / "bomb.npz", values=_bomb(n_bytes))
    assert path.stat().st_size < n_bytes / 200
    tracemalloc.start()
    for read in (read_table, read_field):
        with pytest.raises(DataError, match=r"bomb\.npz: .* in the file would become"):
            read(path)
    with gzip.open(tmp_path / "bomb.csv.gz", "wb") as file:
        file.write(b"time,a\n" + b"0" * n_bytes)
    with zipfile.ZipFile(tmp_path / "bomb.csv.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", b"0" * n_bytes)
    for name in ("bomb.csv.gz", "bomb.csv.zip"):
        with pytest.raises(DataError, match="would become"):
            read_table(tmp_path / name)
    assert tracemalloc.get_traced_memory()[1] < 3 * n_bytes  # the two arguments of writestr and write
    tracemalloc.stop()


def test_what_is_well_compressed_is_read(tmp_path):
    values = np.zeros((5000, 20))  # zeros too, but few
    np.savez_compressed(tmp_path / "zeros.npz", values=values)
    assert read_table(tmp_path / "zeros.npz")[0].shape == (5000, 20)


def test_what_does_not_fit_into_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "free_memory", lambda: 1000)
    np.savez(tmp_path / "a.npz", values=np.zeros((100, 10)))
    np.save(tmp_path / "a.npy", np.zeros((100, 10)))
    frame = pd.DataFrame(np.zeros((100, 10)), columns=list("abcdefghij"))
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_csv(tmp_path / "a.csv")
    xr.Dataset({"v": (("time", "lat", "lon"), np.zeros((9, 9, 9)))}).to_netcdf(tmp_path / "a.nc")
    for name in ("a.npz", "a.npy", "a.parquet", "a.csv", "a.nc"):
        with pytest.raises(DataError, match=rf"^{name}: holds .* of memory are free"):
            (read_field if name == "a.nc" else read_table)(tmp_path / name)


@pytest.mark.parametrize(
    "name", ["a.csv", "a.txt", "a.csv.gz", "a.npz", "a.npy", "a.parquet", "a.feather", "a.h5", "a.xlsx"]
)
@pytest.mark.parametrize("seed", range(3))
def test_binary_rubbish_is_a_data_error(tmp_path, name, seed):
    if name == "a.xlsx":
        pytest.importorskip("openpyxl")
    rubbish = np.random.default_rng(seed).bytes(5000)
    if seed == 1:
        rubbish = b"\x89PNG\r\n\x1a\n" + rubbish
    path = tmp_path / name
    path.write_bytes(gzip.compress(rubbish) if name.endswith(".gz") else rubbish)
    with pytest.raises(DataError, match=name):
        read_table(path)


def test_damaged_archives_are_data_errors(tmp_path):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, values=np.random.default_rng(0).normal(size=(50, 4)), time=np.arange(50))
    whole = buffer.getvalue()
    path = tmp_path / "a.npz"
    rng = np.random.default_rng(1)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 4):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(DataError):
            read_table(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError):
        read_table(path)
