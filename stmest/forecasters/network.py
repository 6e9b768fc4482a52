"""`NetworkForecaster`: the base of the forecasters that train a network.

A subclass names its network (`_network_class`) and the weights of its loss terms (`_loss_weights`). Builds on
`training.trainer`.
"""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback
from torch import Tensor, nn

from ..data.calendar import calendar_features, n_calendar_channels, n_event_channels, wanted_calendar
from ..data.input_spec import InputSpec
from ..data.panel import Panel, feature_positions
from ..data.scaling import NodeScaler
from ..data.splits import Split
from ..data.windows import Windows
from ..exceptions import DataError, DeviceError, ParameterError
from ..graphs import Graph
from ..linear.cross_fit import Folds, cross_fit
from ..linear.ensemble_selection import MOST_MEMBERS, possible_scopes, select_ensemble
from ..linear.seasonal_mean import less_season
from ..linear.window_ridge import WindowRidge, fit_ensemble
from ..networks.base import ForecastNetwork
from ..ops.selective_scan import choose_backend
from ..prediction.calibration import Calibration
from ..prediction.predictor import NetworkRule, Predictor
from ..runtime import deterministic_algorithms, resolve_device, seeded
from ..training.encoding import Encoding, has_gaps
from ..training.trainer import Trained, Trainer
from .base import BaseForecaster, learnt
from .parameters import TrainingParameters

__all__ = ["NetworkForecaster"]

# Parameters that do not change the training, or that the fingerprint describes in another way
_BESIDE_THE_TRAINING = ("adj", "callbacks", "checkpoint_dir", "device", "verbose", "warm_start")


class NetworkForecaster(TrainingParameters, BaseForecaster):
    """Base of the forecasters that train a network.

    Attributes
    ----------
    device_ : torch.device
        Device that the network is on.
    network_ : torch.nn.Module
        The trained network.
    history_ : DataFrame
        One row per epoch: losses, auxiliary losses, learning rate, seconds. Its ``attrs["skipped_windows"]`` counts the
        training windows that were left out because they hold no observation.
    best_epoch_ : int
        Epoch whose weights are kept, counted from 1; 0 for the weights at the start.
    n_iter_ : int
        Number of epochs trained.
    n_parameters_ : int
        Number of trainable parameters of the network.
    scaler_ : NodeScaler
        Shift and scale of each node, from the training part less its seasonal mean.
    linear_ : WindowRidge or None
        The linear forecast whose residual the network forecasts.
    correction_ : float
        Residual weight: the network's forecast of the residual is multiplied by it before it is added to the linear forecast.
        Between 0 and 1, by validation error.
    has_gaps_ : bool
        Whether the training data have missing values; then the network gets an observation mask as one more channel per
        feature.
    scan_backend_ : str
        Implementation of the Mamba scan on the device.
    """

    history_: pd.DataFrame
    best_epoch_: int

    _level_free = False  # whether a constant added to the look-back is to be added to the forecast

    # ---------------------------------------------------------------- what a forecaster provides

    _network_class: ClassVar[type[ForecastNetwork]]

    def _build_network(self, predictor: Predictor, graph: Graph | None) -> ForecastNetwork:
        """The untrained network; arguments are passed by the names of its constructor.

        Parameters
        ----------
        predictor : Predictor
            Seasonal mean, scaler and linear forecast.
        graph : Graph or None
            The given graph.
        """
        spec, gaps = predictor.spec, _encoding(predictor).has_gaps
        sizes = {
            "n_nodes": spec.n_nodes,
            "n_inputs": spec.n_features * (1 + gaps),
            "n_outputs": len(predictor.target),
            "input_length": predictor.look_back,
            "horizon": predictor.horizon,
            "n_time_features": n_calendar_channels(predictor.time_features),
            "n_events": n_event_channels(predictor.time_features),
            "n_ahead": _encoding(predictor).n_ahead,
        }
        settings = self.get_params(deep=False) | self._network_settings(predictor, graph)
        wanted = [name for name in inspect.signature(self._network_class).parameters if name not in sizes]
        return self._network_class(**sizes, **{name: settings[name] for name in wanted if name in settings})

    def _network_settings(self, predictor: Predictor, graph: Graph | None) -> dict[str, Any]:
        """Further arguments of a network: graph, channels that it forecasts, and their observation masks."""
        n_features, target = predictor.spec.n_features, predictor.target
        masks = [n_features + channel for channel in target] if _encoding(predictor).has_gaps else None
        adjacency = None if graph is None else torch.from_numpy(graph.to_dense())
        return {"target_channels": target, "observed_channels": masks, "adjacency": adjacency}

    def _prepare_network(
        self, network: Any, values: Any, panel: Panel, predictor: Predictor, graph: Graph | None
    ) -> None:
        """Initialise the untrained network from the training part or the graph; nothing by default.

        Parameters
        ----------
        network : ForecastNetwork
            Changed in place.
        values : array-like of shape (n_times, n_nodes, n_features)
            The training part less its seasonal mean.
        panel : Panel
            The training data.
        predictor : Predictor
            Seasonal mean, scaler and linear forecast.
        graph : Graph or None
            The given graph.
        """
        return None

    def _loss_weights(self) -> dict[str, float]:
        """Weight of each auxiliary loss term that the network returns."""
        return {}

    def _more_callbacks(self, network: Any) -> list[tuple[str, Any]]:
        """Further callbacks of the forecaster class."""
        return []

    # ---------------------------------------------------------------- fit

    def _check_parameters(self) -> None:
        super()._check_parameters()
        for callback in self.callbacks or []:
            if not isinstance(callback, Callback):
                raise ParameterError(
                    f"callbacks holds {callback!r} of type {type(callback).__name__}; needed: instances of skorch's Callback."
                )

    def _look_back(self, panel: Panel) -> int:
        return self.input_length

    def _validation_fraction(self) -> float:
        return self.validation_fraction if self.patience else 0.0

    def _continues(self) -> bool:
        return bool(self.warm_start) and hasattr(self, "predictor_")

    def _learn(self, panel: Panel, graph: Graph | None, split: Split) -> Predictor:
        if not len(split.train):
            raise DataError(
                f"X has n_samples = {panel.n_times} rows; input_length + horizon = {self.input_length + self.horizon} "
                "rows are needed for one window. Give more rows, or a smaller input_length or horizon."
            )
        before = self.predictor_ if self._continues() else self._before_training(panel, graph, split)
        rule: Any = before.rule
        device = resolve_device(self.device)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        values = less_season(panel, before.season)
        with seeded(seed, device), deterministic_algorithms(self.deterministic, device):
            if rule.network is None:
                network = self._new_network(before, graph)
                self._prepare_network(network, values[: split.cut], panel, before, graph)
                self._start_from_first_weights(network)
            else:
                network = _copy_of(rule.network)  # the weights stay as they were if fit fails
            windows = self._windows(before, panel, values)
            folds = self._folds(before, panel, graph, split)
            length = before.look_back + before.horizon
            train = split.train if folds is None else folds.inside(split.train, length)
            trained = self._trainer(network, before, graph, device, seed).train(
                network, rule.encoding, windows(train), windows(split.validation), panel,
                None if rule.network is None else self.history_, folds,
            )  # fmt: skip
        self._remember(trained, 0 if rule.network is None else self.n_iter_)
        return before.with_network(trained.network, device, trained.residual_weight)

    def _before_training(self, panel: Panel, graph: Graph | None, split: Split) -> Predictor:
        """Season, scaler and linear forecast, without a network yet."""
        spec, target = InputSpec.of(panel, self._reads_fields), feature_positions(panel, self.target)
        time_features = self._choose_time_features(panel)
        season = self._season(panel, split, target)
        values = less_season(panel, season)
        part = values[: split.cut]
        linear = self._fit_linear(values, target, graph, split) if self.linear_skip else None
        ahead = linear is not None and self._network_class.uses_ahead
        encoding = Encoding(NodeScaler(self.scaler).fit(part), linear, has_gaps(part), target, ahead)
        rule = NetworkRule(type(self).__name__, encoding, None, 1.0, None, self.deterministic)
        sizes = (self.input_length, self.horizon)
        return Predictor(spec, *sizes, target, time_features, season, rule, self.batch_size)

    def _folds(self, predictor: Predictor, panel: Panel, graph: Graph | None, split: Split) -> Folds | None:
        """Linear forecasts for the training windows that did not see them; a warm start goes on with the one there is.

        They help only a network that sees the linear forecast of the target steps.
        """
        linear = predictor.rule.linear
        if linear is None or not _encoding(predictor).knows_ahead or self._continues():
            return None
        sizes = (predictor.look_back, predictor.horizon)
        return cross_fit(panel, predictor.season, linear, predictor.target, sizes, graph, split)

    def _choose_time_features(self, panel: Panel) -> tuple[str, ...]:
        if self.time_features is None:
            return ()
        wanted = [self.time_features] if isinstance(self.time_features, str) else self.time_features
        return wanted_calendar(wanted, panel.index)

    def _fit_linear(self, values: Any, target: list[int], graph: Graph | None, split: Split) -> WindowRidge:
        """The linear forecast whose residual is learnt: the ensemble of ridges that validates best."""
        sizes = (self.input_length, self.horizon)
        scopes = possible_scopes(values.shape[1], *sizes, graph, self._level_free)
        choice = (values, target, split.choice, *sizes, scopes, graph)
        ensemble, _ = select_ensemble(*choice, starts=split.starts, most=MOST_MEMBERS)
        return fit_ensemble(ensemble, values[: split.cut], target, *sizes, graph, split.train)

    def _new_network(self, predictor: Predictor, graph: Graph | None) -> ForecastNetwork:
        """An untrained network; one that forecasts a residual starts with a forecast of 0."""
        network = self._build_network(predictor, graph)
        if predictor.rule.linear is not None:
            network.start_at_zero()
        return network

    def _windows(self, predictor: Predictor, panel: Panel, values: Any) -> Any:
        """A function from start positions to windows of the training data."""
        time = None
        if predictor.time_features:
            index: Any = panel.index.append(panel.future(self.horizon))  # type: ignore[union-attr]
            time = calendar_features(index, predictor.time_features)

        def cut(starts: np.ndarray) -> Windows:
            sizes = (predictor.look_back, predictor.horizon)
            return Windows(values, *sizes, starts, time=time, target=predictor.target)

        return cut

    def _trainer(
        self,
        network: ForecastNetwork,
        predictor: Predictor,
        graph: Graph | None,
        device: torch.device,
        seed: int,
    ) -> Trainer:
        """The trainer with the settings of this forecaster."""
        parameters = self.get_params(deep=False)
        settings = {k: v for k, v in parameters.items() if k not in _BESIDE_THE_TRAINING}
        settings |= {"class": type(self).__name__, "device": device.type, "graph": graph}
        settings["callbacks"] = [type(callback).__name__ for callback in self.callbacks or []]
        encoding = _encoding(predictor)
        settings["start"] = [encoding.scaler, encoding.linear] if self._continues() else None
        known = inspect.signature(Trainer).parameters
        given = {name: value for name, value in parameters.items() if name in known and name != "device"}
        return Trainer(
            **given, name=type(self).__name__, device=device, seed=seed, loss_weights=self._loss_weights(),
            own_callbacks=self._more_callbacks(network), settings=settings,
        )  # fmt: skip

    def _start_from_first_weights(self, network: nn.Module) -> None:
        """Copy `first_weights`, those of another fit, where name and shape agree (with other nodes: not embeddings)."""
        given = self.__dict__.pop("first_weights", None) or {}
        own = network.state_dict()
        network.load_state_dict(
            own | {name: w for name, w in given.items() if name in own and w.shape == own[name].shape}
        )

    def _remember(self, trained: Trained, n_earlier: int) -> None:
        """Store the history and the best epoch."""
        self.history_ = trained.history
        # 0: no epoch was better than the weights at the start
        if trained.best_epoch or not n_earlier:
            self.best_epoch_ = trained.best_epoch + n_earlier if trained.best_epoch else 0

    def _calibration(self, learnt: Predictor, refitted: Predictor, panel: Panel, split: Split) -> Calibration:
        """The validation part; after a warm start the earlier one, where the new one is shorter."""
        new = super()._calibration(learnt, refitted, panel, split)
        if not self._continues():
            return new
        known = self.calibration_
        rule: Any = learnt.rule
        # a warm start does not change seasonal mean and linear forecast
        predictor = known.predictor.with_network(rule.network, rule.device, rule.residual_weight)
        kept = not known.learnt_from and panel.n_times - split.cut < known.rows.n_times - learnt.look_back
        return (known if kept else new).with_predictor(predictor)

    # ---------------------------------------------------------------- what was learnt

    network_ = learnt("rule.network", "The trained network.")
    device_ = learnt("rule.device", "Device that the network is on.")
    scaler_ = learnt("rule.encoding.scaler", "Shift and scale of each node.")
    linear_ = learnt("rule.linear", "The linear forecast whose residual the network forecasts.")
    correction_ = learnt(
        "rule.residual_weight", "Residual weight: how much of the network's output is added."
    )
    has_gaps_ = learnt("rule.encoding.has_gaps", "Whether values were missing in training.")

    @property
    def n_iter_(self) -> int:
        """Number of epochs trained."""
        return len(self.history_)

    @property
    def n_parameters_(self) -> int:
        """Number of trainable parameters of the network."""
        return sum(p.numel() for p in self.network_.parameters() if p.requires_grad)

    @property
    def scan_backend_(self) -> str:
        """Implementation of the Mamba scan on the device."""
        return choose_backend(torch.empty(1, device=self.device_)).name

    def _network_inputs(self, X: Any, stride: int) -> Iterator[dict[str, Tensor]]:
        """Network inputs of all windows in X, a batch at a time."""
        check_is_fitted(self)
        rule: Any = self.predictor_.rule
        for x, time in self.predictor_.look_backs(self._read(X), stride):
            yield rule.inputs(x, time)

    # ---------------------------------------------------------------- pickles and model files

    def __getstate__(self) -> dict[str, Any]:
        """State without modules, which loads on any machine: weights as arrays, and predictors without a network."""
        state: dict[str, Any] = dict(super().__getstate__())
        predictor = state.get("predictor_")
        if predictor is not None:
            state["weights_"] = {name: w.cpu().numpy() for name, w in self.network_.state_dict().items()}
            state["predictor_"] = predictor.with_network(None, None)
            calibrated = self.calibration_.predictor.with_network(None, None)
            state["calibration_"] = self.calibration_.with_predictor(calibrated)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Rebuild the network on the wanted device; on the CPU, with a warning, where that device is missing."""
        weights = state.pop("weights_", None)
        super().__setstate__(state)
        if weights is None:
            return
        try:
            device = resolve_device(self.device)
        except DeviceError as error:
            warnings.warn(f"{error} The model was loaded on the CPU.", RuntimeWarning, stacklevel=2)
            device = torch.device("cpu")
        with seeded(0, device):
            network = self._new_network(self.predictor_, self.given_graph_)
        network.load_state_dict({name: torch.as_tensor(array) for name, array in weights.items()})
        network = network.to(device).eval()
        self.predictor_ = self.predictor_.with_network(network, device)
        calibrated = self.calibration_.predictor.with_network(network, device)
        self.calibration_ = replace(self.calibration_, predictor=calibrated)


def _copy_of(network: ForecastNetwork) -> ForecastNetwork:
    """A copy whose parameters keep their Python attributes, which ``deepcopy`` loses."""
    copied = copy.deepcopy(network)
    for parameter, same in zip(network.parameters(), copied.parameters(), strict=True):
        vars(same).update(vars(parameter))
    return copied


def _encoding(predictor: Predictor) -> Encoding:
    """The encoding of a predictor whose rule is a network."""
    rule: Any = predictor.rule
    return rule.encoding
