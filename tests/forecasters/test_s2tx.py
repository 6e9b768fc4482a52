"""S2TX as a forecaster: parameters, ablations, missing values, pickles, search, and that it learns from other nodes."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import GridSearchCV

from stmest import ForecastSplit, RidgeForecaster, S2TXForecaster, compare, make_sensor_network
from stmest.cli import main
from stmest.datasets import mask_gaps
from stmest.exceptions import ParameterError

# the network as published, on its own
PURE = {"linear_skip": False, "seasonal_profile": None}
SMALL = {
    **PURE, "input_length": 24, "horizon": 4, "d_model": 8, "n_heads": 2, "n_layers": 1, "d_ff": 16, "d_state": 4,
    "max_epochs": 1, "random_state": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def data():
    return make_sensor_network(n_nodes=4, n_times=160, random_state=0)


@pytest.fixture(scope="module")
def fitted(data):
    return S2TXForecaster(**SMALL).fit(data.values)


def test_defaults_are_those_of_the_published_runs():
    model = S2TXForecaster()
    sizes = (
        model.input_length,
        model.d_model,
        model.n_heads,
        model.n_layers,
        model.n_global_layers,
        model.d_ff,
    )
    assert sizes == (672, 16, 4, 1, 1, 128)
    assert (model.loss, model.node_weights, model.attention_window) == ("mse", "equal", 7)


def test_the_residual_of_a_ridge_begins_at_zero(data):
    model = S2TXForecaster(
        **{**SMALL, "linear_skip": True, "learning_rate": 1e-12, "validation_fraction": 0.0}
    )
    ridge = RidgeForecaster(input_length=24, horizon=4, alpha=100.0, seasonal_profile=None)
    forecast = model.fit(data.values).predict()
    assert model.linear_ is not None
    assert forecast.equals(pickle.loads(pickle.dumps(model)).predict())
    spread = data.values.to_numpy().std()
    assert np.abs(forecast - ridge.fit(data.values).predict()).to_numpy().max() < spread
    raised = model.predict(data.values + 100.0)
    assert np.abs(raised - 100.0 - forecast).to_numpy().max() < 1e-2 * spread  # the level is given back once


def test_what_it_is(fitted, data):
    forecast = fitted.predict()
    assert list(forecast.columns) == list(data.values.columns)
    assert forecast.shape == (4, 4)
    assert fitted.time_features_ == ()
    assert fitted.patching_.loc["global"].to_dict() == {
        "length": 24,
        "patch": 6,
        "stride": 2,
        "n_patches": 11,
    }
    assert fitted.patching_.loc["local"].to_dict() == {"length": 12, "patch": 3, "stride": 1, "n_patches": 11}
    assert {"train_loss", "valid_loss", "learning_rate", "seconds"} <= set(fitted.history_)
    assert fitted.n_parameters_ == sum(p.numel() for p in fitted.network_.parameters())
    assert fitted.scan_backend_ in ("numba", "chunked", "mamba_ssm")


ABLATIONS = {
    "local_length": 6,
    "global_patch": 8,
    "global_stride": 6,
    "local_patch": 4,
    "local_stride": 2,
    "attention_window": None,
    "cross_variate": False,
    "cross_attention": False,
    "token_order": "variate",
    "bidirectional": False,
    "d_model": 4,
    "n_heads": 4,
    "n_layers": 2,
    "n_global_layers": 2,
    "d_ff": 8,
    "d_state": 2,
    "d_conv": 2,
    "expand": 1,
    "dropout": 0.0,
    "norm": "layer",
    "time_features": ["time_of_day"],
    "loss": "mae",
    "node_weights": "scale",
}


@pytest.mark.parametrize("parameter", ABLATIONS)
def test_every_parameter_changes_the_forecast(fitted, data, parameter):
    model = S2TXForecaster(**{**SMALL, parameter: ABLATIONS[parameter]}).fit(data.values)
    forecast = model.predict()
    assert np.isfinite(forecast).all(axis=None)
    assert not np.allclose(forecast, fitted.predict(), rtol=1e-6)


@pytest.mark.parametrize("alone", [{}, {"cross_variate": False}, {"cross_attention": False}])
def test_other_nodes_reach_a_forecast_unless_left_out(data, alone):
    model = S2TXForecaster(**SMALL, **alone).fit(data.values)
    X = data.values.copy()
    before = model.predict(X)
    X.iloc[-10:, 1] += np.linspace(0, 5, 10)
    changed = (model.predict(X) != before).any().tolist()
    assert changed == ([False, True, False, False] if alone else [True] * 4)


@pytest.mark.parametrize("input_length", [1, 2, 5, 30])
def test_any_look_back(data, input_length):
    model = S2TXForecaster(**{**SMALL, "input_length": input_length}).fit(data.values)
    assert np.isfinite(model.predict()).all(axis=None)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"n_heads": 3}, "multiple of n_heads=3"),
        ({"attention_window": 4}, "odd number"),
        ({"attention_window": 0}, "attention_window"),
        ({"local_length": 25}, "local_length=25; needed: 1 to input_length=24"),
        ({"global_patch": 30}, "patches of 30 steps"),
        ({"local_stride": 9}, "every 9 steps"),
        ({"token_order": "node"}, "token_order"),
        ({"norm": "group"}, "norm"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_wrong_values(data, parameters, words):
    with pytest.raises(ParameterError, match=words):
        S2TXForecaster(**{**SMALL, **parameters}).fit(data.values)


def test_missing_values_in_fit_and_predict(data):
    holey = mask_gaps(data.values, 0.3, max_gap=24, random_state=0)
    model = S2TXForecaster(**SMALL).fit(holey)
    assert model.has_gaps_
    assert np.isfinite(model.predict()).all(axis=None)
    recent = holey.copy()
    recent.iloc[:, 2] = np.nan
    assert np.isfinite(model.predict(recent)).all(axis=None)
    assert np.isfinite(model.predict(data.values)).all(axis=None)


def test_gaps_at_the_end_carry_the_last_observation(data):
    """A forecaster that was fitted on complete observations takes missing values too, as if the last value had stayed."""
    model = S2TXForecaster(**SMALL).fit(data.values)
    gap, stayed = data.values.copy(), data.values.copy()
    gap.iloc[-5:, 0], stayed.iloc[-5:, 0] = np.nan, stayed.iloc[-6, 0]
    pd.testing.assert_frame_equal(model.predict(gap), model.predict(stayed))


def test_several_features_one_target(data):
    X = np.stack([data.values, data.values**2], axis=-1)
    model = S2TXForecaster(**SMALL, target=[1]).fit(X)
    assert model.predict().shape == (4, 4, 1)
    holey = mask_gaps(X, 0.2, random_state=0)
    assert np.isfinite(S2TXForecaster(**SMALL, target=[1]).fit(holey).predict()).all()


def test_bfloat16(data):
    model = S2TXForecaster(**SMALL, precision="bfloat16").fit(data.values)
    assert np.isfinite(model.predict()).all(axis=None)


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_pickles_keep_everything(data, norm):
    model = S2TXForecaster(**SMALL, norm=norm).fit(data.values)
    other = pickle.loads(pickle.dumps(model))
    pd.testing.assert_frame_equal(other.predict(), model.predict())
    pd.testing.assert_frame_equal(other.patching_, model.patching_)


def test_grid_search(data):
    split = ForecastSplit(n_splits=2, test_size=30)
    search = GridSearchCV(S2TXForecaster(**SMALL), {"cross_variate": [True, False]}, cv=split).fit(
        data.values
    )
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(data.values).shape == (4, 4)


def test_report_beside_others(data):
    report = compare({"s2tx": S2TXForecaster(**SMALL)}, data.values, data.graph)
    assert report["s2tx"].error is None


def test_the_command_line_knows_it_and_its_rivals(data, tmp_path, capsys):
    data.values.to_csv(tmp_path / "readings.csv")
    arguments = [
        "--data",
        tmp_path / "readings.csv",
        "--models",
        "s2tx,dlinear,nlinear",
        "--max-epochs",
        1,
        "--seed",
        3,
    ]
    assert main(["report", *map(str, [*arguments, "--out", tmp_path])]) == 0
    printed = capsys.readouterr().out
    written = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["models"]
    assert set(written) == {"s2tx", "dlinear", "nlinear"}
    for name, model in written.items():
        assert name in printed
        assert model["parameters"]["random_state"] == 3
        assert model["parameters"]["max_epochs"] == 1
        assert model["parameters"]["input_length"] == 24


def test_same_seed_same_bytes(fitted, data):
    again = S2TXForecaster(**SMALL).fit(data.values)
    first, second = fitted.network_.state_dict(), again.network_.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_it_learns_from_another_node():
    """One node is the other one of six steps before: who sees both knows its next steps, who does not cannot."""
    rng = np.random.default_rng(0)
    leader = rng.normal(size=806).cumsum() * 0.1 + rng.normal(size=806)
    X = np.stack([leader[6:], leader[:-6]], axis=1)
    learning = {
        "max_epochs": 12,
        "batch_size": 32,
        "learning_rate": 1e-2,
        "dropout": 0.0,
        "patience": None,
        "d_model": 16,
        "norm": "layer",
    }
    patches = {"global_patch": 6, "global_stride": 6, "token_order": "time"}
    errors = {}
    for cross in (True, False):
        model = S2TXForecaster(
            **{**SMALL, **learning, **patches}, cross_variate=cross, validation_fraction=0.0
        )
        y_true, y_pred = model.fit(X[:600]).predict_windows(X[600:])
        errors[cross] = float(np.abs(y_true - y_pred)[..., 1].mean())
    assert errors[True] < 0.8 * errors[False]
