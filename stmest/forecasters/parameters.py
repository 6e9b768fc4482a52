"""Constructor parameters that every trained forecaster shares, declared once.

The dataclasses hold no behaviour: they give the scikit-learn and the sktime estimators their constructor. The allowed values
are in `_parameter_constraints`, which `fit` checks. `describe` fills the shared parameters and attributes into the docstring of
each forecaster, so that their texts are written here only.
"""

from __future__ import annotations

import functools
import inspect
import os
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, TypeVar

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from ..data.scaling import SCALERS
from ..linear.seasonal_mean import CYCLES
from .parameter_names import explain_unknown

__all__ = [
    "SEASONAL_PROFILE",
    "GraphNetworkParameters",
    "TrainingParameters",
    "WindowParameters",
    "describe",
    "name_the_forecaster",
    "real",
    "whole",
]


class _Number(Interval):
    """An interval of numbers that, unlike scikit-learn's, does not take True for 1."""

    def is_satisfied_by(self, val: Any) -> bool:
        return not isinstance(val, (bool, np.bool_)) and bool(super().is_satisfied_by(val))


def whole(low: int, high: int = 2**31 - 1) -> Interval:
    """Constraint: an integer of at least `low` and at most `high` (as much as torch can count)."""
    return _Number(Integral, low, high, closed="both")


def real(low: float, high: float | None = None, closed: str = "left") -> Interval:
    """Constraint: a finite real number in an interval."""
    return _Number(Real, low, high, closed=closed)


SEASONAL_PROFILE = [StrOptions({"auto", *CYCLES}), whole(2), None]


@dataclass(kw_only=True, eq=False, repr=False)
class WindowParameters:
    """Sizes, graph and targets of a forecaster on windows of fixed length."""

    input_length: int = 24
    horizon: int = 12
    adj: Any = None
    target: Any = None

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "input_length": [whole(1)],
        "horizon": [whole(1)],
        "adj": "no_validation",  # type: ignore[dict-item]  # checked by as_graph, which knows the nodes
        "target": "no_validation",  # type: ignore[dict-item]  # checked against the features of X
    }


@dataclass(kw_only=True, eq=False, repr=False)
class TrainingParameters(WindowParameters):
    """How a network is trained."""

    seasonal_profile: Any = "auto"
    linear_skip: bool = True
    scaler: str | None = "standard"
    time_features: Any = "auto"
    n_members: int = 1
    max_epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    grad_clip: float | None = 1.0
    loss: str = "mae"
    node_weights: str = "scale"
    lr_schedule: str | None = "cosine"
    validation_fraction: float = 0.125
    patience: int | None = 8
    device: Any = "auto"
    precision: str = "float32"
    callbacks: Any = None
    warm_start: bool = False
    checkpoint_dir: Any = None
    deterministic: bool = False
    random_state: Any = None
    verbose: int = 0

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **WindowParameters._parameter_constraints,
        "seasonal_profile": SEASONAL_PROFILE,
        "linear_skip": ["boolean"],
        "scaler": [StrOptions(set(SCALERS)), None],
        "time_features": [StrOptions({"auto"}), list, tuple, None],
        "n_members": [whole(1)],
        "max_epochs": [whole(1)],
        "batch_size": [whole(1)],
        "learning_rate": [real(0, closed="neither")],
        "weight_decay": [real(0)],
        "grad_clip": [real(0, closed="neither"), None],
        "loss": [StrOptions({"mae", "mse", "huber"})],
        "node_weights": [StrOptions({"scale", "equal"})],
        "lr_schedule": [StrOptions({"cosine", "one_cycle"}), None],
        "validation_fraction": [real(0, 1)],
        "patience": [whole(1), None],
        "device": "no_validation",  # type: ignore[dict-item]  # checked by resolve_device
        "precision": [StrOptions({"float32", "bfloat16"})],
        "callbacks": [list, tuple, None],
        "warm_start": ["boolean"],
        "checkpoint_dir": [str, os.PathLike, None],
        "deterministic": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }


@dataclass(kw_only=True, eq=False, repr=False)
class GraphNetworkParameters(TrainingParameters):
    """Parameters of the networks that mix nodes, beside those of every network."""

    long_input_length: int | None = None
    long_patch_length: int | None = None
    node_dropout: float = 0.0

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TrainingParameters._parameter_constraints,
        "long_input_length": [whole(2), None],
        "long_patch_length": [whole(1), None],
        "node_dropout": [real(0, 1)],
    }


_WINDOW_DOC = """\
input_length : int, default={input_length}
    Look-back: time steps that one forecast is made from.
horizon : int, default={horizon}
    Time steps to forecast.
adj : array-like, DataFrame, sparse matrix, networkx graph, torch_geometric Data, tuple or Graph, optional
    Weighted adjacency; ``adj[i, j]`` is the weight of the edge from node i to node j. `fit`'s argument takes precedence.
target : str, int or list, optional
    Features to forecast, by name or position, where X has several; default all. The others are inputs.
"""

_TRAINING_DOC = """\
seasonal_profile : {{"auto", "time_of_day", "time_of_week", "day_of_year"}}, int or None, default={seasonal_profile!r}
    Seasonal mean (climatology): the mean of each node at each time step of such a cycle, or of a period in time steps, from the
    training part. The network sees and forecasts the values less this mean. ``"auto"`` takes the one with which a ridge has
    the least validation error; None is among them. Without dates it looks for a period.
linear_skip : bool, default={linear_skip}
    Whether the network forecasts the residual of a linear forecast. The linear forecast is an ensemble of ridge regressions in
    closed form; their inputs (each node's own past, its neighbours', or all nodes'; values at the same time of earlier days and
    weeks) and penalties are chosen on the validation part. It is validated before the first epoch, so that training cannot end
    with a larger validation loss.
scaler : {{"standard", "minmax", "robust"}} or None, default={scaler!r}
    Scaling per node and feature, learnt on the training part; forecasts are in the units of X.
time_features : "auto", list or None, default={time_features!r}
    Calendar channels: any of ``"time_of_day"``, ``"day_of_week"``, ``"day_of_year"``; ``"auto"``, also in a list, stands for
    those that the index supports. Public holidays of a country or a subdivision of it, such as ``"holidays:US"`` or
    ``"holidays:DE-BY"``, need the extra ``calendar`` and time steps of at most a day.
n_members : int, default={n_members}
    Networks of the ensemble, at least 1. They are trained one after the other on the same data, each from a seed of its own;
    seasonal mean, scaler and linear forecast are the same for all. Forecasts are the mean over them. Time and weights grow with
    their number, memory of a batch does not. Attributes and figures that look into a network show the first one.
max_epochs : int, default={max_epochs}
    Passes over the training windows at most, for each member.
batch_size : int, default={batch_size}
    Windows per update.
learning_rate : float, default={learning_rate}
    Step size of AdamW at the start of `lr_schedule`.
weight_decay : float, default={weight_decay}
    Decoupled weight decay; never applied to the decay rates and skips of the state space.
grad_clip : float or None, default={grad_clip}
    Largest norm of the gradient.
loss : {{"mae", "mse", "huber"}}, default={loss!r}
    Loss over the observed targets.
node_weights : {{"scale", "equal"}}, default={node_weights!r}
    ``"scale"`` weighs errors in the units of the data, as a pooled error does; ``"equal"`` weighs every node's error by its
    own spread.
lr_schedule : {{"cosine", "one_cycle"}} or None, default={lr_schedule!r}
    Course of the learning rate over `max_epochs`.
validation_fraction : float, default={validation_fraction}
    Share of the training data, the last of it, on which the best epoch is chosen; in [0, 1).
patience : int or None, default={patience}
    Stop after so many epochs without a better validation loss; after half as many where no epoch was better than the
    linear forecast.
device : str or torch.device, default={device!r}
    ``"auto"`` takes CUDA, then MPS, then the CPU.
precision : {{"float32", "bfloat16"}}, default={precision!r}
    ``"bfloat16"`` trains the network under autocast: its matrix products are computed in half precision; weights, states of the
    scan and the loss stay in float32, and forecasts are made in float32. STM3, which would not gain by it, refuses it.
callbacks : list of skorch callbacks, optional
    Called during training beside the built-in ones, for one member after the other.
warm_start : bool, default={warm_start}
    Whether `fit` continues from the present weights of every member.
checkpoint_dir : str, path-like or None, default={checkpoint_dir}
    Folder of checkpoints. The state of the training is saved there after each epoch. After an interruption, `fit` with the same
    data and parameters resumes from it and ends with the same bits. Other data or parameters start a new training beside it.
    Each member has a file of its own, so that a larger `n_members` trains the further ones only.
deterministic : bool, default={deterministic}
    Whether to avoid, on a GPU, operations that sum in no fixed order. Then fit and predict give the same bits there too, but
    slower, and not with ``scan_backend="mamba_ssm"``. On a CPU they always do.
random_state : int, RandomState or None, default={random_state}
    Seed of initialisation and shuffling, from which each member gets its own. An int makes fit and predict reproducible bit by
    bit on a CPU, for the same number of torch threads (joblib's workers have one each: `torch.set_num_threads(1)` gives the
    same without them).
verbose : int, default={verbose}
    1 shows epoch, losses, best so far, seconds and time left: one line, rewritten, in a terminal or notebook; else a line
    per epoch. 0 writes nothing.
"""

_GRAPH_NETWORK_DOC = """\
long_input_length : int or None, default={long_input_length}
    Time steps before an origin that the network sees. The last `input_length` of them are the look-back, at full rate; those
    before it are cut into patches, which a Mamba block reads in order, so that weeks of history cost little. More than
    `input_length`, by a multiple of `long_patch_length`. What lies before the first time step, or is missing, is marked as not
    observed. None: the look-back alone.
long_patch_length : int or None, default={long_patch_length}
    Time steps of one patch; None is `input_length`. A divisor of a day lets every patch begin at the same time of day.
node_dropout : float, default={node_dropout}
    Share of the nodes whose observations are hidden in each window of a batch, at random and in training only; their targets
    count as before. The network then learns to do without sensors that fail later. In [0, 1).
"""

_SCAN_DOC = """\
scan_backend : {{"auto", "numba", "triton", "chunked", "reference", "mamba_ssm"}}, default={scan_backend!r}
    Implementation of the Mamba scan; `stmest.show_backends` says which of them can run here. ``"auto"`` takes the one
    made for the device. Another one changes time and memory, and forecasts in the last digits only. A model that is opened
    where its implementation cannot run has ``"auto"``, with a warning.
"""

_TRAINING_ATTRIBUTES_DOC = """\
network_ : torch.nn.Module
    The trained network; of several members the first.
networks_ : tuple of torch.nn.Module
    The networks of all members.
history_ : DataFrame
    One row per epoch: losses, auxiliary losses, learning rate, seconds. With several members, the column ``member`` counts them
    from 0. Its ``attrs["skipped_windows"]`` counts the training windows that were left out because they hold no observation.
best_epoch_ : int
    Epoch of the first member whose weights are kept, counted from 1; 0 for the weights at the start.
n_iter_ : int
    Number of epochs trained, of all members together.
n_parameters_ : int
    Number of trainable parameters of one network.
residual_weight_ : float
    Residual weight: the network's forecast of the residual is multiplied by it before it is added to the linear forecast.
    Between 0 and 1, by validation error; 0 where the forecast is the linear forecast alone; 1 without `linear_skip`. With several
    members the mean of their residual weights.
device_ : torch.device
    Device of the networks.
scan_backend_ : str
    Implementation of the Mamba scan on that device.
"""

_SHARED_DOC = {
    "window_parameters": _WINDOW_DOC,
    "training_parameters": _TRAINING_DOC,
    "graph_network_parameters": _GRAPH_NETWORK_DOC,
    "scan_parameters": _SCAN_DOC,
    "training_attributes": _TRAINING_ATTRIBUTES_DOC,
}

Forecaster = TypeVar("Forecaster", bound=type)


def describe(cls: Forecaster) -> Forecaster:
    """Class decorator: put the shared parameters (with the defaults of the class) and attributes into the docstring.

    They replace the marks ``{window_parameters}``, ``{training_parameters}``, ``{graph_network_parameters}``,
    ``{scan_parameters}`` and ``{training_attributes}``. The error about an unknown parameter then names the class.

    Parameters
    ----------
    cls : type
        Forecaster whose docstring has these marks on lines of their own.

    Returns
    -------
    type
        The same class.
    """
    defaults = {name: p.default for name, p in inspect.signature(cls).parameters.items()}
    doc = inspect.cleandoc(cls.__doc__ or "")
    for mark, text in _SHARED_DOC.items():
        if f"{{{mark}}}" in doc:
            doc = doc.replace(f"{{{mark}}}", text.format(**defaults).rstrip())
    cls.__doc__ = doc
    name_the_forecaster(cls)
    return cls


def name_the_forecaster(cls: type) -> None:
    """Let the constructor of a forecaster name its parameters in the error about an unknown one.

    Python's own error would name the dataclass that declares the parameters, and not what was meant.

    Parameters
    ----------
    cls : type
        Class of a forecaster; its ``__init__``, also an inherited one, gets a check in front. Its signature stays.
    """
    declared: Any = inspect.unwrap(cls.__init__)  # type: ignore[misc]
    _, *parameters = inspect.signature(declared).parameters.values()
    known = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    named = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    most = len(known) - len(named)  # those that may be given without their name

    @functools.wraps(declared)
    def __init__(self: Any, *args: Any, **parameters: Any) -> None:
        if len(args) > most:
            raise TypeError(
                f"{type(self).__name__} takes its {'other ' if most else ''}parameters by name only, got {len(args) - most} "
                f"without a name: {type(self).__name__}({named[0] if named else ''}=...)."
            )
        unknown = next((name for name in parameters if name not in known), None)
        if unknown is not None:
            raise TypeError(explain_unknown(type(self).__name__, unknown, known))
        declared(self, *args, **parameters)

    cls.__init__ = __init__  # type: ignore[misc]
