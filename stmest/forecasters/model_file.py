"""Model files: a fitted forecaster as one safetensors file, which can be opened anywhere and runs no code.

`SavedAsFile.save` splits a forecaster into its parameters and its fitted state and writes both as plain state; `load` builds
the forecaster again through its constructor. A new forecaster needs a line in `_HOMES` and nothing else, as long as
what it learns is plain (`stmest.storage.plain_state`). Builds on `storage`;
`BaseForecaster` inherits `SavedAsFile`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch.overrides import TorchFunctionMode

from ..data.panel import Panel
from ..exceptions import ModelFileError
from ..graphs import as_graph
from ..runtime import resolve_device, versions
from ..storage.plain_state import decode, encode
from ..storage.tensor_file import read_tensor_file, write_tensor_file

if TYPE_CHECKING:
    from .base import BaseForecaster

__all__ = ["SavedAsFile", "load"]

# The closed list of what a file may name: class -> module of this package
_HOMES = {
    "DLinearForecaster": "linear",
    "LastValue": "baselines",
    "MADForecaster": "mad",
    "MeanProfile": "baselines",
    "NLinearForecaster": "linear",
    "RidgeForecaster": "baselines",
    "S2TXForecaster": "s2tx",
    "STIDForecaster": "stid",
    "STM3Forecaster": "stm3",
    "STMambaForecaster": "stmamba",
    "SeasonalNaive": "baselines",
    "UNetForecaster": "unet",
}

# Parameters that name something of this machine; a loaded forecaster has their defaults
_OF_THIS_MACHINE = ("device", "checkpoint_dir")


class SavedAsFile:
    """What gives a forecaster its `save`."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted forecaster into one file, which `stmest.load` opens on any machine.

        Parameters
        ----------
        path : str or path-like
            Where to, for instance ``"model.safetensors"``. A file that is there is replaced in one step: whoever reads it
            sees the old one or the new one, also after a crash.

        Raises
        ------
        ModelFileError
            If a parameter holds code (`callbacks`) or an object that is no plain data, or the parameters were changed
            after `fit` so that they no longer describe what was fitted.
        StorageError
            If the file cannot be written, for instance because the disk is full.

        Notes
        -----
        `device` and `checkpoint_dir` stay behind, as they belong to this machine. `adj` is saved as the `Graph` that it
        stands for.
        """
        model = cast(Any, self)
        check_is_fitted(model)
        name = type(model).__name__
        if name not in _HOMES or type(model) is not _class(name):
            raise ModelFileError(
                f"{type(model).__module__}.{name} is no forecaster of stmest, and a model file names no other classes. "
                "Use pickle or joblib for your own classes."
            )
        _check_shapes(model)
        state = dict(cast("dict[str, Any]", model.__getstate__()))
        parameters = {key: state.pop(key) for key in model.get_params(deep=False)}
        arrays: dict[str, np.ndarray] = {}
        document = {
            "class": name,
            "parameters": _encoded(_savable(model, parameters), arrays),
            "state": _encoded(state, arrays),
            "versions": {package: v for package, v in versions().items() if package != "platform"},
        }
        write_tensor_file(path, document, arrays)

    def _state_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes that fitted attributes must have by the parameters; dots lead into attributes of attributes."""
        return {}


def load(path: str | os.PathLike[str], device: Any = "auto") -> BaseForecaster:
    """Read a forecaster that `save` wrote.

    Nothing in the file is executed: it holds numbers and text, and it can name only the forecasters of stmest.

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
        If the device is not there.
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
        return _restored(document, arrays, "auto" if device is None else device)
    except Exception as error:  # whatever a crafted file provokes ends in one kind of error
        raise ModelFileError(
            f"{os.fspath(path)!r} was not loaded: its content contradicts itself or does not fit this version of stmest "
            f"({type(error).__name__}: {error})."
        ) from error


def _class(name: Any) -> type[BaseForecaster]:
    if name not in _HOMES:
        raise ModelFileError(f"it names the class {name!r}; known are {sorted(_HOMES)}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __package__), name)


def _encoded(values: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    return {key: encode(value, arrays, key) for key, value in values.items()}


def _savable(model: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """Constructor parameters as a file can hold them."""
    kept = {key: value for key, value in parameters.items() if key not in _OF_THIS_MACHINE}
    if kept.get("callbacks"):
        names = [type(callback).__name__ for callback in kept["callbacks"]]
        raise ModelFileError(
            f"callbacks={names} hold code, which a model file never does. They play no part in forecasts: "
            "model.set_params(callbacks=None).save(path), and set them again after loading if you train on."
        )
    if kept.get("adj") is not None:
        kept["adj"] = as_graph(kept["adj"], model.n_features_in_, model.nodes_)
    return kept


def _restored(document: dict[str, Any], arrays: dict[str, np.ndarray], device: Any) -> BaseForecaster:
    kind = _class(document["class"])
    parameters = {key: decode(node, arrays) for key, node in document["parameters"].items()}
    state = {key: decode(node, arrays) for key, node in document["state"].items()}
    model = kind(**parameters)
    if "device" in model.get_params(deep=False):
        model.set_params(device=device)
    model._check_parameters()
    clash = set(state) & {*parameters, *dir(kind)}
    if clash:
        raise ModelFileError(f"its state names {sorted(clash)[0]!r}, which is no fitted attribute")
    _check_readings(state)
    weights = state.get("weights_") or {}
    with _limited(sum(map(np.size, weights.values())) + state["n_features_in_"] ** 2, len(weights)):
        model.__setstate__(dict(state))
    _check_shapes(model)
    for key, tensor in model.network_.state_dict().items() if weights else ():
        if f"torch.{weights[key].dtype}" != str(tensor.dtype):
            raise ModelFileError(f"weight {key!r} has dtype {weights[key].dtype}; needed: {tensor.dtype}")
    return model


def _check_readings(state: dict[str, Any]) -> None:
    """The number of nodes is that of readings which are there; all that is built next is as large as it says."""
    context, n_nodes = state["context_"], state["n_features_in_"]
    if not isinstance(context, Panel) or not callable(context.restore) or not context.values.size:
        raise ModelFileError("its last rows are no readings")
    if type(n_nodes) is not int or context.values.shape[1] != n_nodes:
        raise ModelFileError(
            f"its last rows have shape {context.values.shape}, but it speaks of {n_nodes!r} nodes"
        )


def _check_shapes(model: Any) -> None:
    """Compare the fitted state with the parameters, so that a contradiction is found here and not in a forecast."""
    check_is_fitted(model)
    n_nodes, context = model.n_features_in_, model.context_
    if any(position not in range(model.n_inputs_) for position in model.target_):
        raise ModelFileError(f"target_={model.target_} are no features of {model.n_inputs_}")
    if model.nodes_ is not None and len(model.nodes_) != n_nodes:
        raise ModelFileError(f"it names {len(model.nodes_)} nodes, but has {n_nodes}")
    if context.index is not None and len(context.index) != context.n_times:
        raise ModelFileError(f"it has {context.n_times} last rows, but {len(context.index)} times")
    grid = getattr(model, "grid_shape_", None)
    if grid != context.grid or (grid is not None and np.prod(grid) != n_nodes):
        raise ModelFileError(f"its {n_nodes} nodes are no field of {grid}, or its last rows are none of it")
    expected = {"context_": (model._context_length, n_nodes, model.n_inputs_), **model._state_shapes()}
    if model.profile_ is not None:
        expected["profile_.table"] = (model.profile_.n_phases, n_nodes, model.n_inputs_)
    for name, shape in expected.items():
        found = np.shape(context.values if name == "context_" else _attribute(model, name))
        if found != tuple(shape):
            raise ModelFileError(f"{name} has shape {found}; the parameters and nodes need {tuple(shape)}")


def _attribute(model: Any, name: str) -> Any:
    value: Any = model
    for part in name.split("."):
        value = getattr(value, part)
    return value


# ---------------------------------------------------------------- crafted sizes

_FACTORIES: set[Callable[..., Any]] = {
    torch.arange, torch.empty, torch.eye, torch.full, torch.linspace, torch.ones, torch.rand, torch.randint, torch.randn,
    torch.zeros,
}  # fmt: skip
_SPARE_NUMBERS = 4_000_000
_CALLS_PER_WEIGHT, _SPARE_CALLS = 100, 2_000


@contextmanager
def _limited(n_numbers: int, n_weights: int) -> Iterator[None]:
    """Build a network under a limit taken from what the file holds, before memory is asked for.

    A file whose parameters speak of a network many times larger than the weights that it brings is refused instead of
    filling the memory of the machine.
    """
    with _Limit(8 * n_numbers + _SPARE_NUMBERS, _CALLS_PER_WEIGHT * n_weights + _SPARE_CALLS):
        yield


class _Limit(TorchFunctionMode):
    """Counts the numbers that torch's factory functions are asked for."""

    def __init__(self, n_numbers: int, n_calls: int):
        super().__init__()
        self.n_numbers, self.n_calls = n_numbers, n_calls

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _FACTORIES:
            described = {key: value for key, value in kwargs.items() if key != "generator"}
            self.n_numbers -= func(*args, **{**described, "device": "meta"}).numel()
            self.n_calls -= 1
            if self.n_numbers < 0 or self.n_calls < 0:
                raise ModelFileError(
                    "its parameters speak of a network far larger than the weights that it holds"
                )
        return func(*args, **kwargs)
