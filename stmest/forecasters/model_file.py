"""Model files: a fitted forecaster as one safetensors file, which opens on any machine and runs no code.

`saving` writes parameters and fitted state of a forecaster; `load` calls the constructor with them. A file can name the
forecasters of the registry and no other classes. Builds on `storage` and `base`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from ..data.panel import Panel
from ..exceptions import ModelFileError
from ..prediction.calibration import Calibration
from ..runtime import resolve_device
from ..storage.plain_state import decode
from ..storage.tensor_file import read_tensor_file
from .base import BaseForecaster
from .registry import entries, find
from .saving import MEMBERS, OF_THIS_MACHINE, check_sizes

__all__ = ["load"]


def load(path: str | os.PathLike[str], device: Any = "auto") -> BaseForecaster:
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
    if device not in (None, "auto"):
        resolve_device(device)  # before anything is read
    document, arrays = read_tensor_file(path)
    try:
        return _restored(document, arrays, "auto" if device is None else device, functools.cache(_new_budget))
    except Exception as error:  # whatever a crafted file provokes ends in one kind of error
        raise ModelFileError(
            f"{os.fspath(path)!r} was not loaded: its content contradicts itself or does not fit this version of stmest "
            f"({type(error).__name__}: {error})."
        ) from error


# ---------------------------------------------------------------- from a document


def _new_budget() -> Any:
    from .network_budget import NetworkBudget  # brings torch, which files without networks do not need

    return NetworkBudget()


def _decoded(
    nodes: dict[str, Any], arrays: dict[str, np.ndarray], device: Any, budget: Callable[[], Any], fitted: bool
) -> dict[str, Any]:
    """Parameters or state of a document."""
    decoded = {}
    for key, node in nodes.items():
        if isinstance(node, dict) and node.get("kind") == MEMBERS:
            models = [_restored(document, arrays, device, budget, fitted) for document in node["documents"]]
            decoded[key] = list(zip(node["names"], models, strict=True))
        else:
            decoded[key] = decode(node, arrays)
    return decoded


def _restored(
    document: dict[str, Any],
    arrays: dict[str, np.ndarray],
    device: Any,
    budget: Callable[[], Any],
    fitted: bool = True,
) -> Any:
    """The forecaster of a document; `budget` returns the one budget of all its networks."""
    entry = find(document["class"]) if isinstance(document["class"], str) else None
    if entry is None:
        raise ModelFileError(f"it names the class {document['class']!r}; known are {sorted(entries())}")
    parameters = _decoded(document["parameters"], arrays, device, budget, fitted=False)
    for name in OF_THIS_MACHINE:
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
        budget().add(weights, state["n_features_in_"])
    with budget() if "weights_" in state else nullcontext():
        model.__setstate__(dict(state))
    check_sizes(model)
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
