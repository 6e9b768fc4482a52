"""Draws ``docs/images/forecast.png``, the picture of the README: ``python docs/readme_picture.py``, a minute on two cores.

The forecasters of the README's first example, and a usual window of the test part: of the fifth in the middle by how much the air
changes, the one with the median error. Half of the forecasts of such hours are better, and half are worse.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from stmest import RidgeForecaster, STIDForecaster, load_air_quality
from stmest.metrics.point import origin_errors
from stmest.plotting import ForecastDisplay

PICTURE = Path(__file__).parent / "images" / "forecast.png"
SITES = ("Dongsi", "Huairou", "Wanshouxigong")  # in the middle, in the north and in the south


def draw() -> None:
    """Fit, choose the window, and write the picture."""
    air = load_air_quality()
    cut = len(air.values) - round(0.2 * len(air.values))
    models: dict[str, Any] = {
        "network (STID)": STIDForecaster(max_epochs=6, patience=6, batch_size=128, random_state=0),
        "linear (ridge)": RidgeForecaster(neighbours="blend"),
    }
    for model in models.values():
        model.fit(air.values[:cut], air.graph)
    end = _end_of_window(models["network (STID)"], air.values, cut)
    shown = ForecastDisplay.from_estimator(
        models,
        air.values[:end],
        nodes=SITES,
        coverage=0.9,
        n_history=24,
        unit=air.values.attrs["unit"],
        title="PM2.5 at three of twelve sites in Beijing, twelve hours ahead",
    )
    shown.figure_.savefig(PICTURE, dpi=150)


def _end_of_window(model: Any, values: Any, cut: int) -> int:
    """Where the window ends: of those in which the air changes neither little nor much, the one with the median error."""
    truth, forecasts = model.predict_windows(values[cut - model.context_length_ :])
    n_windows = len(values) - cut - model.horizon + 1
    truth, errors = truth[-n_windows:], origin_errors(truth[-n_windows:], forecasts[-n_windows:])
    change = np.abs(truth[:, -1] - truth[:, 0]).mean(
        axis=1
    )  # NaN where a site is missing: such windows are not shown
    least, most = np.nanquantile(change, [0.4, 0.6])
    usual = np.flatnonzero((change >= least) & (change <= most))
    middle = usual[np.argsort(errors[usual])[len(usual) // 2]]
    return int(cut + middle + model.horizon)


if __name__ == "__main__":
    draw()
