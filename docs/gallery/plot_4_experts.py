"""
Experts and scales
==================

Which expert of STM3 serves which sensor, how that changed while it learnt, and what experts and scales make of the
windows, by t-SNE.
"""

from stmest import STM3Forecaster, make_sensor_network
from stmest.plotting import EmbeddingDisplay, RoutingDisplay

data = make_sensor_network(n_nodes=12, n_times=800, random_state=0)
model = STM3Forecaster(n_experts=3, max_epochs=8, random_state=0).fit(data.values, data.graph)

# %%
# Sensors of the same first expert stand side by side.

routing = RoutingDisplay.from_estimator(model)

# %%
# Points that lie together are similar to the network. Sizes of and distances between the clusters mean nothing.

embeddings = EmbeddingDisplay.from_estimator(model, data.values[-120:], n_points=300)
