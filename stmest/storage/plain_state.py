"""Plain state as a JSON document and arrays, and back: a closed list of types, no code, no guessing.

`encode` takes apart what fitted forecasters hold: numbers, text, lists, tuples, dicts, arrays, tensors, pandas indexes
and tables, graphs, and objects of the classes that enter themselves in `data.savable`. What is on no list is an error that
names where it was found. `decode` builds the same values again through the same constructors. Builds on `data` and
`graphs`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from functools import cache
from types import UnionType
from typing import Any, ClassVar, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd
from scipy import sparse

from ..data.savable import SAVABLE
from ..exceptions import ModelFileError
from ..graphs import Graph
from .tensor_file import TENSOR_DTYPES

__all__ = ["decode", "encode"]

_DEEPEST = 100  # levels of nesting; a structure that holds itself is found here

Fields = dict[str, Any]


def encode(value: Any, arrays: dict[str, np.ndarray], name: str) -> Any:
    """Take a value apart.

    Parameters
    ----------
    value : object
        A value of the types that the module's head lists.
    arrays : dict of str to ndarray
        Receives the arrays found in the value, under names that begin with `name`.
    name : str
        What the value is called, for the names of arrays and for errors.

    Returns
    -------
    object
        What JSON knows: None, bool, int, float, str, list, or dict with the key ``"kind"``.

    Raises
    ------
    ModelFileError
        If the value, or something in it, is of no known type.

    Examples
    --------
    >>> arrays = {}
    >>> encode((1, np.zeros(2)), arrays, "pair")
    {'kind': 'tuple', 'items': [1, {'kind': 'array', 'name': 'pair.items.1'}]}
    >>> decode(encode((1, "a"), {}, "pair"), {})
    (1, 'a')
    """
    return _encode(value, arrays, name, 0)


def _encode(value: Any, arrays: dict[str, np.ndarray], name: str, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ModelFileError(f"{name} is nested more than {_DEEPEST} levels deep; a file cannot hold that.")
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float and math.isfinite(value):
        return value
    if kind is list:
        return [_encode(item, arrays, f"{name}.{i}", depth + 1) for i, item in enumerate(value)]
    if kind is np.ndarray and value.dtype.name in TENSOR_DTYPES:
        axes = _memory_order(value)
        stored = value.transpose(axes).astype(value.dtype.newbyteorder("="), copy=False)
        key = next((known for known, array in arrays.items() if _is_same(array, stored)), name)
        while key in arrays and not _is_same(arrays[key], stored):
            key += "_"
        arrays[key] = stored
        return {"kind": "array", "name": key, **({"axes": axes} if axes != sorted(axes) else {})}
    tag, fields = _fields(value, name)
    return {
        "kind": tag,
        **{field: _encode(part, arrays, f"{name}.{field}", depth + 1) for field, part in fields.items()},
    }


def decode(node: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Put a value together again.

    Parameters
    ----------
    node : object
        What `encode` returned, perhaps after a way through JSON.
    arrays : dict of str to ndarray
        The arrays.

    Returns
    -------
    object
        The value.

    Raises
    ------
    ModelFileError
        If the node is of no known kind or lacks an array. A node that contradicts itself may raise whatever the
        constructor of its type raises.
    """
    if node is None or type(node) in (bool, int, float, str):
        return node
    if isinstance(node, list):
        return [decode(item, arrays) for item in node]
    kind = node.get("kind")
    if kind == "array":
        if node.get("name") not in arrays:
            raise ModelFileError(
                f"the document names an array {node.get('name')!r}, which the file does not hold."
            )
        array = arrays[node["name"]]
        return array.transpose(np.argsort(node["axes"])) if "axes" in node else array
    fields = {field: decode(part, arrays) for field, part in node.items() if field != "kind"}
    if kind in _BUILDERS:
        return _BUILDERS[kind](**fields)
    if kind in SAVABLE:
        made: Any = object.__new__(SAVABLE[kind])
        if hasattr(made, "__setstate__"):
            made.__setstate__(fields)
        else:
            vars(made).update(fields)
        _check_attributes(made)
        return made
    raise ModelFileError(f"the document holds a value of the unknown kind {kind!r}.")


def _check_attributes(made: Any) -> None:
    """Compare the attributes of an object with the types that its class declares."""
    kind: Any = type(made)
    for name, declared in _declared(kind).items():
        if name[0] != "_" and not _is_of(getattr(made, name), declared):
            raise ModelFileError(
                f"{type(made).__name__}.{name} is of type {type(getattr(made, name)).__name__}; needed: {declared}."
            )


@cache
def _declared(cls: type) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {name: hint for name, hint in hints.items() if get_origin(hint) is not ClassVar}


def _is_of(value: Any, declared: Any) -> bool:
    """Whether a value is of a declared type, as far as plain types, unions, lists and tuples go."""
    origin, inner = get_origin(declared), get_args(declared)
    if declared in (Any, Hashable) or origin is dict or isinstance(declared, TypeVar):
        return True
    if origin in (Union, UnionType):
        return any(_is_of(value, one) for one in inner)
    if origin is list:
        return isinstance(value, list) and all(_is_of(item, inner[0]) for item in value)
    if origin is tuple:
        items = value if isinstance(value, tuple) else ()
        alike = [inner[0]] * len(items) if inner[1:] == (...,) else list(inner)
        return isinstance(value, tuple) and len(items) == len(alike) and all(map(_is_of, items, alike))
    if origin is not None:  # Callable
        return callable(value)
    if declared in (int, float):
        return isinstance(value, (int, float) if declared is float else int) and not isinstance(value, bool)
    return isinstance(value, declared)


def _is_same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays are the same memory: what several objects share is written once."""
    alike = one.size > 0 and one.shape == other.shape and one.dtype == other.dtype
    return alike and one.ctypes.data == other.ctypes.data


def _memory_order(array: np.ndarray) -> list[int]:
    """Axes from the slowest to the fastest in memory: it stays what it was, as sums depend on it in their last bits."""
    if not array.flags.c_contiguous:
        axes = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
        if array.transpose(axes).flags.c_contiguous:
            return axes
    return list(range(array.ndim))


def _fields(value: Any, name: str) -> tuple[str, Fields]:
    """Kind and parts of a value that JSON does not know."""
    kind = type(value)
    if kind in _PARTS:
        tag, parts = _PARTS[kind]
        return tag, parts(value)
    if isinstance(value, np.generic):
        if value.dtype.kind in "biuf" and value.dtype.name in TENSOR_DTYPES:
            return "scalar", {"dtype": value.dtype.name, "value": value.item()}
    elif (kind.__module__, kind.__name__) == ("torch", "Tensor"):
        return "tensor", {"values": value.detach().cpu().numpy()}
    elif SAVABLE.get(kind.__name__) is kind:
        # names that begin with an underscore are computed from the others when they are needed
        return kind.__name__, {key: part for key, part in vars(value).items() if key[0] != "_"}
    what = (
        f"dtype {value.dtype}"
        if isinstance(value, (np.ndarray, np.generic))
        else f"type {kind.__module__}.{kind.__qualname__}"
    )
    raise ModelFileError(
        f"{name} holds a value of {what}, which is no plain data; a file takes numbers, text, arrays, lists, tuples, dicts, "
        "pandas indexes and graphs."
    )


# ---------------------------------------------------------------- kinds: how each is taken apart and put together


def _array_parts(array: np.ndarray) -> Fields:
    """Arrays that are no tensors: times as whole numbers, text and objects one by one."""
    if array.dtype.kind in "mM":
        return {"dtype": array.dtype.newbyteorder("=").str, "values": array.astype(np.int64)}
    if array.dtype.kind in "UO":
        values = array.ravel().tolist()
        dtype = array.dtype.newbyteorder("=").str
        if array.dtype.kind == "U" and _wastes(array.dtype, values):
            dtype = "|O"
        return {"dtype": dtype, "shape": list(array.shape), "values": values}
    raise ModelFileError(
        f"an array of dtype {array.dtype} and shape {array.shape} cannot be put into a file; convert it to float64, "
        "float32 or integers first."
    )


def _build_array(dtype: str, values: Any, shape: list[int] | None = None) -> np.ndarray:
    wanted = np.dtype(dtype)
    if wanted.kind in "mM":
        return values.astype(wanted)
    wrong = wanted.kind not in "UO" or shape is None or math.prod(shape) != len(values)
    if wrong or (wanted.kind == "U" and _wastes(wanted, values)):
        raise ModelFileError(f"the document holds an array of dtype {dtype!r} that contradicts itself.")
    array = np.empty(len(values), dtype=wanted)
    array[:] = values
    return array.reshape(shape)


def _wastes(dtype: np.dtype, values: list[Any]) -> bool:
    """Whether text of one width takes far more memory than its letters, as a crafted width does."""
    return len(values) * dtype.itemsize > 256 * sum(len(str(value)) + 1 for value in values)


def _build_scalar(dtype: str, value: Any) -> Any:
    if dtype not in TENSOR_DTYPES:
        raise ModelFileError(f"the document holds a number of the unknown dtype {dtype!r}.")
    return np.dtype(dtype).type(value)


def _build_float(value: str) -> float:
    if value not in ("nan", "inf", "-inf"):
        raise ModelFileError(f"the document holds {value!r} in the place of a number.")
    return float(value)


def _build_tuple(items: list[Any]) -> tuple[Any, ...]:
    return tuple(items)


def _build_tensor(values: np.ndarray) -> Any:
    import torch  # seconds; most state holds no tensor

    return torch.from_numpy(values)


def _datetimes(index: pd.DatetimeIndex) -> Fields:
    zone = None if index.tz is None else str(index.tz)
    fields = {
        "values": index.asi8.copy(),  # as the index that is built from it, it shares no memory
        "unit": index.unit,
        "zone": zone,
        "freq": index.freqstr,
        "name": index.name,
    }
    try:
        same = _build_datetimes(**fields).tz == index.tz
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFileError(_ZONE.format(zone)) from error
    if not same:
        raise ModelFileError(_ZONE.format(zone))
    return fields


_ZONE = (
    "the time zone {!r} of the index has no name by which it could be found again; use one of the IANA names, such as "
    "X.tz_convert('Europe/Berlin') or 'UTC'."
)


def _build_datetimes(
    values: np.ndarray, unit: str, zone: str | None, freq: str | None, name: Any
) -> pd.DatetimeIndex:
    index = pd.DatetimeIndex(values.view(np.dtype(f"M8[{unit}]")), name=name)
    if zone is not None:
        index = index.tz_localize("UTC").tz_convert(zone)
    return index if freq is None else pd.DatetimeIndex(index, freq=freq, name=name)


def _build_periods(values: np.ndarray, freq: str, name: Any) -> pd.PeriodIndex:
    return pd.PeriodIndex(
        pd.arrays.PeriodArray(values.astype(np.int64), dtype=pd.PeriodDtype(freq)), name=name
    )


def _index_parts(index: pd.Index) -> Fields:
    if isinstance(index.dtype, np.dtype) and index.dtype.kind != "O":
        return {"values": index.to_numpy(), "dtype": None, "name": index.name}
    if index.dtype == object or isinstance(index.dtype, pd.StringDtype):
        return {"values": index.tolist(), "dtype": str(index.dtype), "name": index.name}
    raise ModelFileError(
        f"an index of dtype {index.dtype} cannot be put into a file; convert it to numpy numbers, text or datetimes."
    )


def _build_index(values: Any, dtype: str | None, name: Any) -> pd.Index:
    if dtype not in (None, "object", "str", "string"):
        raise ModelFileError(f"the document holds an index of the unknown dtype {dtype!r}.")
    return pd.Index(values, dtype=dtype, name=name)


def _table_parts(table: pd.DataFrame) -> Fields:
    return {
        "columns": table.columns,
        "values": [table.iloc[:, i].to_numpy() for i in range(table.shape[1])],
        "index": table.index,
        "attrs": dict(table.attrs),
    }


def _build_table(
    columns: pd.Index, values: list[np.ndarray], index: pd.Index, attrs: dict[str, Any]
) -> pd.DataFrame:
    table = pd.DataFrame(dict(enumerate(values)), index=index)
    table.columns = columns
    table.attrs = attrs
    return table


def _graph_parts(graph: Graph) -> Fields:
    matrix = graph.adjacency
    return {
        "first_edge": matrix.indptr.astype(np.int64), "target": matrix.indices.astype(np.int64), "weight": matrix.data.copy(),
        "nodes": graph.nodes, "coordinates": graph.coordinates,
    }  # fmt: skip


def _build_graph(
    first_edge: np.ndarray, target: np.ndarray, weight: np.ndarray, nodes: Any, coordinates: Any
) -> Graph:
    """Through edges, whose ends scipy checks; a compressed matrix with wrong ends would read foreign memory."""
    n_nodes, counts = len(first_edge) - 1, np.diff(first_edge)
    if (counts < 0).any() or counts.sum() != len(target):
        raise ModelFileError(f"the document holds a graph with {len(target)} edges that contradicts itself.")
    source = np.repeat(np.arange(n_nodes), counts)
    return Graph(sparse.coo_array((weight, (source, target)), shape=(n_nodes, n_nodes)), nodes, coordinates)


_PARTS: dict[type, tuple[str, Callable[[Any], Fields]]] = {
    float: ("float", lambda value: {"value": repr(value)}),  # nan, inf, -inf
    tuple: ("tuple", lambda value: {"items": list(value)}),
    dict: ("dict", lambda value: {"keys": list(value), "values": list(value.values())}),
    np.ndarray: ("other array", _array_parts),
    pd.Timestamp: ("Timestamp", lambda value: {"index": pd.DatetimeIndex([value])}),
    pd.Timedelta: ("Timedelta", lambda value: {"value": value.to_numpy().reshape(1)}),
    pd.Period: ("Period", lambda value: {"index": pd.PeriodIndex([value])}),
    pd.RangeIndex: (
        "RangeIndex",
        lambda i: {"start": i.start, "stop": i.stop, "step": i.step, "name": i.name},
    ),
    pd.DatetimeIndex: ("DatetimeIndex", _datetimes),
    pd.PeriodIndex: ("PeriodIndex", lambda i: {"values": i.asi8.copy(), "freq": i.freqstr, "name": i.name}),
    pd.Index: ("Index", _index_parts),
    pd.DataFrame: ("DataFrame", _table_parts),
    Graph: ("Graph", _graph_parts),
}
_BUILDERS: dict[str, Callable[..., Any]] = {
    "float": _build_float,
    "tuple": _build_tuple,
    "dict": lambda keys, values: dict(zip(keys, values, strict=True)),
    "other array": _build_array,
    "scalar": _build_scalar,
    "tensor": _build_tensor,
    "Timestamp": lambda index: index[0],
    "Timedelta": lambda value: pd.Timedelta(value[0]),
    "Period": lambda index: index[0],
    "RangeIndex": lambda start, stop, step, name: pd.RangeIndex(start, stop, step, name=name),
    "DatetimeIndex": _build_datetimes,
    "PeriodIndex": _build_periods,
    "Index": _build_index,
    "DataFrame": _build_table,
    "Graph": _build_graph,
}
