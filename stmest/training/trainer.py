"""`Trainer`: sets up the training loop for one network and its windows, and runs it.

Builds on `engine`, `callbacks`, `checkpoint` and `progress`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from skorch.callbacks import GradientNormClipping, LRScheduler, PassthroughScoring
from skorch.helper import predefined_split
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from ..data.panel import Panel
from ..data.windows import Windows
from ..exceptions import DataError
from ..linear.cross_fit import Folds
from ..ops.cpu.threads import few_threads
from ..runtime import random_generator
from .callbacks import BestWeights
from .checkpoint import Checkpoint, fingerprint
from .diagnostics import explained_training
from .encoding import Encoding, WindowLoader
from .engine import BatchDataset, ForecastNet, ShuffledWindows, history_frame, keep_batch, undecayed
from .losses import MaskedLoss
from .progress import Progress
from .stopping import StopTraining, active_request

__all__ = ["Trained", "Trainer"]


@dataclass(frozen=True)
class Trained:
    """Result of a training.

    Attributes
    ----------
    network : Module
        With the weights of the best epoch, ready to forecast.
    history : DataFrame
        One row per epoch; ``attrs["skipped_windows"]`` counts the training windows without an observation.
    best_epoch : int
        Epoch whose weights were kept, counted from 1; 0 for the initial weights.
    residual_weight : float
        Factor of the network's output, from 0 to 1.
    callbacks : dict of str to Callback
        Those of the forecaster itself, by name.
    interrupted : bool
        Whether Ctrl-C ended the training.
    """

    network: nn.Module
    history: pd.DataFrame
    best_epoch: int
    residual_weight: float
    callbacks: dict[str, Any]
    interrupted: bool


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """Settings of a training.

    Attributes
    ----------
    name : str
        What is trained, for messages and the file of the checkpoint.
    max_epochs, batch_size, learning_rate, weight_decay, grad_clip, loss, node_weights, lr_schedule, patience, precision
        The parameters of the forecaster of these names.
    callbacks, checkpoint_dir, verbose, n_members, node_dropout
        Likewise.
    member : int
        Number of the network in its ensemble, counted from 0.
    device : torch.device
        Where to train.
    seed : int
        Of the order of the windows.
    loss_weights : dict of str to float
        Weight of each auxiliary loss term that the network returns.
    own_callbacks : list of (str, Callback)
        Those of the forecaster itself.
    settings : dict
        All that determines the course of the training, as plain values: the key of its checkpoint.
    """

    name: str
    max_epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    grad_clip: float | None
    loss: str
    node_weights: str
    lr_schedule: str | None
    patience: int | None
    precision: str
    callbacks: Any
    checkpoint_dir: Any
    verbose: int
    n_members: int
    member: int
    device: torch.device
    seed: int
    loss_weights: dict[str, float]
    own_callbacks: list[tuple[str, Any]]
    settings: dict[str, Any]
    node_dropout: float = 0.0

    def train(
        self,
        network: nn.Module,
        encoding: Encoding,
        train: Windows,
        validation: Windows,
        panel: Panel,
        earlier: pd.DataFrame | None = None,
        folds: Folds | None = None,
    ) -> Trained:
        """Train a network.

        Parameters
        ----------
        network : Module
            Its weights are changed.
        encoding : Encoding
            Of values for the network.
        train, validation : Windows
            Of values less their seasonal mean; without validation where the second has none.
        panel : Panel
            The training data, to name time and node where training fails.
        earlier : DataFrame, optional
            History of the trainings before, in a warm start.

        Returns
        -------
        Trained
            The network and its history.

        Raises
        ------
        DataError
            If no training window has both an observed input and an observed target.
        TrainingError
            If the loss becomes infinite or no number.
        OutOfMemoryError
            If memory does not suffice.
        """
        datasets, skipped = self._datasets(encoding, train, validation, folds, panel)
        batch_size = min(self.batch_size, len(datasets[0]))
        explained = explained_training(self.name, network, datasets[0].load, batch_size, self.device, panel)
        n_values = batch_size * train.input_length * train.values.shape[1]
        with few_threads(n_values, self.device), explained:
            net = self._net(network, encoding, *datasets, earlier).initialize()
            net.partial_fit(datasets[0])
        history = history_frame(net, earlier)
        history.attrs["skipped_windows"] = skipped
        if net.interrupted_:
            history.attrs["interrupted"] = True
        callbacks = dict(net.callbacks_)
        best, own = callbacks["best"], {name: callbacks[name] for name, _ in self.own_callbacks}
        network = net.module_.eval()
        return Trained(network, history, best.best_epoch_, best.residual_weight_, own, net.interrupted_)

    def _datasets(
        self, encoding: Encoding, train: Windows, validation: Windows, folds: Folds | None, panel: Panel
    ) -> tuple[tuple[BatchDataset, BatchDataset | None], int]:
        """Datasets of the windows in which something was observed, and how many training windows were left out."""
        n_windows = len(train)
        _keep_observed(train, validation)
        if not len(train):
            raise DataError(
                f"none of the {n_windows} training windows has both an observed input and an observed target; "
                "X is (nearly) all missing."
            )
        loader = WindowLoader(encoding, train, folds, panel, self.node_dropout)
        dataset = BatchDataset(len(train), loader)
        validated = (
            BatchDataset(len(validation), WindowLoader(encoding, validation)) if len(validation) else None
        )
        return (dataset, validated), n_windows - len(train)

    def _net(
        self,
        network: nn.Module,
        encoding: Encoding,
        train: BatchDataset,
        validation: BatchDataset | None,
        earlier: pd.DataFrame | None,
    ) -> ForecastNet:
        order = torch.Generator().manual_seed(self.seed)
        best = BestWeights(self.patience, residual=encoding.linear is not None)
        key = None
        if self.checkpoint_dir is not None:
            start = [] if earlier is None else [w.cpu().numpy() for w in network.state_dict().values()]
            windows = train.load.windows
            key = fingerprint(self.settings, [windows.values, windows.time, windows.starts, *start])
        return ForecastNet(
            network,
            criterion=MaskedLoss(self.loss, self._error_weights(encoding)),
            optimizer=torch.optim.AdamW,
            optimizer__weight_decay=self.weight_decay,
            # many small parameters: one kernel for all
            optimizer__fused=self.device.type in ("cpu", "cuda"),
            optimizer__param_groups=undecayed(network),
            lr=self.learning_rate,
            max_epochs=self.max_epochs,
            batch_size=self.batch_size,
            train_split=None if validation is None else predefined_split(validation),
            callbacks=self._callbacks(best, key, len(train)),
            iterator_train__sampler=ShuffledWindows(len(train), order),
            iterator_train__collate_fn=keep_batch,
            iterator_train__generator=order,
            iterator_valid__collate_fn=keep_batch,
            iterator_valid__generator=random_generator(torch.device("cpu")),
            loss_weights=self.loss_weights,
            precision=self.precision,
            device=self.device,
            warm_start=True,
            verbose=0,
        )

    def _callbacks(self, best: BestWeights, key: str | None, n_windows: int) -> list[tuple[str, Any]]:
        """All callbacks. `best` is the last, because it may end the training before callbacks after it see the epoch.

        The checkpoint is the first: it saves the state of an epoch before the others begin the next one.
        """
        named: list[tuple[str, Any]] = []
        if key is not None:
            named.append(("checkpoint", Checkpoint(self.checkpoint_dir, self.name, key)))
        named += [
            (f"train_{name}", PassthroughScoring(f"train_{name}", on_train=True))
            for name in self.loss_weights
        ]
        if self.grad_clip is not None:
            named.append(("clip", GradientNormClipping(self.grad_clip)))
        if self.lr_schedule == "cosine":
            named.append(("schedule", LRScheduler(CosineAnnealingLR, T_max=self.max_epochs)))
        elif self.lr_schedule == "one_cycle":
            cycle = {
                "max_lr": self.learning_rate,
                "total_steps": self.max_epochs * -(-n_windows // self.batch_size),
                "cycle_momentum": False,
            }
            named.append(("schedule", LRScheduler(OneCycleLR, step_every="batch", **cycle)))
        named += self.own_callbacks
        named += [(f"user_{i}", callback) for i, callback in enumerate(self.callbacks or [])]
        request = active_request()
        if request is not None:
            named.append(("stop", StopTraining(request)))
        if self.verbose:
            named.append(("progress", Progress(best, self.member, self.n_members)))
        return [*named, ("best", best)]

    def _error_weights(self, encoding: Encoding) -> Tensor:
        """Weight of each node's scaled error, of mean 1 per feature."""
        scale = encoding.scale
        weight = scale / scale.mean(0) if self.node_weights == "scale" else np.ones_like(scale)
        return torch.from_numpy(weight.astype(np.float32))


def _keep_observed(*parts: Windows) -> None:
    """Leave out the windows in which no input or no target was observed."""
    for windows in parts:
        seen = windows.observed()
        if not seen.all():
            windows.starts = windows.starts[seen]
