"""From a fitted forecaster to a model file; `model_file` has the way back.

Parameters and fitted state of a forecaster are written as plain state (`stmest.storage.plain_state`). The members of an ensemble
are written in the same way, inside its file. Builds on `storage`.
"""

from __future__ import annotations

import copy
import os
import warnings
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from ..data.input_spec import InputSpec
from ..data.panel import Panel
from ..data.time_frequency import offset_of
from ..exceptions import ModelFileError
from ..graphs import as_graph
from ..runtime import versions
from ..storage.plain_state import encode
from ..storage.tensor_file import write_tensor_file
from .registry import find

__all__ = ["MEMBERS", "OF_THIS_MACHINE", "check_sizes", "save_model"]

MEMBERS = "forecasters"  # in the place of pairs of a name and a forecaster
# Parameters that refer to this machine; a loaded forecaster has their defaults
OF_THIS_MACHINE = ("device", "checkpoint_dir")


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
        check_sizes(model)
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
            encoded[key] = {"kind": MEMBERS, "names": [name for name, _ in value], "documents": documents}
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
    kept = {key: value for key, value in parameters.items() if key not in OF_THIS_MACHINE}
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


def check_sizes(model: Any) -> None:
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
