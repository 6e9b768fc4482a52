"""
The learned graph
=================

Who listens to whom, as a matrix and on the map. The network was not told the graph; the map compares the links that
stand out with the true one, along which the simulated readings travel.
"""

from stmest import STM3Forecaster, make_sensor_network
from stmest.plotting import GraphDisplay

data = make_sensor_network(n_nodes=16, n_times=1200, random_state=1)
model = STM3Forecaster(max_epochs=6, random_state=0).fit(data.values)

# %%
# ``model.graph_`` is the table that is drawn.

display = GraphDisplay(model.graph_, given=data.graph).plot(n_links=2)

# %%
# A matrix alone, of what the attention of STMamba starts from.

from stmest import STMambaForecaster

attention = STMambaForecaster(max_epochs=6, random_state=0).fit(data.values)
matrix = GraphDisplay.from_estimator(attention)
