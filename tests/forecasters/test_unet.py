"""U-Net as a forecaster: fields in every container, pickles, seeds, and that it learns what persistence cannot."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from sklearn.model_selection import GridSearchCV, KFold

import stmest
from stmest import ForecastSplit, LastValue, RidgeForecaster, UNetForecaster
from stmest.exceptions import DataError, ModelFileError

SMALL = {"input_length": 4, "horizon": 2, "channels": 4, "depth": 2, "max_epochs": 2, "random_state": 0}


@pytest.fixture(scope="module")
def waves():
    """A wave that runs over a periodic grid: (90, 8, 10)."""
    t, y, x = np.ogrid[:90, :8, :10]
    return 20 + np.sin(0.5 * t + 2 * np.pi * (y / 8 - x / 10)) + 0.2 * np.cos(0.9 * t - 2 * np.pi * y / 8)


def test_three_axes_four_axes_and_names_are_the_same_field(waves):
    plain = UNetForecaster(**SMALL).fit(waves).predict()
    assert plain.shape == (2, 8, 10)
    np.testing.assert_array_equal(UNetForecaster(**SMALL).fit(waves[..., None]).predict()[..., 0], plain)
    named = xr.DataArray(waves, dims=["time", "y", "x"])
    np.testing.assert_array_equal(UNetForecaster(**SMALL).fit(named).predict().values, plain)


def test_it_learns_what_persistence_cannot(waves):
    model = UNetForecaster(**{**SMALL, "max_epochs": 40, "channels": 8, "patience": None}).fit(waves[:70])
    last = LastValue(horizon=2).fit(waves[:70, ..., None])
    truth, forecast = model.predict_windows(waves[60:])
    naive = last.predict_windows(waves[63:, ..., None])
    assert ((truth - forecast) ** 2).mean() < 0.1 * ((naive[0] - naive[1]) ** 2).mean()
    rolled = model.predict_windows(waves[60:], steps=5)
    assert ((rolled[0] - rolled[1]) ** 2).mean() < 0.3 * waves.var()


def test_pickles_seeds_and_calendar(waves):
    index = pd.date_range("2024-01-01", periods=90, freq="h")
    named = xr.DataArray(waves, {"time": index}, ["time", "y", "x"])
    model = UNetForecaster(**SMALL).fit(named)
    assert model.time_features_ == ("time_of_day",)
    out = model.predict()
    xr.testing.assert_identical(pickle.loads(pickle.dumps(model)).predict(), out)
    xr.testing.assert_identical(UNetForecaster(**SMALL).fit(named).predict(), out)


@pytest.mark.parametrize("kind", ["array", "tensor", "xarray"])
def test_model_files(waves, kind, tmp_path):
    coords = {
        "time": pd.date_range("2024-01-01", periods=90, freq="h"),
        "lat": np.arange(8.0),
        "name": ("lat", list("abcdefgh")),
    }
    named = xr.DataArray(waves, coords, ["time", "lat", "lon"], name="t2m", attrs={"units": "K"})
    X = {"array": waves[..., None], "tensor": torch.tensor(waves), "xarray": named}[kind]
    model = UNetForecaster(**SMALL).fit(X)
    model.save(tmp_path / "unet.safetensors")
    again = stmest.load(tmp_path / "unet.safetensors", device="cpu")
    assert again.grid_shape_ == (8, 10)
    expected, found = model.predict(steps=3), again.predict(steps=3)
    if kind == "xarray":
        xr.testing.assert_identical(found, expected)
    else:
        assert type(found) is type(expected)
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    np.testing.assert_array_equal(np.asarray(again.predict(X)), np.asarray(model.predict(X)))


def test_a_model_file_with_another_grid_is_refused(waves, tmp_path):
    model = UNetForecaster(**SMALL).fit(waves)
    wrong = replace(model.predictor_, spec=replace(model.input_, grid=(4, 20)))
    model.predictor_ = wrong
    with pytest.raises(ModelFileError, match="no field of"):
        model.save(tmp_path / "unet.safetensors")


def test_a_forecaster_fitted_on_trajectories_is_saved_without_them(waves, tmp_path):
    X = [waves[:20], waves[30:60]]
    model = UNetForecaster(**SMALL).fit(X)
    model.save(tmp_path / "unet.safetensors")
    again = stmest.load(tmp_path / "unet.safetensors", device="cpu")
    np.testing.assert_array_equal(again.predict(), model.predict())
    np.testing.assert_array_equal(again.predict(X)[0], model.predict(X)[0])


def test_gaps_and_inputs_that_are_not_forecast(waves):
    incomplete = np.stack([waves, waves[::-1]], axis=-1)
    incomplete[3:20, 2:5, 2:5] = np.nan
    model = UNetForecaster(**SMALL, target=[1]).fit(incomplete)
    out = model.predict()
    assert out.shape == (2, 8, 10, 1)
    assert np.isfinite(out).all()
    assert model.has_gaps_


def test_it_is_searched_like_any_estimator(waves):
    search = GridSearchCV(
        UNetForecaster(**SMALL), {"depth": [0, 1]}, cv=ForecastSplit(2, input_length=4), error_score="raise"
    )
    assert search.fit(waves).best_params_["depth"] in (0, 1)


def test_trajectories_are_searched_in_folds_of_whole_trajectories(waves):
    X = np.stack([waves[i : i + 12] for i in range(0, 72, 12)])[..., None]
    search = GridSearchCV(UNetForecaster(**SMALL), {"depth": [0, 1]}, cv=KFold(3), error_score="raise").fit(X)
    assert np.isfinite(search.best_score_)
    assert search.predict(X[:2]).shape == (2, 2, 8, 10, 1)


def test_nodes_are_no_field(waves):
    with pytest.raises(DataError, match=r"8 nodes and no grid; UNetForecaster needs fields"):
        UNetForecaster(**SMALL).fit(waves[:, :, 0])


def test_a_ridge_per_pixel_is_a_baseline_with_the_same_face(waves):
    model = RidgeForecaster(input_length=4, horizon=2, per_node=True).fit(waves[..., None])
    assert model.ridge_.weights.shape == (1, 80, 4, 2)
    assert model.predict(waves[..., None], steps=5).shape == (5, 8, 10, 1)
