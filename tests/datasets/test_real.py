"""Readers of public data sets: errors without the files, and the files where they are."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pooch
import pytest

from stmest.datasets import fetch_panel, load_field, load_panel, real
from stmest.exceptions import DataError, MissingDependencyError

needs_files = pytest.mark.skipif(
    "STMEST_DATA" not in os.environ,
    reason="STMEST_DATA is not set: it names the folder of the public data sets",
)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A download cache with a small file of each kind, known to the reader."""
    (tmp_path / "panels").mkdir()
    (tmp_path / "ltsf").mkdir()
    time = np.arange("2020-01-01", "2020-01-04", dtype="datetime64[D]").astype("datetime64[s]")
    values = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    common = {
        "values": values,
        "time": time,
        "nodes": np.array(["a", "b"]),
        "channels": np.array(["in", "out"]),
        "meta": np.array(json.dumps({"unit": "trips"})),
    }
    coords = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.savez(tmp_path / "panels/adj.npz", adj=np.array([[0, 2], [0, 0]]), coords=coords, **common)
    np.savez(tmp_path / "panels/dist.npz", dist=np.array([[0.0, 2], [2, 0]]), coords=coords, **common)
    field = {**common, "values": np.zeros((3, 4, 5, 2)), "lat": np.arange(4.0), "lon": np.arange(5.0)}
    field.pop("nodes")
    np.savez(tmp_path / "panels/grid.npz", **field)
    rows = ["date,x,y", "2020-01-01 00:00:00,1,2", "2020-01-01 01:00:00,-9999,4", ""]
    (tmp_path / "ltsf/table.csv").write_text("\n".join(rows))
    table = {}
    for path in ("panels/adj.npz", "panels/dist.npz", "panels/grid.npz", "ltsf/table.csv"):
        digest = hashlib.sha256((tmp_path / path).read_bytes()).hexdigest()
        table[path.split("/")[1].split(".")[0]] = real._File(path, digest, "1 d", "somewhere")
    monkeypatch.setattr(real, "_FILES", table)
    monkeypatch.setenv("STMEST_DATA", str(tmp_path))
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "downloads" / project)
    return tmp_path


@pytest.fixture
def server(cache, monkeypatch):
    """The files of `cache` at an address of this machine, and nowhere else; counts what was asked for."""
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=cache))
    threading.Thread(target=server.serve_forever).start()
    table = {
        name: file._replace(url=f"http://127.0.0.1:{server.server_port}/{file.path}")
        for name, file in real._FILES.items()
    }
    monkeypatch.setattr(real, "_FILES", table)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("STMEST_DATA")
    server.asked = asked
    yield server
    server.shutdown()
    server.server_close()


def test_npz_with_adjacency(cache):
    panel = load_panel("adj")
    assert panel.values.shape == (3, 2, 2)
    assert panel.nodes == ["a", "b"]
    assert panel.channels == ["in", "out"]
    assert panel.graph.edges()[0].tolist() == [[0], [1]]
    assert panel.graph.nodes == ["a", "b"]
    assert panel.graph.coordinates.tolist() == [[1, 2], [3, 4]]
    assert panel.meta["unit"] == "trips"
    assert panel.meta["origin"] == "somewhere"
    frame = panel.frame("out")
    assert isinstance(frame.index, pd.DatetimeIndex)
    assert frame.loc["2020-01-02"].tolist() == [5, 7]
    pd.testing.assert_frame_equal(panel.frame(1), frame)
    assert panel.frame().iloc[0].tolist() == [0, 2]
    for wrong in ("sideways", 2, -1):
        with pytest.raises(DataError, match="channel="):
            panel.frame(wrong)


def test_npz_with_distances_grid_and_csv(cache):
    graph = load_panel("dist").graph
    assert graph.nodes == ["a", "b"]
    assert graph.to_dense()[0, 1] == pytest.approx(np.exp(-1))
    field = load_panel("grid", folder=cache)
    assert field.values.shape == (3, 4, 5, 2)
    assert field.graph is None
    assert field.meta["lon"].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(DataError, match="gridded field"):
        field.frame()
    table = load_panel("table")
    np.testing.assert_array_equal(table.frame(), [[1, 2], [np.nan, 4]])
    assert table.nodes == ["x", "y"]
    assert table.index[1] == pd.Timestamp("2020-01-01 01:00")


def test_unconfirmed_graphs_are_left_out(cache, monkeypatch):
    monkeypatch.setattr(real, "_UNCONFIRMED_GRAPHS", {"adj"})
    panel = load_panel("adj")
    assert panel.graph is None
    assert panel.meta["unused_adjacency"].shape == (2, 2)


def test_errors_say_what_to_do(cache, monkeypatch):
    with pytest.raises(DataError, match="unknown; known are adj, dist"):
        load_panel("traffic")
    with open(cache / "panels/adj.npz", "ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match=r"SHA-256 is .* expected"):
        load_panel("adj")
    (cache / "panels/adj.npz").unlink()
    with pytest.raises(DataError, match=r"expected at .*adj\.npz.*STMEST_DATA.*Nothing is downloaded"):
        load_panel("adj")
    monkeypatch.delenv("STMEST_DATA")
    for read in (load_panel, fetch_panel):
        with pytest.raises(
            DataError, match=r"read from panels/adj\.npz.*STMEST_DATA.*not set.*folder=.*no address"
        ):
            read("adj")


def test_what_is_fetched_once_is_there_for_good(cache, server):
    with pytest.raises(DataError, match=r"fetch_panel\('table'\) download it"):
        load_panel("table")
    for read in (fetch_panel, fetch_panel, load_panel):
        np.testing.assert_array_equal(read("table").frame(), [[1, 2], [np.nan, 4]])
    assert server.asked == ["/ltsf/table.csv"]
    (cache / "downloads/stmest/ltsf/table.csv").write_text("damaged")
    with pytest.raises(DataError, match="not the expected file"):
        load_panel("table")
    assert fetch_panel("table").nodes == ["x", "y"]
    assert len(server.asked) == 2


def test_the_folder_comes_before_the_downloads(cache, server, monkeypatch):
    monkeypatch.setenv("STMEST_DATA", str(cache))
    assert fetch_panel("adj").nodes == ["a", "b"]
    assert server.asked == []
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert load_panel("adj").nodes == ["a", "b"]


def test_a_download_with_other_contents_is_refused_and_not_kept(cache, server):
    (cache / "ltsf/table.csv").write_text("date,x\n2020-01-01,1\n")
    expected = real._FILES["table"].sha256
    with pytest.raises(DataError, match=rf"served another file.*{expected}.*by hand.*STMEST_DATA"):
        fetch_panel("table")
    assert list((cache / "downloads").rglob("*.*")) == []


def test_without_a_connection_or_pooch_it_is_said_what_to_do(cache, server, monkeypatch):
    (cache / "panels/adj.npz").unlink()
    with pytest.raises(DataError, match=r"could not be downloaded from http.*404.*by hand.*STMEST_DATA"):
        fetch_panel("adj")
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match=r"'table' could not be downloaded.*by hand"):
        fetch_panel("table")
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingDependencyError, match=r"stmest\[io\]"):
        fetch_panel("table")
    with pytest.raises(DataError, match="fetch_panel"):
        load_panel("table")


def test_addresses_are_fixed():
    addresses = {name: file.url for name, file in real._FILES.items() if file.url}
    assert set(addresses) == {"ETTh1", "ETTm1"}
    for name, url in addresses.items():
        assert re.fullmatch(
            rf"https://raw\.githubusercontent\.com/zhouhaoyi/ETDataset/[0-9a-f]{{40}}/ETT-small/{name}\.csv",
            url,
        )


@needs_files
@pytest.mark.parametrize(
    ("name", "shape", "has_graph"),
    [
        ("ETTh1", (17420, 7, 1), False),
        ("exchange_rate", (7588, 8, 1), False),
        ("weather", (52696, 21, 1), False),
        ("nyc_taxi_69zones_60min", (17544, 69, 2), True),
        ("hangzhou_metro_inflow", (2700, 80, 1), False),
        ("molene_brittany_temp", (744, 37, 3), True),
        ("metr_la_1week_losloop", (2016, 207, 1), True),
        ("beijing_air_12sites", (35064, 12, 12), False),
        ("pjm_load_10regions", (45337, 10, 1), False),
        ("grid_era5_t2m_uk", (744, 33, 49, 1), False),
        ("grid_nasa_atmos_24x24", (72, 24, 24, 7), False),
    ],
)
def test_the_files_themselves(name, shape, has_graph):
    panel = load_panel(name)
    assert panel.values.shape == shape
    assert len(panel.index) == shape[0]
    assert panel.index.is_monotonic_increasing
    assert (panel.graph is not None) == has_graph
    if panel.nodes is not None:
        assert panel.frame().shape == shape[:2]
    if has_graph:
        assert panel.graph.nodes == panel.nodes
        assert panel.graph.n_edges > 0


@needs_files
def test_grids_have_coordinates():
    era = load_field("grid_era5_t2m_uk")
    assert era.dims == ("time", "lat", "lon")
    assert era.shape == (744, 33, 49)
    assert era.attrs["unit"] == "K"
    assert float(era.lat[0]) == 58
    nasa = load_field("grid_nasa_atmos_24x24")
    assert nasa.dims == ("time", "lat", "lon", "channel")
    assert nasa.sizes["channel"] == 7
    with pytest.raises(DataError, match="no field; use load_panel"):
        load_field("molene_brittany_temp")


def test_the_page_of_the_documentation_names_every_data_set():
    page = (Path(__file__).parents[2] / "docs/how_to/real_data.md").read_text(encoding="utf-8")
    assert [name for name in real._FILES if f"`{name}`" not in page] == []
