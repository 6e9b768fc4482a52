"""Files of values and graphs: what is read, and a clear error for what is not."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from stmest import DataError, Graph, GraphError, StmestError
from stmest.io.tables import read_graph, read_table

TIMES = pd.date_range("2024-01-01", periods=4, freq="1h")
VALUES = np.array([[1.0, 2.0, 3.0], [4.0, np.nan, 6.0], [7.0, 8.0, 9.0], [10.0, 11.0, 12.5]])


@pytest.fixture
def wide():
    return pd.DataFrame(VALUES, index=TIMES.rename("time"), columns=["a", "b", "c"])


def _written(tmp_path, text, name="data.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def _check(frame, wide):
    np.testing.assert_array_equal(frame.to_numpy(), wide.to_numpy())
    assert list(frame.index) == list(wide.index)
    assert list(frame.columns) == list(wide.columns)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_wide_csv_with_any_separator(tmp_path, wide, separator):
    wide.to_csv(tmp_path / "data.csv", sep=separator)
    frame, graph = read_table(tmp_path / "data.csv")
    _check(frame, wide)
    assert graph is None


def test_compressed_csv(tmp_path, wide):
    wide.to_csv(tmp_path / "data.csv.gz")
    _check(read_table(tmp_path / "data.csv.gz")[0], wide)


def test_numbers_as_times(tmp_path):
    frame, _ = read_table(_written(tmp_path, "step,a,b\n0,1,2\n5,3,4\n"))
    assert frame.index.tolist() == [0, 5]
    assert frame.to_numpy().tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    "names", [("time", "node", "value"), ("ds", "unique_id", "y"), ("TIME", "Node", "Value")]
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_long_tables_in_any_order_of_rows_and_columns(tmp_path, wide, names, kind):
    long = wide.reset_index().melt("time").sample(frac=1, random_state=0)
    long = long[["variable", "value", "time"]].set_axis([names[1], names[2], names[0]], axis=1)
    path = tmp_path / f"data.{kind}"
    long.to_csv(path, index=False) if kind == "csv" else long.to_parquet(path)
    frame, _ = read_table(path)
    _check(frame[["a", "b", "c"]], wide)


@pytest.mark.parametrize("as_index", [True, False])
def test_parquet_with_time_as_index_or_first_column(tmp_path, wide, as_index):
    (wide if as_index else wide.reset_index()).to_parquet(tmp_path / "data.parquet")
    _check(read_table(tmp_path / "data.parquet")[0], wide)


def test_npz_with_everything(tmp_path):
    values = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
    ring = np.roll(np.eye(3), 1, axis=1)
    np.savez(
        tmp_path / "data.npz", values=values, time=TIMES.to_numpy(), nodes=np.array(["a", "b", "c"]),
        channels=np.array(["flow", "speed"]), adj=ring, coords=np.zeros((3, 2)), meta=json.dumps({"unit": "mph"}),
        more=np.zeros(2),
    )  # fmt: skip
    frame, graph = read_table(tmp_path / "data.npz")
    assert list(frame.columns[:3]) == [("a", "flow"), ("a", "speed"), ("b", "flow")]
    np.testing.assert_array_equal(frame.to_numpy(), values.reshape(4, 6))
    assert (frame.dtypes == np.float32).all()
    assert list(frame.index) == list(TIMES)
    assert frame.attrs["unit"] == "mph"
    np.testing.assert_array_equal(graph.to_dense(), ring)
    assert graph.nodes == ["a", "b", "c"]
    assert graph.coordinates.shape == (3, 2)


def test_npz_with_values_only(tmp_path):
    np.savez(tmp_path / "data.npz", values=np.arange(6).reshape(3, 2))
    frame, graph = read_table(tmp_path / "data.npz")
    assert frame.to_numpy().tolist() == [[0, 1], [2, 3], [4, 5]]
    assert frame.dtypes.iloc[0] == np.float64
    assert frame.index.tolist() == [0, 1, 2]
    assert graph is None
    assert "unit" not in frame.attrs


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be read as csv"),
        ("time,a\n", "0 rows"),
        ("time\n2024-01-01\n", "1 column"),
        ("time,a,a\n1,2,3\n", "'a' twice"),
        ("time,a\n2024-01-01,1\nlater,2\n", "column 'time' has to be the time"),
        ("name,a\nx,1\ny,2\n", "column 'name' has to be the time, but holds 'x'"),
        ("time,a\n2024-01-01,1\n,2\n", "row 2 has no time"),
        ("time,a,b\n1,2,3\n2,broken,4\n", "column 'a' holds 'broken' in row 2"),
        ("time,a\n1,True\n2,False\n", "bool"),
        ("time,a\n2,1\n1,2\n", "increasing order"),
        ("time,a\n1,1\n1,2\n", "duplicates"),
        ("time,a\n1,inf\n2,2\n", "infinity"),
        ("time,node,value\n1,a,1\n1,a,2\n", "several rows"),
        ("time,node,value\n1,,1\n1,a,2\n", "no node"),
        ("time,node,value,quality\n1,a,1,good\n", "quality"),
        ("time,node,value\n1,a,x\n", "'x' in row 1"),
        ("time,a\n1,2\n2,3,4,5\n", "column 3 of 4 has values but no name"),
    ],
)
def test_csv_that_does_not_fit(tmp_path, text, words):
    with pytest.raises(DataError, match=words) as caught:
        read_table(_written(tmp_path, text))
    assert str(caught.value).startswith("data.csv: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"observations": np.zeros((3, 2))}, "holds observations; needed: `values`"),
        ({"values": np.zeros(3)}, r"shape \(3,\)"),
        ({"values": np.zeros((2, 3, 4, 5))}, "gridded field"),
        ({"values": np.array([["a", "b"]])}, "dtype <U1"),
        ({"values": np.zeros((3, 2)), "time": np.arange(2)}, r"`time` has shape \(2,\)"),
        ({"values": np.zeros((3, 2)), "nodes": np.array(["a"])}, r"`nodes` has shape \(1,\)"),
        ({"values": np.zeros((3, 2)), "nodes": np.array(["a", "a"])}, "names 'a' twice"),
        ({"values": np.zeros((3, 2, 2)), "channels": np.array(["a"])}, "`channels`"),
        ({"values": np.array([[np.inf, 1.0]])}, "infinity"),
        ({"values": np.zeros((0, 2))}, "0 sample"),
        ({"values": np.zeros((3, 2)), "adj": np.eye(3)}, "2 node names|3"),
    ],
)
def test_npz_that_does_not_fit(tmp_path, arrays, words):
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(StmestError, match=words):
        read_table(tmp_path / "data.npz")


def test_npz_is_never_unpickled(tmp_path):
    np.savez(tmp_path / "data.npz", values=np.array([[{"a": 1}]], dtype=object))
    with pytest.raises(DataError, match="Python objects"):
        read_table(tmp_path / "data.npz")
    np.save(tmp_path / "graph.npy", np.array([[None]], dtype=object))
    with pytest.raises(DataError, match="Python objects"):
        read_graph(tmp_path / "graph.npy")


@pytest.mark.parametrize("name", ["data.npz", "data.parquet", "data.csv.gz"])
@pytest.mark.parametrize("content", [b"", b"not what the name says", b"PK\x03\x04 broken"])
def test_broken_files(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        read_table(tmp_path / name)


def test_absent_files_and_unknown_kinds(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_graph(tmp_path / "absent.csv")
    with pytest.raises(DataError, match=r"'\.xls' are not read.*Save it as \.xlsx"):
        read_table(_written(tmp_path, "x", "data.xls"))
    with pytest.raises(DataError, match=r"'\.graphml'"):
        read_graph(_written(tmp_path, "x", "graph.graphml"))


ADJ = np.array([[0.0, 0.5, 0.0], [0.0, 0.0, 2.0], [1.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("0,0.5,0\n0,0,2\n1,0,0\n", None),
        ("a,b,c\n0,0.5,0\n0,0,2\n1,0,0\n", ["a", "b", "c"]),
        (",a,b,c\na,0,0.5,0\nb,0,0,2\nc,1,0,0\n", ["a", "b", "c"]),
        (",a,b,c\nc,1,0,0\na,0,0.5,0\nb,0,0,2\n", ["a", "b", "c"]),
        ("source,target,weight\na,b,0.5\nb,c,2\nc,a,1\n", ["a", "b", "c"]),
        ("Weight,From,To\n0.5,a,b\n2,b,c\n1,c,a\n", ["a", "b", "c"]),
    ],
)
def test_graph_csv_in_every_form(tmp_path, text, nodes):
    graph = read_graph(_written(tmp_path, text))
    np.testing.assert_array_equal(graph.to_dense(), ADJ.astype(np.float32))
    assert graph.nodes == nodes


def test_edge_list_over_the_nodes_of_the_data(tmp_path):
    path = _written(tmp_path, "source,target\nb,d\n")
    graph = read_graph(path, nodes=["a", "b", "c", "d"])
    assert graph.nodes == ["a", "b", "c", "d"]
    assert graph.edges()[0].tolist() == [[1], [3]]
    assert graph.edges()[1].tolist() == [1.0]
    by_position = read_graph(_written(tmp_path, "source,target\n1,3\n"), nodes=["a", "b", "c", "d"])
    assert by_position == graph
    numbered = read_graph(_written(tmp_path, "source,target\n10,30\n"), nodes=[10, 20, 30])
    assert numbered.edges()[0].tolist() == [[0], [2]]
    with pytest.raises(DataError, match="'x'"):
        read_graph(_written(tmp_path, "source,target\nb,x\n"), nodes=["a", "b"])


def test_graph_npy_and_npz(tmp_path):
    np.save(tmp_path / "graph.npy", ADJ)
    np.savez(tmp_path / "graph.npz", adj=ADJ, nodes=np.array(["a", "b", "c"]), coords=np.ones((3, 2)))
    assert read_graph(tmp_path / "graph.npy") == Graph(ADJ)
    assert read_graph(tmp_path / "graph.npz") == Graph(ADJ, ["a", "b", "c"], np.ones((3, 2)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be read as csv"),
        ("1,2,3\n4,5,6\n", "2 lines of 3 cells"),
        ("0,\n1,0\n", "'' is no weight"),
        (",a,b\na,0,1\nx,1,0\n", "different nodes"),
        ("source,target,weight\na,b,much\n", "'much' is no weight"),
    ],
)
def test_graph_csv_that_does_not_fit(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        read_graph(_written(tmp_path, text, "graph.csv"))


def test_weights_that_make_no_graph(tmp_path):
    with pytest.raises(GraphError, match="negative"):
        read_graph(_written(tmp_path, "0,-1\n1,0\n"))
    np.save(tmp_path / "graph.npy", np.zeros((2, 3)))
    with pytest.raises(DataError, match="square"):
        read_graph(tmp_path / "graph.npy")
    np.savez(tmp_path / "graph.npz", matrix=ADJ)
    with pytest.raises(DataError, match="holds matrix; needed: `adj`"):
        read_graph(tmp_path / "graph.npz")
