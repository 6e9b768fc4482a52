"""``stmest forecast``: the table, the picture, saved models, the choice."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stmest import LastValue, RidgeForecaster, load, make_sensor_network
from stmest.cli import choice
from stmest.io.tables import read_table


def _written(path):
    return pd.read_csv(path, float_precision="round_trip")


def _wide(path, column="forecast"):
    table = _written(path)
    return table.pivot(index="time", columns="node", values=column)


def test_the_table_holds_what_the_model_forecasts(run, csv, tmp_path):
    out = tmp_path / "new" / "tomorrow.csv"
    code, text, errors = run(
        "forecast", "--data", csv, "--model", "ridge", "--horizon", 6, "--out", out, "--unit", "mph"
    )
    assert (code, errors) == (0, "")
    table = _written(out)
    assert list(table.columns) == ["time", "node", "forecast", "lower", "upper"]
    assert table["time"].tolist()[::4] == [f"2024-03-11 0{hour}:00:00" for hour in range(6)]
    X, _ = read_table(csv)
    model = RidgeForecaster(input_length=24, horizon=6).fit(X)
    lower, upper = model.predict_interval()
    for name, expected in (("forecast", model.predict()), ("lower", lower), ("upper", upper)):
        np.testing.assert_array_equal(table[name].to_numpy().reshape(6, 4), expected)
    assert (tmp_path / "new" / "tomorrow.png").read_bytes().startswith(b"\x89PNG")
    assert "readings.csv: 240 rows from 2024-03-01 00:00:00" in text
    assert "holds 90% of the values" in text
    assert "in mph" in text
    lines = [line for line in text.splitlines() if line.startswith("2024")]
    assert [line.split()[1] for line in lines] == [f"{h}:00:00" for h in (21, 22, 23)] + [
        f"0{h}:00:00" for h in range(6)
    ]


def test_a_saved_model_forecasts_again_and_on_newer_rows(run, table, tmp_path):
    table.iloc[:200].to_csv(tmp_path / "old.csv")
    file = tmp_path / "models" / "m.safetensors"
    arguments = ["--model", "ridge", "--horizon", 6, "--save-model", file]
    code, text, _ = run(
        "forecast", "--data", tmp_path / "old.csv", *arguments, "--out", tmp_path / "first.csv"
    )
    assert code == 0
    assert f"model    {file}" in text
    for data in ([], ["--data", tmp_path / "old.csv"]):
        code, _, errors = run("forecast", "--model", file, *data, "--out", tmp_path / "again.csv")
        assert (code, errors) == (0, "")
        assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "first.csv").read_bytes()

    newer = table[["d", "a", "c", "b"]].assign(e=1.0)
    newer.to_csv(tmp_path / "newer.csv")
    code, text, errors = run(
        "forecast", "--model", file, "--data", tmp_path / "newer.csv", "--out", tmp_path / "later.csv"
    )
    assert (code, errors) == (0, "")
    assert "not known to the model, and not used: e" in text
    X, _ = read_table(tmp_path / "newer.csv")
    expected = load(file).predict(X[list("abcd")])
    np.testing.assert_array_equal(_wide(tmp_path / "later.csv"), expected)
    assert _wide(tmp_path / "later.csv").index[0] == "2024-03-11 00:00:00"


def test_steps_beyond_the_horizon_of_a_saved_model_have_no_range(run, csv, tmp_path):
    file, out = tmp_path / "m.safetensors", tmp_path / "x.csv"
    run("forecast", "--data", csv, "--model", "ridge", "--horizon", 4, "--save-model", file, "--out", out)
    code, text, _ = run(
        "forecast", "--model", file, "--horizon", 7, "--out", out, "--adj", out, "--save-model", "y"
    )
    assert code == 0
    assert "empty beyond the horizon of the model, 4 steps" in text
    assert "--adj is not used" in text
    assert "--save-model is not used" in text
    np.testing.assert_array_equal(_wide(out), load(file).predict(steps=7))
    assert _wide(out, "lower").notna().all(axis=1).tolist() == [True] * 4 + [False] * 3
    code, _, _ = run("forecast", "--model", file, "--horizon", 2, "--out", out, "--quiet")
    assert code == 0
    assert len(_wide(out)) == 2


def test_a_model_fitted_in_python_on_several_channels(run, tmp_path):
    values = np.random.default_rng(0).normal(size=(120, 3, 2)) + np.array([0, 100])
    np.savez(
        tmp_path / "p.npz", values=values, channels=np.array(["flow", "speed"]), nodes=np.array(list("abc"))
    )
    X, _ = read_table(tmp_path / "p.npz")
    model = RidgeForecaster(input_length=6, horizon=3).fit(X)
    model.save(tmp_path / "m.safetensors")
    arguments = [
        "--data",
        tmp_path / "p.npz",
        "--model",
        tmp_path / "m.safetensors",
        "--out",
        tmp_path / "x.csv",
    ]
    code, _, errors = run("forecast", *arguments)
    assert (code, errors) == (0, "")
    table = _written(tmp_path / "x.csv")
    assert list(table.columns) == ["time", "node", "channel", "forecast", "lower", "upper"]
    assert table["time"].unique().tolist() == [120, 121, 122]
    np.testing.assert_array_equal(table["forecast"].to_numpy().reshape(3, 6), model.predict(X))


def test_too_few_rows_for_a_range_leave_it_empty(run, table, tmp_path):
    table.iloc[:20].to_csv(tmp_path / "few.csv")
    code, text, errors = run(
        "forecast", "--data", tmp_path / "few.csv", "--model", "last-value", "--out", tmp_path / "x.csv"
    )
    assert (code, errors) == (0, "")
    assert "lower and upper are empty: " in text
    written = _written(tmp_path / "x.csv")
    assert written["forecast"].notna().all()
    assert written[["lower", "upper"]].isna().all(axis=None)
    assert (tmp_path / "x.png").exists()


def test_a_field(run, tmp_path):
    t, y, x = np.ogrid[:120, :3, :4]
    np.savez(tmp_path / "field.npz", values=(np.sin(0.4 * t + y - x))[..., None])
    code, _, errors = run(
        "forecast", "--data", tmp_path / "field.npz", "--model", "ridge", "--horizon", 3, "--season", 12, "--out",
        tmp_path / "x.csv.gz",
    )  # fmt: skip
    assert (code, errors) == (0, "")
    table = _written(tmp_path / "x.csv.gz")
    assert table["node"].tolist()[:5] == ["0,0", "0,1", "0,2", "0,3", "1,0"]
    truth = np.sin(0.4 * np.arange(120, 123)[:, None, None] + y - x)
    assert np.abs(table["forecast"].to_numpy().reshape(3, 3, 4) - truth).max() < 0.05
    assert (tmp_path / "x.png").exists()


def test_without_matplotlib_the_table_is_still_written(run, csv, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    code, text, _ = run("forecast", "--data", csv, "--model", "last-value", "--out", tmp_path / "x.csv")
    assert code == 0
    assert "picture  not drawn" in text
    assert (tmp_path / "x.csv").is_file()


def test_quiet_prints_forecast_and_paths(run, csv, tmp_path):
    _, text, errors = run(
        "forecast", "--data", csv, "--model", "last-value", "--out", tmp_path / "x.csv", "--quiet"
    )
    assert errors == ""
    assert text.startswith("the last 3 rows, and the forecast")


# ---------------------------------------------------------------- auto


@pytest.fixture
def cheap_only(monkeypatch):
    monkeypatch.setattr(choice, "_TRAINED", ())


def test_auto_takes_what_validates_best(run, csv, tmp_path, cheap_only):
    code, text, errors = run("forecast", "--data", csv, "--out", tmp_path / "x.csv")
    assert (code, errors) == (0, "")
    assert "choosing on the last 48 of 240 rows" in text
    assert "last-value      MAE" in text
    assert "weekly-naive" in text
    chosen = next(line for line in text.splitlines() if line.startswith("chosen: "))
    assert chosen.startswith(("chosen: ridge, MAE", "chosen: mean-profile, MAE"))
    assert "fitting " in text
    assert "on all 240 rows" in text


def test_ties_go_to_the_simpler_one(run, tmp_path, cheap_only):
    index = pd.date_range("2024-01-01", periods=480, freq="h", name="time")
    values = np.outer(np.arange(480) % 24, [1.0, 2.0])
    pd.DataFrame(values, index, ["a", "b"]).to_csv(tmp_path / "x.csv")
    code, text, _ = run(
        "forecast", "--data", tmp_path / "x.csv", "--out", tmp_path / "y.csv", "--save-model", tmp_path / "m"
    )
    assert code == 0
    assert "chosen: seasonal-naive, MAE 0" in text
    assert type(load(tmp_path / "m")).__name__ == "SeasonalNaive"


def test_no_training_begins_when_the_time_is_over(run, csv, tmp_path):
    code, text, _ = run("forecast", "--data", csv, "--minutes", "1e-9", "--out", tmp_path / "x.csv")
    assert code == 0
    assert "the time is over: seasonal-naive and what would come after it were not tried" in text


def test_networks_are_tried_and_end_with_the_time(run, tmp_path, monkeypatch):
    monkeypatch.setattr(choice, "_CHEAP", ("last-value",))
    monkeypatch.setattr(choice, "_TRAINED", ("stid",))
    X = make_sensor_network(n_nodes=3, n_times=400, random_state=0).values
    X.to_csv(tmp_path / "x.csv", index_label="time")
    arguments = ["--data", tmp_path / "x.csv", "--horizon", 3, "--max-epochs", 2, "--out", tmp_path / "y.csv"]
    code, text, _ = run("forecast", *arguments)
    assert code == 0
    assert "stid            MAE" in text
    assert "chosen: stid" in text
    assert text.count("stopped at epoch") == 0
    code, text, _ = run("forecast", *arguments, "--model", "stid", "--minutes", "1e-9")
    assert code == 0
    assert "stid: stopped at epoch 0" in text


def test_data_that_nothing_can_be_chosen_on(run, tmp_path, cheap_only):
    pd.DataFrame({"a": [1.0, 2, 3], "b": [3.0, 1, 2]}, pd.RangeIndex(3, name="time")).to_csv(
        tmp_path / "x.csv"
    )
    code, text, errors = run(
        "forecast", "--data", tmp_path / "x.csv", "--horizon", 2, "--out", tmp_path / "y.csv"
    )
    assert (code, errors) == (0, "")
    assert "chosen: last-value" in text
    np.testing.assert_array_equal(
        _wide(tmp_path / "y.csv"), LastValue(horizon=2).fit([[3.0, 2.0]] * 3).predict()
    )


# ---------------------------------------------------------------- files of users


@pytest.mark.parametrize("kind", ["semicolons", "long", "numbered", "excel", "parquet"])
def test_files_of_users(run, table, tmp_path, kind):
    path, said = tmp_path / "x.csv", []
    if kind == "semicolons":
        local = table.set_axis(table.index.strftime("%d.%m.%Y %H:%M"))
        local.rename_axis("Zeit").to_csv(path, sep=";", decimal=",", encoding="cp1252")
    elif kind == "long":
        long = table.reset_index().melt("time", var_name="Pumpe", value_name="Wert").assign(flag="ok")
        long.to_csv(path, index=False)
        said = ["--node-column", "Pumpe", "--value-column", "Wert"]
    elif kind == "numbered":
        table.to_csv(path, index=False)
        said = ["--no-time", "--season", 24]
    elif kind == "excel":
        pytest.importorskip("openpyxl")
        path = tmp_path / "x.xlsx"
        table.to_excel(path)
    else:
        path = tmp_path / "x.parquet"
        table.to_parquet(path)
    code, _, errors = run("forecast", "--data", path, *said, "--model", "ridge", "--out", tmp_path / "y.csv")
    assert (code, errors) == (0, "")
    X = table.reset_index(drop=True) if kind == "numbered" else table
    expected = RidgeForecaster(input_length=24, horizon=12).fit(X).predict()
    np.testing.assert_allclose(_wide(tmp_path / "y.csv"), expected, rtol=1e-9)


@pytest.mark.skipif("STMEST_DATA" not in os.environ, reason="STMEST_DATA does not name a folder of real data")
def test_a_real_panel(run, tmp_path):
    path = Path(os.environ["STMEST_DATA"]) / "panels" / "molene_brittany_temp.npz"
    code, text, errors = run("forecast", "--data", path, "--model", "ridge", "--out", tmp_path / "x.csv")
    assert (code, errors) == (0, "")
    assert "in degC" in text
    assert np.isfinite(_written(tmp_path / "x.csv")["upper"]).all()
