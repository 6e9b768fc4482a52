"""
From a table to tomorrow's forecast
===================================

Two years of air quality at twelve sites of Beijing come with the package: hourly PM2.5, in micrograms per
cubic metre, with real gaps. In ten minutes: a first forecast, a network, a fair table of errors, a range
for every hour, and what to do when new values come.
"""

# %%
# The data
# --------
#
# A table: one row per time step, one column per node (here: a site). With a file of your own,
# ``pandas.read_csv("values.csv", index_col=0, parse_dates=True)`` gives the same form. Missing values are
# NaN; you need not fill them in.

from stmest import load_air_quality

air = load_air_quality()
values = air.values
values.iloc[-3:, :6].round()  # six of the twelve sites

# %%
# Which sites are neighbours is a graph; it is optional.

air.graph

# %%
# The last fifth of the hours is set aside. No forecaster sees it before its test.

cut = round(0.8 * len(values))
train, test = values[:cut], values[cut:]
print(
    f"{len(train):,} hours to learn from, {len(test):,} to test on; {values.isna().mean(axis=None):.1%} missing"
)

# %%
# A first forecast, in seconds
# ----------------------------
#
# Begin with the linear one. The look-back is 24 hours and the horizon 12: from one day, forecast half a
# day. ``neighbours="blend"`` lets it use the other sites.

from stmest import RidgeForecaster

ridge = RidgeForecaster(input_length=24, horizon=12, neighbours="blend").fit(train, air.graph)
ridge.predict().iloc[:3, :6].round()

# %%
# The forecast is a table like the input: the times are those after the last training row, the names and the
# unit are those of the data.
#
# Is a network better?
# --------------------
#
# Every network of stmest forecasts what the linear forecast leaves, and is believed only as far as that
# helps on a part of the training data that it did not learn from. STID is the smallest;
# ``STM3Forecaster`` and ``STMambaForecaster`` take the graph as well, and more time.
#
# ``compare`` fits every forecaster on the same hours and scores it on the same windows of the last ones.
# Keep the simple forecasters in the table: where one of them is best, use it.

from stmest import LastValue, SeasonalNaive, STIDForecaster, compare

report = compare(
    {
        "stid": STIDForecaster(max_epochs=6, patience=6, batch_size=128, random_state=0),
        "ridge": ridge,
        "same hour yesterday": SeasonalNaive(season=24),
        "last value": LastValue(),
    },
    values,
    air.graph,
    test_fraction=0.2,
    unit="µg/m³",
)
report.to_frame()[["MAE", "RMSE", "MASE", "R2", "fit_seconds"]].round(2)

# %%
# MAE is the mean absolute error in the unit of the data. MASE is the same, in units of the error of a
# seasonal naive forecast on the training hours: below 1 is better than that.

from stmest.plotting import ErrorDisplay

errors = ErrorDisplay.from_report(report)

# %%
# How sure is it?
# ---------------
#
# A range that should contain nine of ten values, for every site and hour.

stid = report["stid"].forecaster  # fitted by ``compare``, on the training hours
lower, upper = stid.predict_interval(coverage=0.9)
upper.iloc[:3, :6].round()

# %%
# Drawn beside what came:

from stmest.plotting import ForecastDisplay

picture = ForecastDisplay.from_estimator(
    {"stid": stid, "ridge": ridge}, test[:-18], nodes=["Dongsi", "Huairou"], coverage=0.9, unit="µg/m³"
)

# %%
# Tomorrow
# --------
#
# When new values have come, append them. Nothing is trained again, and the next forecast begins where they
# end.

stid.update(test[:24]).predict().index[0]

# %%
# Keep it
# -------
#
# A saved model is one file of numbers and text. It runs no code when it is opened, and gives the same
# forecast.

import tempfile
from pathlib import Path

import stmest

file = Path(tempfile.mkdtemp()) / "air.safetensors"
stid.save(file)
stmest.load(file).predict().equals(stid.predict())

# %%
# Next
# ----
#
# - :doc:`Which model should I use? </how_to/choosing_a_model>`
# - :doc:`Your own graph </how_to/own_graph>`, :doc:`your own files </how_to/own_files>`, and
#   :doc:`a search over parameters </how_to/grid_search>`.
# - :doc:`What the networks are made of </explanation/index>`.
