"""Season and line first: profile and linear forecast help where they should, and step back where they do not."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import stmest
from stmest import RidgeForecaster, STM3Forecaster, STMambaForecaster
from stmest.exceptions import ParameterError
from stmest.graphs import as_graph
from stmest.linear.ensemble_selection import possible_scopes, select_ensemble
from stmest.linear.window_ridge import fit_ensemble, fit_ridges
from tests.forecasters.tiny import TinyForecaster


def weekly(n_weeks=8, n_nodes=3, noise=0.1, seed=0):
    rng = np.random.default_rng(seed)
    index = pd.date_range("2024-01-01", periods=168 * n_weeks, freq="h")
    week = rng.normal(size=(168, n_nodes)) * [1.0, 10.0, 0.1][:n_nodes]
    values = np.tile(week, (n_weeks, 1)) + noise * week.std(0) * rng.normal(size=(len(index), n_nodes))
    return pd.DataFrame(values + 50, index=index, columns=list("abc")[:n_nodes])


# ---------------------------------------------------------------- profile


def test_auto_takes_the_cycle_that_the_data_follow():
    X = weekly()
    model = RidgeForecaster(input_length=6, horizon=3).fit(X[:1200])
    assert model.profile_.cycle == "time_of_week"
    assert model.score(X[1200:]) > 0.97
    # without it, and without dates by which to look up earlier weeks
    plain = RidgeForecaster(input_length=6, horizon=3, seasonal_profile=None).fit(X[:1200].to_numpy())
    assert plain.score(X[1200:].to_numpy()) < 0.5


def test_auto_takes_none_where_there_is_no_cycle():
    index = pd.date_range("2024-01-01", periods=900, freq="h")
    X = pd.DataFrame(np.random.default_rng(1).normal(size=(900, 2)).cumsum(0), index=index)
    assert RidgeForecaster(input_length=6, horizon=3).fit(X).profile_ is None


def test_arrays_get_a_period_and_find_their_phase():
    X = weekly().to_numpy()
    model = RidgeForecaster(input_length=24, horizon=6).fit(X[:1200])
    assert model.profile_.cycle == 168
    np.testing.assert_allclose(model.predict(X[1176:1200]), model.predict(), rtol=1e-6)
    assert model.score(X[1200:]) > 0.97
    after = model.update(X[1200:1205]).predict()
    np.testing.assert_allclose(after, model.predict(X[1181:1205]), rtol=1e-6)


def test_a_week_of_rows_supports_no_weekly_profile():
    model = RidgeForecaster(input_length=6, horizon=3).fit(weekly(n_weeks=1))
    assert model.profile_ is None or model.profile_.cycle == "time_of_day"


def test_a_profile_can_be_asked_for_and_needs_its_time():
    X = weekly()
    assert (
        RidgeForecaster(input_length=6, horizon=3, seasonal_profile="time_of_day").fit(X).profile_.cycle
        == "time_of_day"
    )
    with pytest.raises(ValueError, match="needs dates"):
        RidgeForecaster(input_length=6, horizon=3, seasonal_profile="time_of_day").fit(X.to_numpy())
    with pytest.raises(ParameterError, match="seasonal_profile"):
        RidgeForecaster(seasonal_profile="hour").fit(X)


def test_the_profile_is_learnt_before_the_validation_rows():
    """What is added to the validation rows must not change what the network is trained on."""
    X = weekly()
    first = TinyForecaster(random_state=0, max_epochs=1, linear_skip=False).fit(X)
    changed = X.copy()
    changed.iloc[-100:] += 1000.0
    second = TinyForecaster(random_state=0, max_epochs=1, linear_skip=False).fit(changed)
    np.testing.assert_array_equal(first.profile_.table, second.profile_.table)
    np.testing.assert_array_equal(first.scaler_.center, second.scaler_.center)


def test_gaps_and_dead_nodes_with_a_profile():
    X = weekly()
    X.iloc[10:60, 0] = np.nan
    X.iloc[:, 1] = np.nan
    for model in (
        RidgeForecaster(input_length=6, horizon=3, neighbours="all"),
        TinyForecaster(random_state=0),
    ):
        assert np.isfinite(model.fit(X).predict().to_numpy()).all()


# ---------------------------------------------------------------- ridge over nodes


def driven(n=600, seed=0):
    """Node 1 repeats node 0 two rows later; node 2 is noise."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=n + 2)
    return np.column_stack([first[2:], first[:-2] + 0.01 * rng.normal(size=n), rng.normal(size=n)])


@pytest.mark.parametrize("neighbours", ["adj", "all"])
def test_neighbours_tell_what_the_own_past_cannot(neighbours):
    X, adj = driven(), np.zeros((3, 3))
    adj[0, 1] = 1.0  # from node 0 to node 1
    model = RidgeForecaster(input_length=4, horizon=2, neighbours=neighbours, seasonal_profile=None, adj=adj)
    y, forecast = model.fit(X[:500]).predict_windows(X[500:])
    error = np.abs(y - forecast).mean((0, 1))
    assert error[1] < 0.2 < 0.6 < error[0]


def test_the_reverse_edge_does_not_help():
    X, adj = driven(), np.zeros((3, 3))
    adj[1, 0] = 1.0
    model = RidgeForecaster(input_length=4, horizon=2, neighbours="adj", seasonal_profile=None, adj=adj)
    y, forecast = model.fit(X[:500]).predict_windows(X[500:])
    assert np.abs(y - forecast).mean((0, 1))[1] > 0.6


def test_all_nodes_solve_the_written_out_regression():
    X = np.random.default_rng(2).normal(size=(80, 3)).cumsum(0)
    (own,) = fit_ridges(X[..., None], [0], 4, 2, "global", [(1.0, 0)])
    (ridge,) = fit_ridges(X[..., None], [0], 4, 2, "joint", [(5.0, 2)])
    starts = np.arange(80 - 5)
    x = np.stack([X[t : t + 4] for t in starts])
    y = np.stack([X[t + 4 : t + 6] for t in starts])
    left = (y - own.forecast(x[..., None])[..., 0]) / X.std(0)
    inputs = ((x[:, 2:] - X.mean(0)) / X.std(0)).reshape(len(x), -1)
    weights = np.linalg.solve(
        inputs.T @ inputs + 5 * np.eye(6), inputs.T @ left.transpose(0, 2, 1).reshape(len(x), -1)
    )
    np.testing.assert_allclose(ridge.joint[0], weights, atol=1e-5)
    correction = (inputs @ weights).reshape(-1, 3, 2).transpose(0, 2, 1) * X.std(0)
    np.testing.assert_allclose(
        ridge.forecast(x[..., None])[..., 0], y - left * X.std(0) + correction, atol=1e-4
    )


def test_levels_solve_the_written_out_regression_of_deviations_from_the_mean():
    X = np.random.default_rng(2).normal(size=(80, 3)).cumsum(0)
    ridge, shrunk = fit_ridges(X[..., None], [0], 4, 2, "joint_mean", [(5.0, 2), (1e12, 4)])
    starts = np.arange(80 - 5)
    x = np.stack([X[t : t + 4] for t in starts])
    y = np.stack([X[t + 4 : t + 6] for t in starts])
    inputs = ((x[:, 2:] - X.mean(0)) / X.std(0)).reshape(len(x), -1)
    deviations = ((y - X.mean(0)) / X.std(0)).reshape(len(x), -1)
    weights = np.linalg.solve(inputs.T @ inputs + 5 * np.eye(6), inputs.T @ deviations)
    expected = (inputs @ weights).reshape(-1, 2, 3) * X.std(0) + X.mean(0)
    np.testing.assert_allclose(ridge.forecast(x[..., None])[..., 0], expected, atol=1e-4)
    mean = np.broadcast_to(X.mean(0), y.shape)
    np.testing.assert_allclose(shrunk.forecast(x[..., None])[..., 0], mean, atol=1e-4)


def test_an_ensemble_is_the_mean_of_its_maps():
    X = np.random.default_rng(3).normal(size=(90, 3, 2)).cumsum(0)
    X[5, 1] = np.nan
    adj = np.array([[0, 1, 0.0], [0, 0, 1], [1, 1, 0]])
    spec = [(0.1, "global", 1.0, 0), (0.2, "joint_mean", 10.0, 3), (0.3, "graph", 1.0, 0)]
    spec += [(0.15, "local", 2.0, 0), (0.2, "joint", 30.0, 1), (0.05, "joint", 3.0, 4)]
    graph = as_graph(adj, 3)
    ensemble = fit_ensemble(spec, X, [0, 1], 4, 2, graph)
    x = np.stack([X[t : t + 4] for t in range(20)])
    expected = sum(
        share * next(fit_ridges(X, [0, 1], 4, 2, scope, [(alpha, length)], graph)).forecast(x)
        for share, scope, alpha, length in spec
    )
    np.testing.assert_allclose(ensemble.forecast(x), expected, rtol=1e-4, atol=1e-4)
    shapes = ensemble.shapes(3, 2, 4, 2)
    assert {name: getattr(ensemble, name).shape for name in shapes} == shapes
    assert ensemble.spec == spec


def test_an_ensemble_is_chosen_on_the_validation_rows_and_not_worse_there_than_its_best_map():
    X = driven()[..., None]
    scopes = possible_scopes(3, 4, 2, None)
    assert scopes == ["global", "local", "joint", "joint_mean"]
    single, alone = select_ensemble(X, [0], 500, 4, 2, scopes)
    spec, together = select_ensemble(X, [0], 500, 4, 2, scopes, most=6)
    assert together <= alone
    assert len(single) == 1
    assert sum(share for share, *_ in spec) == pytest.approx(1)
    spoiled = X.copy()
    spoiled[500:] = spoiled[500:][::-1]
    assert select_ensemble(spoiled, [0], 500, 4, 2, scopes, most=6)[0] != spec


def test_many_nodes_keep_to_maps_that_they_can_afford():
    assert possible_scopes(1, 24, 12, None) == ["global"]
    assert possible_scopes(251, 24, 12, None) == ["global", "local"]
    assert possible_scopes(5_000, 336, 96, None) == ["global"]
    assert possible_scopes(7, 336, 96, None, level_free=True) == ["global", "local"]


def test_an_ensemble_needs_ten_horizons_to_validate_on():
    X = driven()[..., None]
    few = select_ensemble(X[:560], [0], 540, 4, 2, ["global", "joint"], most=6)[0]
    assert {scope for _, scope, _, _ in few} == {"global"}
    many = select_ensemble(X[:561], [0], 540, 4, 2, ["global", "joint"], most=6)[0]
    assert "joint" in {scope for _, scope, _, _ in many}
    graph = as_graph(np.ones((300, 300)), 300)
    assert possible_scopes(300, 24, 12, graph) == ["global", "graph", "local"]


def test_an_ensemble_of_ridges_forecasts_is_saved_and_refuses_weights_per_node(tmp_path):
    X = driven(300)
    model = RidgeForecaster(input_length=4, horizon=2, neighbours="blend", seasonal_profile=None).fit(X[:250])
    y, forecast = model.predict_windows(X[250:])
    assert np.abs(y - forecast).mean((0, 1))[1] < 0.2
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(stmest.load(tmp_path / "m.safetensors").predict(), model.predict())
    with pytest.raises(ParameterError, match="exclude each other"):
        RidgeForecaster(per_node=True, neighbours="blend").fit(X)


def test_a_huge_penalty_leads_to_the_own_past():
    X = driven()
    sizes = {"input_length": 4, "horizon": 2, "seasonal_profile": None}
    alone = RidgeForecaster(**sizes, alpha=1.0).fit(X).predict()
    np.testing.assert_allclose(
        RidgeForecaster(**sizes, neighbours="all", alpha=1e14).fit(X).predict(), alone, rtol=1e-5
    )


def test_the_choice_is_made_on_the_validation_rows():
    ((_, scope, _, _),), error = select_ensemble(driven()[..., None], [0], 500, 4, 2, ["global", "joint"])
    assert scope == "joint"
    assert error < 0.6
    noise = np.random.default_rng(4).normal(size=(600, 8, 1))
    assert select_ensemble(noise, [0], 500, 4, 2, ["global", "joint"])[1] < 0.85


def test_what_excludes_each_other():
    with pytest.raises(ParameterError, match="exclude each other"):
        RidgeForecaster(per_node=True, neighbours="all").fit(driven())
    with pytest.raises(ParameterError, match="needs a graph"):
        RidgeForecaster(neighbours="adj").fit(driven())


# ---------------------------------------------------------------- linear skip


@pytest.mark.parametrize("forecaster", [STM3Forecaster, STMambaForecaster, TinyForecaster])
def test_training_begins_with_the_linear_forecast_and_never_ends_above_it(forecaster):
    X = driven(200)
    sizes = {"input_length": 4, "horizon": 2, "seasonal_profile": None}
    model = forecaster(**sizes, max_epochs=1, learning_rate=0.5, random_state=0).fit(X)
    assert model.best_epoch_ == 0  # a step of that size makes everything worse
    windows = X[None, -4:, :, None]
    np.testing.assert_allclose(model.predict(), model.linear_.forecast(windows)[0, ..., 0], rtol=1e-5)


def test_instance_norm_corrects_too():
    model = STM3Forecaster(
        input_length=4,
        horizon=2,
        instance_norm=True,
        max_epochs=1,
        learning_rate=0.5,
        grad_clip=None,
        random_state=0,
    ).fit(driven(200) + 100)
    assert model.best_epoch_ == 0
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict(), model.predict())
    assert np.abs(model.predict() - 100).max() < 10


def test_the_line_learns_from_the_validation_rows_in_the_end():
    X = driven(200)
    model = TinyForecaster(
        input_length=4, horizon=2, seasonal_profile=None, max_epochs=1, random_state=0
    ).fit(X)
    expected = fit_ensemble(model.linear_.spec, X[..., None], [0], 4, 2)
    np.testing.assert_allclose(model.linear_.weights, expected.weights)


def test_it_can_be_switched_off():
    model = TinyForecaster(linear_skip=False, random_state=0).fit(driven(200))
    assert model.linear_ is None
    assert np.isfinite(model.predict()).all()


def test_several_features_each_from_its_own_past():
    values = np.stack([driven(200), driven(200, seed=1) * 100 + 7], axis=-1)
    model = TinyForecaster(input_length=4, horizon=2, target=[1], random_state=0).fit(values)
    assert model.predict().shape == (2, 3, 1)
    assert model.linear_.weights.shape[0] == 1
    both = TinyForecaster(input_length=4, horizon=2, random_state=0, max_epochs=1).fit(values)
    assert np.isfinite(both.predict()).all()


def test_the_penalty_is_chosen_with_a_profile_that_does_not_know_the_validation_rows():
    """Three weeks: a profile of all rows would leave residuals that sum up to 0, which all nodes together can exploit."""
    rng = np.random.default_rng(5)
    index = pd.date_range("2024-01-01", periods=168 * 3, freq="h")
    X = pd.DataFrame(
        np.tile(5 * rng.normal(size=(168, 30)), (3, 1)) + rng.normal(size=(504, 30)), index=index
    )
    errors = {}
    for neighbours in (None, "all"):
        model = RidgeForecaster(
            input_length=12, horizon=6, neighbours=neighbours, seasonal_profile="time_of_week"
        )
        y, forecast = model.fit(X[:420]).predict_windows(X[420:])
        errors[neighbours] = np.abs(y - forecast).mean()
    assert errors["all"] < 1.1 * errors[None]
