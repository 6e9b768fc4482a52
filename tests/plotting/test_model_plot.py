"""`forecaster.plot`: a series or a field beside its forecast, from data or from what was seen last."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from stmest import DataError, LastValue, MissingDependencyError, RidgeForecaster, UNetForecaster
from stmest.plotting import FieldDisplay, ForecastDisplay

pytestmark = pytest.mark.usefixtures("believed")


@pytest.fixture(scope="module")
def data():
    index = pd.date_range("2024-03-01", periods=220, freq="1h")
    values = np.sin(np.arange(220) * np.pi / 12)[:, None] + np.random.default_rng(0).normal(0, 0.1, (220, 4))
    return pd.DataFrame(values, index=index, columns=["a", "b", "c", "d"])


@pytest.fixture(scope="module")
def model(data):
    return RidgeForecaster(input_length=12, horizon=6).fit(data[:200])


def test_the_last_steps_of_the_data_are_forecast_with_intervals(model, data):
    display = model.plot(data, nodes=["d", "a"], title="Two")
    assert isinstance(display, ForecastDisplay)
    assert [axis.get_title(loc="left") for axis in display.axes_] == ["d", "a"]
    np.testing.assert_allclose(display.truth, data.to_numpy()[-6:])
    np.testing.assert_allclose(display.forecasts["RidgeForecaster"], model.predict(data[:-6]).to_numpy())
    lower, upper = model.predict_interval(data[:-6])
    np.testing.assert_allclose(display.intervals["RidgeForecaster"], (lower.to_numpy(), upper.to_numpy()))
    assert display.figure_.get_suptitle() == "Two"


def test_without_data_the_future_is_drawn(model, data):
    display = model.plot(coverage=None)
    assert np.isnan(display.truth).all()
    assert display.intervals is None
    assert display.time[-1] == data.index[205]
    np.testing.assert_allclose(display.forecasts["RidgeForecaster"], model.predict().to_numpy())


def test_of_fields_the_fields_are_drawn():
    X = np.random.default_rng(0).normal(size=(60, 3, 4, 1))
    unet = UNetForecaster(input_length=6, horizon=3, channels=4, depth=1, max_epochs=1, random_state=0).fit(X)
    display = unet.plot(X)
    assert isinstance(display, FieldDisplay)
    np.testing.assert_allclose(display.forecast, np.asarray(unet.predict(X[:-3]))[..., 0])
    with pytest.raises(DataError, match=r"needed: .*n_rows, n_columns"):
        unet.plot()


def test_the_cells_of_fields_can_be_drawn_as_series():
    X = np.random.default_rng(0).normal(size=(60, 3, 4, 1))
    unet = UNetForecaster(input_length=6, horizon=3, channels=4, depth=1, max_epochs=1, random_state=0).fit(X)
    display = ForecastDisplay.from_estimator(unet, X, nodes=[5])
    np.testing.assert_allclose(
        display.forecasts["UNetForecaster"], np.asarray(unet.predict(X[:-3])).reshape(3, 12)
    )


def test_what_cannot_be_drawn_is_said(monkeypatch, model, data):
    with pytest.raises(NotFittedError):
        LastValue().plot(data)
    with pytest.raises(DataError, match="'z'"):
        model.plot(data, nodes=["z"])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"stmest\[plot\]"):
        model.plot(data)
