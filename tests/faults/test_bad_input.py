"""Promise: what cannot be used is refused by one kind of error that names it, and the estimator stays as it was.

Three tables: readings, graphs, and every parameter of every forecaster (made from `_parameter_constraints`). After each
error the fingerprint of the estimator is the one before.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.utils._param_validation import Interval, StrOptions

from stmest.exceptions import DataError, DeviceError, GraphError, ParameterError, StmestError
from stmest.graphs import Graph

from .common import FORECASTERS, N_TIMES, NETWORKS, NODES, fingerprint, fitted, make, readings

X = readings()
A = X.to_numpy()
USES = ("fit", "predict", "predict_interval", "score", "predict_windows", "update")


def indexed(index: Any) -> pd.DataFrame:
    """The readings with another time index."""
    return X.set_axis(index)


def named(*columns: Any) -> pd.DataFrame:
    """The readings with other column names."""
    return X.set_axis(list(columns), axis=1)


# ------------------------------------------------------------------ readings that no method takes

# what is wrong: (X, words of the message: what was given, what is needed)
UNUSABLE: dict[str, tuple[Any, str]] = {
    "a number": (3.0, "scalar.*needed: real numbers, .n_times, n_nodes."),
    "one axis": (A[:, 0], r"shape \(72,\); needed: .n_times, n_nodes."),
    "a flat list": ([1.0, 2.0], "needed: real numbers, .n_times, n_nodes."),
    "six axes": (A[:, :, None, None, None, None], r"6 axes, shape \(72, 4, 1, 1, 1, 1\); needed"),
    "no rows": (A[:0], r"0 sample.*shape=\(0, 4\)"),
    "no nodes": (A[:, :0], r"0 feature.*shape=\(72, 0\)"),
    "no channels": (A[..., None][..., :0], r"no features.*\(72, 4, 0\)"),
    "rows of different lengths": ([[1.0, 2.0], [3.0]], "of type list"),
    "complex numbers": (A.astype(complex), "Complex data.*complex128"),
    "text": (A.astype(str), "<U.*no numbers"),
    "objects that are text": (A.astype(object).astype(str).astype(object), "text such as '.*no numbers"),
    "objects that are no numbers": (np.full((72, 4), {}, dtype=object), "of type ndarray"),
    "dates": (A.astype("datetime64[h]"), "datetime64.*no numbers"),
    "time spans": (A.astype("timedelta64[h]"), "timedelta64.*no numbers"),
    "a file name": ("readings.csv", "'readings.csv'"),
    "a dict": ({"a": [1.0]}, "of type dict"),
    "a function": (len, "of type builtin_function"),
    "a sparse matrix": (sparse.csr_array(A), "[Ss]parse.*toarray"),
    "a complex tensor": (torch.ones(72, 4, dtype=torch.complex64), "Complex data"),
    "a tensor without values": (torch.ones(72, 4, device="meta"), r"\(72, 4\).*meta"),
    "a Series": (X["a"], "to_frame"),
    "an empty frame": (pd.DataFrame(), "0 sample"),
    "a column of text": (X.assign(a="x"), "column 'a'|text such as 'x'"),
    "a column of dates": (X.assign(a=X.index), "column 'a'.*datetime64"),
    "a column of categories": (X.assign(a=pd.Categorical(["x"] * N_TIMES)), "column 'a'.*category"),
    "a node named twice": (named("a", "b", "c", "a"), "twice: 'a'"),
    "names of several types": (named("a", "b", "c", 1), "string names"),
    "three column levels": (X.set_axis(pd.MultiIndex.from_product([[1], [1], NODES]), axis=1), "3 column levels"),
    "a channel that one node lacks": (
        X.set_axis(pd.MultiIndex.from_tuples([("a", 0), ("a", 1), ("b", 0), ("c", 0)]), axis=1),
        "every node needs every feature",
    ),
    "a time given twice": (indexed([*X.index[:-1], X.index[-2]]), "duplicates.*2024-01-03 22:00"),
    "rows out of order": (X.iloc[[0, 2, 1, *range(3, N_TIMES)]], "increasing order.*sort_index"),
    "rows backwards": (X.iloc[::-1], "increasing order.*sort_index"),
    "a missing time": (indexed([*X.index[:-1], pd.NaT]), "NaT at row 71"),
    "a time that is NaN": (indexed([*map(float, range(N_TIMES - 1)), np.nan]), "nan at row 71"),
    "an infinite time": (indexed([*map(float, range(N_TIMES - 1)), np.inf]), "inf at row 71"),
    "times as text": (indexed(X.index.astype(str)), "to_datetime"),
    "times as booleans": (indexed([False] * N_TIMES), "bool"),
    "times as categories": (indexed(pd.CategoricalIndex(range(N_TIMES))), "category"),
    "times as spans": (indexed(X.index - X.index[0]), "timedelta64"),
    "a long table with a time twice": (
        pd.DataFrame({"time": [0, 1, 1], "node": "a", "value": 1.0}), "several rows for .*1"
    ),
    "a long table with text for values": (
        pd.DataFrame({"time": range(30), "node": "a", "value": "x"}), "column .*value|text such as 'x'"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNUSABLE)
@pytest.mark.parametrize("name", FORECASTERS)
def test_readings_that_cannot_be_used(name, case):
    bad, words = UNUSABLE[case]
    model = fitted(name)
    before = fingerprint(model)
    for use in USES:
        with pytest.raises(DataError, match=f"(?s){words}"):
            getattr(model, use)(bad)
    assert fingerprint(model) == before


def test_an_unfitted_forecaster_stays_unfitted():
    for name in FORECASTERS:
        model = make(name)
        before = pickle.dumps(model)
        for bad, _ in UNUSABLE.values():
            with pytest.raises(DataError):
                model.fit(bad)
        assert pickle.dumps(model) == before


# ------------------------------------------------------------------ readings that one method cannot take


@pytest.mark.parametrize("name", FORECASTERS)
@pytest.mark.parametrize("use", ["fit", "predict", "predict_interval", "score", "predict_windows"])
def test_too_few_rows(name, use):
    model = fitted(name)
    at_once = use.startswith(("fit", "predict")) and use != "predict_windows"
    if model.context_length_ == 1 and at_once:
        return  # one row is enough for the last value
    rows = model.context_length_ - 1 if at_once else model.context_length_ + 2
    with pytest.raises(DataError, match=rf"{rows} rows.*needs? at least|{rows} rows.*are needed"):
        getattr(model, use)(X.iloc[:rows])


@pytest.mark.parametrize("name", FORECASTERS)
@pytest.mark.parametrize("use", USES[1:])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: X[list("abc")], "3 features.*4 features|missing"),
        (lambda: X.assign(e=1.0), "5 features|unseen"),
        (lambda: named(*"abcz"), "unseen at fit time.*z"),
        (lambda: X[list("dcba")], r"same nodes in another order: give X\[list\(forecaster.nodes_\)\]"),
        (lambda: pd.concat({"u": X, "v": X}, axis=1).swaplevel(axis=1), "2 features per node|4 features"),
    ],
)
def test_other_nodes_than_in_training(name, use, change, words):
    model = fitted(name)
    before = fingerprint(model)
    with pytest.raises(DataError, match=f"(?s){words}"):
        getattr(model, use)(change())
    assert fingerprint(model) == before


def long_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The same readings as time, node, value."""
    return frame.rename_axis(index="time").reset_index().melt("time", var_name="node")


@pytest.mark.parametrize("name", FORECASTERS)
def test_nodes_in_another_order_are_aligned_by_name(name):
    """Where scikit-learn does not forbid it: long tables, DataArrays and (node, channel) columns."""
    xarray = pytest.importorskip("xarray")
    model = make(name).fit(long_table(X))
    expected = model.predict(long_table(X)).set_index(["time", "node"])["value"]
    aligned = model.predict(long_table(X[list("dbca")])).set_index(["time", "node"])["value"]
    pd.testing.assert_series_equal(aligned.sort_index(), expected.sort_index())
    data = xarray.DataArray(A, coords={"time": X.index, "node": NODES}, dims=("time", "node"))
    model = make(name).fit(data)
    xarray.testing.assert_equal(model.predict(data.isel(node=[3, 1, 0, 2])), model.predict(data))
    with pytest.raises(DataError, match=r"other nodes.*missing \['d'\], unknown \['z'\]"):
        model.predict(data.assign_coords(node=list("abcz")))


@pytest.mark.parametrize("name", FORECASTERS)
def test_update_wants_the_next_rows(name):
    model = fitted(name)
    before = fingerprint(model)
    for bad, words in (
        (X, "begins at 2024-01-01.*the next one is 2024-01-04 00:00.*none that it has seen"),
        (indexed(X.index + pd.Timedelta(73, "h")), "those in between too"),
        (indexed(range(N_TIMES)), "begins at 0"),
        (indexed((X.index + pd.Timedelta(72, "h")).tz_localize("UTC")), r"00:00\+00:00"),
    ):
        with pytest.raises(DataError, match=words):
            model.update(bad)
    with pytest.raises(DataError, match="no time index"), pytest.warns(UserWarning, match="feature names"):
        model.update(A)
    assert fingerprint(model) == before


@pytest.mark.parametrize("name", FORECASTERS)
@pytest.mark.parametrize("stride", [0, -1, 1.5, "2", None, True])
def test_stride(name, stride):
    with pytest.raises(ParameterError, match=r"stride=.*needed: an integer of at least 1"):
        fitted(name).predict_windows(X, stride=stride)


# ------------------------------------------------------------------ unusual, and fine


@pytest.mark.parametrize("name", FORECASTERS)
@pytest.mark.parametrize(
    "usual",
    [
        lambda: A.tolist(),
        lambda: A.astype(object),
        lambda: A.astype(int),
        lambda: A.astype(np.float16),
        lambda: A > 10,
        lambda: np.full((N_TIMES, 4), 3.0),
        lambda: torch.from_numpy(A.copy()).bfloat16(),
        lambda: torch.from_numpy(A.copy()).requires_grad_(),
        lambda: X.astype("Float64"),
        lambda: X.astype(object),
        lambda: X > 10,
        lambda: X.iloc[sorted(np.random.default_rng(0).choice(N_TIMES, 60, replace=False))],
        lambda: X.tz_localize("UTC"),
        lambda: indexed(pd.date_range("2024-03-29", periods=N_TIMES, freq="h", tz="Europe/Berlin")),
        lambda: indexed(pd.date_range("2024-10-26", periods=N_TIMES, freq="h", tz="Europe/Berlin")),
        lambda: X.to_period("h"),
        lambda: indexed(np.arange(N_TIMES) * 0.1),
    ],
    ids=[
        "lists", "objects", "integers", "half precision", "booleans", "all the same", "bfloat16 tensor",
        "tensor with gradient", "nullable floats", "object columns", "boolean columns", "irregular steps", "UTC",
        "clocks go forward", "clocks go back", "periods", "seconds",
    ],
)  # fmt: skip
def test_unusual_readings_are_fine(name, usual):
    data = usual()
    forecast = make(name).fit(data).predict()
    assert np.isfinite(np.asarray(forecast, dtype=float)).all()
    if isinstance(data, pd.DataFrame):
        after = forecast.index
        assert after[0] > data.index[-1]
        assert len(after) == 3


@pytest.mark.parametrize("name", FORECASTERS)
@pytest.mark.parametrize("day", ["2024-03-29", "2024-10-26"])
def test_the_night_when_the_clocks_change(name, day):
    """Rows are steps of one hour of real time, whatever the clock says."""
    local = indexed(pd.date_range(day, periods=N_TIMES, freq="h", tz="Europe/Berlin"))
    model = make(name).fit(local.iloc[:47])
    forecast = model.predict()
    assert list(forecast.index) == list(local.index[47:50])
    assert list(model.update(local.iloc[47:50]).predict().index) == list(local.index[50:53])


@pytest.mark.parametrize("name", [name for name in NETWORKS if FORECASTERS[name].time_features == "auto"])
def test_the_calendar_is_that_of_the_training_time_zone(name):
    """The same moments forecast the same, whichever zone names them; a clock without a zone is no moment."""
    utc = X.tz_localize("UTC")
    model = make(name).fit(utc)
    assert model.time_features_ == ("time_of_day",)
    elsewhere = model.predict(utc.tz_convert("Asia/Tokyo"))
    assert str(elsewhere.index.tz) == "Asia/Tokyo"
    pd.testing.assert_frame_equal(elsewhere.tz_convert("UTC"), model.predict(utc), check_freq=False)
    with pytest.raises(DataError, match=r"time zone UTC.*tz_localize"):
        model.predict(X)
    with pytest.raises(DataError, match=r"without a time zone.*Asia/Tokyo.*tz_convert"):
        fitted(name).predict(utc.tz_convert("Asia/Tokyo"))


# ------------------------------------------------------------------ graphs


def weight(value: float) -> np.ndarray:
    """A graph of four nodes with one weight of that value."""
    adjacency = np.eye(4)
    adjacency[0, 1] = value
    return adjacency


def edges(index: Any, weights: Any = None) -> tuple[np.ndarray, Any]:
    """A graph as an edge list."""
    return np.array(index), weights


GRAPHS: dict[str, tuple[Any, str]] = {
    "more nodes": (np.eye(5), r"\(4, 4\).*5 nodes"),
    "not square": (np.ones((4, 3)), r"square.*\(4, 3\)"),
    "one axis": (np.ones(4), r"square.*\(4,\)"),
    "no axis": (np.array(1.0), r"square.*\(\)"),
    "three axes": (np.ones((4, 4, 1)), r"square.*\(4, 4, 1\)"),
    "empty": (np.zeros((0, 0)), "0 nodes"),
    "a negative weight": (weight(-1.0), r"-1.0 on the edge 0 -> 1"),
    "a missing weight": (weight(np.nan), "nan on the edge 0 -> 1"),
    "an infinite weight": (weight(np.inf), "inf on the edge 0 -> 1"),
    "a weight beyond float32": (weight(1e300), "1e.300"),
    "complex numbers": (np.eye(4).astype(complex), "complex128"),
    "text": (np.eye(4).astype(str), "real numbers.*<U"),
    "dates": (np.zeros((4, 4), dtype="datetime64[s]"), "datetime64"),
    "a file name": ("adj.csv", "str"),
    "a number": (7, r"square.*\(\)"),
    "a dict": ({"a": ["b"]}, "dict"),
    "lists of different lengths": ([[1.0, 2.0], [3.0]], "list"),
    "a frame of other nodes": (
        pd.DataFrame(np.eye(4), index=list("wxyz"), columns=list("wxyz")),
        "unknown.*'a'",
    ),
    "a frame with other rows than columns": (
        pd.DataFrame(np.eye(4), index=NODES, columns=list("abcz")),
        "same nodes",
    ),
    "a frame with a node twice": (
        pd.DataFrame(np.eye(4), index=list("aabc"), columns=list("aabc")),
        "unique.*'a'",
    ),
    "a sparse matrix of another size": (sparse.eye_array(5), "5 nodes"),
    "a networkx graph of another size": (nx.path_graph(5), "5 nodes"),
    "an edge to nowhere": (edges([[0], [9]]), "from 0 to 3.*0 to 9"),
    "an edge from -1": (edges([[-1], [0]]), "from 0 to 3.*-1 to 0"),
    "edges that are no integers": (edges([[0.5], [1.0]]), "integers.*float64"),
    "weights that are too many": (edges([[0], [1]], np.ones(3)), r"one entry per edge.*\(3,\)"),
    "a Graph of other nodes": (Graph(np.eye(4), nodes=list("wxyz")), "unknown.*'a'"),
}


@pytest.mark.parametrize("case", GRAPHS)
@pytest.mark.parametrize("name", ["RidgeForecaster", *NETWORKS])
def test_graphs_that_do_not_fit(name, case):
    bad, words = GRAPHS[case]
    model = fitted(name)
    before = fingerprint(model)
    with pytest.raises(GraphError, match=words):
        model.fit(X, adj=bad)
    with pytest.raises((GraphError, DataError), match=f"{words}|neither a graph of 4 nodes"):
        model.fit(X, bad)
    if name in NETWORKS:
        other = make(name, adj=bad)
        with pytest.raises(GraphError, match=words):
            other.fit(X)
    assert fingerprint(model) == before


# ------------------------------------------------------------------ parameters


def outside(constraint: Any) -> list[Any]:
    """Values that a constraint of `_parameter_constraints` does not allow, near its ends and far from it."""
    if isinstance(constraint, Interval):
        step = 1 if constraint.type.__name__ == "Integral" else 1e-6
        values = [float("nan"), float("inf"), True]
        if constraint.left is not None:
            values.append(
                constraint.left - step if constraint.closed in ("left", "both") else constraint.left
            )
        if constraint.right is not None:
            values.append(
                constraint.right + step if constraint.closed in ("right", "both") else constraint.right
            )
        return [*values, 1.5] if step == 1 else values
    if isinstance(constraint, StrOptions):
        return ["nonsense", next(iter(constraint.options)).upper(), ""]
    return []


def wrong_values() -> list[tuple[str, str, Any]]:
    """(forecaster, parameter, value) for every parameter of every forecaster."""
    cases = []
    for name, forecaster in FORECASTERS.items():
        for parameter, constraints in type(forecaster)._parameter_constraints.items():
            if isinstance(constraints, str):  # "no_validation": checked elsewhere, see below
                continue
            values = [object(), {"x": 1}, b"x", 2j, np.array([1, 2])]
            values += [] if None in constraints or parameter == "random_state" else [None]
            values += [value for c in constraints for value in outside(c)]
            cases += [(name, parameter, value) for value in values]
    return cases


@pytest.mark.parametrize("name", FORECASTERS)
def test_every_parameter_has_its_constraint(name):
    constraints = type(FORECASTERS[name])._parameter_constraints
    assert set(constraints) == set(FORECASTERS[name].get_params())
    unchecked = {parameter for parameter, checks in constraints.items() if isinstance(checks, str)}
    assert unchecked <= {"adj", "target", "device"}


def test_every_parameter_refuses_what_it_cannot_be():
    for name, parameter, value in wrong_values():
        model = make(name, **{parameter: value})
        before = dict(vars(model))
        words = rf"'{parameter}' parameter of {type(model).__name__} must be .* Got .* instead"
        with pytest.raises(ParameterError, match=words):
            model.fit(X)
        assert dict(vars(model)) == before, (name, parameter, value)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("parameter", "value", "kind", "words"),
    [
        ("target", 1, ParameterError, "target=1 is no feature"),
        ("target", "speed", ParameterError, "target='speed' is no feature"),
        ("target", [0, None], ParameterError, "target=None is no feature"),
        ("target", True, ParameterError, "target=True is no feature"),
        ("target", [], ParameterError, "target=.* names no feature"),
        ("target", [0, 0], ParameterError, "target=.* names a feature twice"),
        ("target", 0.5, ParameterError, "target=0.5 is no feature"),
        ("time_features", ["hour"], ParameterError, "'hour'.*known are|must be None. Got ..hour"),
        ("time_features", [3], ParameterError, "3.*known are|must be None. Got .3"),
        ("callbacks", [3], ParameterError, "callbacks holds 3 of type int.*Callback"),
        ("callbacks", [None], ParameterError, "callbacks holds None"),
        ("device", "gpu", DeviceError, "device='gpu'.*cpu"),
        ("device", 10**30, DeviceError, "device=10+ .*cpu"),
        ("device", np.array([1, 2]), DeviceError, "device=array.*cpu"),
        ("device", "cuda:99", DeviceError, "device='cuda:99'.*cpu"),
        ("device", "", DeviceError, "device=''.*cpu"),
    ],
)
def test_parameters_that_depend_on_the_data_or_the_machine(name, parameter, value, kind, words):
    model = make(name, **{parameter: value})
    before = dict(vars(model))
    with pytest.raises(kind, match=words):
        model.fit(X)
    assert dict(vars(model)) == before


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("STM3Forecaster", {"scales": ()}, "scales=.*odd integers"),
        ("STM3Forecaster", {"scales": (2, 4)}, "scales=.*odd integers"),
        ("STM3Forecaster", {"scales": (5, 3)}, "scales=.*increase"),
        ("STM3Forecaster", {"scales": (True, 3)}, "scales=.*odd integers"),
        ("STM3Forecaster", {"scales": (1, "3")}, "scales=.*odd integers"),
        ("STM3Forecaster", {"top_k": 5}, "top_k=5.*n_experts=4"),
        ("STM3Forecaster", {"graph": "given"}, "graph='given'.*adj"),
        ("STM3Forecaster", {"precision": "bfloat16"}, "precision='bfloat16'.*float32"),
        ("STMambaForecaster", {"n_heads": 3}, "d_model=4.*n_heads=3"),
        ("STMambaForecaster", {"graph": "given"}, "graph='given'.*adj"),
    ],
)
def test_parameters_that_do_not_go_together(name, parameters, words):
    model = make(name, **parameters)
    before = dict(vars(model))
    with pytest.raises(ParameterError, match=words):
        model.fit(X)
    assert dict(vars(model)) == before


@pytest.mark.parametrize("name", FORECASTERS)
def test_a_misspelt_parameter(name):
    cls = type(FORECASTERS[name])
    with pytest.raises(TypeError, match=f"^{cls.__name__} has no parameter 'horizn'; did you mean 'horizon'"):
        cls(horizn=3)
    with pytest.raises(TypeError, match=f"^{cls.__name__} has no parameter 'qqq'; it has .*horizon"):
        cls(qqq=3)
    with pytest.raises(TypeError, match=f"^{cls.__name__} takes its parameters by name"):
        cls(3)
    with pytest.raises(ValueError, match="Invalid parameter 'horizn'"):
        make(name).set_params(horizn=3)


# ------------------------------------------------------------------ looking into a network

LOOKS: list[tuple[str, Callable[[Any, Any], Any]]] = [
    ("STM3Forecaster", lambda model, data: model.scale_embeddings(data)),
    ("STM3Forecaster", lambda model, data: model.expert_embeddings(data)),
    ("STMambaForecaster", lambda model, data: model.attention_weights(data)),
]


@pytest.mark.parametrize(("name", "look"), LOOKS)
def test_looking_into_a_network(name, look):
    model = fitted(name)
    before = fingerprint(model)
    for bad, words in UNUSABLE.values():
        with pytest.raises(DataError, match=f"(?s){words}"):
            look(model, bad)
    with pytest.raises(DataError, match=r"5 rows; at least input_length = 6|5 rows.*needs? at least"):
        look(model, X.iloc[:5])
    assert fingerprint(model) == before


@pytest.mark.parametrize(("name", "method"), [(n, m) for n, m in zip(
    ["STM3Forecaster", "STM3Forecaster", "STMambaForecaster"],
    ["scale_embeddings", "expert_embeddings", "attention_weights"], strict=True,
)])  # fmt: skip
@pytest.mark.parametrize("stride", [0, -1, 2.5, "x"])
def test_the_stride_of_a_look(name, method, stride):
    with pytest.raises(ParameterError, match=r"stride=.*needed: an integer of at least 1"):
        getattr(fitted(name), method)(X, stride=stride)


def test_one_root_for_all_errors():
    """`except StmestError` catches what stmest refuses; `except ValueError` what scikit-learn's users catch."""
    for kind in (DataError, GraphError, ParameterError, DeviceError):
        assert issubclass(kind, StmestError)
        assert issubclass(kind, ValueError)


def test_a_failed_second_fit_keeps_the_first():
    for name in FORECASTERS:
        model = copy.deepcopy(fitted(name))
        expected = model.predict()
        with pytest.raises(DataError):
            model.fit(X.iloc[:0])
        pd.testing.assert_frame_equal(model.predict(), expected)


@pytest.mark.parametrize("name", FORECASTERS)
@pytest.mark.parametrize("steps", [0, -1, 1.5, "ten", True])
def test_steps_that_cannot_be(name, steps):
    model = fitted(name)
    before = fingerprint(model)
    for use in (model.predict, model.predict_windows):
        with pytest.raises(ParameterError, match="steps="):
            use(X, steps=steps)
    assert fingerprint(model) == before


@pytest.mark.parametrize("name", FORECASTERS)
@pytest.mark.parametrize("coverage", [0, 1, -0.5, 90, "ninety", None])
def test_coverage_that_cannot_be(name, coverage):
    with pytest.raises(ParameterError, match="coverage="):
        fitted(name).predict_interval(X, coverage=coverage)
