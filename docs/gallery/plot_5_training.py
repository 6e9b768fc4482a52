"""
The course of a training
========================

Losses and learning rate by epoch, and the epoch whose weights are kept.
"""

from stmest import STMambaForecaster, make_sensor_network
from stmest.plotting import HistoryDisplay

data = make_sensor_network(n_nodes=6, n_times=600, random_state=0)
model = STMambaForecaster(max_epochs=12, random_state=0).fit(data.values, data.graph)
display = HistoryDisplay.from_estimator(model)
