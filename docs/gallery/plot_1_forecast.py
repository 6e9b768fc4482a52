"""
Forecasts with intervals
========================

What was forecast from one origin, beside what came. The first forecaster is drawn thickest; its band is to hold nine of
ten readings.
"""

from stmest import RidgeForecaster, STM3Forecaster, make_sensor_network
from stmest.plotting import ForecastDisplay

data = make_sensor_network(n_nodes=8, n_times=900, random_state=0)
train, test = data.values[:720], data.values[720:]

stm3 = STM3Forecaster(max_epochs=8, random_state=0).fit(train, data.graph)
ridge = RidgeForecaster().fit(train)

# %%
# The last 12 rows of ``test[:72]`` are forecast from those before them.

display = ForecastDisplay.from_estimator(
    {"stm3": stm3, "ridge": ridge}, test[:72], nodes=["s1", "s4"], coverage=0.9, unit="mph"
)

# %%
# Without data, what follows the last rows that the forecaster saw. Nothing is known of it yet.

future = ForecastDisplay.from_estimator(stm3, nodes=["s1", "s4"], coverage=0.9, unit="mph")
