"""The weighted mean of several forecasters: weights, look-backs of different length, nested parameters, files."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks
from skorch.callbacks import Callback

import stmest
from stmest import (
    EnsembleForecaster,
    ForecastSplit,
    LastValue,
    MeanProfile,
    RidgeForecaster,
    SeasonalNaive,
    UNetForecaster,
    compare,
)
from stmest.exceptions import DataError, ModelFileError, ParameterError, TrainingError
from stmest.storage.tensor_file import read_tensor_file, write_tensor_file

from .common import expected_failures
from .small import small
from .tiny import TinyForecaster

NODES = ["north", "south", "east"]


def waves(n_times=160, zone=None):
    t = np.arange(n_times)[:, None]
    noise = np.random.default_rng(0).normal(size=(n_times, 3))
    index = pd.date_range("2024-03-25", periods=n_times, freq="h", tz=zone)
    return pd.DataFrame(10 + np.sin(t * 2 * np.pi / 24 + np.arange(3)) + 0.1 * noise, index, NODES)


@pytest.fixture(scope="module")
def X():
    return waves()


def ensemble(**parameters):
    """A linear member, one that repeats the last value, and a network; look-backs of 12, 1 and 4."""
    members = [
        ("ridge", RidgeForecaster(input_length=12, horizon=2)),
        ("last", LastValue(horizon=2)),
        ("tiny", TinyForecaster(horizon=2, random_state=0)),
    ]
    return EnsembleForecaster(members, **parameters)


@pytest.fixture(scope="module")
def fitted(X):
    return ensemble(weights=None).fit(X[:140])


def alone(X, model=None):
    """The members, each fitted by itself."""
    return {name: clone(member).fit(X) for name, member in (model or ensemble()).forecasters}


# ---------------------------------------------------------------- the mean


def test_equal_weights_are_the_mean_of_the_forecasts(fitted, X):
    members = alone(X[:140])
    np.testing.assert_array_equal(fitted.weights_, np.full(3, 1 / 3))
    assert list(fitted.named_estimators_) == ["ridge", "last", "tiny"]
    assert fitted.named_estimators_.tiny is fitted.estimators_[2]
    assert fitted.n_parameters_ == sum(member.n_parameters_ for member in members.values())
    for steps in (None, 5):
        mean = sum(member.predict(steps=steps) for member in members.values()) / 3
        pd.testing.assert_frame_equal(fitted.predict(steps=steps), mean, rtol=1e-6)


def test_look_backs_of_different_length_end_at_the_same_time(fitted, X):
    members = alone(X[:140])
    assert fitted.context_length_ == 12
    truth, forecast = fitted.predict_windows(X)
    for member in members.values():
        own_truth, _ = member.predict_windows(X)
        np.testing.assert_array_equal(own_truth[-len(truth) :], truth)
    mean = np.mean([m.predict_windows(X)[1][-len(truth) :] for m in members.values()], axis=0)
    np.testing.assert_allclose(forecast, mean, rtol=1e-5)


def test_a_useless_member_gets_no_weight(X):
    useless = SeasonalNaive(horizon=2, season=12)  # half a period: the opposite of what comes
    model = EnsembleForecaster(
        [("bad", useless), ("good", MeanProfile(horizon=2, season=24, n_seasons=2))]
    ).fit(X)
    np.testing.assert_array_equal(model.weights_, [0, 1])
    pd.testing.assert_frame_equal(model.predict(), model.named_estimators_.good.predict())


def test_weights_are_chosen_by_the_error_on_the_validation_part(X):
    model = ensemble().fit(X)
    assert (model.weights_ >= 0).all()
    assert model.weights_.sum() == pytest.approx(1)
    cut = len(X) - len(X) // 8
    part = X.iloc[cut - 12 :]
    before = copy.copy(model)

    def error(weights):
        before.predictor_ = replace(model.calibration_.predictor, weights=np.asarray(weights, float))
        truth, forecast = before.predict_windows(part)
        return np.abs(truth - forecast).mean()

    chosen = error(model.weights_)
    assert all(chosen <= error(other) + 1e-6 for other in [*np.eye(3), np.full(3, 1 / 3)])


def test_what_a_member_learns_from_is_not_validated_on(X):
    longer = TinyForecaster(horizon=2, validation_fraction=0.25, random_state=0)
    model = EnsembleForecaster([("longer", longer), ("ridge", RidgeForecaster(horizon=2))]).fit(X)
    assert model.calibration_.rows.index[24] == X.index[len(X) - len(X) // 8]
    with pytest.raises(ParameterError, match=r"'tiny'.*no validation part"):
        ensemble().set_params(tiny__patience=None).fit(X)
    assert len(ensemble(weights=None).set_params(tiny__patience=None).fit(X).predict()) == 2


def test_short_data_give_equal_weights(X):
    model = EnsembleForecaster([("a", LastValue(horizon=2)), ("b", LastValue(horizon=2))]).fit(X[:3])
    np.testing.assert_array_equal(model.weights_, [0.5, 0.5])


# ---------------------------------------------------------------- the common API


def test_intervals_are_calibrated_on_errors_of_the_ensemble(X):
    model = EnsembleForecaster([("a", LastValue(horizon=2)), ("b", SeasonalNaive(horizon=2, season=24))]).fit(
        X
    )
    lower, upper = model.predict_interval(coverage=0.8)
    np.testing.assert_allclose((lower + upper) / 2, model.predict(), rtol=1e-6)
    single = EnsembleForecaster([("b", SeasonalNaive(horizon=2, season=24))]).fit(X)
    for one, two in zip(
        single.predict_interval(), single.named_estimators_.b.predict_interval(), strict=True
    ):
        pd.testing.assert_frame_equal(one, two)


def test_update_moves_the_ensemble_on(fitted, X):
    model = pickle.loads(pickle.dumps(fitted)).update(X[140:150])
    pd.testing.assert_frame_equal(model.predict(), fitted.predict(X[:150]))
    assert model.named_estimators_.ridge.context_.index[-1] == X.index[139]
    assert model.calibration_.rows.index[-1] == X.index[149]


def test_clones_grids_and_nested_parameters(X):
    model = ensemble().set_params(tiny__max_epochs=1, last=LastValue(horizon=2))
    assert model.get_params()["tiny__max_epochs"] == 1
    assert model.get_params()["ridge"] is model.forecasters[0][1]
    assert set(model.get_params(deep=False)) == {"forecasters", "weights", "adj"}
    assert clone(model).get_params()["tiny__max_epochs"] == 1
    with pytest.raises(ValueError, match="TinyForecaster has no parameter 'color'"):
        model.set_params(tiny__color=1)
    grid = {"ridge__alpha": [1.0, 1e6], "weights": [None]}
    search = GridSearchCV(model, grid, cv=ForecastSplit(2, input_length=12), error_score="raise").fit(X)
    assert search.best_params_["ridge__alpha"] == 1.0
    assert search.best_estimator_.named_estimators_.ridge.alpha == 1.0
    assert model.forecasters[0][1].alpha == "auto"


def test_zones_missing_values_trajectories_and_graphs():
    zoned = waves(zone="Europe/Berlin").mask(np.random.default_rng(1).random((160, 3)) < 0.1)
    model = ensemble().fit(zoned, adj=np.eye(3)[[1, 2, 0]])
    assert model.time_zone_ == "Europe/Berlin"
    assert all(member.given_graph_ == model.given_graph_ for member in model.estimators_)
    assert np.isfinite(model.predict()).all(axis=None)
    own = ensemble().set_params(tiny__adj=np.eye(3)).fit(zoned)
    assert own.given_graph_ is None
    assert own.named_estimators_.tiny.given_graph_ is not None
    many = [zoned.to_numpy()[:60], zoned.to_numpy()[60:], zoned.to_numpy()[:40]]
    assert [len(part) for part in ensemble().fit(many).predict(many)] == [2, 2, 2]


def test_trajectories_are_cut_where_no_member_has_learnt(X):
    """A member with a short look-back can divide a trajectory that others cannot, so that it is cut elsewhere."""
    model = EnsembleForecaster(
        [("last", LastValue(horizon=2)), ("mean", MeanProfile(horizon=2, season=5, n_seasons=2))]
    )
    many = [X.to_numpy()[:n] for n in (60, 10, 14)]
    assert [
        member.fit(many).calibration_.rows.n_times - member.context_length_ for _, member in model.forecasters
    ] == [10, 14]
    model.fit(many)
    assert model.calibration_.rows.n_times - model.context_length_ == 10
    assert np.isfinite(model.predict(many[0])).all()


def test_fields_with_a_member_that_reads_fields_only():
    field = np.random.default_rng(0).normal(size=(60, 3, 4))
    unet = small("UNetForecaster")
    model = EnsembleForecaster([("last", LastValue(horizon=unet.horizon)), ("unet", unet)], weights=None).fit(
        field[..., None]
    )
    assert isinstance(unet, UNetForecaster)
    assert model.predict().shape == (unet.horizon, 3, 4, 1)
    mean = sum(m.predict(field[..., None]) for m in model.estimators_) / 2
    np.testing.assert_allclose(model.predict(field[..., None]), mean, rtol=1e-6)


def test_features_that_are_not_forecast(X):
    two = np.stack([X, -X], axis=2)
    members = [
        (name, TinyForecaster(target=[1], input_length=n, random_state=0)) for name, n in (("a", 3), ("b", 5))
    ]
    assert EnsembleForecaster(members).fit(two).predict().shape == (2, 3, 1)
    with pytest.raises(
        ParameterError, match=r"same target, but 'a' has target=\[1\] and 'ridge' has target=\[0, 1\]"
    ):
        EnsembleForecaster([members[0], ("ridge", RidgeForecaster(horizon=2))]).fit(two)


def test_an_ensemble_stands_beside_others_in_a_report(X):
    report = compare({"ensemble": ensemble(), "last": LastValue(horizon=2)}, X)
    assert report.to_frame()["MAE"].notna().all()


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("forecasters", "words"),
    [
        ([], "holds nothing"),
        ([LastValue()], "a pair of a name and a forecaster|pair of a name"),
        ([("a", LastValue)], "holds .*needed"),
        ([("a", 3)], "holds .*needed"),
        ([("a", LastValue()), ("a", LastValue())], "not unique"),
        ([("a__b", LastValue())], "must not contain __"),
        ([("weights", LastValue())], "conflict with constructor arguments"),
        ([("a", LastValue(horizon=0))], r"forecaster 'a': .*horizon"),
        ([("a", LastValue(horizon=3)), ("b", LastValue(horizon=4))], "'a' has horizon=3 and 'b' has horizon=4"),
        (3, "'forecasters' parameter"),
    ],
)  # fmt: skip
def test_forecasters_that_cannot_be_used(forecasters, words, X):
    with pytest.raises(ParameterError, match=words):
        EnsembleForecaster(forecasters).fit(X)


def test_parameters_by_position():
    with pytest.raises(TypeError, match="takes its other parameters by name only, got 1 without"):
        EnsembleForecaster([("a", LastValue())], None)
    with pytest.raises(TypeError, match="forecasters"):
        EnsembleForecaster()
    with pytest.raises(TypeError, match="did you mean 'weights'"):
        EnsembleForecaster([("a", LastValue())], weight=None)


class Fault(Callback):
    """Fails during training."""

    def on_epoch_end(self, net, **kwargs):
        raise RuntimeError("no more")


def test_a_failing_member_leaves_the_ensemble_as_it_was(fitted, X):
    model = pickle.loads(pickle.dumps(fitted))
    before = dict(vars(model))
    with pytest.raises(TrainingError, match="forecaster 'tiny': RuntimeError: no more"):
        model.set_params(tiny__callbacks=[Fault()]).fit(X)
    assert all(vars(model)[key] is before[key] for key in before if key != "forecasters")
    model.set_params(tiny__callbacks=None, ridge__input_length=200)
    with pytest.raises(DataError, match="forecaster 'ridge': X has n_samples = 160 rows"):
        model.fit(X)
    pd.testing.assert_frame_equal(model.predict(), fitted.predict())


# ---------------------------------------------------------------- files


@pytest.fixture(scope="module")
def savable(X):
    members = [
        ("stid", small("STIDForecaster")),
        ("ridge", small("RidgeForecaster")),
        ("last", small("LastValue")),
    ]
    return EnsembleForecaster([("inner", EnsembleForecaster(members, weights=None)), *members[1:]]).fit(X)


def test_a_file_holds_the_members(savable, X, tmp_path):
    savable.save(tmp_path / "model")
    other = stmest.load(tmp_path / "model", device="cpu")
    pd.testing.assert_frame_equal(other.predict(), savable.predict(), check_exact=True)
    for one, two in zip(other.predict_interval(), savable.predict_interval(), strict=True):
        pd.testing.assert_frame_equal(one, two, check_exact=True)
    np.testing.assert_array_equal(other.weights_, savable.weights_)
    inner = other.named_estimators_.inner
    assert inner.named_estimators_.stid.device == "cpu"
    assert other.forecasters[0][1].forecasters[0][1].device == "cpu"
    assert not hasattr(other.forecasters[0][1], "predictor_")
    assert inner.predictor_.members[0] is inner.named_estimators_.stid.predictor_
    first = (tmp_path / "model").read_bytes()
    other.save(tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == first
    pd.testing.assert_frame_equal(clone(other).fit(X).predict(), savable.predict())


def test_fitted_members_of_the_parameters_are_saved_unfitted(X, tmp_path):
    ridge = small("RidgeForecaster").fit(X)
    EnsembleForecaster([("ridge", ridge)]).fit(X).save(tmp_path / "model")
    assert not hasattr(stmest.load(tmp_path / "model").forecasters[0][1], "predictor_")


def test_callbacks_of_a_member_are_refused_with_the_way_out(X, tmp_path):
    model = EnsembleForecaster([("stid", small("STIDForecaster", callbacks=[Callback()]))]).fit(X)
    with pytest.raises(ModelFileError, match=r"set_params\(stid__callbacks=None\)"):
        model.save(tmp_path / "model")
    model.set_params(stid__callbacks=None).save(tmp_path / "model")
    assert stmest.load(tmp_path / "model").predict().equals(model.predict())


def test_parameters_that_no_longer_describe_the_fit(savable, tmp_path):
    model = pickle.loads(pickle.dumps(savable))
    with pytest.raises(ModelFileError, match="fitted with horizon=2, but its parameter says 5"):
        model.set_params(forecasters=[("last", LastValue(horizon=5))]).save(tmp_path / "model")


def _documents(document):
    return document["state"]["named_estimators_"]["documents"]


FORGERIES = {
    "a member of an unknown class": (lambda d: _documents(d)[1].update({"class": "os.system"}), "names the class"),
    "a member without state": (lambda d: _documents(d)[1].pop("state"), "KeyError"),
    "fewer members": (lambda d: _documents(d).pop(), "."),
    "no members": (lambda d: d["state"].pop("named_estimators_"), "."),
    "members that are a number": (lambda d: d["state"].update(named_estimators_=3), "."),
    "a member of another horizon": (lambda d: _documents(d)[2]["parameters"].update(horizon=3), "horizon"),
    "a single predictor": (
        lambda d: d["state"].update(predictor_=_documents(d)[1]["state"]["predictor_"]), "no MeanPredictor",
    ),
    "a mean in a single forecaster": (
        lambda d: _documents(d)[1]["state"].update(predictor_=d["state"]["predictor_"]), "no Predictor",
    ),
    "an immense width": (
        lambda d: _documents(_documents(d)[0])[0]["parameters"].update(d_model=10**9), "far larger",
    ),
}  # fmt: skip


@pytest.mark.parametrize("forgery", list(FORGERIES))
def test_forged_members_end_in_one_kind_of_error(forgery, savable, tmp_path):
    change, words = FORGERIES[forgery]
    savable.save(tmp_path / "model")
    document, arrays = read_tensor_file(tmp_path / "model")
    change(document)
    kept = {key: document[key] for key in document if key not in ("format", "sha256")}
    write_tensor_file(tmp_path / "model", kept, arrays)
    with pytest.raises(ModelFileError, match=words):
        stmest.load(tmp_path / "model")


# ---------------------------------------------------------------- scikit-learn


@parametrize_with_checks(
    [ensemble().set_params(ridge__input_length=4)], expected_failed_checks=expected_failures
)
def test_common_checks(estimator, check):
    check(estimator)
