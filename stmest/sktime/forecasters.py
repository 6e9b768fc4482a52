"""The forecasters as sktime knows forecasters: one class for each registered one, of the same name.

The classes are made from the registry when this module is imported, and later ones when they are asked for.
"""

from __future__ import annotations

import copy
import inspect
from dataclasses import replace
from typing import Any

import pandas as pd

from ..exceptions import ParameterError
from ..forecasters.network import NetworkForecaster
from ..forecasters.published import AsPublished
from ..forecasters.registry import Entry, entries, find
from ._base import FITTED, SktimeEnsembleForecaster, SktimeForecaster, SktimeNetworkForecaster

__all__ = ["from_sklearn"]  # and the classes, below

_WITHOUT_RIDGE = {"seasonal_profile": None, "linear_skip": False}

_DOC = """{summary}, for sktime.

Composes `stmest.{name}`; see there for more. Columns of y, or instances of a panel y, are the nodes of one joint model{more}.
`update` moves the forecast origin{update}.

Parameters
----------
{{parameters}}

Attributes
----------
forecaster_ : stmest.{name}
    The fitted forecaster, with what it learnt.

Examples
--------
>>> from sktime.datasets import load_longley
>>> from stmest.sktime import {name}{imports}
>>> _, y = load_longley()
>>> {name}({arguments}).fit(y[["GNP", "POP"]], fh=[1, 2]).predict().shape{skip}
(2, 2)
"""


def _is_of_use(entry: Entry) -> bool:
    """Whether sktime, which has tables and no fields, gains by it; what only repeats values it has itself."""
    chooses = bool(entry.members) or "input_length" in inspect.signature(entry.cls).parameters
    return chooses and not entry.grids_only


def _made_for(entry: Entry) -> type:
    """The sktime class of a registered forecaster."""
    trains = issubclass(entry.cls, NetworkForecaster)
    smallest = entry.smallest_parameters
    tiny = {name: value for name, value in smallest.items() if name not in ("horizon", "forecasters")}
    tests = [{**tiny, "input_length": 4}, {**tiny, "input_length": 3, "horizon": 2}]
    arguments, imports = "input_length=4" + (", max_epochs=1, random_state=0" if trains else ""), ""
    if entry.members:
        members = smallest["forecasters"]
        tests = [{"forecasters": members}, {"forecasters": members[:1], **tiny, "horizon": 2}]
        arguments = 'forecasters=[("ridge", RidgeForecaster(input_length=4))]'
        imports = "\n>>> from stmest import RidgeForecaster"
    if trains:
        tests = [{**tests[0], **_WITHOUT_RIDGE, "patience": None}, {**tests[1], "patience": 1}]
        tests = [{k: v for k, v in test.items() if _may_be(entry.cls, k, v)} for test in tests]

    def get_test_params(cls: type, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Parameters for sktime's checks."""
        return [dict(test) for test in tests]

    doc = _DOC.format(
        name=entry.name,
        summary=inspect.cleandoc(entry.cls.__doc__ or entry.name).splitlines()[0].rstrip("."),
        more="; columns of X are\nfurther input channels" if trains else "",
        update=", or trains on (`update_epochs`)" if trains else "",
        arguments=arguments,
        imports=imports,
        skip="  # doctest: +SKIP" if entry.name == "ChronosForecaster" else "",  # needs weights of a gigabyte
    )
    body: dict[str, Any] = {
        "__doc__": doc,
        "__module__": __name__,
        "get_test_params": classmethod(get_test_params),
    }
    if issubclass(entry.cls, AsPublished):
        body["as_published"] = inspect.getattr_static(entry.cls, "as_published")
    if "random_state" in inspect.signature(entry.cls).parameters:
        body["_tags"] = {"capability:random_state": True, "property:randomness": "derandomized"}
    simple: Any = SktimeEnsembleForecaster if entry.members else SktimeForecaster
    base: Any = SktimeNetworkForecaster if trains else simple
    return type(base)(entry.name, (base,), body, composes=entry.cls)


def _may_be(cls: type, name: str, value: Any) -> bool:
    """Whether a forecaster has a parameter, and does not have that value in any case."""
    parameter = inspect.signature(cls).parameters.get(name)
    return parameter is not None and parameter.default is not value


for _entry in entries().values():
    if _is_of_use(_entry):
        globals()[_entry.name] = _made_for(_entry)
        __all__.append(_entry.name)


def __getattr__(name: str) -> Any:
    entry = None if name.startswith("_") else find(name)
    if entry is None or not _is_of_use(entry):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {sorted(__all__)}")
    made = globals()[name] = _made_for(entry)
    return made


def from_sklearn(model: Any) -> Any:
    """The sktime forecaster of the same name and parameters.

    Parameters
    ----------
    model : BaseForecaster
        A forecaster of stmest. If it is fitted, so is the result: nothing is trained again.

    Returns
    -------
    sktime.forecasting.base.BaseForecaster
        Of a class of `stmest.sktime`. `target` and `warm_start`, which sktime has other ways for, are left behind.

    Raises
    ------
    ParameterError
        If `stmest.sktime` has no such class, or a fitted model forecasts several features or fields.

    Examples
    --------
    >>> from stmest import RidgeForecaster, make_sensor_network
    >>> from stmest.sktime import from_sklearn
    >>> from_sklearn(RidgeForecaster(input_length=48, horizon=6))
    RidgeForecaster(horizon=6, input_length=48)
    >>> model = RidgeForecaster(horizon=2).fit(make_sensor_network(n_nodes=3, n_times=200, random_state=0).values)
    >>> from_sklearn(model).predict(fh=[1, 2]).shape
    (2, 3)
    """
    name = type(model).__name__
    entry = find(name)
    if entry is None or not _is_of_use(entry):
        raise ParameterError(f"{name} has no counterpart in stmest.sktime; there are {sorted(__all__)}.")
    cls = globals().get(name) or __getattr__(name)
    known = set(cls.get_param_names())
    parameters = {"horizon": model.horizon, **model.get_params(deep=False)}
    made = cls(**{key: value for key, value in parameters.items() if key in known})
    if not hasattr(model, "predictor_"):
        return made
    spec, recent = model.input_, model.context_
    if spec.ndim != 2 or spec.grid is not None:
        raise ParameterError(
            f"the fitted {name} forecasts {spec.n_features} features of {spec.n_nodes} nodes or cells; only one feature of "
            "nodes can be taken over. Fit the class of stmest.sktime instead."
        )
    if recent.index is None:
        first = recent.clock or 0
        recent = replace(recent, index=pd.RangeIndex(first, first + recent.n_times))
    nodes = range(spec.n_nodes) if spec.nodes is None else spec.nodes
    label = next(iter(getattr(recent.restore, "names", None) or ()), None)
    columns = pd.Index(nodes, name=label, tupleize_cols=False)
    y = pd.DataFrame(recent.values[..., 0], index=recent.index, columns=columns)
    fitted = copy.copy(model)
    fitted.context_ = recent
    token = FITTED.set(fitted)
    try:
        return made.fit(y)
    finally:
        FITTED.reset(token)
