"""DLinear and NLinear as forecasters: the linear baselines of long-horizon networks, trained in the same way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from sklearn.utils._param_validation import Options

from ..networks.linear import DLinearNetwork, NLinearNetwork
from .network import NetworkForecaster
from .parameters import TrainingParameters, describe, whole
from .registry import register

__all__ = ["DLinearForecaster", "DLinearParameters", "LinearParameters", "NLinearForecaster"]


@dataclass(kw_only=True, eq=False, repr=False)
class LinearParameters(TrainingParameters):
    """Parameters of a linear network beside those of every network."""

    input_length: int = 336
    horizon: int = 96
    per_node: bool = False
    seasonal_profile: Any = None
    linear_skip: bool = False
    time_features: Any = None
    max_epochs: int = 15
    learning_rate: float = 1e-3
    loss: str = "mse"
    node_weights: str = "equal"
    patience: int | None = 4

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TrainingParameters._parameter_constraints,
        "per_node": ["boolean"],
        "linear_skip": [Options(bool, {False})],  # the residual of a linear forecast by a linear map
        "time_features": [None],
    }


@dataclass(kw_only=True, eq=False, repr=False)
class DLinearParameters(LinearParameters):
    """Parameters of DLinear."""

    trend_window: int = 25

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **LinearParameters._parameter_constraints,
        "trend_window": [whole(1)],
    }


@register(
    tiny={"input_length": 4, "horizon": 2, "max_epochs": 1, "batch_size": 32, "random_state": 0},
    commands={"dlinear": {"text": "linear maps of trend and rest, trained as the networks are"}},
)
@describe
class DLinearForecaster(DLinearParameters, NetworkForecaster):
    """Linear maps of a moving average and of the rest of the look-back, summed.

    Parameters
    ----------
    {window_parameters}
    trend_window : int, default=25
        Time steps of the moving average.
    per_node : bool, default=False
        Whether each node has weights of its own.
    {training_parameters}

    Attributes
    ----------
    {training_attributes}

    See Also
    --------
    stmest.NLinearForecaster : For series whose level changes.
    stmest.RidgeForecaster : Linear too, in closed form.

    Notes
    -----
    Zeng et al., "Are Transformers Effective for Time Series Forecasting?" (AAAI 2023); equations and differences in
    `stmest/networks/linear.py`. Each node and feature is forecast from its own past; `adj` is accepted and not used.

    Examples
    --------
    >>> from stmest import DLinearForecaster, make_sensor_network
    >>> X = make_sensor_network(n_nodes=5, n_times=400, random_state=0).values
    >>> model = DLinearForecaster(input_length=96, horizon=24, max_epochs=2, random_state=0).fit(X)
    >>> model.predict().shape
    (24, 5)
    """

    _network_class = DLinearNetwork


@register(
    tiny={"input_length": 4, "horizon": 2, "max_epochs": 1, "batch_size": 32, "random_state": 0},
    commands={"nlinear": {"text": "linear map of the look-back less its last value, trained likewise"}},
)
@describe
class NLinearForecaster(LinearParameters, NetworkForecaster):
    """A linear map of the look-back less its last value, plus that value.

    Parameters
    ----------
    {window_parameters}
    per_node : bool, default=False
        Whether each node has weights of its own.
    {training_parameters}

    Attributes
    ----------
    {training_attributes}

    See Also
    --------
    stmest.DLinearForecaster : With a trend instead of the last value.
    stmest.RidgeForecaster : The same model with an L2 penalty, in closed form.

    Notes
    -----
    Zeng et al., "Are Transformers Effective for Time Series Forecasting?" (AAAI 2023); equations and differences in
    `stmest/networks/linear.py`. Each node and feature is forecast from its own past; `adj` is accepted and not used.

    Examples
    --------
    >>> from stmest import NLinearForecaster, make_sensor_network
    >>> X = make_sensor_network(n_nodes=5, n_times=400, random_state=0).values
    >>> model = NLinearForecaster(input_length=96, horizon=24, max_epochs=2, random_state=0).fit(X)
    >>> model.predict().shape
    (24, 5)
    """

    _network_class = NLinearNetwork
