"""The verdict: the best forecaster, its gain, chance, ties, and networks that added nothing."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from stmest import EnsembleForecaster, LastValue, RidgeForecaster, SeasonalNaive, STIDForecaster, compare
from stmest.evaluation.results import ModelResult
from stmest.evaluation.verdict import judge

SETTINGS = {"horizon": 4, "season": 6}
RNG = np.random.default_rng(0)
WEATHER = RNG.gamma(2.0, size=240)  # what makes some origins hard for all forecasters


def row(name, level, *, spread=0.05, network=False, note=None, n=240):
    """A forecaster whose error is `level` on average."""
    errors = level * WEATHER[:n] / WEATHER[:n].mean() + spread * RNG.standard_normal(n)
    errors += level - errors.mean()
    scores = {"MAE": level, "RMSE": level, "MASE": 1.0, "R2": 0.0}
    return ModelResult(name, scores, origin_mae=errors, network=network, note=note)


def test_a_network_that_is_better_beyond_chance():
    verdict = judge([row("ridge", 2.0), row("naive", 3.0), row("stm3", 1.8, network=True)], SETTINGS)
    assert (verdict.best, verdict.rival, verdict.choice) == ("stm3", "ridge", "stm3")
    assert verdict.gain == pytest.approx(0.1)
    assert verdict.ties == verdict.kept_linear == ()
    assert set(verdict.p_values) == {"ridge", "naive"}
    assert max(verdict.p_values.values()) < 0.001
    assert verdict.text == (
        "stm3 is best: MAE 1.8, 10.0% less than ridge (2), the best without a network. That is more than chance (p < 0.001)."
    )


def test_a_difference_within_chance_is_a_tie_and_the_cheap_one_is_chosen():
    rows = [row("ridge", 2.0, spread=1.0), row("stm3", 1.98, spread=1.0, network=True), row("naive", 5.0)]
    verdict = judge(rows, SETTINGS)
    assert (verdict.best, verdict.rival, verdict.choice) == ("stm3", "ridge", "ridge")
    assert verdict.ties == ("ridge",)
    assert "That may be chance (p = " in verdict.text
    assert verdict.text.endswith("ridge does as well without a network.")


def test_a_cheap_forecaster_that_is_best_is_compared_with_the_best_network():
    rows = [
        row("stm3", 2.2, network=True),
        row("naive", 2.1),
        row("ridge", 2.0),
        row("stid", 2.5, network=True),
    ]
    verdict = judge(rows, SETTINGS)
    assert (verdict.best, verdict.rival, verdict.choice) == ("ridge", "stm3", "ridge")
    assert verdict.gain == pytest.approx(1 - 2.0 / 2.2)
    assert "9.1% less than stm3 (2.2), the best network" in verdict.text


def test_other_ties_are_named_together():
    rows = [row(name, 2.0 + k / 1000, spread=1.0, network=k > 1) for k, name in enumerate("abcd")]
    verdict = judge([*rows, row("far", 9.0)], SETTINGS)
    assert verdict.ties == ("b", "c", "d")
    assert "b and d differ from a by less than chance." in verdict.text.splitlines()


def test_networks_that_kept_the_linear_forecast_tie_with_it_and_are_named():
    linear = row("ridge-blend", 2.0)
    same = [
        ModelResult(
            name, linear.scores | {"MAE": 2.0 - 1e-9}, origin_mae=linear.origin_mae, network=True, note="kept the linear forecast"
        )
        for name in ("stm3", "stid")
    ]  # fmt: skip
    verdict = judge([*same, linear, row("naive", 3.0)], SETTINGS)
    assert (verdict.best, verdict.choice) == ("ridge-blend", "ridge-blend")
    assert verdict.ties == verdict.kept_linear == ("stm3", "stid")
    assert verdict.p_values["stm3"] == 1.0
    assert "33.3% less than naive (3), the next" in verdict.text  # not 0 % less than itself
    assert (
        "stm3 and stid kept the linear forecast: their networks added nothing (residual weight 0)."
        in verdict.text
    )


def test_without_networks_the_next_is_the_rival():
    verdict = judge([row("a", 2.0), row("b", 2.5)], SETTINGS)
    assert verdict.rival == "b"
    assert "20.0% less than b (2.5), the next" in verdict.text


def test_a_short_test_part_tells_nothing():
    verdict = judge([row("a", 2.0, n=59), row("b", 2.5, n=59)], SETTINGS)
    assert verdict.p_values == {}
    assert verdict.ties == ()
    assert verdict.text.endswith("The test part is too short to tell whether that is chance.")
    assert judge([row("a", 2.0, n=60), row("b", 2.5, n=60)], SETTINGS).p_values.keys() == {"b"}


def test_one_or_none_that_succeeded():
    failed = ModelResult("x", error="DataError: no")
    one = judge([failed, row("a", 2.0)], SETTINGS)
    assert (one.best, one.rival, one.gain) == ("a", None, None)
    assert one.text == "a is best: MAE 2. Nothing else succeeded that it could be compared with."
    none = judge([failed], SETTINGS)
    assert (none.best, none.choice, none.text) == (None, None, "No forecaster succeeded.")


def test_perfect_forecasts_divide_by_nothing():
    exact = ModelResult("exact", {"MAE": 0.0}, origin_mae=np.zeros(240))
    also = ModelResult("also", {"MAE": 0.0}, origin_mae=np.zeros(240))
    verdict = judge([exact, also], SETTINGS)
    assert verdict.gain == 0.0
    assert verdict.ties == ("also",)


@pytest.fixture(scope="module")
def report():
    rng = np.random.default_rng(1)
    index = pd.date_range("2024-03-01", periods=600, freq="1h", name="time")
    walk = rng.normal(size=(600, 3))
    for t in range(1, 600):
        walk[t] += 0.9 * walk[t - 1]
    X = pd.DataFrame(walk + 3 * np.sin(np.arange(600) * np.pi / 12)[:, None], index, list("abc"))
    sizes = {"horizon": 3, "input_length": 6}
    network = STIDForecaster(**sizes, max_epochs=1, random_state=0)
    alone = STIDForecaster(**sizes, max_epochs=1, random_state=0, linear_skip=False)
    models = {
        "last": LastValue(horizon=3),
        "day": SeasonalNaive(horizon=3, season=24),
        "blend": RidgeForecaster(**sizes, neighbours="blend"),
        "kept": network,
        "alone": alone,
        "mean": EnsembleForecaster([("line", network), ("day", SeasonalNaive(horizon=3))]),
    }
    return compare(models, X, test_fraction=0.5)


def test_rows_know_networks_and_what_they_kept(report):
    assert [row.error for row in report.rows] == [None] * 6
    assert [row.network for row in report.rows] == [False, False, False, True, True, True]
    # noise has nothing for a network to find
    assert report["kept"].forecaster.residual_weight_ == 0
    assert [row.note for row in report.rows] == [None, None, None, "kept the linear forecast", None, None]


def test_the_verdict_stands_in_text_json_and_table(report):
    verdict = report.verdict()
    assert "kept" in verdict.kept_linear
    assert report.to_text().endswith("\n\n" + verdict.text)
    line = next(line for line in report.to_text().splitlines() if line.startswith("kept "))
    assert line.endswith("kept the linear forecast")
    written = json.loads(report.to_json())
    assert written["verdict"]["text"] == verdict.text
    assert written["verdict"]["p_values"] == pytest.approx(verdict.p_values)
    assert written["models"]["kept"]["note"] == "kept the linear forecast"
    assert report.to_frame()["note"].tolist() == [row.note for row in report.rows]
