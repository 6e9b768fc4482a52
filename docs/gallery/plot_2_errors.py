"""
Errors by step and by node
==========================

Where the errors are: how they grow with the horizon, and which sensors are hard, for all forecasters of a report.
"""

from stmest import LastValue, MeanProfile, RidgeForecaster, STMambaForecaster, compare, make_sensor_network
from stmest.plotting import ErrorDisplay

data = make_sensor_network(n_nodes=16, n_times=700, random_state=0)
models = {
    "stmamba": STMambaForecaster(max_epochs=6, random_state=0),
    "ridge": RidgeForecaster(),
    "mean profile": MeanProfile(season=24),
    "last value": LastValue(),
}
report = compare(models, data.values, data.graph, unit="mph")
print(report)

# %%
# The best forecaster comes first; the nodes are in the order of its errors.

display = ErrorDisplay.from_report(report)
