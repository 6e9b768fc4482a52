"""Names of rows and columns of a frame: they come back, and what a file leaves in them is no node."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stmest import LastValue, load
from stmest.data.containers import as_panel
from stmest.exceptions import DataError

HOURS = pd.date_range("2024-01-01", periods=30, freq="h")
DAYS = pd.date_range("2024-01-01", periods=3)
INDEXES = {
    "dates": HOURS,
    "rows": pd.RangeIndex(30),
    "numbers": pd.Index(range(5, 35)),
    "periods": pd.period_range("2024-01", periods=30, freq="M"),
}


@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize("columns", ["one level", "pairs", "swapped", "unnamed"])
def test_names_of_index_and_columns_come_back(index, columns, tmp_path):
    pairs = pd.MultiIndex.from_product([["a", "b"], ["flow", "speed"]], names=["station", "quantity"])
    names = {
        "one level": pd.Index(["a", "b"], name="station"),
        "pairs": pairs,
        "swapped": pairs.swaplevel(),
        "unnamed": pd.Index(["a", "b"]),
    }[columns]
    X = pd.DataFrame(
        np.random.default_rng(0).normal(size=(30, len(names))), INDEXES[index].rename("t"), names
    )
    model = LastValue(horizon=2).fit(X)
    for forecaster in (model, _again(model, tmp_path)):
        for forecast in (
            forecaster.predict(),
            forecaster.predict(X.iloc[:20]),
            *forecaster.predict_interval(coverage=0.5),
        ):
            assert forecast.index.name == "t"
            assert forecast.columns.names == names.names
            assert set(forecast.columns) == set(names)


def _again(model, folder):
    model.save(folder / "model.safetensors")
    return load(folder / "model.safetensors")


def test_the_name_of_the_columns_of_a_long_frame_comes_back():
    rows = pd.MultiIndex.from_product([HOURS, ["a", "b"]], names=["time", "node"])
    X = pd.DataFrame({"y": np.arange(60.0)}, index=rows).rename_axis(columns="quantity")
    assert LastValue(horizon=2).fit(X).predict().columns.name == "quantity"


@pytest.mark.parametrize(
    "names",
    [DAYS, DAYS.to_period("D"), DAYS.strftime("%Y-%m-%d"), DAYS.strftime("%Y%m%d")],
)
@pytest.mark.parametrize("rows", [pd.RangeIndex(30), pd.Index(range(400001, 400031))])
def test_a_frame_with_a_row_per_node_is_refused(names, rows):
    X = pd.DataFrame(np.zeros((30, 3)), index=rows, columns=list(names))
    with pytest.raises(DataError, match=r"columns of X are times.*X\.T"):
        as_panel(X)
    assert as_panel(X.set_axis(HOURS)).values.shape == (
        30,
        3,
        1,
    )  # names that look like times, and rows that are


def test_columns_that_a_file_leaves_are_refused():
    X = pd.DataFrame({"a": np.ones(30), "Unnamed: 3": np.nan}, index=HOURS)
    with pytest.raises(DataError, match=r"'Unnamed: 3'.*has no value.*X\.drop"):
        as_panel(X)
    with pytest.raises(DataError, match=r"'Unnamed: 0'.*numbers the rows"):
        as_panel(pd.DataFrame({"Unnamed: 0": range(30), "a": np.ones(30)}, index=HOURS))
    assert as_panel(X.assign(**{"Unnamed: 3": 5.0})).values.shape == (30, 2, 1)
    assert as_panel(X[["a"]].assign(b=np.nan)).values.shape == (30, 2, 1)
