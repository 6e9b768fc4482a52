"""Model files: a fitted forecaster as one safetensors file, which opens on any machine and runs no code.

Parameters and fitted state of a forecaster are written as plain state (`stmest.storage.plain_state`); `load` calls the
constructor with them. The members of an ensemble are written in the same way, inside its file. A file can name the forecasters of
the registry and no other classes. Builds on `storage`.
"""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.overrides import TorchFunctionMode

from ..data.input_spec import InputSpec
from ..data.panel import Panel
from ..data.time_index import offset_of
from ..exceptions import ModelFileError
from ..graphs import as_graph
from ..prediction.calibration import Calibration
from ..runtime import resolve_device, versions
from ..storage.plain_state import decode, encode
from ..storage.tensor_file import read_tensor_file, write_tensor_file
from ..training.diagnostics import available_memory
from .registry import entries, find

__all__ = ["load", "save_model"]

_MEMBERS = "forecasters"  # in the place of pairs of a name and a forecaster
# Parameters that refer to this machine; a loaded forecaster has their defaults
_OF_THIS_MACHINE = ("device", "checkpoint_dir")


def save_model(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted forecaster into one file; see `BaseForecaster.save`.

    Parameters
    ----------
    model : BaseForecaster
        A fitted forecaster.
    path : str or path-like
        Where to.

    Raises
    ------
    ModelFileError
        If the class is not registered, a parameter cannot be written, or the parameters no longer describe what was fitted.
    StorageError
        If the file cannot be written.
    """
    arrays: dict[str, np.ndarray] = {}
    document = _document(model, arrays, model.input_)
    document["versions"] = {package: v for package, v in versions().items() if package != "platform"}
    write_tensor_file(path, document, arrays)


def load(path: str | os.PathLike[str], device: Any = "auto") -> Any:
    """Read a forecaster that `save` wrote.

    Nothing in the file is executed: it holds numbers and text, and can name only the forecasters of the registry.

    Parameters
    ----------
    path : str or path-like
        The file.
    device : str or torch.device, default="auto"
        Where the network goes, whatever it was trained on; also the `device` of the forecaster from then on. ``"auto"``
        takes CUDA, then MPS, then the CPU. Forecasters without a network run on the CPU.

    Returns
    -------
    BaseForecaster
        The fitted forecaster. On the kind of device that it was saved on it predicts the same bits.

    Raises
    ------
    ModelFileError
        If the file is no model file, is damaged, was written in another format, names an unknown class, or
        contradicts itself.
    DeviceError
        If the device is missing.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import os, tempfile
    >>> import stmest
    >>> data = stmest.make_sensor_network(n_nodes=3, n_times=200, random_state=0)
    >>> model = stmest.RidgeForecaster(horizon=2).fit(data.values)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "ridge.safetensors")
    ...     model.save(path)
    ...     same = stmest.load(path)
    >>> same.predict().equals(model.predict())
    True
    """
    resolve_device(device)  # before anything is read
    document, arrays = read_tensor_file(path)
    try:
        return _restored(document, arrays, "auto" if device is None else device, _Budget())
    except Exception as error:  # whatever a crafted file provokes ends in one kind of error
        raise ModelFileError(
            f"{os.fspath(path)!r} was not loaded: its content contradicts itself or does not fit this version of stmest "
            f"({type(error).__name__}: {error})."
        ) from error


# ---------------------------------------------------------------- to a document


def _document(
    model: Any,
    arrays: dict[str, np.ndarray],
    spec: InputSpec,
    names: tuple[str, ...] = (),
    fitted: bool = True,
) -> dict[str, Any]:
    """Class and parameters, and the state where it is to be written.

    Parameters
    ----------
    model : BaseForecaster
        The forecaster.
    arrays : dict of str to ndarray
        Receives its arrays.
    spec : InputSpec
        The nodes that a graph among the parameters is of.
    names : tuple of str
        Of a member: its name, after those of the ensembles that it is in.
    fitted : bool
        Whether its state is to be written; if not, it is a parameter.
    """
    name = type(model).__name__
    entry = find(name)
    if entry is None or type(model) is not entry.cls:
        raise ModelFileError(
            f"{type(model).__module__}.{name} is no registered forecaster, and a model file names no other classes. "
            "Use pickle or joblib for your own classes, or stmest.forecasters.registry.register."
        )
    if not entry.saves:
        raise ModelFileError(
            f"{name} cannot be saved: it learns estimators of another library, and a model file holds no objects of others, "
            "which could run code. Use pickle.dump or joblib.dump, and open such files only if you trust them."
        )
    if fitted:
        _check_sizes(model)
    state = dict(model.__getstate__())
    parameters = {key: state.pop(key) for key in model.get_params(deep=False)}
    if names and fitted:
        parameters.pop("callbacks", None)  # the member among the parameters has none
    document = {
        "class": name,
        "parameters": _encoded(_savable(parameters, spec, names), arrays, spec, names, fitted=False),
    }
    if fitted:
        document["state"] = _encoded(state, arrays, spec, names, fitted=True)
    return document


def _encoded(
    values: dict[str, Any],
    arrays: dict[str, np.ndarray],
    spec: InputSpec,
    names: tuple[str, ...],
    fitted: bool,
) -> dict[str, Any]:
    """Parameters or state; of members there is a document for each."""
    encoded = {}
    for key, value in values.items():
        if _are_members(value):
            documents = [_document(model, arrays, spec, (*names, name), fitted) for name, model in value]
            encoded[key] = {"kind": _MEMBERS, "names": [name for name, _ in value], "documents": documents}
        else:
            encoded[key] = encode(value, arrays, ".".join((*names, key)))
    return encoded


def _are_members(value: Any) -> bool:
    """Whether it is a list of pairs of a name and a forecaster."""
    pairs = value if isinstance(value, (list, tuple)) else ()
    return bool(pairs) and all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 and hasattr(pair[1], "predict_windows")
        for pair in pairs
    )


def _savable(parameters: dict[str, Any], spec: InputSpec, names: tuple[str, ...]) -> dict[str, Any]:
    """Constructor parameters as a file can hold them."""
    kept = {key: value for key, value in parameters.items() if key not in _OF_THIS_MACHINE}
    if kept.get("callbacks"):
        classes = [type(callback).__name__ for callback in kept["callbacks"]]
        parameter = "__".join((*names, "callbacks"))
        raise ModelFileError(
            f"{parameter}={classes} hold code, which a model file never does. Forecasts do not need them: "
            f"model.set_params({parameter}=None).save(path), and set them again after loading if you train on."
        )
    if kept.get("adj") is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # fit has said how it was read
            kept["adj"] = as_graph(kept["adj"], spec.n_nodes, spec.nodes)
    if isinstance(kept.get("random_state"), np.random.RandomState):
        # a generator with a crafted state would read foreign memory; this one stays as it is
        kept["random_state"] = int(copy.deepcopy(kept["random_state"]).randint(2**31 - 1))
    return kept


# ---------------------------------------------------------------- from a document


def _decoded(
    nodes: dict[str, Any], arrays: dict[str, np.ndarray], device: Any, budget: _Budget, fitted: bool
) -> dict[str, Any]:
    """Parameters or state of a document."""
    decoded = {}
    for key, node in nodes.items():
        if isinstance(node, dict) and node.get("kind") == _MEMBERS:
            models = [_restored(document, arrays, device, budget, fitted) for document in node["documents"]]
            decoded[key] = list(zip(node["names"], models, strict=True))
        else:
            decoded[key] = decode(node, arrays)
    return decoded


def _restored(
    document: dict[str, Any], arrays: dict[str, np.ndarray], device: Any, budget: _Budget, fitted: bool = True
) -> Any:
    """The forecaster of a document."""
    entry = find(document["class"]) if isinstance(document["class"], str) else None
    if entry is None:
        raise ModelFileError(f"it names the class {document['class']!r}; known are {sorted(entries())}")
    parameters = _decoded(document["parameters"], arrays, device, budget, fitted=False)
    for name in _OF_THIS_MACHINE:
        parameters.pop(name, None)
    kind = entry.cls  # imported before the state is decoded, as the state may name classes of its module
    model = kind(**parameters)
    if "device" in model.get_params(deep=False):
        model.set_params(device=device)
    model._check_parameters()
    if not fitted:
        return model
    state = _decoded(document["state"], arrays, device, budget, fitted=True)
    clash = set(state) & {*parameters, *dir(kind)}
    if clash:
        raise ModelFileError(f"its state names {sorted(clash)[0]!r}, which is no fitted attribute")
    _check_values(state, kind)
    if isinstance(state.get("weights_"), dict):  # written when there was one network only
        state["weights_"] = [state["weights_"]]
    members = state.get("weights_") or []
    for weights in members:
        budget.add(weights, state["n_features_in_"])
    with budget:
        model.__setstate__(dict(state))
    _check_sizes(model)
    for network, weights in zip(model.networks_, members, strict=True) if members else ():
        for key, tensor in network.state_dict().items():
            if f"torch.{weights[key].dtype}" != str(tensor.dtype):
                raise ModelFileError(f"weight {key!r} has dtype {weights[key].dtype}; needed: {tensor.dtype}")
    return model


def _check_values(state: dict[str, Any], kind: Any) -> None:
    """Compare the number of nodes with the stored values, as the sizes of all arrays built later depend on it."""
    parts = {
        "predictor_": (state["predictor_"], kind._predictor_class),
        "calibration_": (state["calibration_"], Calibration),
        "calibration_.predictor": (getattr(state["calibration_"], "predictor", None), kind._predictor_class),
        "context_": (state["context_"], Panel),
    }
    for name, (part, needed) in parts.items():
        if not isinstance(part, needed):
            raise ModelFileError(f"its {name} is no {needed.__name__}")
    context, n_nodes = state["context_"], state["n_features_in_"]
    if not callable(context.restore) or not context.values.size:
        raise ModelFileError("its last time steps hold no values")
    found = (
        context.values.shape[1],
        state["predictor_"].spec.n_nodes,
        state["calibration_"].predictor.spec.n_nodes,
    )
    if type(n_nodes) is not int or set(found) != {n_nodes}:
        raise ModelFileError(f"its parts have {(*found, n_nodes)!r} nodes: they must agree")


def _check_sizes(model: Any) -> None:
    """Compare the fitted state with the parameters, so that a contradiction is found here and not in a forecast."""
    context = model.context_
    for predictor in (model.predictor_, model.calibration_.predictor):
        spec = predictor.spec
        flaw = predictor.flaw(context.index)
        if flaw is not None:
            raise ModelFileError(flaw)
        if any(position not in range(spec.n_features) for position in predictor.target):
            raise ModelFileError(f"target_={predictor.target} are not among its {spec.n_features} features")
        if spec.nodes is not None and len(spec.nodes) != spec.n_nodes:
            raise ModelFileError(f"it names {len(spec.nodes)} nodes, but has {spec.n_nodes}")
        if spec.grid != context.grid or (spec.grid is not None and np.prod(spec.grid) != spec.n_nodes):
            raise ModelFileError(
                f"its {spec.n_nodes} nodes are no field of {spec.grid}, or its last time steps have another grid"
            )
        n_older = getattr(predictor, "n_older", 0)
        sizes_of_windows = {
            "input_length": predictor.look_back,
            "horizon": predictor.horizon,
            "long_input_length": n_older + predictor.look_back if n_older else None,
        }
        for name, fitted in sizes_of_windows.items():
            if getattr(model, name, fitted) != fitted:
                raise ModelFileError(
                    f"it was fitted with {name}={fitted}, but its parameter says {getattr(model, name)}"
                )
        for name, (array, shape) in predictor.shapes().items():
            if np.shape(array) != tuple(shape):
                raise ModelFileError(
                    f"{name} has shape {np.shape(array)}; the parameters and nodes need {tuple(shape)}"
                )
    takes, before_refit = _takes(model.predictor_), _takes(model.calibration_.predictor)
    if takes != before_refit:
        raise ModelFileError(f"its two predictors are of different kinds: {takes} and {before_refit}")
    sizes = (model.input_.n_nodes, model.input_.n_features)
    least, most = model.predictor_.look_back, model.predictor_.context_length
    if context.values.shape[1:] != sizes or not least <= context.n_times <= most:
        raise ModelFileError(
            f"context_ has shape {context.values.shape}; the parameters and nodes need {(most, *sizes)}"
        )
    if not least <= model.calibration_.n_before <= model.calibration_.rows.n_times:
        raise ModelFileError(
            f"it forecasts from {model.calibration_.n_before} time steps; {least} are needed"
        )
    for rows in (context, model.calibration_.rows):
        _check_labels(rows, model.input_)
        if rows.index is not None and len(rows.index) != rows.n_times:
            raise ModelFileError(f"it has {rows.n_times} last time steps, but {len(rows.index)} times")
    if model.calibration_.rows.values.shape[1:] != sizes:
        raise ModelFileError(
            f"the time steps to calibrate on have shape {model.calibration_.rows.values.shape}"
        )


def _takes(predictor: Any) -> tuple[Any, ...]:
    """What decides which inputs a network gets, and which windows a predictor: a refit does not change it."""
    rule = getattr(predictor, "rule", None)
    encoding = getattr(rule, "encoding", None)
    channels = encoding and (encoding.has_gaps, encoding.knows_ahead, encoding.linear is None)
    n_older = getattr(predictor, "n_older", 0)
    sizes = (predictor.look_back, predictor.horizon, n_older, predictor.target, predictor.time_features)
    return (
        type(rule).__name__,
        *sizes,
        predictor.season is None,
        getattr(predictor, "history", ()),
        channels,
    )


def _check_labels(rows: Panel, spec: InputSpec) -> None:
    """Names, axes and frequency of the last time steps, from which those of forecasts are made."""
    names = [len(names) for names in (rows.nodes, rows.features) if names is not None]
    wanted = [spec.n_nodes] * (rows.nodes is not None) + [spec.n_features] * (rows.features is not None)
    if names != wanted or rows.ndim != spec.ndim:
        raise ModelFileError(
            f"its last time steps have {names} names and {rows.ndim} axes; needed: {wanted}, {spec.ndim}"
        )
    for name in (*(rows.nodes or []), *(spec.nodes or []), *(rows.features or [])):
        hash(name)  # a TypeError, as for all other content that does not fit, is told as a ModelFileError
    dated = isinstance(rows.index, (pd.DatetimeIndex, pd.PeriodIndex))
    for freq in (rows.freq, spec.freq):
        if freq is not None and not isinstance(freq, (str, pd.Timedelta) if dated else Real):
            raise ModelFileError(
                f"its frequency {freq!r} is none of its index of {type(rows.index).__name__}"
            )
        if isinstance(freq, str) and isinstance(rows.index, pd.DatetimeIndex):
            offset_of(freq)


# ---------------------------------------------------------------- crafted sizes

_FACTORIES: set[Callable[..., Any]] = {
    torch.arange, torch.empty, torch.eye, torch.full, torch.linspace, torch.ones, torch.rand, torch.randint, torch.randn,
    torch.zeros,
}  # fmt: skip
_SPARE_NUMBERS, _NUMBERS_PER_WEIGHT = 4_000_000, 8
_SPARE_CALLS, _CALLS_PER_WEIGHT = 2_000, 100


class _Budget(TorchFunctionMode):
    """Bounds the networks of a file, those of all members together, before memory is allocated.

    Counts the numbers that torch's factory functions allocate. A file is refused if its parameters describe networks many times
    larger than the weights that it holds, or if several networks refer to the same weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.n_numbers, self.n_calls = _SPARE_NUMBERS, _SPARE_CALLS
        self.seen: set[int] = set()

    def add(self, weights: dict[str, np.ndarray], n_nodes: int) -> None:
        """Allow for a network with some weights."""
        places = {array.ctypes.data for array in weights.values() if array.size}
        if places & self.seen:
            raise ModelFileError("two of its networks refer to the same weights")
        self.seen |= places
        n_numbers = sum(array.size for array in weights.values()) + n_nodes**2
        self.n_numbers += _NUMBERS_PER_WEIGHT * n_numbers
        free = available_memory(torch.device("cpu"))
        self.n_numbers = self.n_numbers if free is None else min(self.n_numbers, free // 4)
        self.n_calls += _CALLS_PER_WEIGHT * len(weights)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _FACTORIES:
            described = {key: value for key, value in kwargs.items() if key != "generator"}
            self.n_numbers -= func(*args, **{**described, "device": "meta"}).numel()
            self.n_calls -= 1
            if self.n_numbers < 0 or self.n_calls < 0:
                raise ModelFileError(
                    "its parameters describe a network far larger than the weights that it holds"
                )
        return func(*args, **kwargs)
