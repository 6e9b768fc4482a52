"""What a page knows of each sensor: which ones it draws where they are many, rounded numbers, the table, the map."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from stmest import Graph, LastValue, SeasonalNaive, compare
from stmest.plotting import report_page, sensors
from stmest.plotting.report_picture import by_error

MODELS = {"last": LastValue(horizon=4), "day": SeasonalNaive(horizon=4, season=24)}


def _report(n_nodes, **changes):
    rng = np.random.default_rng(0)
    index = pd.date_range("2024-03-01", periods=150, freq="1h")
    values = np.sin(np.arange(150) * np.pi / 12)[:, None] * rng.gamma(3, 9, n_nodes) + rng.normal(
        size=(150, n_nodes)
    )
    X = pd.DataFrame(values, index, [f"n{i}" for i in range(n_nodes)])
    for node, part in changes.items():
        X[node] = part
    return compare(MODELS, X)


@pytest.fixture(scope="module")
def report():
    gappy = np.full(150, np.nan)
    gappy[:100] = np.arange(100)
    return _report(6, n1=7.0, n2=gappy)


@pytest.fixture(scope="module")
def rows(report):
    return by_error(report)


def test_the_table_has_every_sensor_with_the_errors_of_each_model(report, rows):
    table = sensors.sensor_table(report, rows, drawn=[0, 3])
    assert [head["name"] for head in table["header"]] == [
        "sensor",
        "best model",
        "MASE",
        "coverage",
        "missing",
        *(r.name for r in rows),
    ]
    assert [row["name"] for row in table["rows"]] == report.nodes
    assert [row["index"] for row in table["rows"]] == [0, None, None, 1, None, None]
    first = table["rows"][0]
    assert [cell["key"] for cell in first["cells"][3:]] == [row.node_mae[0] for row in rows]
    assert [cell["lowest"] for cell in first["cells"][3:]] == [True, False]
    assert first["best"] == rows[0].name
    assert first["cells"][0]["key"] == rows[0].node_mase[0]
    unobserved = table["rows"][2]
    assert [cell["text"] for cell in unobserved["cells"]] == ["–", "–", "33.3%", "–", "–"]
    assert unobserved["best"] == "–"
    assert table["rows_left_out"] is None


def test_charts_have_all_sensors_and_origins_where_they_fit(report, rows):
    charts = sensors.sensor_charts(report, rows)
    assert charts["nodes"] == [0, 1, 2, 3, 4, 5]
    assert len(charts["origins"]) == len(report.samples)
    assert charts["left_out"] is None
    numbers = json.loads(json.dumps(charts["numbers"], allow_nan=False))
    sample, origin = report.samples[1], numbers["origins"][1]
    series = origin["series"][3]
    np.testing.assert_allclose(
        series["observed"], np.concatenate([sample.history[:, 3], sample.truth[:, 3]]), rtol=0, atol=0.01
    )
    np.testing.assert_allclose(
        series["forecasts"][0], sample.forecasts[rows[0].name][:, 3], rtol=0, atol=0.01
    )
    assert (
        origin["labels"][origin["n_history"]] == charts["origins"][1] == f"{sample.time[-4]:%Y-%m-%d %H:%M}"
    )
    assert origin["series"][2]["observed"].count(None) > 0
    future = numbers["future"]["series"][3]
    assert len(future["observed"]) == numbers["future"]["n_history"]
    assert len(future["band"][0]) == 4
    assert charts["first"] in (0, 3, 4, 5)  # neither the one that never changes nor the one without targets


def test_of_very_many_sensors_some_are_drawn_from_the_easiest_to_the_hardest(monkeypatch):
    report = _report(40)
    rows = by_error(report)
    monkeypatch.setattr(sensors, "_MOST_NUMBERS", 10_000)
    assert len(sensors.sensor_charts(report, rows)["origins"]) == 1
    monkeypatch.setattr(sensors, "_MOST_NUMBERS", 900)
    monkeypatch.setattr(sensors, "_MOST_ROWS", 30)
    charts = sensors.sensor_charts(report, rows)
    assert 2 <= len(charts["nodes"]) < 12
    order = np.argsort(rows[0].node_mae)
    assert {int(order[0]), int(order[-1])} <= set(charts["nodes"])
    page = report_page(report)
    assert f"{len(charts['nodes'])} of 40 sensors can be chosen here" in page
    assert "The table has 30 of 40 sensors" in page


def test_a_page_of_five_hundred_sensors_stays_small():
    report = _report(500)
    assert len(report_page(report).encode()) < 10_000_000


@pytest.mark.parametrize(("scale", "offset"), [(1e-9, 0), (1.0, 1e6), (1e12, 0)])
def test_numbers_are_rounded_by_what_a_chart_can_show(scale, offset):
    values = offset + scale * np.sin(np.arange(40.0))
    shown = sensors.finite(values, sensors._digits_of_spread([values]))
    np.testing.assert_allclose(shown, values, rtol=0, atol=scale * 1e-3)
    assert len(json.dumps(shown)) < 40 * 18


def _placed(report, places, graph=None):
    return SimpleNamespace(
        coordinates=np.array(places, float), graph=graph, nodes=report.nodes, data=report.data
    )


def test_the_map_has_north_above_and_a_colour_for_each_error(report, rows):
    places = [[48.0, -4.0], [47.0, -4.0], [48.0, -3.0], [47.5, -3.5], [47.2, -3.2], [np.nan, np.nan]]
    ring = Graph(np.roll(np.eye(6), 1, axis=1))
    drawn = sensors.sensor_map(_placed(report, places, ring), rows[0], [0, 1, 2, 3])
    at = {place["text"].split(":")[0]: place for place in drawn["places"]}
    assert list(at) != []
    assert set(at) == {"n0", "n1", "n2", "n3", "n4"}
    assert at["n0"]["y"] < at["n1"]["y"]
    assert at["n0"]["x"] < at["n2"]["x"]
    assert at["n0"]["x"] == at["n1"]["x"]
    assert (at["n3"]["index"], at["n4"]["index"]) == (3, None)
    assert at["n2"]["fill"] == "none"  # its error is not known
    easiest = min((i for i in range(5) if i != 2), key=lambda i: rows[0].node_mae[i])
    assert at[f"n{easiest}"]["fill"] == "#2c7bb6"
    assert len(drawn["edges"]) == 4  # those of the sensor without a place are not drawn
    assert drawn["bar"]["text"] == "20 km"
    assert "1 sensors without coordinates" not in drawn["text"]
    assert "1 sensor without coordinates is not shown" in drawn["text"]
    assert all(
        0 <= place["x"] <= drawn["width"] and 0 <= place["y"] <= drawn["height"] for place in drawn["places"]
    )


def test_places_in_a_plane_have_no_kilometres(report, rows):
    drawn = sensors.sensor_map(_placed(report, np.random.default_rng(0).random((6, 2))), rows[0], [])
    assert drawn["bar"] is None
    assert "latitude" not in drawn["text"]


@pytest.mark.parametrize("places", [None, [[np.nan] * 2] * 6, [[1, 2], *[[np.nan] * 2] * 5]])
def test_without_places_there_is_no_map(report, rows, places):
    placed = _placed(report, np.zeros((6, 2)) if places is None else places)
    if places is None:
        placed.coordinates = None
    assert sensors.sensor_map(placed, rows[0], []) is None


def test_sensors_at_one_place_are_drawn(report, rows):
    drawn = sensors.sensor_map(_placed(report, [[47.0, 2.0]] * 6), rows[0], [])
    assert len(drawn["places"]) == 6
    assert all(np.isfinite([place["x"], place["y"]]).all() for place in drawn["places"])


def test_fields_of_cells_have_no_map(report, rows):
    placed = _placed(report, np.ones((6, 2)))
    placed.data = report.data | {"grid": [2, 3]}
    assert sensors.sensor_map(placed, rows[0], []) is None
