"""
Forecasts with intervals
========================

What was forecast from one origin, beside what came. The first forecaster is drawn thickest; its band is to hold nine of
ten values. The data are two months of PM2.5 in Beijing, which come with the package.
"""

from stmest import RidgeForecaster, STIDForecaster, load_air_quality
from stmest.plotting import ForecastDisplay

values = load_air_quality().values["2017-01":]
train, test = values[: -24 * 10], values[-24 * 10 :]

ridge = RidgeForecaster(neighbours="blend").fit(train)
stid = STIDForecaster(max_epochs=4, random_state=0).fit(train)

# %%
# The last 12 rows of ``test[:72]`` are forecast from those before them.

display = ForecastDisplay.from_estimator(
    {"ridge": ridge, "stid": stid}, test[:72], nodes=["Dongsi", "Huairou"], coverage=0.9, unit="µg/m³"
)

# %%
# Without data, what follows the last rows that the forecaster saw. Nothing is known of it yet.

future = ForecastDisplay.from_estimator(ridge, nodes=["Dongsi", "Huairou"], coverage=0.9, unit="µg/m³")
