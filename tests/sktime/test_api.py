"""The sktime forecasters: constructors, tables in and out, short series, updates, intervals, pretraining, files."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sktime.base import load
from sktime.forecasting.base import ForecastingHorizon

import stmest
import stmest.sktime
from stmest.exceptions import DataError, GraphError, ParameterError
from stmest.sktime import EnsembleForecaster, RidgeForecaster, STM3Forecaster, from_sklearn
from tests.crossing import crossed

CLASSES = [getattr(stmest.sktime, name) for name in stmest.sktime.__all__ if name != "from_sklearn"]
NETWORKS = [cls for cls in CLASSES if cls.get_class_tag("capability:pretrain", False)]
ONE_WINDOW = [cls for cls in CLASSES if "input_length" in inspect.signature(cls).parameters]
NODES = list("abc")
FH = [1, 2, 3]


def small(cls=STM3Forecaster, **parameters):
    """A network that learns a little, quickly; the first parameters that sktime's checks use."""
    more = {"patience": 2} if cls in NETWORKS else {}
    more |= {"input_length": 6} if cls in ONE_WINDOW else {}
    return cls(**{**cls.get_test_params()[0], **more, **parameters})


@pytest.fixture
def y():
    rng = np.random.default_rng(0)
    hours = np.arange(140)[:, None]
    values = np.sin(hours / 24 * 2 * np.pi + np.arange(3)) + 0.1 * rng.normal(size=(140, 3))
    return pd.DataFrame(values, index=pd.period_range("2024-01-01", periods=140, freq="h"), columns=NODES)


@pytest.fixture
def X(y):
    return pd.DataFrame({"rain": np.random.default_rng(1).normal(size=len(y))}, index=y.index)


def as_panel(y):
    return pd.concat({node: y[[node]].rename(columns={node: "flow"}) for node in y}, names=["node", "time"])


# ---------------------------------------------------------------- constructors


@pytest.mark.parametrize("cls", CLASSES)
def test_parameters_are_those_of_the_forecaster(cls):
    theirs = inspect.signature(cls._composed).parameters
    ours = inspect.signature(cls).parameters
    extra = [] if "horizon" in theirs else ["horizon"]
    extra += ["update_epochs"] if cls in NETWORKS else []
    assert list(ours) == [name for name in theirs if name not in ("target", "warm_start")] + extra
    for name in set(ours) & set(theirs) - {"horizon"}:
        assert ours[name].default == theirs[name].default
        assert ours[name].kind is inspect.Parameter.KEYWORD_ONLY
    assert cls._composed.__name__ == cls.__name__
    assert getattr(stmest, cls.__name__) is cls._composed


@pytest.mark.parametrize("cls", CLASSES)
def test_every_parameter_is_described_in_the_docstring(cls):
    doc = inspect.getdoc(cls)
    section = doc.split("Parameters\n----------\n")[1].split("Attributes\n----------")[0]
    entries = [line.split(" :")[0] for line in section.splitlines() if line[:1].strip()]
    assert ", ".join(entries).split(", ") == list(inspect.signature(cls).parameters)
    assert "{{" not in section


def test_unknown_parameters_are_type_errors():
    with pytest.raises(
        TypeError, match="RidgeForecaster has no parameter 'lookback'; did you mean 'input_length'"
    ):
        RidgeForecaster(lookback=4)
    with pytest.raises(
        ValueError, match="RidgeForecaster has no parameter 'lookback'; did you mean 'input_length'"
    ):
        RidgeForecaster().set_params(lookback=4)
    with pytest.raises(TypeError, match="RidgeForecaster has no parameter 'd_model'"):
        RidgeForecaster(d_model=3)


@pytest.mark.parametrize("cls", ONE_WINDOW)
def test_from_sklearn_takes_the_parameters_along(cls):
    model = cls._composed(input_length=5, horizon=2)
    made = from_sklearn(model)
    assert type(made) is cls
    assert not made.is_fitted
    assert (made.input_length, made.horizon) == (5, 2)
    assert made.get_params(deep=False).keys() - {"update_epochs"} <= model.get_params(deep=False).keys()


@pytest.mark.parametrize("container", ["table", "array"])
@pytest.mark.parametrize("cls", [RidgeForecaster, STM3Forecaster])
def test_a_fitted_model_comes_along_and_goes_on(cls, container, y, monkeypatch):
    tiny = {**cls.get_test_params()[1], "input_length": 6}
    model = cls._composed(**tiny).fit(y[:100] if container == "table" else y[:100].to_numpy())
    monkeypatch.setattr(cls._composed, "fit", lambda *_: pytest.fail("it was trained again"))
    made = from_sklearn(model)
    np.testing.assert_array_equal(made.predict(fh=[1, 2]), model.predict())
    lower, upper = model.predict_interval()
    levels = made.predict_interval(coverage=0.9)
    np.testing.assert_allclose(levels.xs("lower", axis=1, level=2), lower)
    np.testing.assert_allclose(levels.xs("upper", axis=1, level=2), upper)
    later = (
        y[100:110]
        if container == "table"
        else y[100:110].set_axis(pd.RangeIndex(100, 110)).set_axis(range(3), axis=1)
    )
    made.update(later, update_params=False)
    np.testing.assert_array_equal(
        made.predict(fh=[1, 2]), model.update(later.to_numpy() if container == "array" else later).predict()
    )


def test_from_sklearn_names_what_there_is(y):
    with pytest.raises(ParameterError, match="LastValue has no counterpart"):
        from_sklearn(stmest.LastValue())
    two = np.stack([y.to_numpy()] * 2, axis=2)
    with pytest.raises(ParameterError, match="2 features of 3 nodes"):
        from_sklearn(stmest.RidgeForecaster(input_length=4, horizon=2).fit(two))


# ---------------------------------------------------------------- ensembles


def members(**parameters):
    return [
        ("ridge", stmest.RidgeForecaster(input_length=6, **parameters)),
        ("last", stmest.LastValue(**parameters)),
    ]


def test_the_members_of_an_ensemble_get_the_horizon_and_room(y):
    inner = stmest.EnsembleForecaster(members())
    model = EnsembleForecaster(forecasters=[("inner", inner), *members()]).fit(y, fh=[1, 5])
    assert model.forecaster_.horizon == 5
    expected = stmest.EnsembleForecaster(
        [("inner", stmest.EnsembleForecaster(members(horizon=5))), *members(horizon=5)]
    ).fit(y)
    np.testing.assert_array_equal(model.predict(), expected.predict().iloc[[0, 4]])
    assert inner.horizon == 12
    assert EnsembleForecaster(forecasters=members()).fit(y).forecaster_.horizon == 12
    with pytest.warns(UserWarning, match="EnsembleForecaster learns with input_length=4, horizon=3"):
        EnsembleForecaster(forecasters=members()).fit(y[:7], fh=FH)
    with pytest.raises(TypeError, match="needs the parameter 'forecasters'"):
        EnsembleForecaster()


def test_parameters_of_the_members_can_be_set(y):
    model = EnsembleForecaster(forecasters=members())
    model.set_params(ridge__input_length=4, last=stmest.LastValue(horizon=3))
    assert model.clone().get_params()["ridge__input_length"] == 4
    assert model.fit(y, fh=FH).forecaster_.context_length_ == 4


def test_a_fitted_ensemble_comes_along_and_goes_on(y):
    model = stmest.EnsembleForecaster(members(horizon=2), weights=None).fit(y[:100])
    made = from_sklearn(model)
    np.testing.assert_array_equal(made.predict(fh=[1, 2]), model.predict())
    made.update(y[100:110], update_params=False)
    np.testing.assert_array_equal(made.predict(fh=[1, 2]), model.predict(y[:110]))
    assert model.context_.index[-1] == y.index[99]
    assert from_sklearn(stmest.EnsembleForecaster(members(horizon=2))).horizon == 2


# ---------------------------------------------------------------- imports


def _run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_stmest_never_imports_sktime():
    assert (
        _run(
            "import sys, stmest; stmest.RidgeForecaster(), stmest.STM3Forecaster()\n"
            "print([name for name in sys.modules if name.split('.')[0] == 'sktime'])"
        ).strip()
        == "[]"
    )


def test_without_sktime_the_error_names_the_extra():
    assert 'pip install "stmest[sktime]"' in _run(
        "import sys; sys.modules['sktime'] = None\n"
        "import stmest\n"
        "try:\n    import stmest.sktime\n"
        "except ImportError as error:\n    print(error)\n"
    )


# ---------------------------------------------------------------- tables in and out


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(10, 150),
        pd.Index(range(140)),
        pd.date_range("2024-01-01", periods=140, freq="h"),
        pd.period_range("2020-01", periods=140, freq="M"),
        pd.date_range("2020-01-31", periods=140, freq="ME"),
    ],
    ids=["range", "int", "hours", "months", "month ends"],
)
def test_forecasts_are_those_of_the_forecaster_on_any_index(index, y):
    y = y.set_axis(index)
    model = small().fit(y, fh=FH)
    forecaster = stmest.STM3Forecaster(
        **{k: v for k, v in model.get_params(deep=False).items() if k != "update_epochs"} | {"horizon": 3}
    ).fit(y)
    pd.testing.assert_frame_equal(
        model.predict(), forecaster.predict(), check_freq=False, check_index_type=False
    )


def test_horizons_may_have_gaps_be_absolute_and_lie_beyond_the_horizon(y):
    model = small(horizon=3).fit(y.iloc[:120])
    every = model.predict(fh=range(1, 11))
    np.testing.assert_array_equal(every.index, y.index[120:130])
    pd.testing.assert_frame_equal(model.predict(fh=[2, 9]), every.iloc[[1, 8]])
    absolute = ForecastingHorizon(y.index[[121, 128]], is_relative=False)
    pd.testing.assert_frame_equal(model.predict(fh=absolute), every.iloc[[1, 8]])
    on = model.forecaster_.predict(pd.concat([y.iloc[:120], every.iloc[:3]]))
    np.testing.assert_allclose(every.iloc[3:6], on, rtol=1e-5)


def test_horizon_is_the_largest_step_or_the_forecasters_own(y):
    assert small().fit(y, fh=[1, 7]).forecaster_.horizon == 7
    assert small().fit(y).forecaster_.horizon == stmest.STM3Forecaster().horizon
    assert small(horizon=2).fit(y, fh=[1, 7]).forecaster_.horizon == 2


def test_a_series_is_one_node(y):
    forecast = small().fit(y["b"], fh=FH).predict()
    assert isinstance(forecast, pd.Series)
    assert forecast.name == "b"
    np.testing.assert_allclose(forecast, small().fit(y[["b"]], fh=FH).predict()["b"])


def test_a_panel_is_one_joint_model_whose_instances_are_the_nodes(y):
    wide = small().fit(y, fh=FH)
    panel = small().fit(as_panel(y), fh=FH)
    assert panel.forecaster_.n_features_in_ == 3
    forecast = panel.predict()
    assert forecast.index.names == ["node", "time"]
    assert list(forecast.columns) == ["flow"]
    np.testing.assert_allclose(forecast["flow"].unstack(0)[NODES], wide.predict(), rtol=1e-5)
    interval = panel.predict_interval(coverage=[0.5, 0.9])
    assert list(interval.columns)[:2] == [("flow", 0.5, "lower"), ("flow", 0.5, "upper")]
    assert interval.index.equals(forecast.index)


def test_columns_of_a_panel_are_features_that_are_forecast_together(y):
    panel = as_panel(y)
    panel["speed"] = -2 * panel["flow"]
    forecast = small(max_epochs=5).fit(panel, fh=FH).predict()
    assert list(forecast.columns) == ["flow", "speed"]
    assert forecast.shape == (9, 2)
    alone = RidgeForecaster(input_length=6).fit(panel, fh=FH).predict()
    np.testing.assert_allclose(alone["speed"], -2 * alone["flow"], rtol=1e-4)


def test_instances_of_a_panel_may_begin_late_and_end_early(y):
    panel = as_panel(y).drop([("a", y.index[0]), ("c", y.index[-1]), ("c", y.index[70])])
    model = small().fit(panel, fh=FH)
    assert model.forecaster_.has_gaps_
    assert (
        model.predict()
        .index.get_level_values(1)
        .unique()
        .equals(pd.period_range("2024-01-06 20:00", periods=3, freq="h"))
    )
    assert np.isfinite(model.predict()).all(axis=None)


def test_levels_above_the_instances_are_models_of_their_own(y):
    both = pd.concat({"north": as_panel(y), "south": as_panel(y + 5)}, names=["region"])
    model = small().fit(both, fh=FH)
    forecast = model.predict()
    assert forecast.index.names == ["region", "node", "time"]
    assert forecast.shape == (18, 1)
    alone = small().fit(as_panel(y), fh=FH).predict()
    np.testing.assert_allclose(forecast.loc["north"], alone, rtol=1e-5)


def test_unknown_instances_are_an_error(y):
    model = small().fit(as_panel(y.iloc[:100]), fh=FH)
    with pytest.raises(DataError, match="unknown instance 'd'"):
        model.update(as_panel(y.iloc[100:].rename(columns={"c": "d"})))


@pytest.mark.parametrize("cls", crossed(CLASSES))
def test_missing_values_are_no_trouble(cls, y):
    holes = y.mask(np.random.default_rng(0).random(y.shape) < 0.2)
    model = small(cls).fit(holes, fh=FH)
    assert np.isfinite(model.predict()).all(axis=None)
    assert np.isfinite(model.predict_interval()).all(axis=None)


def test_graphs_go_to_the_constructor_and_meet_the_nodes_by_name(y):
    adj = pd.DataFrame([[0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]], list("cabz"), list("cabz"))
    model = small(adj=adj).fit(y, fh=FH)
    assert model.forecaster_.given_graph_.edges()[0].T.tolist() == [[0, 1], [1, 2], [2, 0]]
    assert small(adj=adj).fit(y[["a", "c"]], fh=FH).forecaster_.given_graph_.n_edges == 1
    assert small(adj=adj).fit(as_panel(y), fh=FH).forecaster_.given_graph_.n_edges == 3
    with pytest.raises(GraphError, match="4"):
        small(adj=adj.to_numpy()).fit(y, fh=FH)


# ---------------------------------------------------------------- exogenous series


def test_exogenous_series_are_input_channels(y, X):
    model = small().fit(y.iloc[:100], X=X, fh=FH)
    assert (model.forecaster_.n_inputs_, model.forecaster_.target_) == (2, [0])
    assert list(model.predict(X=X).columns) == NODES
    other = small().fit(y.iloc[:100], X=-X, fh=FH)
    assert not np.allclose(model.predict(X=X), other.predict(X=-X))
    later = model.update(y.iloc[100:110], X=X).predict(X=X)
    without = small().fit(y.iloc[:100], X=X, fh=FH).update(y.iloc[100:110]).predict(X=X)
    assert not np.allclose(later, without)


def test_exogenous_series_that_are_known_count_beyond_the_horizon(y, X):
    model = small(horizon=3).fit(y.iloc[:100], X=X)
    near = model.predict(fh=[1, 2, 3], X=X)
    np.testing.assert_array_equal(near, model.predict(fh=[1, 2, 3], X=5 + X))  # the future is not looked at
    far = model.predict(fh=[4, 5], X=X)
    assert not np.allclose(far, model.predict(fh=[4, 5], X=5 + X))
    assert np.isfinite(model.predict(fh=[4, 5], X=X.iloc[:101])).all(axis=None)


def test_exogenous_series_of_a_panel_belong_to_their_node(y, X):
    own = pd.concat({node: X * (i - 1) for i, node in enumerate(y)}, names=["node", "time"])
    model = small().fit(as_panel(y), X=own, fh=FH)
    np.testing.assert_allclose(model.forecaster_.context_.values[:, :, 1], X.to_numpy()[-6:] * [[-1, 0, 1]])


def test_ridge_says_that_it_leaves_exogenous_series_aside(y, X):
    assert not RidgeForecaster.get_class_tag("capability:exogenous")
    with_x, without = (RidgeForecaster(input_length=6).fit(y, X=x, fh=FH).predict() for x in (X, None))
    pd.testing.assert_frame_equal(with_x, without)


# ---------------------------------------------------------------- short series


@pytest.mark.parametrize(("n_rows", "window"), [(9, (6, 3)), (8, (5, 3)), (5, (3, 2)), (2, (1, 1))])
@pytest.mark.parametrize("cls", [RidgeForecaster, STM3Forecaster])
def test_short_series_have_shorter_windows(cls, n_rows, window, y):
    model = small(cls)
    if n_rows < 9:
        with pytest.warns(UserWarning, match=f"y has {n_rows} rows"):
            model.fit(y.iloc[:n_rows], fh=FH)
    else:
        model.fit(y.iloc[:n_rows], fh=FH)
    assert (model.forecaster_.input_length, model.forecaster_.horizon) == window
    assert len(model.predict()) == 3


def test_one_row_is_too_short(y):
    with pytest.raises(DataError, match="1 row"):
        small().fit(y.iloc[:1], fh=FH)


# ---------------------------------------------------------------- update


def test_forecasts_begin_after_all_that_is_kept(y):
    """Also where more is kept than the look-back, to look up earlier days."""
    model = small(stmest.sktime.RegressorForecaster, horizon=3).fit(y.iloc[:100])
    assert model.forecaster_.context_length_ == 24
    for _ in range(2):
        np.testing.assert_array_equal(model.predict(fh=FH), model.forecaster_.predict())
        model.update(y.iloc[100:110])


@pytest.mark.parametrize("cls", crossed(CLASSES))
@pytest.mark.parametrize("update_params", [True, False])
def test_update_moves_the_origin_and_keeps_the_weights(cls, update_params, y):
    model = small(cls, horizon=3).fit(y.iloc[:100])
    forecaster = model.forecaster_
    model.update(y.iloc[100:110], update_params=update_params)
    assert model.cutoff[0] == y.index[109]
    assert model.forecaster_ is forecaster
    forecast = model.predict(fh=FH)
    assert forecast.index[0] == y.index[110]
    expected = small(cls, horizon=3).fit(y.iloc[:100]).forecaster_.predict(y.iloc[:110])
    np.testing.assert_allclose(forecast, expected, rtol=1e-6)


def test_update_takes_overlaps_and_gaps(y):
    plain = small(horizon=3).fit(y.iloc[:100]).update(y.iloc[100:110])
    overlapping = small(horizon=3).fit(y.iloc[:100]).update(y.iloc[:110])
    pd.testing.assert_frame_equal(overlapping.predict(fh=FH), plain.predict(fh=FH))
    gap = small(horizon=3).fit(y.iloc[:100]).update(y.iloc[103:110])
    assert list(gap.forecaster_.context_.index) == list(y.index[104:110])
    longer = small(horizon=3).fit(y.iloc[:100]).update(y.iloc[106:110])
    assert np.isnan(longer.forecaster_.context_.values[:2]).all()
    nothing = small(horizon=3).fit(y.iloc[:100]).update(y.iloc[90:100])
    np.testing.assert_array_equal(nothing.forecaster_.context_.values[..., 0], y.iloc[94:100])


@pytest.mark.parametrize("cls", crossed(NETWORKS))
def test_update_trains_as_many_epochs_as_asked_for(cls, y):
    model = small(cls, horizon=3, update_epochs=2).fit(y.iloc[:100])
    epochs, usual = model.forecaster_.n_iter_, model.forecaster_.get_params()
    before = pickle.loads(pickle.dumps(model))
    model.update(y.iloc[100:101])
    assert model.forecaster_.n_iter_ == epochs + 2
    assert model.forecaster_.history_.attrs["skipped_windows"] == 0
    assert model.forecaster_.get_params() == usual
    before.update(y.iloc[100:101], update_params=False)
    assert before.forecaster_.n_iter_ == epochs
    assert before.forecaster_.context_.index.equals(model.forecaster_.context_.index)
    assert not np.allclose(before.predict(fh=FH), model.predict(fh=FH))
    model.update(y.iloc[101:120])
    assert model.forecaster_.n_iter_ == epochs + 4
    assert len(model._recent) == 6 + 3 - 1


# ---------------------------------------------------------------- intervals


def test_intervals_are_those_of_the_forecaster(y):
    model = small(horizon=3).fit(y)
    lower, upper = model.forecaster_.predict_interval(coverage=0.8)
    interval = model.predict_interval(fh=FH, coverage=0.8)
    for node in NODES:
        np.testing.assert_allclose(interval[node, 0.8, "lower"], lower[node], rtol=1e-5)
        np.testing.assert_allclose(interval[node, 0.8, "upper"], upper[node], rtol=1e-5)


def test_quantiles_agree_with_intervals_and_never_cross(y):
    model = RidgeForecaster(input_length=6, horizon=3).fit(y)
    fh = [1, 3, 8]  # also beyond the horizon
    quantiles = model.predict_quantiles(fh=fh, alpha=[0.1, 0.5, 0.9])
    interval = model.predict_interval(fh=fh, coverage=0.8)
    np.testing.assert_array_equal(quantiles["b", 0.5], model.predict(fh=fh)["b"])
    np.testing.assert_array_equal(quantiles["b", 0.1], interval["b", 0.8, "lower"])
    np.testing.assert_array_equal(quantiles["b", 0.9], interval["b", 0.8, "upper"])
    assert (quantiles["c"].diff(axis=1).iloc[:, 1:] > 0).all(axis=None)


# ---------------------------------------------------------------- pretraining


@pytest.mark.parametrize("cls", crossed(NETWORKS))
def test_fit_goes_on_from_pretrained_weights(cls, y):
    parameters = {"max_epochs": 12, "patience": 4, "batch_size": 16, "horizon": 3, "learning_rate": 0.01}
    panel = as_panel(y.iloc[:110])
    model = small(cls, **parameters).pretrain(panel)
    assert model.state == "pretrained"
    pretrained = model.pretrained_.network_.state_dict()
    model.fit(as_panel(y.iloc[30:]), fh=FH)
    fresh = small(cls, **parameters).fit(as_panel(y.iloc[30:]), fh=FH)
    # what it learnt before is a better start than nothing
    first, without = (m.forecaster_.history_["train_loss"].iloc[0] for m in (model, fresh))
    assert first < 0.8 * without
    assert model.forecaster_ is not model.pretrained_
    for name, weight in model.pretrained_.network_.state_dict().items():
        assert weight.equal(pretrained[name])  # fitting leaves them as they were


def test_pretraining_goes_on_and_decides_the_horizon(y):
    model = small(max_epochs=2).pretrain(as_panel(y), fh=[1, 2, 3, 4])
    first = model.pretrained_
    assert first.horizon == 4
    model.pretrain(as_panel(y + 1))
    assert model.pretrained_ is not first
    assert model.pretrained_.horizon == 4
    assert model.clone().fit(y, fh=[1]).forecaster_.horizon == 4


def test_pretrained_weights_that_depend_on_the_nodes_stay_behind(y):
    model = small(max_epochs=2).pretrain(as_panel(y), fh=FH)
    model.fit(y[["a", "b"]], fh=FH)
    assert model.predict().shape == (3, 2)


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("cls", crossed(CLASSES))
def test_pickles_and_sktimes_own_files_keep_everything(cls, y, tmp_path):
    model = small(cls, horizon=3).fit(y)
    expected = model.predict_interval(fh=FH)
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(model)).predict_interval(fh=FH), expected)
    model.save(tmp_path / "model")
    pd.testing.assert_frame_equal(load(tmp_path / "model.zip").predict_interval(fh=FH), expected)
    clone = model.clone()
    assert not clone.is_fitted
    assert repr(clone.get_params()) == repr(model.get_params())  # members are equal if they look equal


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize("cls", crossed(CLASSES, ("LastValue", "RidgeForecaster", "STM3Forecaster")))
def test_levels_are_not_rounded_and_sensors_without_history_are_the_average(cls, y):
    """As in the scikit-learn API: 123456789 is no number of float32."""
    constant = y * 0 + 123456789.0
    forecaster = small(cls).fit(constant, fh=FH)
    assert (forecaster.predict() == 123456789.0).all(axis=None)
    interval = forecaster.predict_interval(coverage=0.8)
    assert (interval == 123456789.0).all(axis=None)
    y = y.add([10.0, 0.0, 20.0])
    y["b"] = np.nan
    for table in (y, as_panel(y)):
        predicted = small(cls).fit(table, fh=FH).predict()
        wide = predicted if table is y else predicted["flow"].unstack("node")
        np.testing.assert_allclose(wide["b"], (wide["a"] + wide["c"]) / 2)
