"""`NetworkForecaster`: the base of the forecasters that train a network.

A subclass names its network (`_network_class`) and the weights of its loss terms (`_loss_weights`). Builds on
`training.trainer`.
"""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback
from torch import Tensor, nn

from ..data.calendar import n_calendar_channels, n_event_channels
from ..data.chunks import has_gaps
from ..data.history import history_length
from ..data.input_spec import InputSpec
from ..data.node_record import NodeRecord
from ..data.panel import Panel, feature_positions
from ..data.scaling import NodeScaler
from ..data.splits import Split
from ..exceptions import DataError, DeviceError, ParameterError
from ..graphs import Graph
from ..linear.cross_fit import Folds
from ..linear.ensemble_selection import MOST_MEMBERS, possible_scopes, select_ensemble
from ..linear.past import learn_past
from ..linear.seasonal_mean import less_season
from ..linear.window_ridge import WindowRidge, fit_ensemble
from ..networks.base import ForecastNetwork
from ..prediction.calibration import Calibration
from ..prediction.network_rule import NetworkRule
from ..prediction.predictor import Predictor
from ..runtime import deterministic_algorithms, resolve_device, seeded
from ..training.building import build_network
from ..training.encoding import Encoding
from ..training.trainer import Trained, Trainer
from .base import BaseForecaster, learnt
from .parameters import TrainingParameters
from .scan import require_scan, running_scan, scan_or_auto, wanted_scan

__all__ = ["NetworkForecaster"]

# Parameters that do not change the training, or that the fingerprint describes in another way
_BESIDE_THE_TRAINING = ("adj", "callbacks", "checkpoint_dir", "device", "n_members", "verbose", "warm_start")


class NetworkForecaster(TrainingParameters, BaseForecaster):
    """Base of the forecasters that train a network.

    Attributes
    ----------
    device_ : torch.device
        Device that the networks are on.
    network_ : torch.nn.Module
        The trained network; of several members the first.
    networks_ : tuple of torch.nn.Module
        The networks of all members.
    history_ : DataFrame
        One row per epoch: losses, auxiliary losses, learning rate, seconds. With several members, the column ``member``
        counts them from 0. Its ``attrs["skipped_windows"]`` counts the training windows that were left out because they
        hold no observation.
    best_epoch_ : int
        Epoch of the first member whose weights are kept, counted from 1; 0 for the weights at the start.
    n_iter_ : int
        Number of epochs trained, of all members together.
    n_parameters_ : int
        Number of trainable parameters of one network.
    scaler_ : NodeScaler
        Shift and scale of each node, from the training part less its seasonal mean.
    linear_ : WindowRidge or None
        The linear forecast whose residual the network forecasts.
    residual_weight_ : float
        Residual weight: the network's forecast of the residual is multiplied by it before it is added to the linear forecast.
        Between 0 and 1, by validation error; 0 where the forecast is the linear forecast alone. With several members the mean of
        their residual weights.
    has_gaps_ : bool
        Whether values are missing in training, or hidden; then the network gets an observation mask as one more channel per
        feature.
    scan_backend_ : str
        Implementation of the Mamba scan on the device.
    """

    predictor_: Predictor
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
        """Further callbacks of the forecaster class, for the training of one network."""
        return []

    def _n_older(self) -> int:
        """Time steps before the look-back that the network sees in patches; none by default."""
        return 0

    def _has_gaps(self, values: Any) -> bool:
        """Whether values are missing in training, so that the network needs observation masks."""
        return has_gaps(values)

    # ---------------------------------------------------------------- fit

    def _check_parameters(self) -> None:
        super()._check_parameters()
        for callback in self.callbacks or []:
            if not isinstance(callback, Callback):
                raise ParameterError(
                    f"callbacks holds {callback!r} of type {type(callback).__name__}; needed: instances of skorch's Callback."
                )
        if self.deterministic and wanted_scan(self) == "mamba_ssm":
            raise ParameterError(
                "scan_backend='mamba_ssm' sums gradients in no fixed order, against deterministic=True; use "
                "scan_backend='auto', or deterministic=False."
            )
        if self._continues() and len(self.networks_) != self.n_members:
            raise ParameterError(
                f"warm_start=True continues the {len(self.networks_)} network(s) that were fitted, but "
                f"n_members={self.n_members}. Use n_members={len(self.networks_)}, or fit anew with warm_start=False."
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
        device = resolve_device(self.device)
        require_scan(self, device)
        # a warm start goes on with the linear forecast that there is
        before, folds = (
            (self.predictor_, None) if self._continues() else self._before_training(panel, graph, split)
        )
        rule: Any = before.rule
        random = check_random_state(self.random_state)
        seeds = [int(random.randint(2**31 - 1)) for _ in range(self.n_members)]
        first_weights = self.__dict__.pop("first_weights", None) or [{}]
        values = less_season(panel, before.season)
        windows = self._windows(before, panel, values)
        length = before.look_back + before.horizon
        train = split.train if folds is None else folds.inside(split.train, length)
        earlier = self._histories() if self._continues() else [None] * self.n_members
        members: list[Trained] = []
        for number, seed in enumerate(seeds):
            with seeded(seed), deterministic_algorithms(self.deterministic, device):
                if self._continues():
                    network = _copy_of(rule.networks[number])  # the weights stay as they were if fit fails
                else:
                    network = self._new_network(before, graph)
                    self._prepare_network(network, values[: split.cut], panel, before, graph)
                    _copy_weights(first_weights[number % len(first_weights)], network)
                trainer = self._trainer(network, before, graph, device, number, seed)
                data = (windows(train), windows(split.validation), panel)
                try:
                    members.append(trainer.train(network, rule.encoding, *data, earlier[number], folds))
                except KeyboardInterrupt:
                    if not members:
                        raise
                    break
            if members[-1].interrupted:
                break
        return self._ensemble(before, members, earlier, device)

    def _ensemble(
        self, before: Predictor, members: list[Trained], earlier: list[Any], device: torch.device
    ) -> Predictor:
        """The predictor with the trained networks. Where Ctrl-C ended the training, those that follow stay as they were."""
        rule: Any = before.rule
        done = len(members)
        if done < self.n_members:
            warnings.warn(
                f"training was interrupted: the first {done} of {self.n_members} members were trained, the others were not.",
                UserWarning,
                stacklevel=2,
            )
        self._remember(members[0], 0 if earlier[0] is None else len(earlier[0]))
        left = [history for history in earlier[done:] if history is not None]
        self.history_ = _joined([trained.history for trained in members] + left)
        networks = [trained.network for trained in members]
        weights = [trained.residual_weight for trained in members]
        return before.with_networks(
            (*networks, *rule.networks[done:]), device, (*weights, *rule.residual_weights[done:])
        )

    def _histories(self) -> list[pd.DataFrame]:
        """History of each member."""
        if "member" not in self.history_:
            return [self.history_]
        parts = self.history_.groupby("member", sort=True)
        return [part.drop(columns="member").reset_index(drop=True) for _, part in parts]

    def _before_training(
        self, panel: Panel, graph: Graph | None, split: Split
    ) -> tuple[Predictor, Folds | None]:
        """Season, scaler and linear forecast, without a network yet; and the fits to blocks, where the network learns from them.

        They help only a network that sees the linear forecast of the target steps.
        """
        spec, target = InputSpec.of(panel, self._reads_fields), feature_positions(panel, self.target)
        time_features = self._choose_time_features(panel)
        season = self._season(panel, split, target)
        values = less_season(panel, season)
        part = values[: split.cut]
        sizes = (self.input_length, self.horizon)
        history: tuple[str | int, ...] = ()
        folds = None
        linear = self._fit_linear(values, target, graph, split) if self.linear_skip else None
        ahead = linear is not None and self._network_class.uses_ahead
        if linear is not None:
            linear, history, folds = learn_past(panel, season, linear, target, sizes, graph, split, ahead)
        scaler = NodeScaler(self.scaler).fit(part)
        encoding = Encoding(scaler, linear, self._has_gaps(part), target, ahead, len(history))
        rule = NetworkRule(type(self).__name__, encoding, (), (), None, self.deterministic)
        reach = history_length(history, panel.index, self.horizon)
        record = NodeRecord.of(part)
        predictor = Predictor(
            spec,
            *sizes,
            target,
            time_features,
            season,
            rule,
            self.batch_size,
            history,
            reach,
            record,
            self._n_older(),
        )
        return predictor, folds if ahead else None

    def _fit_linear(self, values: Any, target: list[int], graph: Graph | None, split: Split) -> WindowRidge:
        """The linear forecast whose residual is learnt: the ensemble of ridges that validates best."""
        sizes = (self.input_length, self.horizon)
        scopes = possible_scopes(values.shape[1], *sizes, graph, self._level_free)
        choice = (values, target, split.choice, *sizes, scopes, graph)
        ensemble, _ = select_ensemble(*choice, starts=split.starts, most=MOST_MEMBERS)
        return fit_ensemble(ensemble, values[: split.cut], target, *sizes, graph, split.train)

    def _new_network(self, predictor: Predictor, graph: Graph | None) -> ForecastNetwork:
        """An untrained network; one that forecasts a residual starts with a forecast of 0."""
        network = build_network(type(self).__name__, lambda: self._build_network(predictor, graph))
        if predictor.rule.linear is not None:
            network.start_at_zero()
        return network

    def _trainer(
        self,
        network: ForecastNetwork,
        predictor: Predictor,
        graph: Graph | None,
        device: torch.device,
        member: int,
        seed: int,
    ) -> Trainer:
        """The trainer of a member with the settings of this forecaster."""
        parameters = self.get_params(deep=False)
        settings = {k: v for k, v in parameters.items() if k not in _BESIDE_THE_TRAINING}
        settings |= {"class": type(self).__name__, "device": device.type, "graph": graph, "member": member}
        if isinstance(self.random_state, np.random.RandomState):
            settings["random_state"] = seed
        settings["callbacks"] = [type(callback).__name__ for callback in self.callbacks or []]
        encoding = _encoding(predictor)
        settings["start"] = [encoding.scaler, encoding.linear] if self._continues() else None
        known = inspect.signature(Trainer).parameters
        given = {name: value for name, value in parameters.items() if name in known and name != "device"}
        return Trainer(
            **given, name=type(self).__name__, device=device, member=member, seed=seed, loss_weights=self._loss_weights(),
            own_callbacks=self._more_callbacks(network), settings=settings,
        )  # fmt: skip

    def _remember(self, trained: Trained, n_earlier: int) -> None:
        """Store the best epoch and what else there is to know of the training of the first member."""
        # 0: no epoch was better than the weights at the start
        if trained.best_epoch or not n_earlier:
            self.best_epoch_ = trained.best_epoch + n_earlier if trained.best_epoch else 0

    def _calibration(self, learnt: Any, refitted: Any, panel: Panel, split: Split) -> Calibration:
        """The validation part; after a warm start the earlier one, where the new one is shorter."""
        new = super()._calibration(learnt, refitted, panel, split)
        if not self._continues():
            return new
        known, rule = self.calibration_, learnt.rule
        before: Any = known.predictor
        # a warm start does not change seasonal mean and linear forecast
        predictor = before.with_networks(rule.networks, rule.device, rule.residual_weights)
        kept = not known.learnt_from and panel.n_times - split.cut < known.rows.n_times - known.n_before
        return (known if kept else new).with_predictor(predictor)

    # ---------------------------------------------------------------- what was learnt

    network_ = learnt("rule.network", "The trained network; of several members the first.")
    networks_ = learnt("rule.networks", "The networks of all members.")
    device_ = learnt("rule.device", "Device that the networks are on.")
    scaler_ = learnt("rule.encoding.scaler", "Shift and scale of each node.")
    linear_ = learnt("rule.linear", "The linear forecast whose residual the network forecasts.")
    residual_weight_ = learnt(
        "rule.residual_weight", "Residual weight: how much of the output of the networks is added."
    )
    has_gaps_ = learnt("rule.encoding.has_gaps", "Whether values were missing in training, or hidden.")

    @property
    def n_iter_(self) -> int:
        """Number of epochs trained, of all members together."""
        return len(self.history_)

    @property
    def n_parameters_(self) -> int:
        """Number of trainable parameters of one network."""
        return sum(p.numel() for p in self.network_.parameters() if p.requires_grad)

    @property
    def scan_backend_(self) -> str:
        """Implementation of the Mamba scan on the device."""
        return running_scan(self)

    def _shown(self, table: pd.DataFrame) -> pd.DataFrame:
        """A table that shows what a network learnt, marked with its residual weight; a warning where no forecast uses it."""
        self._warn_if_unused()
        table.attrs["residual_weight"] = self.residual_weight_
        return table

    def _warn_if_unused(self) -> None:
        if not self.residual_weight_:
            warnings.warn(
                f"{type(self).__name__} kept the linear forecast: its network did not lower the validation error beyond doubt, "
                "so that its residual weight is 0. What it shows here belongs to no forecast.",
                UserWarning,
                stacklevel=4,
            )

    def _network_inputs(self, X: Any, stride: int) -> Iterator[dict[str, Tensor]]:
        """Network inputs of all windows in X, a batch at a time."""
        check_is_fitted(self)
        rule: Any = self.predictor_.rule
        for x, time in self.predictor_.look_backs(self._read(X), stride):
            yield rule.inputs(x, time)

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """That of scikit-learn; where the network added nothing, it says so in a comment."""
        text: str = super().__repr__(N_CHAR_MAX=N_CHAR_MAX)
        kept = "predictor_" in vars(self) and not self.residual_weight_
        return f"{text}  # kept the linear forecast" if kept else text

    def __dir__(self) -> list[str]:
        """Names of the attributes. They are looked at for that, which nobody has to be warned of."""
        with _silent_if_unused():
            return super().__dir__()

    def _html_repr(self) -> str:
        """That of scikit-learn for notebooks, which looks at all attributes too."""
        with _silent_if_unused():
            return super()._html_repr()

    # ---------------------------------------------------------------- pickles and model files

    def __getstate__(self) -> dict[str, Any]:
        """State without modules, which loads on any machine: weights as arrays, and predictors without a network."""
        state: dict[str, Any] = dict(super().__getstate__())
        predictor = state.get("predictor_")
        if predictor is not None:
            state["weights_"] = [
                {name: w.cpu().numpy() for name, w in network.state_dict().items()}
                for network in self.networks_
            ]
            state["predictor_"] = predictor.with_networks((), None)
            calibrated: Any = self.calibration_.predictor
            state["calibration_"] = self.calibration_.with_predictor(calibrated.with_networks((), None))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Rebuild the networks on the wanted device; on the CPU, with a warning, where that device is missing."""
        weights = state.pop("weights_", None)
        super().__setstate__(state)
        if weights is None:
            return
        try:
            device = resolve_device(self.device)
        except DeviceError as error:
            warnings.warn(f"{error} The model was loaded on the CPU.", RuntimeWarning, stacklevel=2)
            device = torch.device("cpu")
        scan_or_auto(self, device)
        with seeded(0):
            first = self._new_network(self.predictor_, self.given_graph_)
        networks: list[ForecastNetwork] = []
        for arrays in weights:
            network = _copy_of(first) if networks else first
            network.load_state_dict({name: torch.as_tensor(array) for name, array in arrays.items()})
            networks.append(network.to(device).eval())
        self.predictor_ = self.predictor_.with_networks(networks, device)
        calibrated: Any = self.calibration_.predictor
        calibrated = calibrated.with_networks(networks, device)
        self.calibration_ = replace(self.calibration_, predictor=calibrated)


@contextmanager
def _silent_if_unused() -> Iterator[None]:
    """Without the warning that no forecast uses what a network learnt."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* kept the linear forecast", category=UserWarning)
        yield


def _copy_of(network: ForecastNetwork) -> ForecastNetwork:
    """A copy whose parameters keep their Python attributes, which ``deepcopy`` loses."""
    copied = copy.deepcopy(network)
    for parameter, same in zip(network.parameters(), copied.parameters(), strict=True):
        vars(same).update(vars(parameter))
    return copied


def _copy_weights(given: dict[str, Tensor], network: nn.Module) -> None:
    """Copy weights of another fit into a network, where name and shape agree (with other nodes: not embeddings)."""
    own = network.state_dict()
    network.load_state_dict(
        own | {name: w for name, w in given.items() if name in own and w.shape == own[name].shape}
    )


def _joined(histories: list[pd.DataFrame]) -> pd.DataFrame:
    """One history of all members, with a column for the member where there are several."""
    if len(histories) == 1:
        return histories[0]
    joined = pd.concat(histories, keys=range(len(histories)), names=["member", None])
    joined = joined.reset_index("member").reset_index(drop=True)
    joined.attrs = dict(histories[0].attrs)
    return joined


def _encoding(predictor: Predictor) -> Encoding:
    """The encoding of a predictor whose rule is a network."""
    rule: Any = predictor.rule
    return rule.encoding
