"""Pictures of forecasts, errors and what networks learnt, with matplotlib (the extra ``plot``).

A function draws arrays and tables and returns the Axes; a display collects what it needs by `from_estimator` or
`from_predictions` and draws it, as scikit-learn's displays do. Figures are made without pyplot: nothing is registered
globally, no window opens, no setting changes. Matplotlib is imported when something is drawn.
"""

from __future__ import annotations

from .embeddings import EmbeddingDisplay, plot_embedding
from .errors import ErrorDisplay, plot_error_by_horizon, plot_error_by_node
from .fields import FieldDisplay, plot_fields
from .forecast import ForecastDisplay, plot_forecast
from .graphs import GraphDisplay, plot_graph_map, plot_graph_matrix
from .history import HistoryDisplay, plot_history
from .page import report_page
from .report_picture import report_picture
from .routing import RoutingDisplay, plot_routing, plot_routing_change

__all__ = [
    "EmbeddingDisplay",
    "ErrorDisplay",
    "FieldDisplay",
    "ForecastDisplay",
    "GraphDisplay",
    "HistoryDisplay",
    "RoutingDisplay",
    "plot_embedding",
    "plot_error_by_horizon",
    "plot_error_by_node",
    "plot_fields",
    "plot_forecast",
    "plot_graph_map",
    "plot_graph_matrix",
    "plot_history",
    "plot_routing",
    "plot_routing_change",
    "report_page",
    "report_picture",
]
