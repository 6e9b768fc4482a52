"""Forecasters that train a network: scaling, skorch training, prediction in batches, pickles without modules.

`NetworkForecaster` joins the face (`base.py`), the parameters (`parameters.py`) and the training loop (`training`).
A forecaster below it gives its network (`_build_network`) and the weights of its loss terms (`_loss_weights`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback, GradientNormClipping, LRScheduler, PassthroughScoring
from skorch.helper import predefined_split
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from ..data.calendar import CALENDAR_FEATURES, choose_calendar, n_calendar_channels
from ..data.panel import Panel
from ..data.scaling import NodeScaler
from ..data.splits import temporal_split
from ..data.windows import Windows, carry_forward
from ..exceptions import DataError, ParameterError
from ..graphs import Graph
from ..linear.ensemble_selection import DRAWS, choose_recipe, kinds_of_inputs
from ..linear.window_ridge import WindowRidge, fit_recipe
from ..ops.selective_scan import choose_backend
from ..runtime import deterministic_algorithms, resolve_device, seeded
from ..training.callbacks import BestWeights
from ..training.checkpoint import Checkpoint, fingerprint
from ..training.engine import BatchDataset, ForecastNet, ShuffledWindows, history_frame, keep_batch, undecayed
from ..training.losses import MaskedLoss
from ..training.progress import Progress
from .base import BaseForecaster
from .batches import WindowLoader, has_gaps
from .guard import explained_forecast, explained_training, refuse_infinite_forecasts
from .network_state import NetworkState, copy_of
from .parameters import TrainingParameters
from .windowing import SELECTION_FRACTION

__all__ = ["NetworkForecaster"]

# Parameters that change nothing in the course of a training, or are described otherwise
_BESIDE_THE_TRAINING = ("adj", "callbacks", "checkpoint_dir", "device", "verbose", "warm_start")


class NetworkForecaster(TrainingParameters, NetworkState, BaseForecaster):
    """Base of the forecasters that train a network.

    Attributes
    ----------
    device_ : torch.device
        Device that the network is on.
    network_ : torch.nn.Module
        The trained network.
    history_ : DataFrame
        One row per epoch: losses, auxiliary terms, learning rate, seconds. Its ``attrs["skipped_windows"]`` counts the
        training windows that were left out because nothing in them was observed.
    best_epoch_ : int
        Epoch whose weights are kept, counted from 1.
    n_iter_ : int
        Epochs that were trained.
    n_parameters_ : int
        Trainable numbers in the network.
    scaler_ : NodeScaler
        Shift and scale of each node, from the training rows less their profile.
    linear_ : WindowRidge or None
        The linear forecast that the network corrects.
    correction_ : float
        How much of the network's correction is added, between 0 and 1: what validated best.
    has_gaps_ : bool
        Whether readings were missing in training; then a channel per feature tells the network where.
    scan_backend_ : str
        Which implementation of the Mamba scan is in use.
    """

    device_: torch.device
    network_: Any
    history_: pd.DataFrame
    best_epoch_: int
    scaler_: NodeScaler
    linear_: WindowRidge | None
    correction_: float
    has_gaps_: bool

    _level_free = False  # whether a constant added to the look-back is to be added to the forecast

    # ---------------------------------------------------------------- what a forecaster provides

    @abstractmethod
    def _build_network(self, sizes: dict[str, int], graph: Graph | None) -> nn.Module:
        """The untrained network.

        Parameters
        ----------
        sizes : dict
            ``n_nodes, n_inputs, n_outputs, input_length, horizon, n_time_features``.
        graph : Graph or None
            The graph that was given.
        """

    def _training_cut(self, panel: Panel) -> int:
        return self._split(panel)[2]

    def _split(self, panel: Panel) -> tuple[np.ndarray, np.ndarray, int]:
        """First rows of the training and of the validation windows, and the row at which validation begins."""
        fraction = self.validation_fraction if self.patience else 0.0
        return temporal_split(panel.n_times, self.input_length, self.horizon, fraction, panel.bounds)

    def _prepare_network(self, panel: Panel, cut: int, graph: Graph | None) -> None:
        """Let the untrained network start from what the rows before `cut`, or the graph, tell; nothing by default."""
        return None

    def _start_from_first_weights(self) -> None:
        """Take over `_first_weights`, those of another fit, wherever name and shape agree (other nodes: not embeddings)."""
        given = self.__dict__.pop("_first_weights", None) or {}
        own = self.network_.state_dict()
        self.network_.load_state_dict(
            own | {name: w for name, w in given.items() if name in own and w.shape == own[name].shape}
        )

    def _loss_weights(self) -> dict[str, float]:
        """Weight of each auxiliary loss term that the network returns."""
        return {}

    def _more_callbacks(self) -> list[tuple[str, Any]]:
        """Further callbacks of the forecaster itself."""
        return []

    # ---------------------------------------------------------------- fit

    def _check_parameters(self) -> None:
        super()._check_parameters()
        for callback in self.callbacks or []:
            if not isinstance(callback, Callback):
                raise ParameterError(
                    f"callbacks holds {callback!r} of type {type(callback).__name__}; needed: instances of skorch's Callback."
                )

    @property
    def _context_length(self) -> int:
        return self.input_length

    @property
    def context_length_(self) -> int:
        """Rows of history that one forecast needs."""
        return self._context_length

    @property
    def _windows_at_once(self) -> int:  # type: ignore[override]
        return self.batch_size

    def _calibration_cut(self, panel: Panel) -> int:
        return self._training_cut(panel)

    def _continues(self) -> bool:
        return bool(self.warm_start) and hasattr(self, "history_")

    def _choose_time_features(self, panel: Panel) -> tuple[str, ...]:
        if self.time_features is None:
            return ()
        if self.time_features == "auto":
            return self.time_features_ if self._continues() else choose_calendar(panel.index)
        unknown = [name for name in self.time_features if name not in CALENDAR_FEATURES]
        if unknown:
            raise ParameterError(f"time_features names {unknown[0]!r}; known are {list(CALENDAR_FEATURES)}.")
        if not isinstance(panel.index, (pd.DatetimeIndex, pd.PeriodIndex)):
            raise ParameterError(
                f"time_features={self.time_features!r} need dates, but X has none; give a DataFrame with a DatetimeIndex."
            )
        return tuple(self.time_features)

    def _fit_panel(self, panel: Panel, graph: Graph | None) -> None:
        continues = self._continues()
        train_starts, validation_starts, cut = self._split(panel)
        if not len(train_starts):
            raise DataError(
                f"X has n_samples = {panel.n_times} rows; input_length + horizon = {self.input_length + self.horizon} "
                "rows are needed for one window. Give more rows, or a smaller input_length or horizon."
            )
        device = resolve_device(self.device)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        if not continues:
            self.scaler_ = NodeScaler(self.scaler).fit(panel.values[:cut])
            self.has_gaps_ = has_gaps(panel.values[:cut])
            self.linear_ = self._fit_linear(panel, cut, graph) if self.linear_skip else None
        datasets, skipped = self._datasets(panel, train_starts, validation_starts)
        with seeded(seed, device), deterministic_algorithms(self.deterministic, device):
            if continues:
                self.network_ = copy_of(self.network_)  # the weights stay as they were if fit fails
            else:
                self.network_ = self._new_network(graph)
                self._prepare_network(panel, cut, graph)
                self._start_from_first_weights()
            self.device_ = device
            with explained_training(self, panel, datasets[0]):
                self._train(datasets, seed, skipped)

    def _fit_linear(self, panel: Panel, cut: int, graph: Graph | None) -> WindowRidge:
        """The ridge that the network corrects: the mean of several kinds and penalties that validates best."""
        lengths = (self.input_length, self.horizon)
        split = (*lengths, SELECTION_FRACTION, panel.bounds)
        within = cut if cut < panel.n_times else temporal_split(cut, *split)[2]
        starts = panel.starts(sum(lengths))
        kinds = kinds_of_inputs(self.n_features_in_, *lengths, graph, self._level_free)
        choice = (panel.values, self.target_, within, *lengths, kinds, graph)
        recipe, _ = choose_recipe(*choice, starts=starts, most=DRAWS)
        learnt = starts[starts + sum(lengths) <= cut]
        return fit_recipe(recipe, panel.values[:cut], self.target_, *lengths, graph, learnt)

    def _learn_from_all(self, panel: Panel, graph: Graph | None) -> None:
        """Profile and linear forecast, once chosen, learn from the validation rows too, which are the most recent."""
        if self._continues() or self.linear_ is None or self._training_cut(panel) == panel.n_times:
            return
        panel = self._with_profile_of_all(panel)
        sizes = (self.input_length, self.horizon)
        starts = panel.starts(sum(sizes))
        self.linear_ = fit_recipe(self.linear_.recipe, panel.values, self.target_, *sizes, graph, starts)

    def _new_network(self, graph: Graph | None) -> nn.Module:
        """An untrained network; one that corrects a ridge begins with a correction of 0."""
        network: Any = self._build_network(self._sizes(), graph)
        if self.linear_ is not None:
            network.start_at_zero()
        return network

    def _datasets(
        self, panel: Panel, train_starts: np.ndarray, validation_starts: np.ndarray
    ) -> tuple[tuple[BatchDataset, BatchDataset | None], int]:
        """Datasets of the windows in which something was observed, and how many training windows were left out."""
        train, skipped = self._dataset(panel, train_starts)
        if train is None:
            raise DataError(
                f"none of the {len(train_starts)} training windows has both an observed input and an observed target; "
                "X is (nearly) all missing."
            )
        return (train, self._dataset(panel, validation_starts)[0]), skipped

    def _dataset(self, panel: Panel, starts: np.ndarray) -> tuple[BatchDataset | None, int]:
        windows = self._windows(panel, starts, with_targets=True)
        seen = windows.observed()
        if not seen.all():
            windows.starts = windows.starts[seen]
        dataset = BatchDataset(len(windows), WindowLoader(self, windows)) if len(windows) else None
        return dataset, int((~seen).sum())

    def _sizes(self) -> dict[str, int]:
        return {
            "n_nodes": self.n_features_in_,
            "n_inputs": self.n_inputs_ * (1 + self.has_gaps_),
            "n_outputs": len(self.target_),
            "input_length": self.input_length,
            "horizon": self.horizon,
            "n_time_features": n_calendar_channels(self.time_features_),
        }

    def _train(self, datasets: tuple[BatchDataset, BatchDataset | None], seed: int, skipped: int) -> None:
        earlier = self.history_ if self._continues() else None
        best_before = self.best_epoch_ if self._continues() else 0
        net = self._build_net(*datasets, seed).initialize()
        net.partial_fit(datasets[0])
        self.network_ = net.module_.eval()
        self.history_ = history_frame(net, earlier)
        self.history_.attrs["skipped_windows"] = skipped
        best = dict(net.callbacks_)["best"]
        self.correction_ = best.correction_
        # 0: not one epoch was better than the weights at the start
        in_all = best.best_epoch_ + (0 if earlier is None else len(earlier))
        self.best_epoch_ = in_all if best.best_epoch_ else best_before
        self.n_iter_ = len(self.history_)
        self.n_parameters_ = sum(p.numel() for p in self.network_.parameters() if p.requires_grad)
        self.scan_backend_ = choose_backend(torch.empty(1, device=self.device_)).name
        self._after_training(net)

    def _after_training(self, net: ForecastNet) -> None:
        """Take what the forecaster wants from the finished training; nothing by default."""
        return None

    def _build_net(self, train: BatchDataset, validation: BatchDataset | None, seed: int) -> ForecastNet:
        order = torch.Generator().manual_seed(seed)
        return ForecastNet(
            self.network_,
            criterion=MaskedLoss(self.loss, self._error_weights()),
            optimizer=torch.optim.AdamW,
            optimizer__weight_decay=self.weight_decay,
            # many small parameters: one kernel for all
            optimizer__fused=self.device_.type in ("cpu", "cuda"),
            optimizer__param_groups=undecayed(self.network_),
            lr=self.learning_rate,
            max_epochs=self.max_epochs,
            batch_size=self.batch_size,
            train_split=None if validation is None else predefined_split(validation),
            callbacks=self._callbacks(train.load.windows),
            iterator_train__sampler=ShuffledWindows(len(train), order),
            iterator_train__collate_fn=keep_batch,
            iterator_train__generator=order,
            iterator_valid__collate_fn=keep_batch,
            loss_weights=self._loss_weights(),
            precision=self.precision,
            device=self.device_,
            warm_start=True,
            verbose=0,
        )

    def _callbacks(self, windows: Windows) -> list[tuple[str, Any]]:
        """All callbacks; `best` is the last, because it may end the training that the others still have to see.

        The checkpoint is the first: it writes what an epoch left before the others begin the next one.
        """
        best = BestWeights(self.patience, corrects=self.linear_ is not None)
        named: list[tuple[str, Any]] = []
        if self.checkpoint_dir is not None:
            key = self._training_key(windows)
            named.append(("checkpoint", Checkpoint(self.checkpoint_dir, type(self).__name__, key)))
        named += [
            (f"train_{name}", PassthroughScoring(f"train_{name}", on_train=True))
            for name in self._loss_weights()
        ]
        if self.grad_clip is not None:
            named.append(("clip", GradientNormClipping(self.grad_clip)))
        if self.lr_schedule == "cosine":
            named.append(("schedule", LRScheduler(CosineAnnealingLR, T_max=self.max_epochs)))
        elif self.lr_schedule == "one_cycle":
            cycle = {
                "max_lr": self.learning_rate,
                "total_steps": self.max_epochs * -(-len(windows) // self.batch_size),
                "cycle_momentum": False,
            }
            named.append(("schedule", LRScheduler(OneCycleLR, step_every="batch", **cycle)))
        named += self._more_callbacks()
        named += [(f"user_{i}", callback) for i, callback in enumerate(self.callbacks or [])]
        if self.verbose:
            named.append(("progress", Progress(best)))
        return [*named, ("best", best)]

    def _training_key(self, windows: Windows) -> str:
        """Fingerprint of all that decides how the training goes: by it a checkpoint is found again."""
        settings = {k: v for k, v in self.get_params(deep=False).items() if k not in _BESIDE_THE_TRAINING}
        settings |= {"class": type(self).__name__, "device": self.device_.type, "graph": self.given_graph_}
        settings["callbacks"] = [type(callback).__name__ for callback in self.callbacks or []]
        start: list[Tensor] = []
        if self._continues():
            start = list(self.network_.state_dict().values())
            settings["start"] = [self.scaler_, self.linear_]
        data = [windows.values, windows.time, windows.starts, *(tensor.cpu().numpy() for tensor in start)]
        return fingerprint(settings, data)

    def _error_weights(self) -> Tensor:
        """Weight of each node's scaled error, of mean 1 per feature."""
        scale = self.scaler_.scale[:, self.target_]
        weight = scale / scale.mean(0) if self.node_weights == "scale" else np.ones_like(scale)
        return torch.from_numpy(weight.astype(np.float32))

    # ---------------------------------------------------------------- forecast

    def _encode(self, x: np.ndarray, time: np.ndarray | None) -> dict[str, Tensor]:
        """Raw input rows -> what the network takes: scaled, gaps filled, with channels that say where the gaps are."""
        scaled = self.scaler_.transform(x)
        channels = carry_forward(scaled)
        if self.has_gaps_:
            channels = np.concatenate([channels, np.isfinite(scaled).astype(np.float32)], axis=-1)
        inputs = {"x": torch.from_numpy(channels)}
        if time is not None:
            inputs["time"] = torch.from_numpy(time)
        return inputs

    def _forecast(self, x: np.ndarray, time: np.ndarray | None) -> np.ndarray:
        same_bits = deterministic_algorithms(self.deterministic, self.device_)
        with explained_forecast(self, len(x)), torch.inference_mode(), same_bits:
            inputs = {name: tensor.to(self.device_) for name, tensor in self._encode(x, time).items()}
            forecast, _ = self.network_(**inputs)
            scale = self.correction_ * self.scaler_.scale[:, self.target_]
            forecast = self._start(x) + forecast.float().cpu().numpy() * scale
        refuse_infinite_forecasts(forecast, x, self.scaler_, self.nodes_)
        return forecast

    def _start(self, x: np.ndarray) -> np.ndarray:
        """What a forecast of 0 by the network means: the linear forecast, or the center of the scaler."""
        if self.linear_ is None:
            return self.scaler_.center[:, self.target_]
        return self.linear_.forecast(x[..., self.target_])

    def _input_batches(self, X: Any, stride: int) -> Iterator[dict[str, Tensor]]:
        """Network inputs of all windows in X, a batch at a time, for looking into the network."""
        check_is_fitted(self)
        panel = self._to_panel(X, reset=False)
        starts = panel.starts(self.input_length, stride)
        if not len(starts):
            raise DataError(
                f"X has {panel.n_times} rows; at least input_length = {self.input_length} are needed."
            )
        windows = self._windows(panel, starts, with_targets=False)
        for first in range(0, len(windows), self.batch_size):
            batch = windows.gather(slice(first, first + self.batch_size))
            yield {
                name: tensor.to(self.device_) for name, tensor in self._encode(batch.x, batch.time).items()
            }

    def _node_labels(self) -> pd.Index:
        return pd.RangeIndex(self.n_features_in_) if self.nodes_ is None else pd.Index(self.nodes_)
