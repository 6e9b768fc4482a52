"""`ChronosForecaster` with a tiny model of random weights on disk, where the package is installed, and with a stand-in for it."""

import copy
import importlib.util
import pickle
import sys
import types

import numpy as np
import pandas as pd
import pytest
import torch

from stmest import ChronosForecaster, RidgeForecaster, compare, make_sensor_network
from stmest.cli.parser import main
from stmest.exceptions import MissingDependencyError, ModelFileError
from stmest.forecasters import chronos

HERE = importlib.util.find_spec("chronos") is not None


class StandIn:
    """Repeats the last observed value, with one quantile to either side of it."""

    quantiles = [0.1, 0.5, 0.9]  # noqa: RUF012

    def __init__(self):
        self.model = torch.nn.Linear(2, 3)

    @classmethod
    def from_pretrained(cls, folder, device_map):
        with open(f"{folder}/config.json") as file:
            assert file.read() == "stand-in", "Not a Chronos config file"
        return cls()

    def predict(self, series, prediction_length, batch_size):
        assert series.dtype == np.float32
        assert series.shape[1] == 1
        out = []
        for one in series:
            seen = one[0][np.isfinite(one[0])]
            out.append(
                torch.tensor([-1.0, 0.0, 1.0])[None, :, None].expand(1, 3, prediction_length) + seen[-1]
            )
        return out


def real_weights(folder):
    from chronos.chronos2.config import Chronos2CoreConfig
    from chronos.chronos2.model import Chronos2Model

    sizes = {
        "context_length": 64, "output_patch_size": 4, "input_patch_size": 4, "input_patch_stride": 4,
        "quantiles": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
        "use_reg_token": True, "use_arcsinh": True, "max_output_patches": 4, "time_encoding_scale": 64,
    }  # fmt: skip
    config = Chronos2CoreConfig(
        d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, chronos_config=sizes,
        architectures=["Chronos2Model"], chronos_pipeline_class="Chronos2Pipeline",
    )  # fmt: skip
    torch.manual_seed(0)
    Chronos2Model(config).save_pretrained(folder)


@pytest.fixture(autouse=True)
def _forget_loaded():
    chronos._loaded.cache_clear()
    yield
    chronos._loaded.cache_clear()


@pytest.fixture(
    params=["stand-in", pytest.param("package", marks=pytest.mark.skipif(not HERE, reason="no chronos here"))]
)
def weights(request, tmp_path, monkeypatch):
    folder = tmp_path / "weights"
    folder.mkdir()
    if request.param == "package":
        real_weights(folder)
    else:
        (folder / "config.json").write_text("stand-in")
        monkeypatch.setitem(sys.modules, "chronos", types.SimpleNamespace(Chronos2Pipeline=StandIn))
    return folder


@pytest.fixture
def X():
    return make_sensor_network(n_nodes=3, n_times=240, missing=0.1, random_state=0).values


def test_forecasts_carry_names_and_times_and_no_bit_changes_on_the_way(weights, X):
    model = ChronosForecaster(model=weights, input_length=24, horizon=6).fit(X[:200])
    forecast = model.predict(X[:220])
    assert forecast.columns.tolist() == X.columns.tolist()
    assert forecast.index[0] == X.index[220]
    assert model.context_length_ == 24
    assert model.n_parameters_ > 0
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        pd.testing.assert_frame_equal(other.predict(X[:220]), forecast)


def test_each_node_is_a_series_of_its_own(weights, X):
    model = ChronosForecaster(model=weights, input_length=24, horizon=6).fit(X)
    alone = ChronosForecaster(model=weights, input_length=24, horizon=6).fit(X[["s1"]])
    np.testing.assert_allclose(model.predict()["s1"], alone.predict()["s1"], rtol=1e-5)


def test_windows_are_forecast_as_one_by_one(weights, X):
    model = ChronosForecaster(model=weights, input_length=16, horizon=4).fit(X)
    _, forecasts = model.predict_windows(X[-40:])
    np.testing.assert_allclose(forecasts[3], model.predict(X.iloc[-40:][3:19]), rtol=1e-5)


def test_units_and_levels_do_not_matter(weights, X):
    plain = ChronosForecaster(model=weights, input_length=16, horizon=4).fit(X).predict()
    other = ChronosForecaster(model=weights, input_length=16, horizon=4).fit(1e-3 * X + 1e5).predict()
    np.testing.assert_allclose((other - 1e5) / 1e-3, plain, rtol=1e-3, atol=1e-3)


def test_a_node_without_observations_is_forecast_as_its_mean(weights, X):
    model = ChronosForecaster(model=weights, input_length=16, horizon=4).fit(X)
    later = X[-30:].copy()
    later["s0"] = np.nan
    forecast = model.predict(later)
    np.testing.assert_allclose(forecast["s0"], model.scaler_.center[0, 0])
    assert np.isfinite(forecast).all(axis=None)


def test_intervals_features_and_roll_out(weights):
    X = np.random.default_rng(0).normal(size=(200, 3, 2))
    model = ChronosForecaster(model=weights, input_length=16, horizon=4, target=1).fit(X)
    lower, upper = model.predict_interval(coverage=0.8)
    forecast = model.predict()
    assert (lower <= forecast).all()
    assert (forecast <= upper).all()
    assert ChronosForecaster(model=weights, input_length=16, horizon=4).fit(X).predict(steps=10).shape == (
        10,
        3,
        2,
    )


def test_short_data_have_a_short_look_back(weights, X):
    assert ChronosForecaster(model=weights, horizon=2).fit(X[:40]).context_length_ == 10


def test_it_counts_as_a_network_in_the_verdict(weights, X):
    models = {
        "chronos-2": ChronosForecaster(model=weights, input_length=16, horizon=4),
        "ridge": RidgeForecaster(input_length=8, horizon=4),
    }
    report = compare(models, X)
    assert [row.error for row in report.rows] == [None, None]
    assert report["chronos-2"].network
    assert not report["ridge"].network


def test_weights_of_something_else_are_refused(weights, X, tmp_path):
    (weights / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(
        ModelFileError, match=r"holds no weights of Chronos-2 .*config\.json and model\.safetensors"
    ):
        ChronosForecaster(model=weights).fit(X)


@pytest.mark.skipif(not HERE, reason="no chronos here")
@pytest.mark.parametrize("name", ["nobody/nothing", "no such folder/at/all"])
def test_without_weights_one_sentence_says_how_to_get_them(X, name, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        MissingDependencyError, match=r"not on this machine, and nothing is downloaded unasked.*hf download"
    ):
        ChronosForecaster(model=name).fit(X)


def test_without_the_package_one_sentence_in_its_row_says_what_to_install(tmp_path, monkeypatch, capsys, X):
    monkeypatch.setitem(sys.modules, "chronos", None)
    X.to_csv(tmp_path / "values.csv")
    code = main(
        [
            "report",
            "--data",
            str(tmp_path / "values.csv"),
            "--models",
            "last-value,chronos-2",
            "--out",
            str(tmp_path),
        ]
    )
    shown = capsys.readouterr().out
    assert code == 1
    assert 'pip install "stmest[chronos]"' in shown
    assert "last-value is best" in shown
