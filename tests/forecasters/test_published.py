"""`as_published`: the settings of a document, with changes, through clone, fit, files and sktime."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone

import stmest
from stmest import make_sensor_network
from stmest.forecasters.published import AsPublished
from stmest.forecasters.registry import entries

SMALL = {
    "input_length": 8,
    "horizon": 3,
    "max_epochs": 1,
    "batch_size": 32,
    "device": "cpu",
    "random_state": 0,
}
SIZES = {
    "STM3Forecaster": {"d_model": 3, "n_layers": 1, "d_state": 2},
    "S2TXForecaster": {"d_model": 8, "n_layers": 1, "d_ff": 8, "d_state": 2},
    "MADForecaster": {"width": 4, "d_model": 8, "n_layers": 1, "d_state": 2},
    "STMambaForecaster": {"d_model": 8, "n_layers": 1, "d_state": 2},
}
every_document = pytest.mark.parametrize("name", SIZES)


@pytest.fixture(scope="module")
def data():
    return make_sensor_network(n_nodes=4, n_times=120, random_state=0)


@pytest.fixture(scope="module")
def fitted(data):
    return {
        name: getattr(stmest, name).as_published(**SMALL, **sizes).fit(data.values, data.graph)
        for name, sizes in SIZES.items()
    }


def _settings(name):
    """What the documentation of the method names, by parameter."""
    doc = getattr(stmest, name).as_published.__doc__
    items = [line for line in doc.splitlines() if line.startswith("- ``")]
    return dict(item.removeprefix("- ``").split("``")[0].split("=", 1) for item in items)


def test_every_forecaster_with_a_document_is_here():
    assert {name for name, entry in entries().items() if issubclass(entry.cls, AsPublished)} == set(SIZES)


@every_document
def test_the_documentation_names_every_setting_with_its_place_and_what_remains(name):
    model, usual = getattr(stmest, name).as_published(), getattr(stmest, name)()
    parameters, settings = model.get_params(), _settings(name)
    assert {key: repr(parameters[key]) for key in settings} == settings
    changed = {key for key, value in parameters.items() if value != usual.get_params()[key]}
    assert changed <= set(settings)
    doc = " ".join(model.as_published.__doc__.split())
    assert "What remains different, and why: - " in doc
    assert all(f"{key}={value}``: " in doc for key, value in settings.items())


@every_document
def test_no_document_has_a_seasonal_mean_a_linear_forecast_or_a_calendar(name):
    parameters = getattr(stmest, name).as_published().get_params()
    assert [parameters[key] for key in ("seasonal_profile", "linear_skip", "time_features")] == [
        None,
        False,
        None,
    ]


@every_document
def test_changes_take_precedence_and_unknown_ones_are_refused(name):
    cls = getattr(stmest, name)
    model = cls.as_published(learning_rate=0.5, linear_skip=True)
    assert (model.learning_rate, model.linear_skip) == (0.5, True)
    assert cls.as_published().learning_rate != 0.5
    with pytest.raises(
        TypeError, match=f"{name} has no parameter 'learning_rat'; did you mean 'learning_rate'"
    ):
        cls.as_published(learning_rat=0.5)


@every_document
def test_it_is_an_estimator_like_any_other(name, fitted, data, tmp_path):
    model = fitted[name]
    assert clone(model).get_params() == model.get_params()
    assert clone(model).set_params(max_epochs=7).max_epochs == 7
    assert model.linear_ is None
    assert model.profile_ is None
    assert np.isfinite(model.predict()).all(axis=None)
    model.save(tmp_path / "model")
    loaded = stmest.load(tmp_path / "model", device="cpu")
    assert loaded.get_params() == model.get_params()
    np.testing.assert_array_equal(loaded.predict(data.values), model.predict(data.values))


@every_document
def test_sktime_has_it_too(name):
    twins = pytest.importorskip("stmest.sktime")
    theirs = getattr(twins, name).as_published(max_epochs=3).get_params()
    ours = getattr(stmest, name).as_published(max_epochs=3).get_params()
    assert ours.keys() - theirs.keys() == {"target", "warm_start"}
    assert {key: theirs[key] for key in ours.keys() & theirs.keys()} == {
        key: value for key, value in ours.items() if key in theirs
    }


def test_without_a_graph_the_document_of_stmamba_lets_all_nodes_attend_to_all(data):
    model = stmest.STMambaForecaster.as_published(**SMALL, **SIZES["STMambaForecaster"]).fit(data.values)
    assert (model.graph_ == 0.25).all(axis=None)


def test_losses_of_the_documents(fitted):
    assert {"train_contrastive"} <= set(fitted["STM3Forecaster"].history_)
    assert fitted["STM3Forecaster"]._loss_weights() == {"contrastive": 0.1}
    assert {"train_reconstruction"} <= set(fitted["MADForecaster"].history_)
