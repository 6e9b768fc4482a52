"""Models that earlier versions saved open, forecast what they did, and learn on: for ever."""

from __future__ import annotations

import pandas as pd
import pytest

import stmest
from tests.forecasters.small import FIELD_NAMES, saved_names

from .make import FOLDER, VERSION, forecast, observations, rows

MODELS = sorted(FOLDER.glob("*.safetensors"))


def test_every_forecaster_has_a_golden_model():
    have = {path.stem.rpartition("-")[0] for path in MODELS if path.stem.endswith(VERSION)}
    assert {*saved_names(), *FIELD_NAMES} - have == set(), "run: python -m tests.golden.make"


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_golden_models_forecast_what_they_did(path):
    model = stmest.load(path, device="cpu")
    X = observations(path.stem.rpartition("-")[0])
    expected = pd.read_csv(path.with_suffix(".csv"))
    # other processors and versions of torch sum in another order
    pd.testing.assert_frame_equal(
        forecast(model, X), expected, rtol=0, atol=1e-5 * float(rows().std().mean())
    )
    if isinstance(X, pd.DataFrame):
        assert model.context_.index[-1] == X.index[99]
        assert model.nodes_ == list(X.columns)
    if "warm_start" in model.get_params():
        model.set_params(warm_start=True).fit(X)
        assert model.n_iter_ > 1
