"""Promise: whatever the numbers, the shapes and the settings, fit and predict succeed or refuse; nothing else happens.

Success means finite forecasts of the promised shape; a refusal is a `StmestError`. Anything else, a warning included,
fails the test, and hypothesis shows the smallest case.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stmest import STM3Forecaster, STMambaForecaster
from stmest.exceptions import StmestError
from tests.crossing import crossed

from .common import FORECASTERS, make

FEW = settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

ANY_NUMBER = st.floats(allow_nan=True, allow_infinity=True, width=64)
VALUE = st.one_of(
    st.floats(-1e3, 1e3, width=32), st.just(float("nan")), st.sampled_from([0.0, 1e-30, 1e18, -1e18, 3e7])
)
SHAPES = st.tuples(st.integers(9, 40), st.integers(1, 4))


def check(model: Any, X: Any, horizon: int) -> None:
    """Fit, predict, score and update."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            forecast = model.fit(X).predict()
            windows = model.predict_windows(X)[1]
            again = model.update(X).predict() if not isinstance(X, pd.DataFrame) else forecast
            model.score(X)
    except StmestError:
        return
    values = np.asarray(forecast, dtype=float)
    assert values.shape[0] == horizon
    assert np.isfinite(values).all()
    assert np.isfinite(windows).all()
    assert np.isfinite(np.asarray(again, dtype=float)).all()


@pytest.mark.parametrize("name", crossed(FORECASTERS))
@given(data=st.data())
@FEW
def test_values_of_any_size(name, data):
    X = data.draw(arrays.arrays(np.float64, SHAPES, elements=VALUE))
    check(make(name), X, 3)


@pytest.mark.parametrize("name", crossed(FORECASTERS))
@given(data=st.data())
@FEW
def test_any_array(name, data):
    """Any number at all, any shape up to four axes, any dtype that numpy knows."""
    dtype = data.draw(
        st.one_of(
            arrays.floating_dtypes(), arrays.integer_dtypes(), arrays.boolean_dtypes(), arrays.scalar_dtypes()
        )
    )
    X = data.draw(arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=14)))
    check(make(name), X, 3)


@pytest.mark.parametrize("name", crossed(FORECASTERS))
@given(data=st.data())
@FEW
def test_any_time_index(name, data):
    n_times = data.draw(st.integers(9, 24))
    start = data.draw(st.datetimes(pd.Timestamp("1700-01-01"), pd.Timestamp("2250-01-01")))
    zone = data.draw(st.sampled_from([None, "UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"]))
    step = data.draw(st.sampled_from(["s", "7min", "h", "D", "B", "W", "MS", "YS"]))
    index = pd.date_range(start, periods=n_times, freq=step, tz="UTC").tz_convert(zone)
    rows = data.draw(st.lists(st.integers(0, n_times - 1), min_size=n_times, max_size=n_times))
    kind = data.draw(st.sampled_from(["as it is", "irregular", "any order", "period"]))
    if kind == "irregular":
        index = index[sorted(set(rows))]
    elif kind == "any order":
        index = index[rows]
    elif kind == "period" and step in "sDh":
        index = index.tz_localize(None).to_period(step)
    values = np.random.default_rng(0).normal(size=(len(index), 2))
    check(make(name), pd.DataFrame(values, index=index, columns=["a", "b"]), 3)


SETTINGS = {
    "STM3Forecaster": (
        STM3Forecaster,
        {
            "scales": st.lists(st.integers(0, 5), max_size=3).map(tuple),
            "d_model": st.integers(0, 5),
            "n_experts": st.integers(0, 3),
            "top_k": st.integers(0, 3),
            "shared_expert": st.booleans(),
            "node_embedding_dim": st.integers(0, 6),
            "cheb_order": st.integers(0, 4),
            "instance_norm": st.booleans(),
            "routing": st.sampled_from(["node", "input"]),
            "contrastive_weight": st.floats(0, 1),
            "head_width": st.integers(0, 4),
        },
    ),
    "STMambaForecaster": (
        STMambaForecaster,
        {
            "d_model": st.integers(0, 6),
            "n_heads": st.integers(0, 3),
            "temporal": st.booleans(),
            "bidirectional": st.booleans(),
            "feed_forward": st.integers(0, 2),
            "node_embedding_dim": st.integers(0, 4),
            "head": st.sampled_from(["flatten", "last"]),
            "head_width": st.integers(0, 4),
        },
    ),
}
SHARED = {
    "input_length": st.integers(0, 7),
    "horizon": st.integers(0, 4),
    "d_state": st.integers(0, 3),
    "d_conv": st.integers(0, 5),
    "expand": st.integers(0, 2),
    "n_layers": st.integers(1, 2),
    "dropout": st.floats(0, 1),
    "scaler": st.sampled_from(["standard", "minmax", "robust", None]),
    "batch_size": st.integers(0, 40),
    "learning_rate": st.floats(0, 10),
    "loss": st.sampled_from(["mae", "mse", "huber"]),
    "node_weights": st.sampled_from(["scale", "equal"]),
    "lr_schedule": st.sampled_from(["cosine", "one_cycle", None]),
    "validation_fraction": st.floats(0, 1),
    "patience": st.one_of(st.none(), st.integers(0, 2)),
    "grad_clip": st.one_of(st.none(), st.floats(0, 10)),
    "weight_decay": st.floats(0, 10),
}


@pytest.mark.parametrize("name", SETTINGS)
@given(data=st.data())
@FEW
def test_any_settings(name, data):
    forecaster, own = SETTINGS[name]
    parameters = data.draw(st.fixed_dictionaries({}, optional={**SHARED, **own}))
    model = forecaster(**{"input_length": 4, "horizon": 2, "max_epochs": 1, "random_state": 0, **parameters})
    X = np.random.default_rng(0).normal(size=(30, 3))
    check(model, X, model.horizon)
