"""Every type that a file may hold comes back as it was, and every other is refused with its place."""

from __future__ import annotations

import datetime
import json

import numpy as np
import pandas as pd
import pytest
import torch

from stmest.data.containers import as_panel
from stmest.data.savable import SAVABLE
from stmest.data.scaling import NodeScaler
from stmest.exceptions import ModelFileError
from stmest.graphs import Graph
from stmest.storage.plain_state import _declared, decode, encode

HOURS = pd.date_range("2024-03-30", periods=6, freq="h")


def there_and_back(value):
    arrays = {}
    document = json.loads(json.dumps(encode(value, arrays, "x"), allow_nan=False))
    return decode(document, {name: array.copy() for name, array in arrays.items()})


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -(2**70), "a\"é\0", 0.1, float("inf"), -float("inf"), 5e-324, [], [1, [2.0, None]], (), ((1,), "a"),
        {}, {"a": 1, 2: (3,), None: [4]}, pd.Timestamp("2024-01-01", tz="Europe/Berlin"), pd.Timedelta("36h"),
        pd.Period("2024-05", freq="M"), np.int64(3), np.bool_(True),
    ],
    ids=repr,
)  # fmt: skip
def test_plain_values(value):
    back = there_and_back(value)
    assert back == value
    assert type(back) is type(value)


def test_nan_of_every_kind():
    for value in (float("nan"), np.float32("nan"), np.float64("nan")):
        back = there_and_back(value)
        assert type(back) is type(value)
        assert np.isnan(back)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.arange(6.0, dtype=np.float32).reshape(2, 3).T,
        np.array(1.5),
        np.zeros((0, 3), dtype=np.int16),
        np.array([True, False]),
        np.array([1, 2], dtype=">i4"),
        np.array(["a", "bcd"]),
        np.array(["a", 1, None], dtype=object),
        np.array(["2024-01-01", "NaT"], dtype="M8[s]"),
        np.array([1, 2], dtype="m8[h]"),
        np.array([np.nan, np.inf, -0.0]),
    ],
    ids=lambda array: array.dtype.str,
)
def test_arrays(array):
    back = there_and_back(array)
    np.testing.assert_array_equal(back, array)
    assert back.shape == array.shape
    assert back.dtype == array.dtype.newbyteorder("=")
    assert back.flags.writeable


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1), (2, 0, 1)])
def test_the_order_in_memory_stays(axes):
    array = np.arange(24.0).reshape(2, 3, 4).transpose(axes)
    back = there_and_back(array)
    np.testing.assert_array_equal(back, array)
    assert back.strides == array.strides
    np.testing.assert_array_equal(there_and_back(array[:, ::2]), array[:, ::2])


def test_tensors():
    for tensor in (torch.arange(6.0).reshape(2, 3), torch.tensor(3), torch.zeros(5, dtype=torch.uint8)):
        back = there_and_back(tensor)
        assert torch.equal(back, tensor)
        assert back.dtype == tensor.dtype


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(3, 30, 5, name="row"),
        pd.Index([1, 5, 7]),
        pd.Index([0.5, 2.25], name="seconds"),
        pd.Index(["a", "b"], name="node"),
        pd.Index(["a", 3], dtype=object),
        pd.Index(["a", "b"], dtype="string"),
        HOURS,
        HOURS[[0, 2, 5]],
        HOURS.rename("time").as_unit("s"),
        HOURS.tz_localize("Europe/Berlin", nonexistent="shift_forward"),
        HOURS.tz_localize("UTC"),
        HOURS.tz_localize("+05:30"),
        pd.date_range("2024-03-30", periods=4, freq="D", tz="Europe/Berlin"),  # across the change of clocks
        pd.date_range("2024-01", periods=3, freq="MS"),
        pd.period_range("2024-01", periods=4, freq="M", name="month"),
        pd.period_range("2024-01-01", periods=4, freq="15min"),
    ],
    ids=repr,
)
def test_indexes(index):
    back = there_and_back(index)
    pd.testing.assert_index_equal(back, index, exact=True)
    assert getattr(back, "freq", None) == getattr(index, "freq", None)
    assert getattr(back, "tz", None) == getattr(index, "tz", None)


def test_tables_with_their_notes():
    table = pd.DataFrame({"epoch": [1, 2], "loss": [0.5, np.nan]}, index=pd.RangeIndex(2))
    table.attrs["skipped_windows"] = 3
    back = there_and_back(table)
    pd.testing.assert_frame_equal(back, table)
    assert back.attrs == table.attrs
    pd.testing.assert_frame_equal(there_and_back(table.iloc[:0]), table.iloc[:0])


def test_graphs():
    matrix = np.array([[0, 0.1, 0], [0, 2, 0], [0, 0, 0]])
    for graph in (Graph(matrix), Graph(matrix, ["a", 2, ("c", 3)], [[0, 1], [2, 3], [4, 5]])):
        assert there_and_back(graph) == graph


def test_scalers():
    scaler = NodeScaler("robust").fit(np.random.default_rng(0).normal(size=(30, 2, 1)))
    back = there_and_back(scaler)
    assert back.method == "robust"
    np.testing.assert_array_equal(back.scale, scaler.scale)


def frames():
    wide = pd.DataFrame(np.arange(12.0).reshape(6, 2), HOURS, ["a", "b"])
    deep = pd.concat({"a": wide, "b": wide}, axis=1)
    long = wide.rename_axis(index="time").reset_index().melt("time", var_name="node")
    return {
        "array": wide.to_numpy(),
        "tensor": torch.tensor(wide.to_numpy()),
        "wide": wide,
        "deep": deep,
        "long": long,
        "long index": long.set_index(["node", "time"]),
    }


@pytest.mark.parametrize("form", list(frames()))
def test_panels_give_back_the_kind_that_came_in(form):
    panel = as_panel(frames()[form])
    back = there_and_back(panel)
    forecast = panel.values[:2]
    features = list(range(panel.values.shape[2]))
    first, second = (p.like(forecast, features) for p in (panel, back))
    assert type(first) is type(second)
    if isinstance(first, pd.DataFrame):
        pd.testing.assert_frame_equal(first, second)
    else:
        np.testing.assert_array_equal(first, second)


def test_xarray_panels():
    xarray = pytest.importorskip("xarray")
    array = xarray.DataArray(
        np.arange(12.0).reshape(2, 6), {"node": ["a", "b"], "time": HOURS}, ("node", "time"), name="speed"
    )
    panel = as_panel(array)
    xarray.testing.assert_identical(
        there_and_back(panel).like(panel.values[:2], [0]), panel.like(panel.values[:2], [0])
    )


class Impostor:
    """Named like a class of the list, but another one."""


Impostor.__name__ = "Panel"


@pytest.mark.parametrize(
    "value",
    [
        print, lambda: 0, object(), {1, 2}, 1j, np.zeros(2, dtype=complex), np.zeros(2, dtype="V4"), np.float64,
        torch.nn.Linear(1, 1), torch.nn.Parameter(torch.zeros(2)), pd.Series([1]),
        pd.MultiIndex.from_tuples([(1, 2)]), pd.CategoricalIndex(["a"]),
        np.datetime64("2024-01-01"), b"bytes", Impostor(), np.array([print], dtype=object),
        HOURS.tz_localize(datetime.timezone(datetime.timedelta(hours=1), "site")),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_is_no_plain_data_is_refused(value):
    with pytest.raises(ModelFileError):
        encode({"deep": [value]}, {}, "state")


def test_a_refusal_tells_where():
    with pytest.raises(ModelFileError, match=r"state\.values\.0\.1 holds a value of type builtins\.set"):
        encode({"a": [0, {1}]}, {}, "state")
    circle: list = []
    circle.append(circle)
    with pytest.raises(ModelFileError, match="nested"):
        encode(circle, {}, "state")


def test_names_of_arrays_never_collide():
    value = {"a": [np.zeros(1)], "b": np.ones(1)}
    arrays = {"x.values.0.0": np.full(1, 7.0)}
    document = encode(value, arrays, "x")
    assert len(arrays) == 3
    assert decode(document, arrays)["a"][0] == 0


@pytest.mark.parametrize(
    "node",
    [
        {}, {"kind": "lambda"}, {"kind": "array", "name": "missing"}, {"kind": "scalar", "dtype": "object", "value": 1},
        {"kind": "float", "value": "1e5"}, {"kind": "Index", "values": [1], "dtype": "category", "name": None},
        {"kind": "other array", "dtype": "O", "shape": [3], "values": [1]},
        {"kind": "other array", "dtype": "<f8", "shape": [1], "values": [1]},
    ],
)  # fmt: skip
def test_unknown_kinds_are_refused(node):
    with pytest.raises(ModelFileError):
        decode(node, {})


def test_text_much_wider_than_its_letters_is_written_as_objects():
    wide = np.array(["a", "b", "x" * 5000] + ["c"] * 2000)
    again = decode(encode(wide, {}, "names"), {})
    assert again.tolist() == wide.tolist()
    assert again.dtype == object
    narrow = np.array(["a", "bb"], dtype="<U20")
    assert decode(encode(narrow, {}, "names"), {}).dtype == narrow.dtype


def test_attributes_of_saved_classes_have_types_that_can_be_looked_up():
    for cls in SAVABLE.values():
        assert isinstance(_declared(cls), dict)
