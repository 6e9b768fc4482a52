"""What a report says about its data."""

from __future__ import annotations

import numpy as np
import pandas as pd

from stmest.data.containers import as_panel
from stmest.evaluation.summary import summarise


def test_gaps_constants_and_missing_values_are_counted():
    index = pd.date_range("2024-01-01", periods=11, freq="1h").delete(4)
    frame = pd.DataFrame(np.arange(40.0).reshape(10, 4), index=index, columns=list("abcd"))
    frame.iloc[2:5, 0] = np.nan
    frame.iloc[7, 0] = np.nan
    frame["b"] = 3.0
    frame.iloc[0, 1] = np.nan
    frame["c"] = np.nan
    summary = summarise(as_panel(frame))
    assert (summary["n_times"], summary["n_nodes"], summary["n_features"]) == (10, 4, 1)
    assert summary["missing_by_node"] == [0.4, 0.1, 1.0, 0.0]
    assert summary["missing_share"] == 0.375
    assert summary["longest_missing_run"] == 10
    assert summary["constant_nodes"] == ["b"]
    assert summary["unobserved_nodes"] == ["c"]
    assert (summary["gaps"], summary["step"]) == (1, "0 days 01:00:00")
    assert summary["first_time"] == "2024-01-01 00:00:00"
    frame["c"] = frame["d"]
    assert summarise(as_panel(frame))["longest_missing_run"] == 3


def test_plain_arrays_have_positions_and_no_times():
    values = np.random.default_rng(0).normal(size=(6, 2, 2))
    values[:, 1] = 0.0
    summary = summarise(as_panel(values))
    assert summary["constant_nodes"] == [1]
    assert summary["longest_missing_run"] == 0
    assert "step" not in summary
    assert "first_time" not in summary
