"""Promise: nothing of the future, of the validation part or of the test part reaches what is fitted."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stmest.data.forecast_split import ForecastSplit
from stmest.data.scaling import NodeScaler
from stmest.data.splits import temporal_split
from tests.crossing import crossed

from .common import FORECASTERS, NETWORKS, fingerprint, fitted, look_back, make, observations

LENGTH, HORIZON = 6, 3


def without_clock(model):
    """Fingerprint without the seconds that training took."""
    model = copy.deepcopy(model)
    for trained in (model, *getattr(model, "estimators_", [])):
        if hasattr(trained, "history_"):
            trained.history_ = trained.history_.drop(columns="seconds")
    return fingerprint(model)


# ------------------------------------------------------------------ validation


@given(
    n_rows=st.integers(0, 300),
    input_length=st.integers(1, 40),
    horizon=st.integers(1, 40),
    fraction=st.floats(0, 0.999),
)
def test_train_and_validation_windows_share_no_target(n_rows, input_length, horizon, fraction):
    train, validation, cut = temporal_split(n_rows, input_length, horizon, fraction)
    if len(validation):
        assert train.max() + input_length + horizon <= cut <= validation.min() + input_length
    possible = max(0, n_rows - input_length - horizon + 1)
    assert len(train) + len(validation) <= possible
    if not len(validation):
        assert len(train) == possible


@pytest.mark.parametrize("scaler", ["standard", "minmax", "robust"])
@pytest.mark.parametrize("name", crossed(NETWORKS, ["TinyForecaster"]))
def test_the_scaler_knows_the_training_rows_only(name, scaler):
    X = observations()
    X.iloc[5, 1] = np.nan
    model = make(name, scaler=scaler, validation_fraction=0.25, seasonal_profile=None).fit(X)
    expected = NodeScaler(scaler).fit(
        X.to_numpy()[:54, :, None]
    )  # the last quarter of 72 rows is validated on
    np.testing.assert_array_equal(model.scaler_.center, expected.center)
    np.testing.assert_array_equal(model.scaler_.scale, expected.scale)


@pytest.mark.parametrize("name", crossed(NETWORKS))
def test_validation_rows_choose_and_do_not_teach(name):
    """Other observations in the validation part, and an epoch is the same to the bit, where nothing else is chosen there."""
    changed = observations()
    changed.iloc[-9:] = np.random.default_rng(3).normal(10, 1, size=(9, 4))
    chosen = {
        "seasonal_profile": None,
        "linear_skip": False,
    }  # the validation part chooses these two, if asked to
    models = [
        make(name, validation_fraction=0.125, max_epochs=2, **chosen).fit(X)
        for X in (observations(), changed)
    ]
    np.testing.assert_array_equal(*(model.history_["train_loss"] for model in models))
    assert not np.array_equal(*(model.history_["valid_loss"] for model in models))


@pytest.mark.parametrize("name", crossed(NETWORKS))
def test_shuffled_futures_bring_the_validation_error_to_chance(name):
    """With futures that have nothing to do with the past nothing can be learnt; where something is, it leaks."""
    rng = np.random.default_rng(0)
    X = observations(240)
    noise = X.to_numpy()[rng.permutation(len(X))]  # rows in random order: the past does not help
    settings = {"max_epochs": 15, "learning_rate": 1e-2, "validation_fraction": 0.3, "time_features": None}
    real = make(name, **settings).fit(X.to_numpy())
    chance = make(name, **settings).fit(noise)
    spread = {}
    for model, data in ((real, X.to_numpy()), (chance, noise)):
        train, held = data[:168], data[168:]
        scale = model.scaler_.scale[:, 0]
        weight = scale / scale.mean()
        # The best constant forecast, in the units of the loss: mean absolute deviation from the training median
        spread[model] = (np.abs(held - np.median(train, axis=0)) / scale * weight).mean()
    assert real.history_["valid_loss"].min() < 0.7 * spread[real]
    assert chance.history_["valid_loss"].min() > 0.9 * spread[chance]


# ------------------------------------------------------------------ the test part


@pytest.mark.parametrize("name", crossed(FORECASTERS))
def test_the_test_part_changes_no_fitted_byte(name):
    """Observations after the time steps given to fit, in the same table and the same memory."""
    table = observations(96)
    first = make(name).fit(table.iloc[:72])
    before = without_clock(first)
    table.iloc[72:] = 1e6
    assert without_clock(first) == before
    assert without_clock(make(name).fit(table.iloc[:72])) == before
    array = observations(96).to_numpy().copy()
    model = make(name).fit(array[:72])
    before = without_clock(model)
    array[:] = -1.0  # no view of the training data is kept
    assert without_clock(model) == before


@pytest.mark.parametrize("name", crossed(FORECASTERS))
def test_a_forecast_sees_no_row_after_its_origin(name):
    model, X = fitted(name), observations(96)
    changed = X.copy()
    changed.iloc[80:] += 100.0
    pd.testing.assert_frame_equal(model.predict(X.iloc[:80]), model.predict(changed.iloc[:80]))
    _, before = model.predict_windows(X)
    _, after = model.predict_windows(changed)
    untouched = 80 - look_back(model) + 1  # windows whose look-back ends before row 80
    np.testing.assert_array_equal(before[:untouched], after[:untouched])


@pytest.mark.parametrize("name", crossed(FORECASTERS))
def test_scoring_teaches_nothing(name):
    model = fitted(name)
    before = fingerprint(model)
    model.score(observations(96, seed=5))
    model.predict_windows(observations(96, seed=6))
    assert fingerprint(model) == before


def test_folds_train_before_they_test():
    for gap in (0, 4):
        for train, test in ForecastSplit(4, input_length=LENGTH, gap=gap).split(observations(120)):
            first_target = test[0] + LENGTH
            assert train.max() + gap < first_target
            assert list(test) == list(range(test[0], test[-1] + 1))


@pytest.mark.parametrize("name", NETWORKS)
def test_other_nodes_do_not_leak_through_the_batch(name):
    """A window is forecast the same alone and among others."""
    model, X = fitted(name), observations()
    _, together = model.predict_windows(X)
    for first in (0, 17, 63):
        _, alone = model.predict_windows(X.iloc[first : first + LENGTH + HORIZON])
        np.testing.assert_allclose(alone[0], together[first], rtol=1e-5)
