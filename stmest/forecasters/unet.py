"""U-Net as a forecaster of fields: the convolutional baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..exceptions import DataError
from ..graphs import Graph
from ..networks.unet import UNetNetwork
from ..prediction.predictor import Predictor
from .network import NetworkForecaster
from .parameters import TrainingParameters, describe, whole
from .registry import register

__all__ = ["UNetForecaster", "UNetParameters"]


@dataclass(kw_only=True, eq=False, repr=False)
class UNetParameters(TrainingParameters):
    """Parameters of the U-Net beside those of every network."""

    input_length: int = 10
    horizon: int = 10
    channels: int = 16
    depth: int = 3
    batch_size: int = 16
    learning_rate: float = 2e-3
    loss: str = "mse"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TrainingParameters._parameter_constraints,
        "channels": [whole(1)],
        "depth": [whole(0, 30)],
    }


@register(
    tiny={
        "input_length": 4,
        "horizon": 2,
        "channels": 4,
        "depth": 1,
        "max_epochs": 1,
        "batch_size": 32,
        "random_state": 0,
    },
    commands={"unet": {"text": "U-Net, for fields only"}},
    grids_only=True,
)
@describe
class UNetForecaster(UNetParameters, NetworkForecaster):
    """U-Net on fields, with the frames of the look-back as channels: the convolutional baseline.

    Parameters
    ----------
    {window_parameters}
    channels : int, default=16
        Channels of the first level; twice as many on each level below.
    depth : int, default=3
        How often the field is halved.
    {training_parameters}

    Attributes
    ----------
    grid_shape_ : tuple of int
        Rows and columns of the fields, (n_y, n_x).
    {training_attributes}

    See Also
    --------
    stmest.LastValue : Persistence.
    stmest.RidgeForecaster : ``per_node=True`` gives every cell a linear model of its own.

    Notes
    -----
    A plain array of three axes is a field (n_times, n_y, n_x) here. A graph is accepted and not used.

    Examples
    --------
    >>> from stmest import UNetForecaster, make_navier_stokes
    >>> X = make_navier_stokes(3, 32, n_steps=12, viscosity=1e-3, refinement=1, random_state=0, device="cpu")
    >>> model = UNetForecaster(input_length=4, horizon=4, channels=4, max_epochs=1, random_state=0).fit(X)
    >>> model.predict(X).shape
    (3, 4, 32, 32, 1)
    >>> model.predict(X[0, ..., 0], steps=6).shape
    (6, 32, 32)
    """

    _network_class = UNetNetwork
    _reads_fields = True

    def _network_settings(self, predictor: Predictor, graph: Graph | None) -> dict[str, Any]:
        grid = predictor.spec.grid
        if grid is None:
            raise DataError(
                f"X has {predictor.spec.n_nodes} nodes and no grid; UNetForecaster needs fields: (n_times, n_y, n_x), (n_times, "
                "n_y, n_x, n_features) or a DataArray with the dimensions time, y, x."
            )
        return super()._network_settings(predictor, graph) | {"grid_shape": grid}
