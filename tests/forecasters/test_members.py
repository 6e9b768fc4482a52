"""Several networks in one forecaster: each is what it would be alone, and forecasts are their mean."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from skorch.callbacks import Callback

import stmest
from stmest.exceptions import ModelFileError, ParameterError
from stmest.forecasters import network as network_module
from stmest.storage.tensor_file import read_tensor_file, write_tensor_file
from tests.crossing import crossed

from .small import network_names, small
from .tiny import TinyForecaster


class Killed(Exception):
    """What a kill leaves behind, without the kill."""


class StopAt(Callback):
    """Ends a training in a batch, as a kill or Ctrl-C would."""

    def __init__(self, n_batches, error=Killed):
        self.n_batches, self.error, self.seen = n_batches, error, 0

    def on_batch_end(self, net, training=False, **kwargs):
        self.seen += training
        if training and self.seen == self.n_batches:
            raise self.error


@dataclass(kw_only=True, eq=False, repr=False)
class SmallForecaster(TinyForecaster):
    """A `TinyForecaster` of two epochs with a seed."""

    random_state: int | None = 3
    seasonal_profile: int | None = None


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    values = np.sin(np.arange(200)[:, None] / 4 + np.arange(3)) + 0.3 * rng.normal(size=(200, 3))
    times = pd.date_range("2024-01-01", periods=200, freq="h")
    return pd.DataFrame(values, times, list("abc"))


BATCHES = -(-(175 - 5) // 32)  # of an epoch without a linear forecast, which has no folds


def same_weights(first, second):
    mine, other = first.state_dict(), second.state_dict()
    return all(torch.equal(mine[name], other[name]) for name in mine)


def same(first, second):
    """Whether two forecasters agree in every bit of what they learnt and recorded."""
    timeless = [model.history_.drop(columns="seconds") for model in (first, second)]
    pd.testing.assert_frame_equal(*timeless, check_exact=True)
    pairs = zip(first.networks_, second.networks_, strict=True)
    return first.best_epoch_ == second.best_epoch_ and all(same_weights(*pair) for pair in pairs)


def of_member(model, number):
    rows = model.history_[model.history_["member"] == number]
    return rows.drop(columns=["member", "seconds"]).reset_index(drop=True)


# ---------------------------------------------------------------- fit


@pytest.mark.parametrize("linear_skip", [True, False])
def test_the_first_member_is_the_network_alone(X, linear_skip):
    single = SmallForecaster(linear_skip=linear_skip).fit(X)
    three = SmallForecaster(linear_skip=linear_skip, n_members=3).fit(X)
    assert single.networks_ == (single.network_,)
    assert three.network_ is three.networks_[0]
    assert same_weights(three.network_, single.network_)
    assert not same_weights(three.network_, three.networks_[1])
    assert not same_weights(three.networks_[1], three.networks_[2])
    assert three.best_epoch_ == single.best_epoch_
    pd.testing.assert_frame_equal(of_member(three, 0), single.history_.drop(columns="seconds"))
    assert "member" not in single.history_
    assert list(three.history_["member"]) == [0, 0, 1, 1, 2, 2]
    assert list(three.history_["epoch"]) == [1, 2] * 3
    assert three.history_.attrs == single.history_.attrs
    assert (single.n_iter_, three.n_iter_) == (2, 6)
    assert three.n_parameters_ == single.n_parameters_
    weights = three.predictor_.rule.residual_weights
    assert weights[0] == single.residual_weight_
    assert three.residual_weight_ == pytest.approx(np.mean(weights))


def test_season_linear_forecast_and_folds_are_computed_once(X, monkeypatch):
    calls = []
    for name in ("learn_past", "select_ensemble", "NodeScaler"):
        original = getattr(network_module, name)
        monkeypatch.setattr(
            network_module, name, lambda *a, _f=original, _n=name, **k: calls.append(_n) or _f(*a, **k)
        )
    SmallForecaster(n_members=3).fit(X)
    assert sorted(calls) == ["NodeScaler", "learn_past", "select_ensemble"]


@pytest.mark.parametrize("n_members", [0, -1, 1.5, True, "3", None])
def test_numbers_of_members_that_cannot_be(X, n_members):
    with pytest.raises(ParameterError, match=r"n_members.*in the range"):
        SmallForecaster(n_members=n_members).fit(X)


def test_a_fit_that_fails_in_a_later_member_leaves_all_as_it_was(X):
    model = SmallForecaster(n_members=2).fit(X)
    before = dict(vars(model))
    last = model.set_params(callbacks=[StopAt(2 * 2 * BATCHES - 1)])
    with pytest.raises(Killed):
        last.set_params(linear_skip=False).fit(X)
    model.set_params(linear_skip=True, callbacks=None)
    assert all(vars(model)[name] is value for name, value in before.items())
    assert vars(model).keys() == before.keys()


# ---------------------------------------------------------------- forecasts


def test_forecasts_are_the_mean_over_the_members(X):
    model = SmallForecaster(n_members=3).fit(X)
    predictor, panel, starts = model.predictor_, model.input_.read(X), np.arange(0, 150, 7)
    weights = (0.25, 1.0, 0.75)
    alone = [
        predictor.with_networks([network], model.device_, [weight]).forecast(panel, starts)
        for network, weight in zip(model.networks_, weights, strict=True)
    ]
    together = predictor.with_networks(model.networks_, model.device_, weights).forecast(panel, starts)
    np.testing.assert_allclose(together, np.mean(alone, axis=0), rtol=1e-6)
    assert not np.allclose(together, alone[0])


def test_members_of_weight_zero_count_and_are_not_run(X, monkeypatch):
    model = SmallForecaster(n_members=2).fit(X)
    panel, starts = model.input_.read(X), np.arange(5)

    def forecast(networks, weights):
        return model.predictor_.with_networks(networks, model.device_, weights).forecast(panel, starts)

    first, second = model.networks_
    linear = forecast([first], [0.0])
    half = (linear + forecast([first], [1.0])) / 2
    monkeypatch.setattr(second, "forward", None)
    np.testing.assert_allclose(forecast([first, second], [1.0, 0.0]), half, rtol=1e-6)
    np.testing.assert_array_equal(forecast([second, second], [0.0, 0.0]), linear)


def test_intervals_and_update_use_all_members(X):
    model = SmallForecaster(n_members=2).fit(X.iloc[:150])
    assert model.calibration_.predictor.rule.networks == model.networks_
    lower, upper = model.predict_interval()
    assert (lower < upper).all(axis=None)
    model.update(X.iloc[150:])
    assert model.predict().index[0] == X.index[-1] + pd.Timedelta("1h")


# ---------------------------------------------------------------- pickles and model files


@pytest.mark.parametrize("name", crossed(network_names()))
def test_every_forecaster_has_members_that_are_saved_and_learn_on(name, X, tmp_path):
    model = small(name, n_members=2, warm_start=True).fit(X, np.eye(3)[[1, 2, 0]])
    model.save(tmp_path / "model")
    copies = [
        stmest.load(tmp_path / "model", device="cpu"),
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
    ]
    for other in copies:
        assert same(other, model)
        pd.testing.assert_frame_equal(other.predict(), model.predict(), check_exact=True)
        pd.testing.assert_frame_equal(
            other.predict_interval()[0], model.predict_interval()[0], check_exact=True
        )
    copies[0].save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()
    model.fit(X)
    assert same(copies[0].fit(X), model)


def test_a_model_file_with_too_few_or_too_many_members_is_refused(X, tmp_path):
    path = tmp_path / "model"
    small("DLinearForecaster", n_members=2).fit(X).save(path)
    document, arrays = read_tensor_file(path)
    document = {key: value for key, value in document.items() if key not in ("format", "sha256")}
    weights = document["state"]["weights_"]
    for members in (weights[:1], weights * 2, []):
        document["state"]["weights_"] = members
        write_tensor_file(path, document, arrays)
        with pytest.raises(ModelFileError, match=r"residual_weights has shape|refer to the same"):
            stmest.load(path)


# ---------------------------------------------------------------- warm start


def test_a_warm_start_continues_every_member(X):
    single = SmallForecaster(warm_start=True).fit(X).fit(X)
    model = SmallForecaster(warm_start=True, n_members=2).fit(X)
    before = [{name: w.clone() for name, w in network.state_dict().items()} for network in model.networks_]
    networks = model.networks_
    model.fit(X)
    for network, weights in zip(networks, before, strict=True):
        assert all(torch.equal(network.state_dict()[name], w) for name, w in weights.items())
    assert same_weights(model.network_, single.network_)
    pd.testing.assert_frame_equal(of_member(model, 0), single.history_.drop(columns="seconds"))
    assert list(model.history_["epoch"]) == [1, 2, 3, 4] * 2
    assert list(model.history_["member"]) == [0] * 4 + [1] * 4
    assert list(model.history_.index) == list(range(8))
    assert model.best_epoch_ == single.best_epoch_
    assert model.calibration_.predictor.rule.networks == model.networks_


def test_a_warm_start_with_another_number_of_members_is_refused(X):
    model = SmallForecaster(warm_start=True, n_members=2).fit(X)
    with pytest.raises(ParameterError, match=r"continues the 2 network\(s\).*n_members=3"):
        model.set_params(n_members=3).fit(X)
    assert len(model.networks_) == 2


def test_every_member_starts_from_its_own_weights_of_another_fit(X):
    pretrained = SmallForecaster(n_members=2, linear_skip=False, learning_rate=0.05).fit(X)
    model = SmallForecaster(n_members=2, linear_skip=False, learning_rate=1e-12, random_state=9)
    model.first_weights = [network.state_dict() for network in pretrained.networks_]
    model.fit(X)
    for network, given in zip(model.networks_, pretrained.networks_, strict=True):
        weights = network.state_dict()
        assert all(weights[name].allclose(w, atol=1e-9) for name, w in given.state_dict().items())


# ---------------------------------------------------------------- interruptions


def test_a_training_killed_in_the_second_member_resumes_there(X, tmp_path):
    settings = {"linear_skip": False, "n_members": 3, "max_epochs": 3}
    unbroken = SmallForecaster(**settings, callbacks=[StopAt(-1)]).fit(X)
    model = SmallForecaster(**settings, checkpoint_dir=tmp_path, callbacks=[StopAt(4 * BATCHES + 2)])
    with pytest.raises(Killed):
        model.fit(X)
    assert len(list(tmp_path.iterdir())) == 2
    counting = StopAt(-1)
    assert same(model.set_params(callbacks=[counting]).fit(X), unbroken)
    assert counting.seen == 5 * BATCHES  # two epochs of the second member, three of the third
    assert len(list(tmp_path.iterdir())) == 3


def test_more_members_train_the_further_ones_only(X, tmp_path):
    settings = {"linear_skip": False, "checkpoint_dir": tmp_path}
    SmallForecaster(**settings, callbacks=[StopAt(-1)]).fit(X)
    counting = StopAt(-1)
    three = SmallForecaster(**settings, n_members=3, callbacks=[counting]).fit(X)
    assert counting.seen == 2 * 2 * BATCHES
    assert same(three, SmallForecaster(linear_skip=False, n_members=3).fit(X))


ALSO = "ignore:training was interrupted after 1 finished epoch"  # of the member itself


@pytest.mark.filterwarnings(ALSO)
@pytest.mark.parametrize(("epoch", "kept"), [(2, 2), (1, 1)], ids=["finished an epoch", "in the first epoch"])
def test_ctrl_c_in_the_second_member_ends_the_training_and_keeps_what_there_is(X, epoch, kept):
    model = SmallForecaster(linear_skip=False, n_members=3)
    stop = StopAt((2 + epoch) * BATCHES - 1, KeyboardInterrupt)
    with pytest.warns(UserWarning, match=f"the first {kept} of 3 members were trained"):
        model.set_params(callbacks=[stop]).fit(X)
    assert len(model.networks_) == len(model.predictor_.rule.residual_weights) == kept
    assert ("member" in model.history_) == (kept > 1)
    assert np.isfinite(model.predict()).all(axis=None)
    model.set_params(callbacks=None, warm_start=True)
    with pytest.raises(ParameterError, match=f"Use n_members={kept}"):
        model.fit(X)
    assert model.set_params(n_members=kept).fit(X).n_iter_ == kept * 2 + (2 if kept == 1 else 3)


@pytest.mark.filterwarnings(ALSO)
def test_ctrl_c_in_a_warm_start_leaves_the_later_members_as_they_were(X):
    model = SmallForecaster(linear_skip=False, n_members=3, warm_start=True).fit(X)
    last, history = model.networks_[2], of_member(model, 2)
    model.set_params(callbacks=[StopAt(4 * BATCHES - 1, KeyboardInterrupt)])
    with pytest.warns(UserWarning, match="the first 2 of 3 members were trained"):
        model.fit(X)
    assert len(model.networks_) == 3
    assert model.networks_[2] is last
    assert list(model.history_["member"].value_counts(sort=False)) == [4, 3, 2]
    pd.testing.assert_frame_equal(of_member(model, 2), history)


def test_ctrl_c_in_the_first_epoch_of_the_first_member_is_raised(X):
    with pytest.raises(KeyboardInterrupt):
        SmallForecaster(n_members=2, callbacks=[StopAt(1, KeyboardInterrupt)]).fit(X)
