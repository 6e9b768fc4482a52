"""What a report says about its data."""

from __future__ import annotations

import numpy as np
import pandas as pd

from stmest.data.containers import as_panel
from stmest.evaluation.summary import summarise


def test_gaps_constants_and_missing_readings_are_counted():
    index = pd.date_range("2024-01-01", periods=11, freq="1h").delete(4)
    frame = pd.DataFrame(np.arange(40.0).reshape(10, 4), index=index, columns=list("abcd"))
    frame.iloc[2:5, 0] = np.nan
    frame.iloc[7, 0] = np.nan
    frame["b"] = 3.0
    frame.iloc[0, 1] = np.nan
    frame["c"] = np.nan
    told = summarise(as_panel(frame))
    assert (told["n_times"], told["n_nodes"], told["n_features"]) == (10, 4, 1)
    assert told["missing_by_node"] == [0.4, 0.1, 1.0, 0.0]
    assert told["missing_share"] == 0.375
    assert told["longest_missing_run"] == 10
    assert told["constant_nodes"] == ["b"]
    assert told["unobserved_nodes"] == ["c"]
    assert (told["gaps"], told["step"]) == (1, "0 days 01:00:00")
    assert told["first_time"] == "2024-01-01 00:00:00"
    frame["c"] = frame["d"]
    assert summarise(as_panel(frame))["longest_missing_run"] == 3


def test_plain_arrays_have_positions_and_no_times():
    values = np.random.default_rng(0).normal(size=(6, 2, 2))
    values[:, 1] = 0.0
    told = summarise(as_panel(values))
    assert told["constant_nodes"] == [1]
    assert told["longest_missing_run"] == 0
    assert "step" not in told
    assert "first_time" not in told
