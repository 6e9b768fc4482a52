"""Chronos-2, a pretrained network that forecasts series which it has never seen, as a rival that is not trained.

Package and weights are optional and are not downloaded from here. Builds on `base`.
"""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..data.input_spec import InputSpec
from ..data.node_record import NodeRecord
from ..data.panel import Panel, feature_positions
from ..data.scaling import NodeScaler
from ..data.splits import Split
from ..data.windows import Older
from ..exceptions import DataError, MissingDependencyError, ModelFileError
from ..graphs import Graph
from ..prediction.predictor import Predictor
from ..prediction.rules import Rule, Shapes
from ..runtime import require, resolve_device
from ..training.extremes import refuse_infinite_forecasts
from .base import BaseForecaster, learnt
from .parameters import whole
from .registry import register

__all__ = ["ChronosForecaster", "ChronosRule"]

_WINDOWS_AT_ONCE = 64
_SERIES_AT_ONCE = 256


@dataclass(frozen=True)
class ChronosRule(Rule):
    """The medians that Chronos-2 forecasts for each series, in units of the scaler; weights are found by their name.

    Attributes
    ----------
    folder : str
        Where the weights are.
    device : str
        Where to compute.
    horizon : int
        Time steps to forecast.
    scaler : NodeScaler
        Shift and scale of each node and feature: levels are taken away before anything becomes float32.
    target : list of int
        Positions of the forecast features.
    """

    linear: ClassVar[None] = None  # type: ignore[misc]

    folder: str
    device: str
    horizon: int
    scaler: NodeScaler
    target: list[int]

    @property
    def pipeline(self) -> Any:
        """The loaded `Chronos2Pipeline`."""
        return _loaded(self.folder, self.device)

    def forecast(
        self,
        x: np.ndarray,
        time: np.ndarray | None,
        ahead: np.ndarray | None,
        nodes: list[Any] | None,
        older: Older | None = None,
    ) -> np.ndarray:
        """Forecast windows; see `Rule`."""
        scaled = self.scaler.transform(x)[..., self.target]
        series = scaled.reshape(*x.shape[:2], -1).transpose(0, 2, 1).reshape(-1, 1, x.shape[1])
        forecast = np.zeros((len(series), self.horizon))  # the mean, where nothing was observed
        seen = np.isfinite(series).any((1, 2))
        if seen.any():
            forecast[seen] = self._medians(series[seen].astype(np.float32))
        shape = (len(x), x.shape[2], len(self.target), self.horizon)
        forecast = self.scaler.inverse(np.moveaxis(forecast.reshape(shape), -1, 1), self.target)
        refuse_infinite_forecasts(forecast, x, self.scaler, nodes)
        return forecast

    def _medians(self, series: np.ndarray) -> np.ndarray:
        """Median forecasts (series, horizon) of series (series, 1, t)."""
        pipeline = self.pipeline
        quantiles = pipeline.predict(series, prediction_length=self.horizon, batch_size=_SERIES_AT_ONCE)
        middle = int(np.abs(np.asarray(pipeline.quantiles) - 0.5).argmin())
        return np.stack([one[0, middle].float().cpu().numpy() for one in quantiles]).astype(np.float64)

    def shapes(self, n_nodes: int, n_features: int, n_targets: int, look_back: int, horizon: int) -> Shapes:
        """The scaler; see `Rule`."""
        return {
            "scaler_.center": (self.scaler.center, (n_nodes, n_features)),
            "scaler_.scale": (self.scaler.scale, (n_nodes, n_features)),
        }


@register(
    tiny={"input_length": 8, "horizon": 2},
    commands={
        "chronos-2": {
            "text": "a pretrained network that is not trained any further (chronos-forecasting, and its weights)",
            "settings": {"input_length": 512},
        },
    },
    saves=False,
    pretrained=True,
)
class ChronosForecaster(BaseForecaster):
    """Chronos-2: a pretrained network, which forecasts each series from its look-back without any training.

    Parameters
    ----------
    model : str, default="amazon/chronos-2"
        Folder with the weights of a Chronos-2 model, or the name by which one was downloaded, as ``hf download`` does it.
    input_length : int, default=512
        Look-back in time steps: at most a quarter of the training data.
    horizon : int, default=12
        Time steps to forecast; the weights were made for up to 1,024.
    device : str or torch.device, default="auto"
        Where to compute; ``"auto"`` takes CUDA, then MPS, then the CPU.
    target : str, int or list, optional
        Features to forecast, by name or position, where X has several; default all. The others are not used.

    Attributes
    ----------
    context_length_ : int
        Look-back that one forecast uses.
    n_parameters_ : int
        Number of weights.
    pipeline_ : Chronos2Pipeline
        The loaded model.
    scaler_ : NodeScaler
        Shift and scale of each node.

    Raises
    ------
    MissingDependencyError
        If the package is missing: ``pip install "stmest[chronos]"``; or the weights: ``hf download amazon/chronos-2``.

    See Also
    --------
    stmest.ClassicalForecaster : Exponential smoothing, Theta and ARIMA, estimated for each node.
    stmest.RegressorForecaster : Any regressor of scikit-learn, one for all nodes.

    Notes
    -----
    `fit` learns nothing but mean and spread of each node, which make levels small numbers, and the errors on the validation
    part, on which intervals are calibrated. A forecast is the median that the network returns. Each node is a series of
    its own, as in the package's own defaults: neither graph nor other nodes are seen.

    Missing values are left to the network. A node without an observation in the look-back is forecast as its mean.

    Weights are looked for on this machine alone and nothing is downloaded. `save` is refused, as nothing was learnt; `pickle`
    keeps the place of the weights, not the weights.

    References
    ----------
    .. [1] A. F. Ansari et al., "Chronos-2: From Univariate to Universal Forecasting", arXiv 2510.15821.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "model": [str, Path],
        "input_length": [whole(1)],
        "horizon": [whole(1)],
        "device": "no_validation",  # type: ignore[dict-item]  # checked by resolve_device
        "target": "no_validation",  # type: ignore[dict-item]  # checked against the features of X
    }

    def __init__(
        self,
        *,
        model: Any = "amazon/chronos-2",
        input_length: int = 512,
        horizon: int = 12,
        device: Any = "auto",
        target: Any = None,
    ):
        self.model = model
        self.input_length = input_length
        self.horizon = horizon
        self.device = device
        self.target = target

    def _look_back(self, panel: Panel) -> int:
        shortest = int(np.diff(panel.bounds).min())
        return max(1, min(self.input_length, panel.n_times // 4, shortest - self.horizon))

    def _learn(self, panel: Panel, graph: Graph | None, split: Split) -> Predictor:
        if panel.n_times < self.horizon + 2:
            raise DataError(
                f"X has n_samples = {panel.n_times} rows; {type(self).__name__} needs at least {self.horizon + 2} to learn "
                "from. Give more rows, or shorten its horizon."
            )
        folder, device = _folder(str(self.model)), str(resolve_device(self.device))
        _loaded(folder, device)
        spec, target = InputSpec.of(panel, self._reads_fields), feature_positions(panel, self.target)
        part = panel.values[: split.cut]
        rule = ChronosRule(folder, device, self.horizon, NodeScaler("standard").fit(part), target)
        look_back, record = self._look_back(panel), NodeRecord.of(part)
        return Predictor(
            spec, look_back, self.horizon, target, (), None, rule, _WINDOWS_AT_ONCE, record=record
        )

    # ---------------------------------------------------------------- what was learnt

    pipeline_ = learnt("rule.pipeline", "The loaded model.")
    scaler_ = learnt("rule.scaler", "Shift and scale of each node.")

    @property
    def n_parameters_(self) -> int:
        """Number of weights."""
        return sum(weight.numel() for weight in self.pipeline_.model.parameters())


def _folder(model: str) -> str:
    """The folder on this machine in which the weights of a model are."""
    require("chronos", extra="chronos")
    if Path(model).is_dir():
        return str(Path(model).resolve())
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return str(snapshot_download(model, local_files_only=True))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise MissingDependencyError(
            f"model={model!r}: its weights are not on this machine, and nothing is downloaded unasked; fetch them with "
            f"`hf download {model}`, or give the folder that they are in."
        ) from error


@functools.lru_cache(maxsize=2)
def _loaded(folder: str, device: str) -> Any:
    """The pipeline with the weights in a folder, ready to forecast."""
    pipelines = require("chronos", extra="chronos")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the package's own dependencies
            return pipelines.Chronos2Pipeline.from_pretrained(folder, device_map=device)
    except (AssertionError, AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise ModelFileError(
            f"{folder} holds no weights of Chronos-2 that can be read ({what}); give the folder of a downloaded model, with "
            "config.json and model.safetensors."
        ) from error
