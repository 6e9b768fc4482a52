"""
Forecasts with intervals
========================

What was forecast from one origin, beside what came. The first forecaster is drawn thickest; its band is to hold nine of
ten values. The data are PM2.5 in Beijing, which come with the package.
"""

from stmest import LastValue, RidgeForecaster, load_air_quality
from stmest.plotting import ForecastDisplay

values = load_air_quality().values
train, test = values[: -24 * 10], values[-24 * 10 :]

ridge = RidgeForecaster(neighbours="blend").fit(train)
last = LastValue().fit(train)

# %%
# The last 12 rows of what is given are forecast from those before them.

display = ForecastDisplay.from_estimator(
    {"ridge": ridge, "last value": last}, test[:-18], nodes=["Dongsi", "Huairou"], coverage=0.9, unit="µg/m³"
)

# %%
# Without data, what follows the last rows that the forecaster saw. Nothing is known of it yet.

future = ForecastDisplay.from_estimator(ridge, nodes=["Dongsi", "Huairou"], coverage=0.9, unit="µg/m³")
