"""
Fields on a grid
================

Truth, forecast and error of a field side by side. The field is a wave that travels over a grid; the forecast repeats the
last field, so that the error grows with the steps.
"""

import numpy as np

from stmest.plotting import FieldDisplay

lat, lon = np.linspace(50, 58, 33), np.linspace(-10, 2, 49)
time = np.arange(60)[:, None, None]
field = 280 + 5 * np.sin((lon - 0.2 * time) + 0.5 * lat[:, None]) + 0.5 * (58 - lat[:, None])

horizon = 12
truth = field[-horizon:]
forecast = np.repeat(field[-horizon - 1 : -horizon], horizon, axis=0)

display = FieldDisplay.from_predictions(
    truth,
    forecast,
    steps=[1, 6, 12],
    y=lat,
    x=lon,
    labels=("latitude (degrees)", "longitude (degrees)"),
    unit="K",
)
