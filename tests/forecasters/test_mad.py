"""MAD as a forecaster: fields and nodes, its parameters, unfreezing, pickles, search, and that it learns a field."""

from __future__ import annotations

import json
import pickle
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from stmest import ForecastSplit, LastValue, MADForecaster, compare, grid_graph, make_sensor_network
from stmest.cli import main
from stmest.exceptions import DataError, ParameterError
from stmest.forecasters.mad import SIZES

SMALL = {
    "input_length": 4, "horizon": 3, "width": 4, "d_model": 8, "n_layers": 1, "n_heads": 2, "d_state": 4,
    "seasonal_profile": None, "linear_skip": False, "random_state": 0,
}  # fmt: skip


def waves(n_times, shape=(5, 6), noise=0.0):
    """A plane wave that crosses the grid once in ten steps."""
    t, y, x = np.ogrid[:n_times, : shape[0], : shape[1]]
    field = 10 + 3 * np.sin(2 * np.pi * t / 10 + 0.8 * y + 0.5 * x)
    return field + noise * np.random.default_rng(0).normal(size=field.shape)


@pytest.fixture(scope="module")
def X():
    return waves(60)


@pytest.fixture(scope="module")
def fitted(X):
    return MADForecaster(**SMALL, max_epochs=2).fit(X)


def test_fields_come_back_as_fields(fitted, X):
    assert fitted.grid_shape_ == (5, 6)
    assert fitted.predict().shape == (3, 5, 6)
    y_true, y_pred = fitted.predict_windows(X)
    assert y_true.shape == y_pred.shape == (54, 3, 5, 6)
    np.testing.assert_allclose(y_true[7], X[11:14])
    assert fitted.score(X) <= 1.0
    assert {"train_loss", "valid_loss", "train_reconstruction", "learning_rate"} <= set(fitted.history_)
    assert fitted.scan_backend_ in ("numba", "chunked", "mamba_ssm")


def test_forecasts_go_on_beyond_the_horizon(fitted, X):
    far = fitted.predict(X, steps=8)
    assert far.shape == (8, 5, 6)
    np.testing.assert_array_equal(far[:3], fitted.predict(X))
    again = fitted.predict(np.concatenate([X, far[:3]]))
    np.testing.assert_allclose(far[3:6], again, rtol=1e-5)


def test_a_feature_axis_is_kept(X):
    two = np.stack([X, X**2], axis=-1)
    assert MADForecaster(**SMALL, max_epochs=1).fit(two).predict().shape == (3, 5, 6, 2)
    only = MADForecaster(**SMALL, target=[1], max_epochs=1).fit(two)
    assert only.predict().shape == (3, 5, 6, 1)


def test_coordinates_are_kept(X):
    xarray = pytest.importorskip("xarray")
    field = xarray.DataArray(
        X,
        dims=("time", "lat", "lon"),
        coords={
            "time": pd.date_range("2020-01-01", periods=60, freq="h"),
            "lat": np.arange(5.0),
            "lon": 2 * np.arange(6.0),
        },
    )
    model = MADForecaster(**SMALL, max_epochs=1).fit(field)
    forecast = model.predict()
    assert forecast.dims == ("time", "lat", "lon")
    assert forecast.time.values[0] == np.datetime64("2020-01-03T12:00")
    np.testing.assert_array_equal(forecast.lon, field.lon)
    assert model.time_features_  # and the calendar of the origin is in use


def test_trajectories(X):
    many = np.stack([X[:20], X[20:40], X[40:]])[..., None]
    model = MADForecaster(**SMALL, max_epochs=1).fit(many)
    assert model.predict(many).shape == (3, 3, 5, 6, 1)
    with pytest.raises(DataError, match="trajectory"):
        model.predict(many[:, :3])


def test_another_grid_is_refused(fitted, X):
    with pytest.raises(DataError, match="5 x 6"):
        fitted.predict(X[:, :4])


def test_nodes_without_and_with_a_graph():
    data = make_sensor_network(n_nodes=6, n_times=120, random_state=0)
    forecasts = []
    for adj in (None, data.graph):
        model = MADForecaster(**SMALL, max_epochs=2).fit(data.values, adj)
        assert model.grid_shape_ is None
        forecast = model.predict()
        assert list(forecast.columns) == list(data.values.columns)
        forecasts.append(forecast.to_numpy())
    assert not np.allclose(*forecasts)


def test_a_graph_makes_no_difference_to_a_field(fitted, X):
    model = MADForecaster(**SMALL, max_epochs=2).fit(X, adj=grid_graph(5, 6))
    np.testing.assert_array_equal(model.predict(), fitted.predict())


ABLATIONS = {
    "reconstruction=conv": {"reconstruction": "conv"},
    "reconstruction=unet": {"reconstruction": "unet"},
    "prediction=vit": {"prediction": "vit"},
    "prediction=convlstm": {"prediction": "convlstm"},
    "prediction=swin": {"prediction": "swin"},
    "prediction=earthformer": {"prediction": "earthformer"},
    "step_embedding": {"step_embedding": True},
    "fusion": {"fusion": "mean"},
    "norm=batch": {"norm": "batch"},
    "norm=layer": {"norm": "layer"},
    "directions": {"directions": "concat"},
    "fusion_weight": {"fusion_weight": 0.5},
    "no reconstruction": {"fusion_weight": 0.0},
    "lambda_rec": {"lambda_rec": 0.1},
    "lambda_pred": {"lambda_pred": 10.0},
    "width": {"width": 6},
    "d_model": {"d_model": 16},
    "n_layers": {"n_layers": 2},
    "n_heads": {"n_heads": 4},
    "d_state": {"d_state": 2},
    "unfreeze_every": {"unfreeze_every": 1},
}


@pytest.fixture(scope="module")
def plain(X):
    return MADForecaster(**SMALL, max_epochs=3, patience=None).fit(X)


@pytest.mark.parametrize("changed", ABLATIONS.values(), ids=ABLATIONS)
def test_every_parameter_changes_the_forecast(plain, X, changed):
    model = MADForecaster(**{**SMALL, **changed}, max_epochs=3, patience=None).fit(X)
    assert np.isfinite(model.predict()).all()
    assert not np.array_equal(model.predict(), plain.predict())


def test_only_the_ratio_of_the_loss_weights_counts(X):
    one = MADForecaster(**SMALL, lambda_rec=0.5, lambda_pred=1.0, max_epochs=1).fit(X)
    two = MADForecaster(**SMALL, lambda_rec=2.0, lambda_pred=4.0, max_epochs=1).fit(X)
    np.testing.assert_array_equal(one.predict(), two.predict())


def test_sizes_are_presets_that_parameters_overrule(X):
    def built(**parameters):
        return MADForecaster(input_length=4, horizon=3, max_epochs=1, **parameters).fit(X[:20]).network_

    assert len(built().trunk.transformer.blocks) == SIZES["small"]["n_layers"]
    paper = built(size="paper")
    assert len(paper.trunk.transformer.blocks) == 12
    assert paper.trunk.transformer.positions.shape[1] == 256
    assert paper.space.stride == 4
    assert len(built(size="paper", n_layers=1).trunk.transformer.blocks) == 1
    counts = [sum(p.numel() for p in network.parameters()) for network in (built(), paper)]
    assert counts[0] < 300_000
    assert counts[1] > 10_000_000


def test_the_mamba_branch_changes_the_fitted_forecast(fitted, X):
    """What the public program lacks: other weights in Mamba, another forecast."""
    other = pickle.loads(pickle.dumps(fitted))
    with torch.no_grad():
        for name, parameter in other.network_.named_parameters():
            if ".mamba.mamba." in name:
                parameter.mul_(1.5)
    moved = np.abs(other.predict() - fitted.predict())
    assert moved.max() > 1e-6 * np.abs(fitted.predict()).max()
    assert (moved > 0).any(axis=(1, 2)).all()


def test_unfreezing_follows_its_schedule(X):
    """Stage i learns from epoch 1 + 2 i on: decoder, then the transformer, then encoders and reconstruction."""
    from skorch.callbacks import Callback

    seen = []

    class Watch(Callback):
        def on_epoch_begin(self, net, **kwargs):
            seen.append([[p.detach().clone() for p in stage] for stage in net.module_.stages()])

        def on_train_end(self, net, **kwargs):
            self.on_epoch_begin(net)

    model = MADForecaster(
        **SMALL, unfreeze_every=2, max_epochs=6, patience=None, callbacks=[Watch()], lr_schedule=None
    ).fit(X)
    moved = [
        [any(not torch.equal(a, b) for a, b in zip(*pair, strict=True)) for pair in zip(*epoch, strict=True)]
        for epoch in pairwise(seen)
    ]
    expected = [[True, False, False]] * 2 + [[True, True, False]] * 2 + [[True, True, True]] * 2
    assert moved == expected
    assert all(p.requires_grad for p in model.network_.parameters())
    assert model.n_parameters_ == MADForecaster(**SMALL, max_epochs=1).fit(X).n_parameters_


def test_a_warm_start_freezes_nothing(X):
    model = MADForecaster(**SMALL, unfreeze_every=5, max_epochs=1, warm_start=True, patience=None).fit(X)
    before = [p.detach().clone() for p in model.network_.stages()[-1]]
    model.fit(X)
    assert any(not torch.equal(a, b) for a, b in zip(before, model.network_.stages()[-1], strict=True))


def test_missing_values(X):
    holey = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.nan, X)
    model = MADForecaster(**SMALL, max_epochs=1).fit(holey)
    assert model.has_gaps_
    assert np.isfinite(model.predict()).all()


def test_season_and_line_come_first():
    """The untrained network adds a residual to the ridge on the field less its season, and adds nothing to it."""
    hours = pd.date_range("2020-01-01", periods=240, freq="h")
    xarray = pytest.importorskip("xarray")
    day = 5 * np.sin(2 * np.pi * np.arange(240) / 24)[:, None, None]
    field = xarray.DataArray(waves(240, noise=0.3) + day, {"time": hours}, ("time", "y", "x"))
    settings = {**SMALL, "seasonal_profile": "time_of_day", "linear_skip": True, "learning_rate": 1e-9}
    model = MADForecaster(**settings, max_epochs=1).fit(field)
    assert model.profile_ is not None

    other = MADForecaster(**settings, fusion_weight=0.0, max_epochs=1).fit(field)
    np.testing.assert_allclose(model.predict(), other.predict(), atol=1e-4)
    assert model.linear_ is not None
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(), model.predict())


def test_the_reconstruction_is_trained(X):
    losses = MADForecaster(**SMALL, max_epochs=15, learning_rate=1e-2, patience=None).fit(X).history_
    assert losses["train_reconstruction"].iloc[-1] < 0.5 * losses["train_reconstruction"].iloc[0]
    without = MADForecaster(**SMALL, fusion_weight=0.0, max_epochs=1).fit(X)
    assert "train_reconstruction" not in without.history_


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"size": "huge"}, "size"),
        ({"reconstruction": "rnn"}, "reconstruction"),
        ({"prediction": "rnn"}, "prediction"),
        ({"norm": "none"}, "norm"),
        ({"directions": "product"}, "directions"),
        ({"fusion": "mean", "fusion_weight": 1.5}, "fusion_weight=1.5 is no weight in a mean"),
        ({"fusion_weight": -1.0}, "fusion_weight"),
        ({"lambda_pred": 0.0}, "lambda_pred"),
        ({"n_heads": 3}, "multiple of 4 and of n_heads=3"),
        ({"d_model": 6}, "multiple of 4"),
        ({"width": 0}, "width"),
        ({"unfreeze_every": -1}, "unfreeze_every"),
    ],
)
def test_wrong_values(X, parameters, words):
    with pytest.raises(ParameterError, match=words):
        MADForecaster(**{**SMALL, **parameters}).fit(X)


@pytest.mark.parametrize("parameters", [{"reconstruction": "unet"}, {"prediction": "swin"}])
def test_what_needs_a_grid_says_so(parameters):
    with pytest.raises(ParameterError, match="needs a grid"):
        MADForecaster(**{**SMALL, **parameters}).fit(np.random.default_rng(0).normal(size=(50, 4)))


def test_bfloat16(X):
    assert np.isfinite(MADForecaster(**SMALL, precision="bfloat16", max_epochs=1).fit(X).predict()).all()


def test_pickles_keep_everything(fitted, X):
    other = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(other.predict(X), fitted.predict(X))
    assert clone(fitted).get_params() == fitted.get_params()


def test_the_best_weights_are_kept(X):
    """A learning rate that spoils everything: the forecast is not worse than at the start, which is persistence."""
    model = MADForecaster(**SMALL, learning_rate=0.3, max_epochs=2).fit(X)
    assert model.best_epoch_ == 0
    np.testing.assert_allclose(model.predict(X), np.broadcast_to(X[-1], (3, 5, 6)), rtol=1e-5)


def test_grid_search(X):
    model = MADForecaster(**SMALL, max_epochs=1)
    search = GridSearchCV(
        model, {"reconstruction": ["mamba", "conv"]}, cv=ForecastSplit(n_splits=2, test_size=12)
    )
    search.fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(X).shape == (3, 5, 6)


def test_report_beside_others():
    data = make_sensor_network(n_nodes=4, n_times=120, random_state=0)
    report = compare({"mad": MADForecaster(**SMALL, max_epochs=1)}, data.values, data.graph)
    assert report["mad"].error is None


def test_the_command_line_knows_it(tmp_path, capsys):
    make_sensor_network(n_nodes=4, n_times=120, random_state=0).values.to_csv(tmp_path / "readings.csv")
    arguments = ["--data", tmp_path / "readings.csv", "--models", "mad", "--max-epochs", 1, "--seed", 3]
    assert main(["report", *map(str, [*arguments, "--out", tmp_path])]) == 0
    assert "mad" in capsys.readouterr().out
    written = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert written["models"]["mad"]["parameters"]["random_state"] == 3


def test_same_seed_same_bytes(fitted, X):
    again = MADForecaster(**SMALL, max_epochs=2).fit(X)
    first, second = fitted.network_.state_dict(), again.network_.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_it_beats_persistence_on_a_field_that_moves():
    X = waves(240, noise=0.1)
    model = MADForecaster(**SMALL, max_epochs=12, learning_rate=1e-2).fit(X[:180])
    y_true, y_pred = model.predict_windows(X[180:])
    persistence = LastValue(horizon=3).fit(X[:180, ..., None]).predict_windows(X[180:, ..., None])
    assert np.square(y_true - y_pred).mean() < 0.1 * np.square(np.subtract(*persistence)).mean()
