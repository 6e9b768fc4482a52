"""The report as a page: what it holds, that it needs no network, and what a browser makes of it."""

from __future__ import annotations

import copy
import html
import json
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from stmest import (
    Graph,
    LastValue,
    MissingDependencyError,
    SeasonalNaive,
    STM3Forecaster,
    compare,
    make_sensor_network,
)
from stmest.plotting import report_page

BROWSER = next(
    (path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None
)
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--virtual-time-budget=4000",
]  # fmt: skip


@pytest.fixture(scope="module")
def report():
    data = make_sensor_network(n_nodes=5, n_times=300, random_state=0)
    X = data.values.rename(columns={"s0": "<script>alert(1)</script>", "s4": "مرحبا & $x^2$"})
    X.iloc[20:30, 1] = np.nan
    X.iloc[:, 2] = 7.0
    models = {
        "last": LastValue(horizon=4),
        "season": SeasonalNaive(horizon=4, season=24),
        "stm3": STM3Forecaster(input_length=8, horizon=4, n_experts=2, d_model=3, scales=(1, 3), max_epochs=2, random_state=0),
        "broken": SeasonalNaive(horizon=4, season=9999),
    }  # fmt: skip
    graph = Graph(data.graph.adjacency, list(X.columns), data.graph.coordinates)
    report = compare(models, X, graph, unit="mph")
    report.settings["command"] = {"data": "my file.csv", "quiet": "True", "html": "x.html", "seed": "0"}
    return report


@pytest.fixture(scope="module")
def page(report):
    return report_page(report, title="Roads & <bridges>")


def test_table_has_every_forecaster_and_the_reason_of_each_failure(page, report):
    body = page[page.index("<tbody>") : page.index("</tbody>")]
    rows = re.findall(r'<td><span class="name">([^<]+)</span>', body)
    assert list(report.to_frame().index) == rows
    keys = [float(key) for key in re.findall(r'data-key="([^"]+)"', body)]
    assert report["stm3"].scores["MAE"] in keys
    assert "failed: DataError" in body
    best = report.verdict().best
    assert re.search(rf'class="best">\s*<td><span class="name">{best}</span>', body)
    assert f"{report['season'].coverage:.1%}</td>" in body


def test_the_verdict_stands_first(page, report):
    begin = page.index('class="verdict"')
    lines = report.verdict().text.splitlines()
    assert [
        html.unescape(line) for line in re.findall(r"<p>(.*?)</p>", page[begin : page.index("<h2", begin)])
    ] == lines


def test_pictures_are_part_of_the_page_and_have_a_text(page):
    pictures = re.findall(r'<img src="data:image/png;base64,[A-Za-z0-9+/=]+" alt="([^"]+)">', page)
    assert len(pictures) == 3  # graph, experts, training
    assert page.count("<img") == 3


def test_what_a_network_learnt_is_shown_only_where_forecasts_use_it(report):
    unused = copy.copy(report)
    row = copy.copy(report["stm3"])
    row.forecaster, row.note = (
        SimpleNamespace(**_shown_of(row.forecaster), residual_weight_=0.0),
        "kept the linear forecast",
    )
    unused.rows = [row if other.name == "stm3" else other for other in report.rows]
    page = report_page(unused)
    assert "stm3 kept the linear forecast: its network" in page
    assert "<small>kept the linear forecast</small>" in page
    assert "<h3>stm3: training</h3>" in page
    assert "<h3>stm3: graph</h3>" not in page
    assert "<h3>stm3: experts</h3>" not in page


def _shown_of(model):
    return {
        name: getattr(model, name)
        for name in ("graph_", "given_graph_", "n_experts", "history_", "best_epoch_")
    }


def test_nothing_is_fetched_and_names_of_nodes_are_no_code(page):
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page).group(1)
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "http://" not in page
    assert "https://" not in page
    assert re.findall(r'(?:src|href)="(?!data:|#)', page) == []
    assert "alert(1)</script>" not in page
    assert "مرحبا & $" not in page
    assert "<h1>Roads &amp; &lt;bridges&gt;</h1>" in page


def test_data_settings_and_versions_are_told(page):
    text = html.unescape(re.sub(r"<[^>]+>", " ", page[page.index('<h2 id="data">') :]))
    for words in (
        "300 rows, 5 nodes, 1 feature",
        "no gap in the times",
        "10 rows at one node",
        "0.67%; worst node 3.33%",
    ):
        assert words in text
    assert re.search(r"nodes that never change\s+s2\b", text)
    assert "stmest report --data 'my file.csv' --quiet --html x.html --seed 0" in text
    for words in ("test fraction", "input_length", "torch", "random_state", "processor"):
        assert words in text


def test_a_report_in_which_all_failed_is_still_a_page():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)))
    page = report_page(compare({"bad": SeasonalNaive(horizon=4, season=999)}, X))
    assert "No forecaster succeeded" in page
    assert "<img" not in page


def test_intervals_are_drawn_for_forecasters_that_have_them(monkeypatch):
    def interval(self, X=None, coverage=0.9):
        return self.predict(X) - 1, self.predict(X) + 1

    X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)))
    assert "with the 90% interval" not in report_page(compare({"last": LastValue(horizon=4)}, X))
    monkeypatch.setattr(LastValue, "predict_interval", interval, raising=False)
    report = compare({"last": LastValue(horizon=4)}, X)
    lower, upper = report.samples[0].intervals["last"]
    np.testing.assert_allclose(lower + 1, report.samples[0].forecasts["last"])
    assert upper.shape == (4, 2)
    assert "with the 90% interval of" in report_page(report)


def test_the_cells_of_a_field_are_drawn_as_a_field():
    report = compare({"last": LastValue(horizon=4)}, np.random.default_rng(0).normal(size=(60, 6)))
    assert "<h2>The field</h2>" not in report_page(report)
    report.data["grid"] = [2, 3]
    page = report_page(report)
    assert "<h2>The field</h2>" in page
    assert "6 nodes, 1 feature (the cells of a grid of 2 x 3)" in page


@pytest.mark.parametrize("module", ["matplotlib", "jinja2"])
def test_without_its_packages_the_extra_is_named(monkeypatch, report, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=r"stmest\[plot\]"):
        report_page(report)


# The page in a frame of a given width; a script around it looks at it, clicks, and writes down what it saw.
HARNESS = """<!DOCTYPE html><meta charset="utf-8"><iframe id="page" style="border: 0; width: {width}px; height: 3000px"></iframe>
<pre id="seen"></pre><script>
const frame = document.getElementById("page");
frame.addEventListener("load", function () {{
  const inside = frame.contentDocument, body = inside.querySelector("#scores tbody"), seen = {{}};
  const names = function () {{ return Array.from(body.rows, function (row) {{ return row.cells[0].firstChild.textContent; }}); }};
  const lines = function (id) {{ return inside.querySelectorAll("#" + id + " .line").length; }};
  const size = function (element) {{ return element.getBoundingClientRect().width; }};
  const buttons = inside.querySelectorAll("#scores th button"), sensor = inside.getElementById("sensor");
  seen.before = names();
  buttons[1].click(); seen.rising = names(); seen.sort = buttons[1].parentElement.getAttribute("aria-sort");
  buttons[1].click(); seen.falling = names();
  buttons[0].click(); seen.alphabetical = names();
  seen.pictures = Array.from(inside.images, function (image) {{ return [image.naturalWidth, image.clientWidth]; }});
  seen.sensors = Array.from(sensor.options, function (option) {{ return option.textContent; }});
  seen.lines = [lines("steps"), lines("future"), lines("past")];
  inside.querySelectorAll(".chip")[2].click(); seen.more = [lines("steps"), lines("future"), lines("past")];
  inside.querySelector("#by-sensor [data-node='4']").click(); seen.chosen = sensor.value;
  seen.marked = inside.querySelectorAll("tr.marked [data-node='4'], circle.marked[data-node='4']").length;
  inside.getElementById("next").click(); seen.next = sensor.value;
  const numbers = inside.getElementById("future-numbers").tBodies[0].rows;
  seen.numbers = Array.from(numbers, function (row) {{ return row.cells[1].textContent; }});
  seen.charts = Array.from(inside.querySelectorAll(".chart svg"), size);
  seen.texts = Array.from(inside.querySelectorAll(".chart text")).filter(function (text) {{
    const box = text.getBoundingClientRect(); return box.right > inside.documentElement.clientWidth || box.left < 0;
  }}).map(function (text) {{ return text.textContent; }});
  seen.table = inside.getElementById("scores").getBoundingClientRect().height;
  seen.overflow = inside.documentElement.scrollWidth - inside.documentElement.clientWidth;
  document.getElementById("seen").textContent = JSON.stringify(seen);
}});
frame.srcdoc = {page};
</script>"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
@pytest.mark.parametrize("width", [1200, 360])
def test_browser_draws_and_sorts_and_has_nothing_to_complain_of(tmp_path, page, report, width):
    harness = HARNESS.format(width=width, page=json.dumps(page).replace("</", "<\\/"))
    (tmp_path / "harness.html").write_text(harness, encoding="utf-8")
    command = [
        BROWSER,
        *FLAGS,
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
        (tmp_path / "harness.html").as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "CONSOLE" not in done.stderr, done.stderr
    seen = json.loads(
        html.unescape(re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL).group(1))
    )
    by_error = sorted((row for row in report.rows if row.error is None), key=lambda row: row.scores["MAE"])
    names = [row.name for row in by_error]
    assert seen["before"] == ["last", "season", "stm3", "broken"]
    assert (seen["rising"], seen["sort"]) == ([*names, "broken"], "ascending")
    assert seen["falling"] == [*names[::-1], "broken"]
    assert seen["alphabetical"] == ["broken", "last", "season", "stm3"]
    assert len(seen["pictures"]) == 3
    assert all(natural == 1400 and 300 <= shown <= 700 for natural, shown in seen["pictures"])
    assert seen["sensors"][0] == "<script>alert(1)</script>"
    assert "مرحبا & $x^2$" in seen["sensors"][4]
    assert seen["lines"] == [2, 3, 3]  # two models; beside what was observed
    assert seen["more"] == [3, 4, 4]
    assert (seen["chosen"], seen["marked"], seen["next"]) == ("4", 2, "0")
    assert [float(text.replace(",", "")) for text in seen["numbers"]] == pytest.approx(
        report.future.forecasts[report.verdict().best][:, 0], abs=0.01
    )
    assert len(seen["charts"]) == 3
    assert all(shown > (500 if width > 1000 else 300) for shown in seen["charts"])
    assert seen["texts"] == []
    assert seen["table"] > 100
    assert seen["overflow"] <= 0
