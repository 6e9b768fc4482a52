"""Promise: what cannot be used is refused by one kind of error that names it, and the estimator stays as it was.

What is refused is decided at three borders, each with a table of its own: `as_panel` (tests/data), `as_graph`
(tests/graphs), and the parameters (here, made from `_parameter_constraints`). Here every method of every forecaster is
shown to go through them. After each error the fingerprint of the estimator is the one before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.utils._param_validation import Interval, StrOptions

from stmest.exceptions import DataError, DeviceError, GraphError, ParameterError, StmestError
from tests.crossing import crossed

from .common import FORECASTERS, N_TIMES, NETWORKS, NODES, fingerprint, fitted, look_back, make
from .unusable import UNUSABLE_GRAPHS, UNUSABLE_X, A, X, indexed, named

USES = ("fit", "predict", "predict_interval", "score", "predict_windows", "update")
READ_GRAPHS = ["RidgeForecaster", *NETWORKS]


# ------------------------------------------------------------------ every method goes through the border


@pytest.mark.parametrize("name", FORECASTERS)
def test_every_method_goes_through_the_border(name):
    for model in (make(name), fitted(name)):
        before = fingerprint(model)
        for use in USES if model is fitted(name) else ["fit"]:
            with pytest.raises(DataError, match=r"Complex data.*complex128"):
                getattr(model, use)(A.astype(complex))
        with pytest.raises(GraphError, match=r"\(4, 4\).*5 nodes"):
            model.fit(X, adj=np.eye(5))
        assert fingerprint(model) == before
    for use in USES[1:]:
        with pytest.raises(DataError, match=r"(?s)unseen at fit time.*z"):
            getattr(model, use)(named(*"abcz"))
    assert fingerprint(model) == before


@pytest.mark.parametrize("name", NETWORKS)
def test_the_graph_of_the_constructor_goes_through_the_border(name):
    model = make(name, adj=np.eye(5))
    with pytest.raises(GraphError, match=r"\(4, 4\).*5 nodes"):
        model.fit(X)


@pytest.mark.exhaustive
@pytest.mark.parametrize("case", UNUSABLE_X)
@pytest.mark.parametrize("name", FORECASTERS)
def test_values_that_cannot_be_used(name, case):
    bad, words = UNUSABLE_X[case]
    for model in (make(name), fitted(name)):
        before = fingerprint(model)
        for use in USES if model is fitted(name) else ["fit"]:
            with pytest.raises(DataError, match=f"(?s){words}"):
                getattr(model, use)(bad)
        assert fingerprint(model) == before


@pytest.mark.exhaustive
@pytest.mark.parametrize("case", UNUSABLE_GRAPHS)
@pytest.mark.parametrize("name", READ_GRAPHS)
def test_graphs_that_do_not_fit(name, case):
    bad, words = UNUSABLE_GRAPHS[case]
    model = fitted(name)
    before = fingerprint(model)
    with pytest.raises(GraphError, match=words):
        model.fit(X, adj=bad)
    with pytest.raises((GraphError, DataError), match=f"{words}|neither a graph of 4 nodes"):
        model.fit(X, bad)
    if name in NETWORKS:
        with pytest.raises(GraphError, match=words):
            make(name, adj=bad).fit(X)
    assert fingerprint(model) == before


# ------------------------------------------------------------------ values that one method cannot take


@pytest.mark.parametrize("name", FORECASTERS)
def test_too_few_rows(name):
    model = fitted(name)
    length = look_back(model)
    for use in ("fit", "predict", "predict_interval"):
        if length > 1:  # one row is enough for the last value
            with pytest.raises(DataError, match=rf"{length - 1} rows.*(needs? at least|are needed)"):
                getattr(model, use)(X.iloc[: length - 1])
    for use in ("score", "predict_windows"):
        with pytest.raises(DataError, match=rf"{length + 2} rows.*are needed"):
            getattr(model, use)(X.iloc[: length + 2])


@pytest.mark.parametrize("name", crossed(FORECASTERS, ["TinyForecaster"]))
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
def test_other_nodes_than_in_training(name, change, words):
    model = fitted(name)
    before = fingerprint(model)
    for use in USES[1:]:
        with pytest.raises(DataError, match=f"(?s){words}"):
            getattr(model, use)(change())
    assert fingerprint(model) == before


@pytest.mark.parametrize("name", crossed(FORECASTERS, ["TinyForecaster"]))
def test_names_of_several_types(name):
    """As in scikit-learn, the names of columns are text or anything else, not both."""
    for use in USES:
        with pytest.raises(DataError, match="string names"):
            getattr(fitted(name), use)(named("a", "b", "c", 1))


def long_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The same values as time, node, value."""
    return frame.rename_axis(index="time").reset_index().melt("time", var_name="node")


@pytest.mark.parametrize("name", crossed(FORECASTERS, ["RidgeForecaster", "TinyForecaster"]))
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


@pytest.mark.parametrize("name", crossed(FORECASTERS))
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


@pytest.mark.parametrize("name", crossed(FORECASTERS, ["TinyForecaster"]))
@pytest.mark.parametrize("stride", [0, -1, 1.5, "2", None, True])
def test_stride(name, stride):
    with pytest.raises(ParameterError, match=r"stride=.*needed: an integer of at least 1"):
        fitted(name).predict_windows(X, stride=stride)


# ------------------------------------------------------------------ unusual, and fine


@pytest.mark.parametrize("name", crossed(FORECASTERS, ["RidgeForecaster", "TinyForecaster"]))
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
def test_unusual_values_are_fine(name, usual):
    data = usual()
    forecast = make(name).fit(data).predict()
    assert np.isfinite(np.asarray(forecast, dtype=float)).all()
    if isinstance(data, pd.DataFrame):
        after = forecast.index
        assert after[0] > data.index[-1]
        assert len(after) == 3


@pytest.mark.parametrize("name", crossed(FORECASTERS, ["LastValue", "TinyForecaster"]))
@pytest.mark.parametrize("day", ["2024-03-29", "2024-10-26"])
def test_the_night_when_the_clocks_change(name, day):
    """Rows are steps of one hour of real time, whatever the clock says."""
    local = indexed(pd.date_range(day, periods=N_TIMES, freq="h", tz="Europe/Berlin"))
    model = make(name).fit(local.iloc[:47])
    forecast = model.predict()
    assert list(forecast.index) == list(local.index[47:50])
    assert list(model.update(local.iloc[47:50]).predict().index) == list(local.index[50:53])


@pytest.mark.parametrize(
    "name", crossed([name for name in NETWORKS if FORECASTERS[name].time_features == "auto"])
)
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


def wrong_values(name: str) -> list[tuple[str, Any]]:
    """(parameter, value) for every parameter of a forecaster whose values `fit` compares with a constraint."""
    cases = []
    for parameter, constraints in type(FORECASTERS[name])._parameter_constraints.items():
        if isinstance(constraints, str):  # "no_validation": checked elsewhere, see below
            continue
        values = [object(), {"x": 1}, b"x", 2j, np.array([1, 2])]
        values += [] if None in constraints or parameter == "random_state" else [None]
        values += [value for c in constraints for value in outside(c)]
        cases += [(parameter, value) for value in values]
    return cases


@pytest.mark.parametrize("name", FORECASTERS)
def test_every_parameter_has_its_constraint(name):
    constraints = type(FORECASTERS[name])._parameter_constraints
    assert set(constraints) == set(FORECASTERS[name].get_params(deep=False))
    unchecked = {parameter for parameter, checks in constraints.items() if isinstance(checks, str)}
    assert unchecked <= {"adj", "target", "device"}


def refuses(name: str, parameter: str, value: Any) -> None:
    """Assert that fit names the parameter and leaves the forecaster as it was."""
    model = make(name, **{parameter: value})
    before = dict(vars(model))
    words = rf"'{parameter}' parameter of {type(model).__name__} must be .* Got .* instead"
    with pytest.raises(ParameterError, match=words):
        model.fit(X)
    assert dict(vars(model)) == before, (name, parameter, value)


SHARED = set(FORECASTERS["TinyForecaster"].get_params())


@pytest.mark.parametrize("name", FORECASTERS)
def test_parameters_refuse_what_they_cannot_be(name):
    """The parameters that every network shares are tried on the smallest one, of the others only their own."""
    for parameter, value in wrong_values(name):
        if name not in NETWORKS or name == "TinyForecaster" or parameter not in SHARED:
            refuses(name, parameter, value)


# Written out, as values made from a constraint move with it
JUST_OUTSIDE: dict[str, list[Any]] = {
    "input_length": [0, 2.5],
    "horizon": [0, 2.5],
    "seasonal_profile": ["time_of_dy", 1],
    "linear_skip": ["yes"],
    "scaler": ["standart"],
    "time_features": ["hour"],
    "n_members": [0, 1.5],
    "max_epochs": [0, 1.5],
    "batch_size": [0, "big"],
    "learning_rate": [0.0, -1e-3],
    "weight_decay": [-1e-9],
    "grad_clip": [0],
    "loss": ["rmse"],
    "node_weights": ["none"],
    "lr_schedule": ["step"],
    "validation_fraction": [1.0, -0.1],
    "patience": [0, 1.5],
    "precision": ["float16"],
    "callbacks": [3],
    "warm_start": ["yes"],
    "checkpoint_dir": [3],
    "deterministic": ["yes"],
    "random_state": ["seed"],
    "verbose": [-3],
    "size_weight": [-1],
}


@pytest.mark.parametrize("parameter", sorted(SHARED - {"adj", "target", "device"}))
def test_what_is_just_outside_is_refused(parameter):
    for value in JUST_OUTSIDE[parameter]:
        refuses("TinyForecaster", parameter, value)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "TinyForecaster"])
def test_shared_parameters_refuse_what_they_cannot_be(name):
    for parameter, value in wrong_values(name):
        if parameter in SHARED:
            refuses(name, parameter, value)


@pytest.mark.parametrize("name", crossed(NETWORKS, ["TinyForecaster"]))
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
        ("time_features", ["auto", "holiday:US"], ParameterError, "'holiday:US'; known are|must be None"),
        ("time_features", ["holidays"], ParameterError, "'holidays'.*such as 'holidays:US'|must be None"),
        ("time_features", ["holidays:XX"], ParameterError, "no country 'XX'.*known are|must be None"),
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


# One is not of stmest; the others have a parameter that may be given by position, and tests of their own
OTHERS = {"TinyForecaster", "EnsembleForecaster", "RegressorForecaster"}


@pytest.mark.parametrize("name", sorted(FORECASTERS.keys() - OTHERS))
def test_a_misspelt_parameter(name):
    cls = type(FORECASTERS[name])
    with pytest.raises(TypeError, match=f"^{cls.__name__} has no parameter 'horizn'; did you mean 'horizon'"):
        cls(horizn=3)
    with pytest.raises(TypeError, match=f"^{cls.__name__} has no parameter 'qqq'; it has .*horizon"):
        cls(qqq=3)
    with pytest.raises(TypeError, match=f"^{cls.__name__} takes its parameters by name"):
        cls(3)
    with pytest.raises(
        ParameterError, match=f"^{cls.__name__} has no parameter 'horizn'; did you mean 'horizon'"
    ):
        make(name).set_params(horizn=3)


# ------------------------------------------------------------------ looking into a network

LOOKS = [
    ("STM3Forecaster", "scale_embeddings"),
    ("STM3Forecaster", "expert_embeddings"),
    ("STMambaForecaster", "attention_weights"),
]


@pytest.mark.parametrize(("name", "method"), LOOKS)
def test_looking_into_a_network_goes_through_the_border(name, method):
    model = fitted(name)
    look, before = getattr(model, method), fingerprint(model)
    for bad, words in (
        (A.astype(complex), "Complex data"),
        (named(*"abcz"), "(?s)unseen at fit time.*z"),
        (X.iloc[:5], "5 rows.*at least"),
    ):
        with pytest.raises(DataError, match=words):
            look(bad)
    for stride in (0, -1, 2.5, "x"):
        with pytest.raises(ParameterError, match=r"stride=.*needed: an integer of at least 1"):
            look(X, stride=stride)
    assert fingerprint(model) == before


def test_one_root_for_all_errors():
    """`except StmestError` catches what stmest refuses; `except ValueError` what scikit-learn's users catch."""
    for kind in (DataError, GraphError, ParameterError, DeviceError):
        assert issubclass(kind, StmestError)
        assert issubclass(kind, ValueError)


@pytest.mark.parametrize("name", crossed(FORECASTERS, ["TinyForecaster"]))
@pytest.mark.parametrize("steps", [0, -1, 1.5, "ten", True])
def test_steps_that_cannot_be(name, steps):
    model = fitted(name)
    before = fingerprint(model)
    for use in (model.predict, model.predict_windows):
        with pytest.raises(ParameterError, match="steps="):
            use(X, steps=steps)
    assert fingerprint(model) == before


@pytest.mark.parametrize("name", crossed(FORECASTERS, ["TinyForecaster"]))
@pytest.mark.parametrize("coverage", [0, 1, -0.5, 90, "ninety", None])
def test_coverage_that_cannot_be(name, coverage):
    with pytest.raises(ParameterError, match="coverage="):
        fitted(name).predict_interval(X, coverage=coverage)
