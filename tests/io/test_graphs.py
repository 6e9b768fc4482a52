"""Edge lists and matrices from files: what each column is, whether there is a header, and whose names they are."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from stmest import DataError, graph_from_distances
from stmest.io.graphs import read_graph

ABC = ["a", "b", "c"]
ROAD = "773869,767541,1210.5\n767541,773869,90\n"


def _written(tmp_path, content, name="edges.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def _edges(graph):
    sources, targets = graph.edges()[0].tolist()
    return {
        (graph.nodes[i], graph.nodes[j]): round(float(weight), 4)
        for i, j, weight in zip(sources, targets, graph.edges()[1], strict=True)
    }


# ---------------------------------------------------------------- roles of the columns


@pytest.mark.parametrize(
    "header",
    ["from,to,cost", "Source,Target,Distance (m)", "src,dst,dist", "u,v,length", "node1,node2,cost"],
)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|", " "])
def test_distances_become_weights_by_a_gaussian_kernel(tmp_path, header, separator):
    if separator == " ":
        header = header.replace(" (m)", "")
    path = _written(tmp_path, f"{header}\n{ROAD}".replace(",", separator))
    with pytest.warns(UserWarning, match=r"holds distances: weights are exp.*1 of 2 edges") as caught:
        graph = read_graph(path, ["773869", "767541"])
    assert len(caught) == 1
    expected = graph_from_distances([[0, 1210.5], [90, 0]], nodes=["773869", "767541"])
    np.testing.assert_array_equal(graph.to_dense(), expected.to_dense())


def test_of_distances_listed_twice_the_shortest_counts_and_none_to_the_node_itself(tmp_path):
    path = _written(tmp_path, "from,to,cost\na,a,0\na,b,9\na,b,1\nb,c,5\nc,a,inf\n")
    with pytest.warns(UserWarning, match="distances"):
        graph = read_graph(path, ABC)
    expected = graph_from_distances([[0, 1, np.inf], [np.inf, 0, 5], [np.inf, np.inf, 0]])
    np.testing.assert_allclose(graph.to_dense(), expected.to_dense())


@pytest.mark.parametrize(
    "text",
    [
        "source,target,w\na,b,0.5\nb,c,2\n",
        "from,to,value\na,b,0.5\nb,c,2\n",
        "from_id;to_id;edge weight\na;b;0,5\nb;c;2\n",
        "value,to,from\n0.5,b,a\n2,c,b\n",
        ",from,to,weight,\n0,a,b,0.5,\n1,b,c,2,\n",
        "i,j,w\na,b,0.5\nb,c,2\n",
        "# roads\n# SourceNode TargetNode similarity\na b 0.5\nb c 2\n",
    ],
)
def test_weights_under_their_usual_names(tmp_path, text):
    assert _edges(read_graph(_written(tmp_path, text))) == {("a", "b"): 0.5, ("b", "c"): 2}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_encodings(tmp_path, encoding):
    path = _written(tmp_path, "from;to;weight\nä;b;2\n".encode(encoding))
    assert _edges(read_graph(path)) == {("ä", "b"): 2}


def test_weights_come_before_distances_and_what_is_not_used_is_said(tmp_path):
    path = _written(tmp_path, "from,to,distance,weight,road\na,b,900,0.5,E1\n")
    with pytest.warns(UserWarning, match=r"weights are in 'weight'; not used: \['distance', 'road'\]"):
        assert _edges(read_graph(path)) == {("a", "b"): 0.5}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("from,to,minutes\na,b,3\n", "'minutes' holds numbers such as 3, and its name does not say"),
        ("from,to,\na,b,3\n", "more than the first line"),
        ("from,to\na,b,3\n", "more than the first line"),
        ("from,to,cost,length\na,b,3,4\n", r"\['cost', 'length'\] can all hold the distances"),
        ("from,to,cost\na,b,-3\nb,a,2\n", "'cost' holds -3, which is no distance"),
        ("from,to,cost\na,b,\n", "'' is no distance"),
        ("from,to,cost\na,b,1000\nb,a,1001\n", "too large for the kernel"),
        ("from,to,weight\na,,3\n", "edge 1 has no target"),
        ("from;to;weight\na;b;1,234\n", "'1,234' can have a decimal comma"),
        ("x,y,z\n1,2,0.5\n2,3,0.5\n4,5,0.1\n7,8,0.3\n", "the first begins with 'x', 'y', 'z'"),
        (b"\x00\x01\x02,3\n", "is no text"),
    ],
)
def test_lists_that_do_not_fit(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        read_graph(_written(tmp_path, text))


# ---------------------------------------------------------------- with and without a header


@pytest.mark.parametrize("nodes", [["a", "b", "c", "d"], ["0", "1", "2", "3"], None])
@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
def test_lists_without_a_header(tmp_path, nodes, separator):
    rows = "0,1,0.5\n1,2,0.7\n2,0,0.1\n0,2,0.4\n".replace(",", separator)
    graph = read_graph(_written(tmp_path, rows), nodes)
    assert (
        graph.to_dense()[:3, :3].round(4).tolist()
        == np.float32([[0, 0.5, 0.4], [0, 0, 0.7], [0.1, 0, 0]]).round(4).tolist()
    )
    assert graph.n_edges == 4


def test_names_without_a_header(tmp_path):
    assert _edges(read_graph(_written(tmp_path, "a,b,0.5\nb,c,0.7\nc,a,1\n"), ABC)) == {
        ("a", "b"): 0.5, ("b", "c"): 0.7, ("c", "a"): 1
    }  # fmt: skip
    assert _edges(read_graph(_written(tmp_path, "a,b\nb,c\n"), ABC)) == {("a", "b"): 1, ("b", "c"): 1}


def test_large_weights_without_a_name_are_spoken_of(tmp_path):
    with pytest.warns(UserWarning, match="third column is taken as weights"):
        read_graph(_written(tmp_path, ROAD))


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("0,1,0.5\n1,2,0.7\n2,0,0.1\n", ABC),
        ("1,0\n0,1\n", None),
        ("0,1,5\n1,2,7\n2,0,1\n0,2,3\n", None),
        ("0,773869,767541\n773869,0,0.5\n767541,0.5,0\n", None),
    ],
)
def test_what_can_be_two_layouts_is_refused(tmp_path, text, nodes):
    with pytest.raises(DataError, match=r"can be read as .* and as .*source,target,weight"):
        read_graph(_written(tmp_path, text), nodes)


def test_the_nodes_of_the_data_decide_between_layouts(tmp_path):
    path = _written(tmp_path, "0,1,0.5\n1,2,0.7\n2,0,0.1\n")
    assert read_graph(path, ["a", "b", "c", "d"]).n_edges == 3
    path = _written(tmp_path, "0,773869,767541\n773869,0,0.5\n767541,0.5,0\n")
    graph = read_graph(path, ["767541", "773869"])
    assert (graph.nodes, graph.to_dense().tolist()) == (["773869", "767541"], [[0, 0.5], [0.5, 0]])


@pytest.mark.parametrize("text", ["0,1\n1,0\n", "0,0.5,0\n0,0,2\n1,0,0\n", "0,2,2\n2,0,1\n2,1,0\n"])
def test_matrices_stay_matrices(tmp_path, text):
    expected = np.float32([line.split(",") for line in text.split()])
    np.testing.assert_array_equal(read_graph(_written(tmp_path, text)).to_dense(), expected)


@pytest.mark.parametrize("header", ["i,j,k", "node1,node2,node3", "1_0,1_1,1_2"])
def test_names_of_nodes_are_no_names_of_columns(tmp_path, header):
    graph = read_graph(_written(tmp_path, f"{header}\n0,1,0\n0,0,1\n1,0,0\n"))
    assert graph.nodes == header.split(",")
    assert graph.n_edges == 3


# ---------------------------------------------------------------- whose names


@pytest.mark.parametrize(
    "nodes", [["773869", "767541"], [773869, 767541], [773869.0, 767541.0], [b"773869", b"767541"]]
)
@pytest.mark.parametrize(
    "ends", ["773869,767541", "773869.0,767541", " 773869 ,767541 ", "0773869,767541", "7.73869e5,767541"]
)
def test_one_number_in_many_spellings_is_one_node(tmp_path, nodes, ends):
    graph = read_graph(_written(tmp_path, f"from,to\n{ends}\n"), nodes)
    assert graph.nodes == nodes
    assert graph.edges()[0].tolist() == [[0], [1]]


def test_text_stays_text(tmp_path):
    path = _written(tmp_path, "from,to,w\n007,008,1\n7,008,2\n")
    assert _edges(read_graph(path)) == {("007", "008"): 1, ("7", "008"): 2}
    assert _edges(read_graph(path, ["008", "7", "007"])) == {("007", "008"): 1, ("7", "008"): 2}
    with pytest.raises(DataError, match="'007' and '7', which can only be the same node"):
        read_graph(path, ["008", "7"])


def test_lists_wider_than_the_data(tmp_path):
    path = _written(tmp_path, "from,to,w\na,b,1\nb,x,2\nx,y,3\nc,a,4\n")
    with pytest.warns(
        UserWarning, match=r"2 of the 5 nodes .* the first is 'x'; their 2 of 4 edges are left out"
    ):
        graph = read_graph(path, ABC)
    assert _edges(graph) == {("a", "b"): 1, ("c", "a"): 4}
    wide = _written(tmp_path, f"from,to,cost\n{ROAD}1,2,4\n1,773869,1\n")
    with pytest.warns(UserWarning, match=r"left out.*exp") as caught:
        graph = read_graph(wide, ["773869", "767541"])
    assert len(caught) == 1
    np.testing.assert_array_equal(graph.to_dense(), graph_from_distances([[0, 1210.5], [90, 0]]).to_dense())


@pytest.mark.parametrize(
    ("text", "nodes", "words"),
    [
        ("from,to\nx,y\n", ABC, "2 of the 2 nodes .* 'x'.*The data name"),
        ("from,to\na,x\n", ABC, "no edge joins two nodes of the data"),
        ("from,to\n1,2\n2,3\n", ABC, "subtract 1"),
        ("from,to\n1,2\n2,3\n", [0, 1, 2], "subtract 1"),
        ("from,to\n0,1\n1,9\n", [0, 1, 2], "the first is '9'"),
        ("from,to\n0,1\n1,2\n", ["1", "2", "3"], "can be names or positions"),
    ],
)
def test_names_that_fit_nothing(tmp_path, text, nodes, words):
    with pytest.raises(DataError, match=words):
        read_graph(_written(tmp_path, text), nodes)


# ---------------------------------------------------------------- pickles and sizes


def test_the_conversion_of_a_pickle_works(tmp_path, monkeypatch):
    import pickle

    (tmp_path / "adj_mx.pkl").write_bytes(pickle.dumps([ABC, {"a": 0, "b": 1, "c": 2}, np.eye(3)]))
    with pytest.raises(DataError, match=r"adj_mx.pkl: a pickle can run code") as caught:
        read_graph(tmp_path / "adj_mx.pkl")
    monkeypatch.chdir(tmp_path)
    exec(str(caught.value).split("convert it with: ")[1])
    assert read_graph(tmp_path / "adj_mx.npz").nodes == ABC


def _claiming(shape, dtype="<f8"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


def test_sizes_are_bounded_before_anything_is_read(tmp_path):
    huge = _claiming((10**6, 10**6))
    with pytest.raises(DataError, match="the header claims the shape"):
        read_graph(_written(tmp_path, huge, "graph.npy"))
    with zipfile.ZipFile(tmp_path / "graph.npz", "w") as archive:
        archive.writestr("adj.npy", huge)
    with pytest.raises(DataError, match=r"adj: the header claims the shape"):
        read_graph(tmp_path / "graph.npz")


def test_a_damaged_header_is_refused(tmp_path):
    good = _claiming((2, 2)) + bytes(32)
    for broken in (good.replace(b"{", b"("), good.replace(b"}", b" "), good.replace(b"'<f8'", b"'<f8\n")):
        with pytest.raises(DataError, match="cannot be read"):
            read_graph(_written(tmp_path, broken, "graph.npy"))
        with zipfile.ZipFile(tmp_path / "graph.npz", "w") as archive:
            archive.writestr("adj.npy", broken)
        with pytest.raises(DataError, match="cannot be read"):
            read_graph(tmp_path / "graph.npz")


def test_an_array_too_large_for_the_memory(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "graph.npz", adj=np.zeros((300, 300)))
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("memory", (), {"available": 2_000_000}))
    with pytest.raises(DataError, match="of memory are free"):
        read_graph(tmp_path / "graph.npz")


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz"])
def test_compressed_lists(tmp_path, ending):
    from stmest.io.text import COMPRESSED

    path = tmp_path / f"edges.csv{ending}"
    with COMPRESSED[ending](path, "wb") as file:
        file.write(b"from;to;weight\na;b;0,5\n")
    assert read_graph(path, ["a", "b"]).edges()[1].tolist() == [0.5]


def test_cells_are_counted_before_they_are_made(tmp_path, monkeypatch):
    path = tmp_path / "edges.csv"
    path.write_bytes(b"0,1\n" * 1000)
    monkeypatch.setattr("stmest.runtime.free_memory", lambda: 100_000)
    with pytest.raises(DataError, match=r"KiB of values"):
        read_graph(path)
