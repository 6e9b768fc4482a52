"""STID as a forecaster: independent nodes, time identity, missing values, pickles, search, and the command line."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import GridSearchCV

from stmest import ForecastSplit, STIDForecaster, make_sensor_network
from stmest.cli import main
from stmest.exceptions import ParameterError

PLAIN = {"seasonal_profile": None, "linear_skip": False}  # the network alone
SMALL = {"input_length": 8, "horizon": 3, "d_model": 4, "n_layers": 1, **PLAIN}


@pytest.fixture(scope="module")
def data():
    return make_sensor_network(n_nodes=6, n_times=400, random_state=0)


@pytest.fixture(scope="module")
def fitted(data):
    return STIDForecaster(**SMALL, max_epochs=2, random_state=0).fit(data.values)


def test_what_it_learnt_is_labelled(fitted, data):
    assert list(fitted.node_embedding_.index) == list(data.values.columns)
    assert fitted.node_embedding_.shape == (6, 4)
    assert fitted.slots_per_day_ == 24
    assert fitted.time_features_ == ("time_of_day", "day_of_week")
    assert {"train_loss", "valid_loss", "learning_rate", "seconds"} <= set(fitted.history_)


def test_nodes_are_independent_and_a_graph_changes_nothing(fitted, data):
    X = data.values.copy()
    before = fitted.predict(X)
    X.iloc[:, 2] += 1.0
    assert (fitted.predict(X) != before).any().tolist() == [node == 2 for node in range(6)]
    with_graph = STIDForecaster(**SMALL, max_epochs=2, random_state=0).fit(data.values, data.graph)
    pd.testing.assert_frame_equal(with_graph.predict(), fitted.predict())


def test_the_time_of_the_origin_counts(fitted, data):
    """The same observations an hour or a day later have another forecast, a week later the same."""
    tail = data.values.iloc[-8:]
    before = fitted.predict(tail).to_numpy()
    spread = float(data.values.to_numpy().std())
    for hours, same in ((1, False), (24, False), (168, True)):
        moved = tail.set_axis(tail.index + pd.Timedelta(hours, "h"), axis=0)
        after = fitted.predict(moved).to_numpy()
        assert np.allclose(after, before, rtol=0, atol=1e-6 * spread) == same, hours


def test_it_learns_a_profile_of_the_day_that_the_look_back_does_not_tell():
    """Noise around a daily profile: the look-back says nothing, the time of day everything."""
    index = pd.date_range("2024-01-01", periods=24 * 40, freq="h")
    profile = np.random.default_rng(0).normal(size=(24, 3))
    noise = np.random.default_rng(1).normal(size=(len(index), 3))
    X = pd.DataFrame(profile[index.hour] + 0.1 * noise, index=index)
    window = {"input_length": 1, "horizon": 3, "d_model": 16, "dropout": 0.0, "learning_rate": 1e-2, **PLAIN}
    errors = {}
    for kinds in ("auto", None):
        model = STIDForecaster(**window, time_features=kinds, max_epochs=12, random_state=0).fit(X[:-120])
        y_true, y_pred = model.predict_windows(X[-120:])
        errors[kinds] = np.abs(y_true - y_pred).mean()
    assert errors["auto"] < 0.2  # of noise alone: 0.08
    assert errors[None] > 0.4


ABLATIONS = {"d_model": 8, "n_layers": 2, "no layers": {"n_layers": 0}, "dropout": 0.0, "time_features": None}


@pytest.mark.parametrize("parameter", ABLATIONS)
def test_every_architecture_parameter_changes_the_forecast(fitted, data, parameter):
    value = ABLATIONS[parameter]
    changed = {**SMALL, **(value if isinstance(value, dict) else {parameter: value})}
    forecast = STIDForecaster(**changed, max_epochs=2, random_state=0).fit(data.values).predict()
    assert np.isfinite(forecast).all(axis=None)
    assert not np.allclose(forecast, fitted.predict(), rtol=1e-6)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"time_features": ["day_of_year"]}, "tables for 'time_of_day' and 'day_of_week' only"),
        ({"dropout": 1.0}, "dropout"),
        ({"d_model": 0}, "d_model"),
        ({"n_layers": -1}, "n_layers"),
    ],
)
def test_wrong_values(data, parameters, words):
    with pytest.raises(ParameterError, match=words):
        STIDForecaster(**{**SMALL, **parameters}).fit(data.values)


def test_the_year_is_left_out_where_the_data_would_have_it():
    index = pd.date_range("2020-01-01", periods=800, freq="D")
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(800, 2)), index=index)
    model = STIDForecaster(**SMALL, max_epochs=1, random_state=0).fit(X)
    assert model.time_features_ == ("day_of_week",)


def test_time_features_in_any_order(data):
    model = STIDForecaster(
        **SMALL, time_features=["day_of_week", "time_of_day"], max_epochs=1, random_state=0
    )
    model.fit(data.values)
    ((_, time),) = model.predictor_.look_backs(model.context_, 1)
    hours = torch.from_numpy(time[0, : model.input_length])
    assert model.network_.day_slot(hours).tolist() == list(model.context_.index.hour)


def test_arrays_without_dates(data):
    X = data.values.to_numpy()
    assert STIDForecaster(**SMALL, max_epochs=1, random_state=0).fit(X).predict().shape == (3, 6)


def test_missing_values(data):
    holey = data.values.mask(np.random.default_rng(0).random(data.values.shape) < 0.2)
    model = STIDForecaster(**SMALL, max_epochs=1, random_state=0).fit(holey)
    assert model.has_gaps_
    assert np.isfinite(model.predict()).all(axis=None)


def test_several_features_one_target(data):
    X = np.stack([data.values, data.values**2], axis=-1)
    model = STIDForecaster(**SMALL, target=[1], max_epochs=1, random_state=0).fit(X)
    assert model.predict().shape == (3, 6, 1)


def test_bfloat16(data):
    model = STIDForecaster(**SMALL, precision="bfloat16", max_epochs=1, random_state=0).fit(data.values)
    assert np.isfinite(model.predict()).all(axis=None)


def test_pickles_keep_everything(fitted):
    other = pickle.loads(pickle.dumps(fitted))
    pd.testing.assert_frame_equal(other.predict(), fitted.predict())
    pd.testing.assert_frame_equal(other.node_embedding_, fitted.node_embedding_)


def test_warm_start_keeps_the_slots(data):
    model = STIDForecaster(**SMALL, max_epochs=1, warm_start=True, random_state=0).fit(data.values)
    model.fit(data.values.iloc[:300])
    assert model.slots_per_day_ == 24
    assert model.n_iter_ == 2


def test_grid_search(data):
    model = STIDForecaster(**SMALL, max_epochs=1, random_state=0)
    split = ForecastSplit(n_splits=2, test_size=30)
    search = GridSearchCV(model, {"n_layers": [0, 1]}, cv=split).fit(data.values)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(data.values).shape == (3, 6)


def test_the_command_line_knows_it(data, tmp_path, capsys):
    data.values.to_csv(tmp_path / "readings.csv")
    arguments = ["--data", tmp_path / "readings.csv", "--models", "stid", "--max-epochs", 1, "--seed", 3]
    assert main(["report", *map(str, [*arguments, "--out", tmp_path])]) == 0
    assert "stid" in capsys.readouterr().out
    written = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert written["models"]["stid"]["parameters"]["random_state"] == 3


def test_same_seed_same_bytes(fitted, data):
    again = STIDForecaster(**SMALL, max_epochs=2, random_state=0).fit(data.values)
    first, second = fitted.network_.state_dict(), again.network_.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
