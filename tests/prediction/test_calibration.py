"""The time steps that intervals are calibrated on: which windows are taken, and how they move on."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from stmest import RidgeForecaster
from stmest.data.containers import as_panel
from stmest.prediction import calibration as module
from stmest.prediction.calibration import Calibration


@pytest.fixture
def fitted():
    index = pd.date_range("2024-01-01", periods=48, freq="h")
    values = np.random.default_rng(0).normal(size=(48, 2)).cumsum(0)
    return RidgeForecaster(input_length=4, horizon=2, seasonal_profile=None).fit(
        pd.DataFrame(values, index=index)
    )


def test_origins_are_all_windows_or_an_even_selection(fitted, monkeypatch):
    rows = Calibration(fitted.predictor_, None, as_panel(np.zeros((20, 2))), 4, None, False)
    assert rows.origins(2).tolist() == list(range(15))
    assert rows.origins(17).tolist() == []
    monkeypatch.setattr(module, "_MOST_ORIGINS", 3)
    assert rows.origins(2).tolist() == [0, 7, 14]


def test_no_origin_crosses_from_one_trajectory_to_the_next(fitted):
    bounds = np.array([-3, 8, 20])
    rows = Calibration(fitted.predictor_, None, as_panel(np.zeros((20, 2))), 4, bounds, False)
    assert rows.origins(2).tolist() == [0, 1, 2, *range(8, 15)]


def test_rows_move_on_and_stay_as_many(fitted):
    before = fitted.calibration_
    assert before.rows.n_times == 6 + 4
    assert before.rows.clock == 38
    later = pd.DataFrame([[5.0, 6.0]] * 3, index=pd.date_range("2024-01-03", periods=3, freq="h"))
    moved = fitted.update(later).calibration_
    assert moved.rows.n_times == before.rows.n_times
    assert moved.rows.clock == 41
    assert moved.rows.values.dtype == np.float64
    np.testing.assert_array_equal(moved.rows.values[:-3], before.rows.values[3:])
    assert list(moved.rows.index[-3:]) == list(later.index)


def test_errors_are_computed_once_and_never_pickled(fitted):
    widths = fitted.calibration_.half_widths(fitted.context_, 2, 0.5)
    kept = fitted.calibration_._errors[2]
    fitted.calibration_.half_widths(fitted.context_, 2, 0.4)
    assert fitted.calibration_._errors[2] is kept
    again = pickle.loads(pickle.dumps(fitted.calibration_))
    assert again._errors == {}
    np.testing.assert_array_equal(again.half_widths(fitted.context_, 2, 0.5), widths)
