"""STID as a forecaster: parameters, network, and the learned node embeddings as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd
from sklearn.utils.validation import check_is_fitted

from ..data.calendar import calendar_channels, slots_per_day
from ..data.panel import Panel
from ..exceptions import ParameterError
from ..graphs import Graph
from ..networks.stid import STIDNetwork
from ..prediction.predictor import Predictor
from .network import NetworkForecaster
from .parameters import TrainingParameters, describe, real, whole
from .registry import register

__all__ = ["STIDForecaster", "STIDParameters"]

# Most distinct times of day: one every five minutes, as in the data of the paper
_MOST_SLOTS = 288


@dataclass(kw_only=True, eq=False, repr=False)
class STIDParameters(TrainingParameters):
    """Parameters of STID beside those of every network."""

    d_model: int = 32
    n_layers: int = 3
    dropout: float = 0.15
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TrainingParameters._parameter_constraints,
        "d_model": [whole(1)],
        "n_layers": [whole(0, 1000)],
        "dropout": [real(0, 1)],
    }


@register(
    tiny={
        "input_length": 4,
        "horizon": 2,
        "d_model": 4,
        "n_layers": 1,
        "max_epochs": 1,
        "batch_size": 32,
        "random_state": 0,
    },
    commands={"stid": {"text": "perceptron on look-back, node and time"}},
)
@describe
class STIDForecaster(STIDParameters, NetworkForecaster):
    """Perceptron on look-back, node, time of day and day of week: a strong simple baseline.

    Each node is forecast from its own values. All nodes share the weights; each has a learned vector of its own. A graph is
    accepted, for the common API, and not used.

    Parameters
    ----------
    {window_parameters}
    d_model : int, default=32
        Width of each of the four parts (window, node, time of day, day of week); the layers are as wide as all of them.
    n_layers : int, default=3
        Residual layers; 0: the forecast is linear in the parts.
    dropout : float, default=0.15
        Dropout within the layers; in [0, 1).
    {training_parameters}

    Attributes
    ----------
    node_embedding_ : DataFrame of shape (n_nodes, d_model)
        Learned vector of each node.
    slots_per_day_ : int
        Number of distinct times of day.
    {training_attributes}

    See Also
    --------
    stmest.STM3Forecaster : Mixture of multiscale Mamba experts, which also uses other nodes.
    stmest.RidgeForecaster : The linear model to compare with first.

    Notes
    -----
    STID: Shao, Zhang, Wang, Wei, Xu, "Spatial-Temporal Identity: A Simple yet Effective Baseline for Multivariate Time
    Series Forecasting", CIKM 2022, arXiv 2208.05233. `stmest/networks/stid.py` lists where this implementation differs, and
    why. Of `time_features` it uses ``"time_of_day"`` and ``"day_of_week"``, without which only nodes have learned vectors, and
    holidays.

    Examples
    --------
    >>> from stmest import STIDForecaster, make_sensor_network
    >>> data = make_sensor_network(n_nodes=5, n_times=300, random_state=0)
    >>> model = STIDForecaster(input_length=12, horizon=3, max_epochs=1, random_state=0)
    >>> model.fit(data.values).predict().shape
    (3, 5)
    """

    _network_class = STIDNetwork
    slots_per_day_: int

    def _choose_time_features(self, panel: Panel) -> tuple[str, ...]:
        chosen = super()._choose_time_features(panel)
        if "day_of_year" in (self.time_features or ()):
            raise ParameterError(
                f"time_features={self.time_features!r}: STID has tables for 'time_of_day' and 'day_of_week' only."
            )
        self.slots_per_day_ = slots_per_day(panel.index, _MOST_SLOTS)
        return tuple(kind for kind in chosen if kind != "day_of_year")  # which "auto" may have chosen

    def _network_settings(self, predictor: Predictor, graph: Graph | None) -> dict[str, Any]:
        channels = calendar_channels(predictor.time_features)
        day, week = channels.get("time_of_day"), channels.get("day_of_week")
        return super()._network_settings(predictor, graph) | {
            "day_channels": None if day is None else (day[0], day[len(day) // 2]),
            "week_channel": None if week is None else week[0],
            "slots_per_day": self.slots_per_day_,
        }

    @property
    def node_embedding_(self) -> pd.DataFrame:
        """Learned vector of each node, labelled by node."""
        check_is_fitted(self)
        return self._shown(pd.DataFrame(self.network_.node.detach().cpu().numpy(), index=self._node_labels()))
