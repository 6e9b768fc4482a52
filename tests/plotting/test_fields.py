"""Fields: truth, forecast and error in a row."""

from __future__ import annotations

import numpy as np
import pytest

from stmest import DataError
from stmest.plotting import FieldDisplay, plot_fields

TRUTH = np.arange(24.0).reshape(4, 2, 3)
FORECAST = TRUTH + np.array([1.0, -2.0, 0.5, 3.0])[:, None, None]


class Persistence:
    """The last field, repeated."""

    horizon = 2

    def predict(self, X):
        return np.repeat(np.asarray(X)[-1:], 2, axis=0)


def test_each_row_is_truth_forecast_and_their_difference():
    axes = plot_fields(TRUTH, FORECAST, steps=[1, 4], unit="K")
    assert axes.shape == (2, 3)
    for row, step in zip(axes, (0, 3), strict=True):
        shown = [axis.images[0].get_array() for axis in row]
        np.testing.assert_array_equal(shown[0], TRUTH[step])
        np.testing.assert_array_equal(shown[1], FORECAST[step])
        np.testing.assert_array_equal(shown[2], FORECAST[step] - TRUTH[step])
    assert [axis.get_title() for axis in axes[1]] == ["truth, step 4", "forecast, step 4", "error, step 4"]
    bars = {axis.get_xlabel() for axis in axes[0, 0].figure.axes[6:]}
    assert bars == {"field (K)", "error (K)"}


def test_scales_are_shared_and_that_of_the_errors_is_symmetric():
    axes = plot_fields(TRUTH, FORECAST)
    assert axes.shape == (3, 3)  # first, middle, last
    assert len({axis.images[0].get_clim() for axis in axes[:, :2].ravel()}) == 1
    assert {axis.images[0].get_clim() for axis in axes[:, 2]} == {(-3.0, 3.0)}


def test_row_0_is_on_top_unless_coordinates_say_otherwise():
    (row,) = plot_fields(TRUTH, FORECAST, steps=[1])
    low, high = row[0].get_ylim()
    assert low > high
    for y, x in (([50.0, 51.0], [0.0, 1.0, 2.0]), ([51.0, 50.0], [0.0, 1.0, 2.0])):
        (row,) = plot_fields(TRUTH, FORECAST, steps=[1], y=y, x=x, labels=("latitude", "longitude"))
        assert row[0].get_ylim() == (49.5, 51.5)
        left, right, first, last = row[0].images[0].get_extent()
        assert (left, right) == (-0.5, 2.5)
        assert (first < last) == (y[0] < y[1])
        assert row[0].images[0].origin == "lower"
    assert row[0].get_xlabel() == "longitude"


def test_display_of_a_forecaster_takes_the_last_rows_as_truth():
    display = FieldDisplay.from_estimator(Persistence(), TRUTH, steps=[2], title="fields")
    np.testing.assert_array_equal(display.axes_[0].images[0].get_array(), TRUTH[3])
    np.testing.assert_array_equal(display.axes_[1].images[0].get_array(), TRUTH[1])
    assert display.figure_.get_suptitle() == "fields"
    four = FieldDisplay.from_estimator(Persistence(), TRUTH[..., None], steps=[2])
    np.testing.assert_array_equal(four.axes_[0].images[0].get_array(), TRUTH[3])


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: plot_fields(TRUTH, FORECAST[:2]), "needed: the same"),
        (lambda: plot_fields(TRUTH, FORECAST, steps=[5]), "from 1 to 4"),
        (lambda: plot_fields(TRUTH, FORECAST, x=[1]), r"needed: \(3,\)"),
        (lambda: plot_fields(TRUTH, np.full_like(TRUTH, np.nan)), "all NaN"),
        (lambda: FieldDisplay.from_estimator(Persistence(), np.ones((9, 3))), "n_rows, n_columns"),
    ],
)
def test_what_does_not_fit_is_told(draw, words):
    with pytest.raises(DataError, match=words):
        draw()
