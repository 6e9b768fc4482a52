"""Pictures: what is drawn, and that nothing of matplotlib is left behind."""

from __future__ import annotations

import builtins
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from stmest import DataError, LastValue, MissingDependencyError, ParameterError
from stmest.plotting import ForecastDisplay, plot_forecast

TRUTH = np.arange(12.0).reshape(4, 3)
HISTORY = -np.arange(18.0).reshape(6, 3)


@pytest.fixture
def forecasts():
    return {"first": TRUTH + 1, "second": TRUTH - 1}


def test_lines_are_the_values_and_forecasts(forecasts):
    axes = plot_forecast(
        TRUTH, forecasts, history=HISTORY, nodes=[2, 0], node_names="xyz", unit="mph", title="t"
    )
    assert axes.shape == (2,)
    observed, _, first, second = axes[0].get_lines()
    np.testing.assert_array_equal(observed.get_ydata(), [*HISTORY[:, 2], *TRUTH[:, 2]])
    np.testing.assert_array_equal(observed.get_xdata(), np.arange(-5, 5))
    np.testing.assert_array_equal(first.get_ydata(), TRUTH[:, 2] + 1)
    np.testing.assert_array_equal(second.get_xdata(), [1, 2, 3, 4])
    assert [axis.get_title(loc="left") for axis in axes] == ["z", "x"]
    assert [axis.get_ylabel() for axis in axes] == ["mph", "mph"]
    assert axes[-1].get_xlabel() == "steps from the origin (shaded: forecast)"
    figure = axes[0].figure
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["observed", "first", "second"]
    assert figure.get_suptitle() == "t"


def test_forecasts_differ_in_colour_and_in_dash(forecasts):
    more = {f"model {i}": TRUTH + i for i in range(6)}
    lines = plot_forecast(TRUTH, more)[0].get_lines()[2:]
    assert len({line.get_color() for line in lines}) == 6
    assert len({str(line._dash_pattern) for line in lines}) == 6


@pytest.mark.parametrize(
    "time",
    [
        pd.date_range("2024-01-01", periods=10, freq="1h"),
        pd.period_range("2024-01-01", periods=10, freq="h"),
        pd.RangeIndex(100, 110),
    ],
)
def test_picture_with_times_is_written(tmp_path, forecasts, time):
    axes = plot_forecast(TRUTH, forecasts, history=HISTORY, time=time)
    axes[0].figure.savefig(tmp_path / "picture.png")
    content = (tmp_path / "picture.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert int.from_bytes(content[16:20], "big") == 1400
    assert "time" in axes[-1].get_xlabel()


def test_title_legend_and_panels_do_not_overlap(forecasts):
    axes = plot_forecast(TRUTH, forecasts, title="a title")
    figure = axes[0].figure
    figure.canvas.draw()
    legend = figure.legends[0].get_window_extent()
    title = figure._suptitle.get_window_extent()
    assert not legend.overlaps(title)
    assert not any(
        legend.overlaps(axis.get_tightbbox()) or title.overlaps(axis.get_tightbbox()) for axis in axes
    )


def test_missing_values_leave_gaps_and_lonely_ones_are_dots(forecasts):
    gappy = HISTORY.copy()
    gappy[[1, 3], 0] = np.nan
    observed, dots, *_ = plot_forecast(TRUTH, forecasts, history=gappy, nodes=[0])[0].get_lines()
    assert np.isnan(observed.get_ydata()[[1, 3]]).all()
    assert dots.get_ydata().tolist() == [gappy[0, 0], gappy[2, 0]]


def test_axes_of_the_user_are_drawn_on(forecasts):
    from matplotlib.figure import Figure

    given = Figure().subplots(2)
    axes = plot_forecast(TRUTH, forecasts, nodes=[0, 1], axes=given)
    assert list(axes) == list(given)
    with pytest.raises(DataError, match="2 axes were given for 1 nodes"):
        plot_forecast(TRUTH, forecasts, nodes=[0], axes=given)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"truth": TRUTH[:, 0]}, "truth has shape"),
        ({"forecasts": {"a": TRUTH[:2]}}, "'a' has shape"),
        ({"history": HISTORY[:, :2]}, "history has shape"),
        ({"nodes": [3]}, "from 0 to 2"),
        ({"nodes": []}, "at least one"),
        ({"node_names": ["a"]}, "1 node_names"),
        ({"time": pd.RangeIndex(3)}, "time has 3 entries"),
    ],
)
def test_what_does_not_fit_is_told(forecasts, arguments, words):
    with pytest.raises(DataError, match=words):
        plot_forecast(**{"truth": TRUTH, "forecasts": forecasts, **arguments})


def test_pyplot_and_settings_are_left_alone():
    code = (
        "import sys, numpy as np, matplotlib\n"
        "def settings(): return {k: matplotlib.rcParams[k] for k in matplotlib.rcParams.keys() - {'backend'}}\n"
        "before = settings()\n"
        "from stmest.plotting import plot_forecast\n"
        "plot_forecast(np.zeros((3, 2)), {'a': np.ones((3, 2))})[0].figure.canvas.draw()\n"
        "assert settings() == before\n"
        "print('matplotlib.pyplot' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_without_matplotlib_the_extra_is_named(monkeypatch, forecasts):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError("no matplotlib here")
        return real(name, *args, **kwargs)

    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r"stmest\[plot\]"):
        plot_forecast(TRUTH, forecasts)


class WithIntervals(LastValue):
    """The last value, one more and one less."""

    def predict_interval(self, X=None, coverage=0.9):
        forecast = self.predict(X)
        return forecast - coverage, forecast + coverage


X = pd.DataFrame(
    np.random.default_rng(0).normal(size=(40, 3)),
    columns=list("xyz"),
    index=pd.date_range("2024", periods=40, freq="1h"),
)


def test_intervals_are_bands_in_the_colour_of_their_forecast(forecasts):
    bounds = {"second": (TRUTH - 2, TRUTH + 2)}
    axis = plot_forecast(TRUTH, forecasts, intervals=bounds, coverage=0.8, nodes=[1])[0]
    (band,) = axis.collections
    corners = band.get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == (TRUTH[:, 1].min() - 2, TRUTH[:, 1].max() + 2)
    assert (corners[:, 0].min(), corners[:, 0].max()) == (1, 4)
    assert band.get_label() == "80% interval of second"
    colour = next(line.get_color() for line in axis.get_lines() if line.get_label() == "second")
    assert to_hex(band.get_facecolor()[0]).upper() == colour


@pytest.mark.parametrize("bounds", [{"third": (TRUTH, TRUTH)}, {"first": (TRUTH[:2], TRUTH[:2])}])
def test_intervals_that_do_not_fit_are_told(forecasts, bounds):
    with pytest.raises(DataError, match="interval"):
        plot_forecast(TRUTH, forecasts, intervals=bounds)


def test_display_forecasts_the_last_rows_from_those_before():
    model = WithIntervals(horizon=5).fit(X[:20])
    display = ForecastDisplay.from_estimator(
        {"last": model}, X, nodes=["z", 0], coverage=0.5, n_history=7, unit="mph"
    )
    observed, _, forecast = display.axes_[0].get_lines()
    np.testing.assert_array_equal(observed.get_ydata(), X["z"].iloc[-12:])
    np.testing.assert_allclose(forecast.get_ydata(), X["z"].iloc[-6], rtol=1e-6)  # float32 inside
    assert [axis.get_title(loc="left") for axis in display.axes_] == ["z", "x"]
    assert [text.get_text() for text in display.figure_.legends[0].get_texts()] == [
        "observed", "last", "50% interval of last",
    ]  # fmt: skip
    assert display.time.equals(X.index[-12:])


def test_display_without_data_shows_the_future():
    model = LastValue(horizon=5).fit(X)
    display = ForecastDisplay.from_estimator(model)
    assert np.isnan(display.truth).all()
    assert display.time[-1] == X.index[-1] + pd.Timedelta("5h")
    np.testing.assert_array_equal(display.forecasts["LastValue"], model.predict())


def test_display_of_predictions():
    display = ForecastDisplay.from_predictions(TRUTH, TRUTH + 1, nodes=[2], unit="mph", title="t")
    assert display.axes_[0].get_lines()[2].get_label() == "forecast"
    assert display.figure_.get_suptitle() == "t"


@pytest.mark.parametrize(
    ("draw", "error", "words"),
    [
        (lambda model: ForecastDisplay.from_estimator(model, X[:3]), DataError, "more than horizon"),
        (lambda model: ForecastDisplay.from_estimator(model, X, coverage=2), ParameterError, "coverage=2"),
        (lambda model: ForecastDisplay.from_estimator(model, X, nodes=["q"]), DataError, "'q'"),
        (
            lambda model: ForecastDisplay.from_estimator({"a": model, "b": LastValue(horizon=2)}, X),
            ParameterError,
            "horizons",
        ),
    ],
)
def test_what_a_display_cannot_draw_is_told(draw, error, words):
    with pytest.raises(error, match=words):
        draw(LastValue(horizon=5).fit(X))
