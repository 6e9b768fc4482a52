"""Times in files: every reader has the one of `stmest.data.times`, and the command line what it makes of them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from stmest.cli import main
from stmest.exceptions import DataError
from stmest.io.fields import read_field
from stmest.io.tables import read_table

HOURS = pd.date_range("2024-03-01", periods=8 * 24, freq="h")
WRITTEN = {
    "day first": [f"{time:%d.%m.%Y %H:%M}" for time in HOURS],
    "day first, slashes": [f"{time:%d/%m/%Y %H:%M}" for time in HOURS],
    "month first": [f"{time:%m/%d/%Y %I:%M %p}" for time in HOURS],
    "epoch seconds": HOURS.as_unit("s").asi8,
    "epoch milliseconds": HOURS.as_unit("ms").asi8,
    "one number": [int(f"{time:%Y%m%d%H}") for time in HOURS],
    "ISO": [time.isoformat() for time in HOURS],
    "midnight without an hour": [f"{time:%Y-%m-%d}" if time.hour == 0 else str(time) for time in HOURS],
    "a spreadsheet": 45352 + np.arange(len(HOURS)) / 24,
}


def _write(frame, kind, folder):
    path = folder / f"data.{kind}"
    if kind == "parquet":
        frame.to_parquet(path)
    elif kind == "npz":
        np.savez(
            path, values=frame[["a"]].to_numpy(), time=np.array(frame["time"].tolist()), nodes=np.array(["a"])
        )
    else:
        frame.to_csv(path, index=False, sep={"csv": ",", "txt": ";", "tsv": "\t"}[kind])
    return path


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("kind", ["csv", "txt", "tsv", "parquet", "npz"])
def test_wide_files(written, kind, tmp_path):
    frame = pd.DataFrame({"time": WRITTEN[written], "a": np.arange(len(HOURS)) + 0.5})
    X, _ = read_table(_write(frame, kind, tmp_path))
    assert list(X.index) == list(HOURS)
    assert X.columns.tolist() == ["a"]


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_long_files(written, kind, tmp_path):
    one = pd.DataFrame({"time": WRITTEN[written], "node": "a", "value": np.arange(len(HOURS)) + 0.5})
    for frame in (
        pd.concat([one, one.assign(node="b")]),
        pd.concat([one, one.assign(node="b")]).sample(frac=1, random_state=0),
    ):
        X, _ = read_table(_write(frame, kind, tmp_path))
        assert list(X.index) == list(HOURS)
        np.testing.assert_array_equal(X["b"], one["value"])


def test_times_in_several_columns_of_a_file(tmp_path):
    parts = {"No": range(192), "year": HOURS.year, "month": HOURS.month, "day": HOURS.day, "hour": HOURS.hour}
    for columns in (
        parts,
        {"Date": HOURS.strftime("%d/%m/%Y"), "Time": HOURS.strftime("%H.%M.%S")},
        {"date": HOURS.strftime("%Y%m%d"), "hour": HOURS.hour},
    ):
        X, _ = read_table(_write(pd.DataFrame({**columns, "a": 1.0}), "csv", tmp_path))
        assert list(X.index) == list(HOURS)
        assert X.columns[-1] == "a"


def test_offsets_that_change_are_read_in_utc(tmp_path):
    local = pd.date_range("2024-03-30", periods=60, freq="h", tz="Europe/Berlin")
    X, _ = read_table(
        _write(pd.DataFrame({"time": [t.isoformat() for t in local], "a": 1.0}), "csv", tmp_path)
    )
    assert list(X.index) == list(local)


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (["00:00", "00:30"], "times of day without a date"),
        (["01/02/2024", "02/02/2024"], "day first .2024-02-01.* or month first .2024-01-02.*dayfirst=True"),
        ([45292, 45293], "numbers that count steps, or as days of a spreadsheet"),
        (["2024-10-27 01:00", "2024-10-27 02:00", "2024-10-27 02:00"], "duplicates.*clocks were put back"),
    ],
)
def test_times_that_cannot_be_told_are_refused_in_one_line(times, words, tmp_path, capsys):
    path = _write(pd.DataFrame({"time": times, "a": 1.0}), "csv", tmp_path)
    with pytest.raises(DataError, match=f"^data.csv: .*{words}"):
        read_table(path)
    assert main(["report", "--data", str(path), "--out", str(tmp_path), "--quiet"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_fields_with_times_as_text(tmp_path):
    np.savez(tmp_path / "field.npz", values=np.zeros((192, 2, 2)), time=np.array(WRITTEN["day first"]))
    (field,) = read_field(tmp_path / "field.npz").values()
    assert list(field.indexes["time"]) == list(HOURS)


@pytest.mark.parametrize("calendar", ["noleap", "standard", "360_day"])
def test_netcdf_with_a_model_calendar(calendar, tmp_path):
    pytest.importorskip("cftime")
    times = xr.date_range("2001-01-01", periods=24, freq="MS", calendar=calendar, use_cftime=True)
    xr.Dataset({"t2m": (("time", "lat", "lon"), np.zeros((24, 2, 2)))}, {"time": times}).to_netcdf(
        tmp_path / "field.nc"
    )
    field = read_field(tmp_path / "field.nc")["t2m"]
    assert list(field.indexes["time"]) == list(pd.date_range("2001-01-01", periods=24, freq="MS"))


def test_the_report_knows_season_and_missing_rows(tmp_path, capsys):
    t = np.arange(400)
    frame = pd.DataFrame({"time": 1_700_000_000 + 900 * t, "a": 10 * np.sin(2 * np.pi * t / 96)}).drop(
        [50, 51, 200]
    )
    arguments = ["--models", "seasonal-naive", "--horizon", "3", "--quiet", "--out", str(tmp_path)]
    assert main(["report", "--data", str(_write(frame, "csv", tmp_path)), *arguments]) == 0
    assert "3 rows between the first and the last time are missing" in capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["settings"]["season"] == 96
    assert report["data"]["first_time"] == "2023-11-14 22:13:20"
    assert report["models"]["seasonal-naive"]["scores"]["MAE"] < 0.4
