"""
Errors by step and by node
==========================

Where the errors are: how they grow with the horizon, and which sites are hard, for all forecasters of a report.
"""

from stmest import LastValue, MeanProfile, RidgeForecaster, compare, load_air_quality
from stmest.plotting import ErrorDisplay

air = load_air_quality()
models = {
    "ridge of all sites": RidgeForecaster(neighbours="blend"),
    "ridge": RidgeForecaster(),
    "mean profile": MeanProfile(season=24),
    "last value": LastValue(),
}
report = compare(models, air.values["2017-01":], air.graph, unit="µg/m³")
print(report)

# %%
# The best forecaster comes first; the nodes are in the order of its errors.

display = ErrorDisplay.from_report(report)
