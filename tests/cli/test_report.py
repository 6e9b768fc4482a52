"""The command line, from arguments to files and exit codes."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from stmest import LastValue, load
from stmest.cli import main, report
from stmest.cli.models import commands
from stmest.cli.parser import _marks_joined, _parser
from stmest.forecasters.network import NetworkForecaster

QUICK = "last-value,seasonal-naive,ridge"


@pytest.fixture
def npz(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(120, 3, 2)) + np.array([0, 100])
    np.savez(
        tmp_path / "panel.npz", values=values, channels=np.array(["flow", "speed"]), adj=np.eye(3)[[1, 2, 0]],
        nodes=np.array(["a", "b", "c"]), meta=json.dumps({"unit": "cars per hour"}),
    )  # fmt: skip
    return tmp_path / "panel.npz"


def _report(capsys, *arguments):
    code = main(["report", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_report_on_a_file_prints_the_table_and_writes_two_files(csv, tmp_path, capsys):
    out = tmp_path / "new" / "folder"
    code, text, errors = _report(capsys, "--data", csv, "--models", QUICK, "--out", out, "--unit", "mph")
    assert (code, errors) == (0, "")
    assert "readings.csv: 240 rows from 2024-03-01 00:00:00" in text
    assert "[3/3] ridge: MAE" in text
    assert "37 test windows, 12 steps ahead" in text
    assert "in mph" in text
    assert f"report   {out / 'report.json'}" in text
    assert f"picture  {out / 'forecast.png'}" in text
    assert (out / "forecast.png").read_bytes().startswith(b"\x89PNG")
    written = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert list(written["models"]) == QUICK.split(",")
    assert written["settings"]["season"] == 24
    assert written["settings"]["command"]["models"] == QUICK
    assert written["unit"] == "mph"


def test_html_writes_a_page_that_repeats_the_command(csv, tmp_path, capsys):
    target = tmp_path / "pages" / "report.html"
    arguments = ["--data", csv, "--models", QUICK, "--out", tmp_path, "--html", target, "--quiet"]
    code, text, errors = _report(capsys, *arguments)
    assert (code, errors) == (0, "")
    assert f"page     {target}" in text
    page = target.read_text(encoding="utf-8")
    assert "<h1>readings.csv</h1>" in page
    assert f"stmest report --data {csv} --models {QUICK} " in page
    assert "What comes next" in page
    assert "<circle" not in page


def test_coords_put_the_sensors_on_a_map(csv, tmp_path, capsys):
    nodes = pd.read_csv(csv, nrows=1).columns[1:]
    (tmp_path / "places.csv").write_text(
        "node,lat,lon\n" + "".join(f"{node},{47 + i},{i}\n" for i, node in enumerate(nodes[1:])),
        encoding="utf-8",
    )
    command = ["--data", csv, "--models", "last-value", "--out", tmp_path, "--html", tmp_path / "x.html"]
    code, text, errors = _report(capsys, *command, "--coords", tmp_path / "places.csv")
    assert (code, errors) == (0, "")
    assert f"places.csv: places {len(nodes) - 1} of {len(nodes)} nodes" in text
    assert (tmp_path / "x.html").read_text(encoding="utf-8").count("<circle") == len(nodes) - 1
    code, text, errors = _report(capsys, *command, "--coords", tmp_path / "place.csv")
    assert code == 2
    assert "did you mean places.csv?" in errors
    assert "fitting" not in text


def test_the_page_repeats_how_the_file_was_read(csv, tmp_path, capsys):
    text = csv.read_text(encoding="utf-8").replace("2024-03-", "03/").replace(" ", "/2024 ")
    csv.write_text(text.replace(",", ";"), encoding="utf-8")
    target = tmp_path / "x.html"
    said = ["--sep", ";", "--no-dayfirst", "--time-column", "time"]
    arguments = ["--data", csv, *said, "--models", "last-value", "--out", tmp_path, "--html", target]
    code, text, errors = _report(capsys, *arguments)
    assert (code, errors) == (0, "")
    assert "240 rows from 2024-03-01" in text
    command = re.search(r"stmest report .*", target.read_text(encoding="utf-8"))[0]
    for option in ("--sep &#39;;&#39; ", "--no-dayfirst", "--time-column time "):
        assert option in command
    assert "--dayfirst" not in command


def test_html_without_its_packages_is_told_before_anything_is_fitted(csv, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    code, text, errors = _report(
        capsys, "--data", csv, "--models", QUICK, "--out", tmp_path, "--html", tmp_path / "x"
    )
    assert code == 2
    assert "stmest[plot]" in errors
    assert "fitting" not in text


def test_quiet_prints_table_and_paths_only(csv, tmp_path, capsys):
    code, text, errors = _report(capsys, "--data", csv, "--models", QUICK, "--out", tmp_path, "--quiet")
    assert (code, errors) == (0, "")
    lines = text.splitlines()
    assert lines[0].startswith("37 test windows")
    assert not any(word in text for word in ("loading", "fitting", "writing to"))


def test_options_reach_the_forecasters(csv, tmp_path, capsys):
    code, *_ = _report(
        capsys, "--data", csv, "--models", "ridge,mean_profile,Weekly-Naive", "--input-length", 10, "--horizon", 5,
        "--season", 6, "--test-fraction", 0.3, "--out", tmp_path, "--quiet",
    )  # fmt: skip
    assert code == 0
    written = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    settings = {name: model["parameters"] for name, model in written["models"].items()}
    assert settings["ridge"]["input_length"] == 10
    assert settings["mean-profile"] == {"horizon": 5, "n_seasons": 7, "season": 6}
    assert settings["weekly-naive"] == {"horizon": 5, "season": 42}
    assert written["settings"]["test_rows"] == 72


@pytest.mark.parametrize("name", ["stm2", "stm3"])
def test_networks_train_with_seed_device_and_progress(csv, tmp_path, capsys, name):
    arguments = [
        "--data",
        csv,
        "--models",
        name,
        "--max-epochs",
        1,
        "--device",
        "cpu",
        "--seed",
        3,
        "--out",
        tmp_path,
    ]
    code, text, _ = _report(capsys, *arguments)
    assert code == 0
    assert "epoch   1/1" in text
    parameters = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["models"][name][
        "parameters"
    ]
    assert parameters["random_state"] == 3
    assert (parameters["n_experts"] == 0) == (name == "stm2")
    code, text, _ = _report(capsys, *arguments, "--quiet")
    assert "epoch" not in text


def test_air_quality_is_the_default(tmp_path, capsys):
    code, text, _ = _report(capsys, "--models", "last-value", "--out", tmp_path)
    assert code == 0
    assert "PM2.5 in Beijing" in text
    assert "in µg/m³" in text
    assert "graph of" in text
    assert "\nnext     stmest forecast --data FILE --model last-value\n" in text


def test_quick_forecasters_come_first():
    for models in (report._DEFAULT_MODELS, report._DEFAULT_FIELD_MODELS):
        trained = [issubclass(commands()[name][0].cls, NetworkForecaster) for name in models.split(",")]
        assert trained == sorted(trained)
        assert any(trained)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], []),
        (["--horizon", "6", "--input-length", "24"], ["--horizon", "6"]),
        (["--max-epochs", "2", "--batch-size", "64"], ["--batch-size", "64", "--max-epochs", "2"]),
        (["--sep", ";", "--no-dayfirst", "--missing", "-9999,-"], ["--missing", "-9999,-", "--sep", ";", "--no-dayfirst"]),
        (["--dayfirst", "--no-time"], ["--dayfirst", "--no-time"]),
    ],
)  # fmt: skip
def test_the_next_command_forecasts_the_same_data_in_the_same_way(given, expected):
    options = _parser().parse_args(_marks_joined(["report", "--data", "my values.csv", *given]))
    words = shlex.split(report._next_command(options, "stid"))
    assert words[:6] == ["stmest", "forecast", "--data", "my values.csv", "--model", "stid"]
    again = _parser().parse_args(_marks_joined(words[1:]))
    for name in (
        "horizon",
        "input_length",
        "missing",
        "sep",
        "dayfirst",
        "no_time",
        "max_epochs",
        "batch_size",
    ):
        ours, theirs = getattr(options, name), getattr(again, name)
        assert ours == theirs or (name == "horizon" and theirs is None and ours == 12)
    assert words[6:] == expected
    cheap = shlex.split(report._next_command(options, "last-value"))
    assert not {"--input-length", "--max-epochs", "--batch-size"} & set(cheap)


def test_first_channel_or_the_named_one(npz, tmp_path, capsys):
    arguments = ["--data", npz, "--models", "last-value", "--out", tmp_path]
    code, text, _ = _report(capsys, *arguments)
    assert code == 0
    assert "channel flow is forecast; not used: speed" in text
    assert "in cars per hour" in text
    assert "graph of 3 edges" in text
    written = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert written["settings"]["data"] == "panel.npz, flow"
    assert written["data"]["n_features"] == 1
    code, text, _ = _report(capsys, *arguments, "--channel", "speed")
    assert "channel speed is forecast" in text
    code, _, errors = _report(capsys, *arguments, "--channel", "mood")
    assert code == 2
    assert (
        errors
        == "stmest: error: --channel: there is no channel 'mood'; the data file has the channels flow, speed.\n"
    )


@pytest.mark.parametrize("mark", ["-9999", "-"])
@pytest.mark.parametrize("joined", [True, False])
def test_marks_of_missing_values(csv, tmp_path, capsys, mark, joined):
    frame = pd.read_csv(csv, index_col=0).astype(object)
    frame.iloc[::17, 1] = mark
    frame.to_csv(csv)
    arguments = ["--data", csv, "--models", "last-value", "--out", tmp_path]
    code, text, errors = _report(capsys, *arguments)
    if mark == "-":
        assert code == 2
        assert "--missing=-" in errors
    else:
        assert code == 0
        assert "The value -9999 is there 15 times, far beyond all others." in text
    marks = [f"--missing={mark},?"] if joined else ["--missing", f"{mark},?"]
    code, text, errors = _report(capsys, *arguments, *marks)
    assert (code, errors) == (0, "")
    assert "1.6% missing" in text
    assert "far beyond" not in text


def test_what_was_left_out_of_a_file_is_said_and_kept(csv, tmp_path, capsys):
    csv.write_text(csv.read_text().replace("\n", ",\n"), encoding="utf-8")
    code, text, _ = _report(capsys, "--data", csv, "--models", "last-value", "--out", tmp_path)
    assert code == 0
    assert "note      1 column(s) without a name and without a value were left out" in text
    assert ", 4 nodes," in text
    written = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert "without a name" in written["settings"]["notes"]


def test_a_test_part_without_observations_is_one_line_and_exit_code_2(csv, tmp_path, capsys):
    frame = pd.read_csv(csv, index_col=0)
    frame.iloc[190:] = np.nan
    frame.to_csv(csv)
    code, text, errors = _report(capsys, "--data", csv, "--models", QUICK, "--out", tmp_path)
    assert code == 2
    assert (
        "the 48 rows to score on, from 2024-03-09 00:00:00 to 2024-03-10 23:00:00, hold no observation"
        in errors
    )
    assert len(errors.splitlines()) == 1
    assert "MAE" not in text


def test_graph_of_a_file_and_none(csv, npz, tmp_path, capsys):
    (tmp_path / "edges.csv").write_text("source,target\na,b\nb,c\n", encoding="utf-8")
    arguments = ["--models", "last-value", "--out", tmp_path]
    code, text, _ = _report(capsys, "--data", csv, "--adj", tmp_path / "edges.csv", *arguments)
    assert code == 0
    assert "graph of 2 edges" in text
    code, text, _ = _report(capsys, "--data", npz, "--adj", "none", *arguments)
    assert code == 0
    assert "no graph" in text
    np.save(tmp_path / "five.npy", np.eye(5))
    code, _, errors = _report(capsys, "--data", csv, "--adj", tmp_path / "five.npy", *arguments)
    assert code == 2
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--models", "stm3,rigde"], "there is no model 'rigde'; there are arima, "),
        (["--models", ","], "no model was named"),
        (["--data", "absent.csv"], "there is no file absent.csv"),
        (["--data", "README.md"], "'.md' are not read"),
        (["--adj", "absent.npz"], "there is no file absent.npz"),
        (["--channel", "x"], "has no named channels"),
        (["--device", "warp", "--models", "stm3"], "device='warp'"),
        (["--horizon", "5000", "--models", "last-value"], "horizon = 5000"),
        (["--out", "README.md/x", "--models", "last-value"], "README.md"),
    ],
)
def test_input_that_cannot_be_used_is_one_line_and_exit_code_2(
    monkeypatch, tmp_path, capsys, arguments, words
):
    monkeypatch.chdir(tmp_path)
    Path("README.md").write_text("not data", encoding="utf-8")
    code, text, errors = _report(capsys, *arguments)
    assert code == 2
    assert errors.startswith("stmest: error: ")
    assert words in errors
    assert len(errors.splitlines()) == 1
    assert "Traceback" not in text + errors


def test_fitted_forecasters_are_saved(csv, tmp_path, capsys):
    folder = tmp_path / "new" / "models"
    arguments = ["--data", csv, "--out", tmp_path, "--save-models", folder]
    code, text, errors = _report(
        capsys, *arguments, "--models", "last-value,gbt,ridge,weekly-naive", "--season", "30"
    )
    assert (code, errors) == (1, "")
    assert sorted(file.name for file in folder.iterdir()) == ["last-value.safetensors", "ridge.safetensors"]
    assert f"model    {folder / 'ridge.safetensors'}" in text
    assert "gbt is not saved: RegressorForecaster cannot be saved" in text
    assert "have learnt from the first 192 rows" in text
    X = pd.read_csv(csv, index_col=0, parse_dates=True).iloc[:192]
    pd.testing.assert_frame_equal(
        load(folder / "last-value.safetensors").predict(), LastValue(horizon=12).fit(X).predict()
    )


def test_a_failed_forecaster_is_shown_and_told_by_the_exit_code(csv, tmp_path, capsys):
    code, text, _ = _report(
        capsys, "--data", csv, "--models", "last-value,weekly-naive", "--season", 100, "--out", tmp_path
    )
    assert code == 1
    assert "weekly-naive failed: DataError" in text
    code, text, _ = _report(
        capsys, "--data", csv, "--models", "weekly-naive", "--season", 100, "--out", tmp_path
    )
    assert code == 1
    assert "no forecaster succeeded" in text


def test_models_that_need_seven_seasons_are_left_out_of_the_default(csv, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(report, "_DEFAULT_MODELS", "last-value,weekly-naive,mean-profile")
    code, text, _ = _report(capsys, "--data", csv, "--season", 30, "--out", tmp_path)
    assert code == 0
    assert "without weekly-naive and mean-profile" in text
    assert list(json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["models"]) == [
        "last-value"
    ]


def test_without_matplotlib_the_report_is_still_written(csv, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, text, _ = _report(capsys, "--data", csv, "--models", QUICK, "--out", tmp_path)
    assert code == 0
    assert "picture  not drawn" in text
    assert "stmest[plot]" in text
    assert (tmp_path / "report.json").is_file()


def test_interruption_is_exit_code_130(csv, tmp_path, capsys, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(LastValue, "fit", interrupted)
    code, _, errors = _report(capsys, "--data", csv, "--models", "last-value", "--out", tmp_path)
    assert code == 130
    assert errors == "stmest: interrupted\n"


@pytest.mark.skipif("STMEST_DATA" not in os.environ, reason="STMEST_DATA does not name a folder of real data")
@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("nyc_taxi_69zones_60min", "trips per step"),
        ("molene_brittany_temp", "degC"),
        ("hangzhou_metro_inflow", "passengers/10 min"),
    ],
)
def test_real_panels(tmp_path, capsys, name, unit):
    path = Path(os.environ["STMEST_DATA"]) / "panels" / f"{name}.npz"
    code, text, errors = _report(capsys, "--data", path, "--models", "last-value,ridge", "--out", tmp_path)
    assert (code, errors) == (0, "")
    assert f"MAE, RMSE in {unit};" in text


@pytest.mark.parametrize("kind", ["npz", "nc"])
def test_report_on_a_field(kind, tmp_path, capsys):
    t, y, x = np.ogrid[:120, :4, :5]
    waves = 5 + np.sin(0.4 * t + y - x) + 0.1 * np.cos(t * (1 + y * x))
    field = xr.DataArray(
        waves, {"time": pd.date_range("2024-01-01", periods=120, freq="h"), "lat": np.arange(4.0), "lon": np.arange(5.0)},
        ["time", "lat", "lon"], name="t2m", attrs={"units": "K"},
    )  # fmt: skip
    path = tmp_path / f"field.{kind}"
    if kind == "nc":
        xr.Dataset({"t2m": field, "rain": field * 0}).to_netcdf(path)
    else:
        np.savez(
            path, values=np.stack([waves, 0 * waves], axis=-1), time=field.time.values, lat=field.lat.values,
            lon=field.lon.values, channels=np.array(["t2m", "rain"]), meta=json.dumps({"unit": "K"}),
        )  # fmt: skip
    graph = tmp_path / "graph.csv"
    graph.write_text("from,to\n0,1\n")
    code, text, errors = _report(
        capsys, "--data", path, "--models", "unet,ridge,last-value", "--input-length", 6, "--horizon", 3, "--max-epochs", 1,
        "--device", "cpu", "--adj", graph, "--out", tmp_path,
    )  # fmt: skip
    assert (code, errors) == (0, "")
    assert "channel t2m is forecast; not used: rain" in text
    assert "a field of 4 x 5 cells, 0.0% missing" in text
    assert "--adj is not used" in text
    assert "in K" in text
    written = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert list(written["models"]) == ["unet", "ridge", "last-value"]
    assert written["settings"]["season"] == 24
    assert written["nodes"][6] == "1,1"
    assert (tmp_path / "forecast.png").read_bytes().startswith(b"\x89PNG")


def test_a_field_has_its_own_default_forecasters(tmp_path, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(
        report, "build", lambda name, options, season: asked.append(name) or LastValue(horizon=3)
    )
    np.savez(tmp_path / "field.npz", values=np.random.default_rng(0).normal(size=(60, 3, 4, 1)))
    code, *_ = _report(capsys, "--data", tmp_path / "field.npz", "--season", 2, "--out", tmp_path, "--quiet")
    assert code == 0
    assert asked == report._DEFAULT_FIELD_MODELS.split(",")
    code, _, errors = _report(capsys, "--data", tmp_path / "field.npz", "--channel", "t2m", "--out", tmp_path)
    assert code == 2
    assert "no channel 't2m'" in errors


def test_how_a_graph_was_read_is_said(csv, tmp_path, capsys):
    roads = tmp_path / "roads.csv"
    roads.write_text("from,to,cost\na,b,10\nb,c,70\nc,x,20\n", encoding="utf-8")
    out = ["--models", "last-value", "--horizon", "3", "--out", tmp_path]
    code, text, errors = _report(capsys, "--data", csv, "--adj", roads, *out)
    assert (code, errors) == (0, "")
    assert (
        "roads.csv: edge list: 1 of the 4 nodes that it names are not in the data, the first is 'x'" in text
    )
    assert "'cost' holds distances: weights are exp(-(distance / 30)^2)" in text
    assert "graph of 1 edges" in text
    roads.write_text("from,to,minutes\na,b,10\n", encoding="utf-8")
    code, _, errors = _report(capsys, "--data", csv, "--adj", roads, *out)
    assert code == 2
    assert "roads.csv: column 'minutes' holds numbers" in errors


def test_dollars_in_names_cost_neither_picture_nor_page(tmp_path, capsys):
    rng = np.random.default_rng(0)
    index = pd.date_range("2024-03-01", periods=120, freq="1h", name="time")
    names = ["price $/MWh", r"load $\foo$", "_x" + "y" * 200, "中文"]
    pd.DataFrame(rng.normal(size=(120, 4)), index, names).to_csv(tmp_path / "usd $\\foo$.csv")
    page = tmp_path / "usd.html"
    options = ["--models", "last-value", "--horizon", "3", "--unit", "$", "--out", tmp_path, "--html", page]
    code, text, errors = _report(capsys, "--data", tmp_path / "usd $\\foo$.csv", *options)
    assert (code, errors) == (0, "")
    assert "not drawn" not in text
    assert (tmp_path / "forecast.png").exists()
    assert "<h1>usd $\\foo$.csv</h1>" in page.read_text(encoding="utf-8")


def test_a_picture_that_fails_costs_only_itself(csv, tmp_path, capsys, monkeypatch):
    def fails(*args, **options):
        raise RuntimeError("no ink")

    monkeypatch.setattr("stmest.plotting.report_picture", fails)
    page = tmp_path / "page.html"
    code, text, _ = _report(
        capsys, "--data", csv, "--models", "last-value", "--out", tmp_path, "--html", page
    )
    assert code == 0
    assert "picture  not drawn: RuntimeError: no ink" in text
    assert page.exists()
