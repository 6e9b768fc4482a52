"""What a network forecaster says when training or forecasting breaks: memory, and numbers that are no longer numbers.

Builds on `training.memory`; used by `network`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..data.containers import Panel
from ..data.scaling import NodeScaler
from ..exceptions import DataError, OutOfMemoryError, TrainingError
from ..linear.seasonal_mean import Residuals
from ..training.diagnostics import MemoryEstimate, estimate_training, explain_lack, is_out_of_memory
from ..training.engine import BatchDataset

__all__ = ["explained_forecast", "explained_training", "refuse_infinite_forecasts"]


@contextmanager
def explained_training(forecaster: Any, panel: Panel, train: BatchDataset) -> Iterator[None]:
    """Say before training that memory will not suffice, and explain what goes wrong during it.

    Parameters
    ----------
    forecaster : NetworkForecaster
        With its untrained network and its device.
    panel : Panel
        Training rows, to name the time and the node of an extreme reading.
    train : BatchDataset
        Training windows.

    Raises
    ------
    OutOfMemoryError
        If memory does not suffice, naming the sizes and a batch size that fits.
    TrainingError
        If the loss is no number, naming node and time of the most extreme reading of that batch.
    """
    batch_size = min(forecaster.batch_size, len(train))
    what = f"training {type(forecaster).__name__}"
    with explain_lack(what, _sizes(forecaster), batch_size, _estimate(forecaster, train), forecaster.device_):
        try:
            yield
        except OutOfMemoryError:
            raise
        except TrainingError as error:
            worst = _worst_of_batch(panel, train, forecaster.scaler_)
            raise TrainingError(f"{error} {worst}".rstrip()) from error


@contextmanager
def explained_forecast(forecaster: Any, n_windows: int) -> Iterator[None]:
    """Explain a lack of memory while forecasting so many windows at once."""
    what = f"forecasting with {type(forecaster).__name__}"
    with explain_lack(what, _sizes(forecaster), n_windows, None, forecaster.device_):
        yield


def refuse_infinite_forecasts(
    forecast: np.ndarray, x: np.ndarray, scaler: NodeScaler, nodes: list[Any] | None
) -> None:
    """Raise an error where a forecast is no finite number, naming the reading that is most likely the cause.

    Parameters
    ----------
    forecast : ndarray of shape (b, h, n, f_target)
        In the units of the data.
    x : ndarray of shape (b, t, n, f)
        Look-back that they were made from.
    scaler : NodeScaler
        Of the forecaster.
    nodes : list or None
        Names of the nodes.

    Raises
    ------
    DataError
        Naming the node that could not be forecast, and node and step of the most extreme reading.
    """
    if np.isfinite(forecast).all():
        return
    failed = np.argwhere(~np.isfinite(forecast))[0][2]
    (window, step, node, _), spreads = _most_extreme(x, scaler)
    raise DataError(
        f"the forecast of node {_name(nodes, failed)} is no finite number. The most extreme reading of the look-back is "
        f"{spreads:.3g} spreads from the centre of the training rows: node {_name(nodes, node)}, {x.shape[1] - step} step(s) "
        f"before the forecast, window {window} of {len(x)} in its batch. Give NaN where a reading is broken."
    )


def _sizes(forecaster: Any) -> str:
    lengths = f"{forecaster.input_length} + {forecaster.horizon} rows"
    return f"{lengths}, {forecaster.n_features_in_} nodes, {forecaster.n_inputs_} feature(s)"


def _estimate(forecaster: Any, train: BatchDataset) -> MemoryEstimate | None:
    try:
        return estimate_training(forecaster.network_, train.load, forecaster.device_)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return None


def _worst_of_batch(panel: Panel, train: BatchDataset, scaler: NodeScaler) -> str:
    """Tell the most extreme reading of the batch that was read last."""
    windows, positions = train.load.windows, train.load.latest
    if not positions:
        return ""
    rows = windows.starts[positions][:, None] + np.arange(windows.input_length + windows.horizon)
    (window, step, node, feature), spreads = _most_extreme(np.asarray(windows.values[rows]), scaler)
    row = int(rows[window, step])
    when = f"row {row}" if panel.index is None else f"{panel.index[row]} (row {row})"
    readings = panel.values.values if isinstance(panel.values, Residuals) else panel.values
    return (
        f"The most extreme reading of that batch is {readings[row, node, feature]:.4g} at node {_name(panel.nodes, node)}, "
        f"{when}: {spreads:.3g} spreads from the centre of the training rows."
    )


def _most_extreme(values: np.ndarray, scaler: NodeScaler) -> tuple[tuple[int, ...], float]:
    """Place of the value (b, t, n, f) that is farthest from the centre, and how many spreads that is."""
    size = np.abs((np.asarray(values, dtype=np.float64) - scaler.center) / scaler.scale)
    size = np.nan_to_num(size, nan=-1.0)
    place = tuple(int(i) for i in np.unravel_index(size.argmax(), size.shape))
    return place, float(size[place])


def _name(nodes: list[Any] | None, node: int) -> str:
    return str(node) if nodes is None else repr(nodes[node])
