"""Fields, trajectories and rollouts through the API: fit, predict, predict_windows, score."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from stmest import LastValue, RidgeForecaster
from stmest.exceptions import DataError, ParameterError
from stmest.training.encoding import Encoding

from .tiny import TinyForecaster

INDEX = pd.date_range("2024-03-01", periods=60, freq="h")


@pytest.fixture
def waves():
    """A wave that runs over a grid: (60, 3, 5)."""
    t, y, x = np.ogrid[:60, :3, :5]
    return 5 + np.sin(0.4 * t + 0.7 * y - 0.5 * x) + 0.01 * np.cos(1.7 * t * (1 + y) + x)


@pytest.fixture
def named(waves):
    return xr.DataArray(waves, {"time": INDEX, "y": [2.0, 1.0, 0.0]}, ["time", "y", "x"])


def tiny(**parameters):
    return TinyForecaster(**{"random_state": 0, **parameters})


MODELS = {
    "last": lambda: LastValue(horizon=2),
    "ridge": lambda: RidgeForecaster(input_length=4, horizon=2),
    "ridge per pixel": lambda: RidgeForecaster(input_length=4, horizon=2, per_node=True),
    "network": tiny,
}


@pytest.mark.parametrize("name", list(MODELS))
def test_a_field_is_forecast_like_its_cells(waves, name):
    cells = MODELS[name]().fit(waves.reshape(60, 15)).predict()
    model = MODELS[name]().fit(waves[..., None])
    assert model.grid_shape_ == (3, 5)
    assert model.n_features_in_ == 15
    assert model.predict().shape == (2, 3, 5, 1)
    np.testing.assert_array_equal(model.predict()[..., 0].reshape(2, 15), cells)
    truth, forecast = model.predict_windows(waves[..., None])
    assert truth.shape == forecast.shape
    assert truth.shape[1:] == (2, 3, 5, 1)
    assert np.isfinite(model.score(waves[..., None]))


def test_coordinates_come_back_with_future_times(named):
    model = tiny().fit(named)
    out = model.predict()
    assert out.dims == ("time", "y", "x")
    assert list(out.y.values) == [2.0, 1.0, 0.0]
    assert list(out.indexes["time"]) == [INDEX[-1] + pd.Timedelta(hours=i) for i in (1, 2)]
    truth, _ = model.predict_windows(named)
    assert truth.shape[1:] == (2, 3, 5)
    again = pickle.loads(pickle.dumps(model))
    xr.testing.assert_identical(again.predict(), out)
    assert again.grid_shape_ == (3, 5)
    model.update(named.assign_coords(time=INDEX + pd.Timedelta("60h"))[:3])
    assert model.predict().indexes["time"][0] == INDEX[-1] + pd.Timedelta("4h")


def test_a_forecaster_of_fields_reads_three_axes_as_a_field(waves):
    class OfFields(TinyForecaster):
        _reads_fields = True

    model = OfFields(random_state=0).fit(waves)
    assert model.grid_shape_ == (3, 5)
    np.testing.assert_array_equal(model.predict(), tiny().fit(waves[..., None]).predict()[..., 0])
    assert model.predict(waves).shape == (2, 3, 5)


def test_other_grids_are_refused(waves):
    model = LastValue(horizon=2).fit(waves[..., None])
    with pytest.raises(DataError, match=r"3 x 4 cells; the training data were a field of 3 x 5"):
        model.predict(waves[:, :, :4, None])
    with pytest.raises(DataError, match=r"no field; .* write X\[..., None\]"):
        model.predict(waves)
    with pytest.raises(DataError, match="the training data were no field"):
        LastValue(horizon=2).fit(waves[:, 0]).predict(waves[..., None])


# ------------------------------------------------------------------ trajectories


def test_no_window_of_a_ridge_crosses_trajectories(waves):
    first = waves[:30, ..., None]
    jumps = [
        first,
        first + 1000,
        first - 1000,
    ]  # the windows are centred, so that the jumps are all that differs
    alone, model = (RidgeForecaster(input_length=4, horizon=2, alpha=0).fit(X) for X in (first, jumps))
    np.testing.assert_allclose(model.predict(first), alone.predict(first), rtol=1e-3)


def test_no_window_of_a_network_crosses_trajectories(waves, monkeypatch):
    seen = []

    encode = Encoding.encode

    def recorded(self, x, *others):
        seen.append(x)
        return encode(self, x, *others)

    monkeypatch.setattr(Encoding, "encode", recorded)
    short = waves[:8, ..., None]
    model = tiny().fit([short, short + 1000, short - 1000])
    model.predict_windows([short, short + 1000])
    assert sum(map(len, seen)) > 12
    assert np.ptp(np.concatenate(seen), axis=(1, 2, 3)).max() < 10


def test_the_windows_of_trajectories_follow_each_other(waves):
    X = np.stack([waves[:20], waves[20:40]])[..., None]
    model = tiny().fit(X)
    truth, forecast = model.predict_windows(X)
    assert len(truth) == 2 * (20 - 6 + 1)
    for number, chunk in enumerate(np.split(np.arange(len(truth)), 2)):
        alone, ahead = model.predict_windows(X[number])
        np.testing.assert_array_equal(truth[chunk], alone)
        np.testing.assert_allclose(forecast[chunk], ahead, rtol=1e-6)
    assert np.isfinite(model.score(X))


def test_every_trajectory_is_continued(named):
    X = [named[:20], named[20:50]]
    model = tiny().fit(X)
    out = model.predict(X)
    assert [list(part.indexes["time"]) for part in out] == [list(INDEX[20:22]), list(INDEX[50:52])]
    for part, forecast in zip(X, out, strict=True):
        xr.testing.assert_allclose(model.predict(part), forecast, rtol=1e-6)
    xr.testing.assert_allclose(model.predict(), out[1], rtol=1e-6)  # the rows that fit saw last
    with pytest.raises(DataError, match="trajectory 1 of X has 3 rows"):
        model.predict([named[:20], named[:3]])
    with pytest.raises(DataError, match="not 2 trajectories"):
        model.update(X)


def test_trajectories_of_nodes(waves):
    frames = [pd.DataFrame(waves[i : i + 20, 0], columns=list("abcde")) for i in (0, 20)]
    out = tiny().fit(frames).predict(frames)
    assert [list(part.columns) for part in out] == [list("abcde")] * 2


def test_trajectories_too_short_for_a_window(waves):
    with pytest.raises(DataError, match="rows are needed"):
        tiny().fit([waves[:5, ..., None]] * 9)
    with pytest.raises(DataError, match="rows are needed"):
        tiny().fit(waves[..., None]).predict_windows([waves[:5, ..., None]] * 9)


# ------------------------------------------------------------------ rollouts


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_beyond_the_horizon_forecasts_are_fed_back(waves, name, steps):
    model = MODELS[name]().fit(waves[..., None])
    rows = waves[..., None].copy()
    while len(rows) < 60 + steps:
        rows = np.concatenate([rows, model.predict(rows)])
    np.testing.assert_allclose(model.predict(steps=steps), rows[60 : 60 + steps], rtol=1e-5)


@pytest.mark.parametrize("name", list(MODELS))
def test_rollouts_see_nothing_after_their_origin(waves, name):
    model = MODELS[name]().fit(waves[..., None])
    _, forecast = model.predict_windows(waves[..., None], stride=3, steps=7)
    length = model.context_length_
    for number, start in enumerate(range(0, 60 - length - 7 + 1, 3)):
        alone = model.predict(waves[: start + length, ..., None], steps=7)
        np.testing.assert_allclose(forecast[number], alone, rtol=1e-5)
    changed = waves[..., None].copy()
    changed[length:] = 99.0
    np.testing.assert_allclose(model.predict_windows(changed, steps=7)[1][0], forecast[0], rtol=1e-6)


def test_fewer_steps_are_the_first_steps(waves):
    model = tiny().fit(waves[..., None])
    np.testing.assert_allclose(model.predict(steps=1), model.predict()[:1])
    X = np.stack([waves[:20], waves[20:40]])[..., None]
    assert model.predict_windows(X, steps=1)[1].shape == (2 * 16, 1, 3, 5, 1)


def test_rollouts_know_the_calendar(named):
    """The steps fed back get the dates that they are for, also past the end of X."""
    model = tiny(time_features=["time_of_day"]).fit(named)
    out = model.predict(steps=5)
    assert list(out.indexes["time"]) == list(pd.date_range(INDEX[-1], periods=6, freq="h")[1:])
    rows = xr.concat([named, model.predict()], "time")
    rows = xr.concat([rows, model.predict(rows)], "time")
    xr.testing.assert_allclose(out, xr.concat([rows[60:], model.predict(rows)[:1]], "time"), rtol=1e-5)
    both = model.predict([named[:30], named[:41]], steps=5)
    for part, end in zip(both, (30, 41), strict=True):
        xr.testing.assert_allclose(part, model.predict(named[:end], steps=5), rtol=1e-5)


def test_steps_that_cannot_be(waves):
    model = tiny(target=[0]).fit(np.stack([waves, waves], axis=-1))
    assert model.predict(steps=2).shape == (2, 3, 5, 1)
    with pytest.raises(ParameterError, match=r"steps=3 lies beyond horizon=2.*1 of the 2 input features"):
        model.predict(steps=3)
    with pytest.raises(ParameterError, match="integer of at least 1"):
        model.predict(steps=0)
    with pytest.raises(ParameterError, match="integer of at least 1"):
        model.predict_windows(np.stack([waves, waves], axis=-1), steps=1.5)


def test_permuted_targets_are_fed_back_to_their_own_features(waves):
    X = np.stack([waves, 100 + waves], axis=-1)
    out = tiny(target=[1, 0]).fit(X).predict(steps=6)
    assert (out[..., 0] > 50).all()
    assert (out[..., 1] < 50).all()


def test_tensors_of_trajectories(waves):
    X = torch.tensor(np.stack([waves[:20], waves[20:40]])[..., None], dtype=torch.float32)
    out = tiny().fit(X).predict(X, steps=3)
    assert out.shape == (2, 3, 3, 5, 1)
    assert out.dtype == torch.float32


# ------------------------------------------------------------------ seasonal profile and line


@pytest.fixture
def seasonal():
    """A cycle of 12 rows that differs from cell to cell, and noise: (150, 2, 3, 1)."""
    rng = np.random.default_rng(0)
    t = np.arange(150)[:, None, None, None]
    offset = rng.uniform(0, 6, (1, 2, 3, 1))
    return 50 + 10 * np.sin(2 * np.pi * t / 12 + offset) + 0.1 * rng.normal(size=(150, 2, 3, 1))


def test_rollouts_keep_the_seasonal_index_without_times(seasonal):
    model = RidgeForecaster(input_length=4, horizon=3, seasonal_profile=12, alpha=1e6).fit(seasonal[:121])
    assert np.abs(model.predict(steps=29) - seasonal[121:]).max() < 1.5  # the rows that fit saw last
    assert np.abs(model.predict(seasonal[:121], steps=29) - seasonal[121:]).max() < 1.5  # matched
    truth, forecast = model.predict_windows(seasonal, stride=5, steps=20)
    assert np.abs(truth - forecast).max() < 1.5
    model.update(seasonal[121:126])
    assert np.abs(model.predict(steps=24) - seasonal[126:]).max() < 1.5


def test_each_trajectory_without_times_is_matched_to_the_profile(seasonal):
    model = RidgeForecaster(input_length=4, horizon=3, seasonal_profile=12, alpha=1e6).fit(seasonal)
    chunks = [seasonal[3:40], seasonal[10:60], seasonal[20:31]]
    for steps in (3, 8):
        for first, chunk, out in zip((40, 60, 31), chunks, model.predict(chunks, steps=steps), strict=True):
            assert np.abs(out - seasonal[first : first + steps]).max() < 1.5, (first, len(chunk))
        truth, forecast = model.predict_windows(chunks, steps=steps if steps == 3 else 7)
        assert np.abs(truth - forecast).max() < 1.5


def test_a_profile_of_trajectories_needs_times(seasonal):
    chunks = [seasonal[:50], seasonal[57:120]]
    assert RidgeForecaster(input_length=4, horizon=3).fit(chunks).profile_ is None
    with pytest.raises(ParameterError, match="needs to know when in its cycle each of the 2 trajectories"):
        RidgeForecaster(input_length=4, horizon=3, seasonal_profile=12).fit(chunks)
    index = pd.date_range("2024-01-01", periods=150, freq="2h")
    named = xr.DataArray(seasonal[..., 0], {"time": index}, ["time", "y", "x"])
    model = RidgeForecaster(input_length=4, horizon=3).fit([named[:50], named[57:120]])
    assert model.profile_.cycle == "time_of_day"
    for first, out in zip((50, 120), model.predict([named[:50], named[57:120]], steps=25), strict=True):
        assert np.abs(out.values - seasonal[first : first + 25, ..., 0]).max() < 1.5


def test_the_linear_forecast_of_a_network_sees_no_jump_between_trajectories(waves):
    first = waves[:30, ..., None]
    model = tiny(seasonal_profile=None).fit([first, first + 1000, first - 1000])
    alone = tiny(seasonal_profile=None).fit(first)
    window = first[:4].reshape(1, 4, 15, 1)
    assert np.abs(model.linear_.forecast(window) - alone.linear_.forecast(window)).max() < 1.5
