"""The forecasters as sktime knows forecasters: one short class each, over the class of the same name in stmest."""

from __future__ import annotations

from typing import Any

from ..forecasters import baselines, mad, s2tx, stm3, stmamba
from ._base import Face, NetworkFace

__all__ = ["MADForecaster", "RidgeForecaster", "S2TXForecaster", "STM3Forecaster", "STMambaForecaster"]

# as small as networks can be: sktime's checks fit them hundreds of times
_TINY = {"input_length": 3, "max_epochs": 1, "batch_size": 64, "patience": None, "random_state": 0}
_WITHOUT_RIDGE = {"seasonal_profile": None, "linear_skip": False}


class RidgeForecaster(Face, composes=baselines.RidgeForecaster):
    """Linear regression from the look-back of a node to its future, in closed form, for sktime.

    Composes `stmest.RidgeForecaster`, which tells more. The weights stay as they were learnt: `update` moves the forecast
    origin. To learn anew, wrap it in ``sktime.forecasting.stream.UpdateRefitsEvery``.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    forecaster_ : stmest.RidgeForecaster
        The fitted forecaster.

    Examples
    --------
    >>> from sktime.datasets import load_longley
    >>> from stmest.sktime import RidgeForecaster
    >>> _, y = load_longley()
    >>> RidgeForecaster(input_length=4).fit(y[["GNP", "POP"]], fh=[1, 2]).predict().shape
    (2, 2)
    """

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Parameters for sktime's checks."""
        return [{"input_length": 4}, {"input_length": 3, "horizon": 2, "alpha": 10.0, "per_node": True}]


class STM3Forecaster(NetworkFace, composes=stm3.STM3Forecaster):
    """Mixture of multiscale Mamba experts over a learned (and, if given, a known) sensor graph, for sktime.

    Composes `stmest.STM3Forecaster`, which tells more. Columns of y, or instances of a panel y, are the nodes of one joint
    model; columns of X are further input channels.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    forecaster_ : stmest.STM3Forecaster
        The fitted forecaster, with what it learnt (`graph_`, `routing_`, `history_`).
    pretrained_ : stmest.STM3Forecaster
        The forecaster that `pretrain` fitted, whose weights `fit` starts from.

    Examples
    --------
    >>> from sktime.datasets import load_longley
    >>> from stmest.sktime import STM3Forecaster
    >>> _, y = load_longley()
    >>> model = STM3Forecaster(input_length=4, max_epochs=1, random_state=0)
    >>> model.fit(y[["GNP", "POP"]], fh=[1, 2]).predict().shape
    (2, 2)
    """

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Parameters for sktime's checks."""
        tiny = {**_TINY, "scales": (1,), "d_model": 3, "d_state": 1, "node_embedding_dim": 2}
        return [
            {**tiny, **_WITHOUT_RIDGE, "n_experts": 0},
            {**tiny, "horizon": 2, "n_experts": 1, "patience": 1},
        ]


class STMambaForecaster(NetworkFace, composes=stmamba.STMambaForecaster):
    """Graph attention and Mamba interleaved, for sktime.

    Composes `stmest.STMambaForecaster`, which tells more. Columns of y, or instances of a panel y, are the nodes of one joint
    model; columns of X are further input channels.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    forecaster_ : stmest.STMambaForecaster
        The fitted forecaster, with what it learnt (`attention_weights`, `history_`).
    pretrained_ : stmest.STMambaForecaster
        The forecaster that `pretrain` fitted, whose weights `fit` starts from.

    Examples
    --------
    >>> from sktime.datasets import load_longley
    >>> from stmest.sktime import STMambaForecaster
    >>> _, y = load_longley()
    >>> model = STMambaForecaster(input_length=4, max_epochs=1, random_state=0)
    >>> model.fit(y[["GNP", "POP"]], fh=[1, 2]).predict().shape
    (2, 2)
    """

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Parameters for sktime's checks."""
        tiny = {**_TINY, "d_model": 4, "d_state": 1, "n_layers": 1}
        return [{**tiny, **_WITHOUT_RIDGE}, {**tiny, "horizon": 2, "patience": 1}]


class S2TXForecaster(NetworkFace, composes=s2tx.S2TXForecaster):
    """Global context of all variates by Mamba, local detail of each by attention, for sktime.

    Composes `stmest.S2TXForecaster`, which tells more. Columns of y, or instances of a panel y, are the variates of one model;
    columns of X are further input channels.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    forecaster_ : stmest.S2TXForecaster
        The fitted forecaster, with what it learnt (`patching_`, `history_`).
    pretrained_ : stmest.S2TXForecaster
        The forecaster that `pretrain` fitted, whose weights `fit` starts from.

    Examples
    --------
    >>> from sktime.datasets import load_longley
    >>> from stmest.sktime import S2TXForecaster
    >>> _, y = load_longley()
    >>> model = S2TXForecaster(input_length=4, max_epochs=1, random_state=0)
    >>> model.fit(y[["GNP", "POP"]], fh=[1, 2]).predict().shape
    (2, 2)
    """

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Parameters for sktime's checks."""
        tiny = {**_TINY, "d_model": 4, "n_heads": 1, "n_layers": 1, "d_ff": 4, "d_state": 1}
        return [{**tiny, **_WITHOUT_RIDGE}, {**tiny, "horizon": 2, "patience": 1}]


class MADForecaster(NetworkFace, composes=mad.MADForecaster):
    """Reconstruction by Mamba and prediction by a conditioned transformer, for sktime.

    Composes `stmest.MADForecaster`, which tells more. Columns of y, or instances of a panel y, are the nodes of one joint model;
    columns of X are further input channels.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    forecaster_ : stmest.MADForecaster
        The fitted forecaster, with what it learnt (`history_`).
    pretrained_ : stmest.MADForecaster
        The forecaster that `pretrain` fitted, whose weights `fit` starts from.

    Examples
    --------
    >>> from sktime.datasets import load_longley
    >>> from stmest.sktime import MADForecaster
    >>> _, y = load_longley()
    >>> model = MADForecaster(input_length=4, max_epochs=1, random_state=0)
    >>> model.fit(y[["GNP", "POP"]], fh=[1, 2]).predict().shape
    (2, 2)
    """

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Parameters for sktime's checks."""
        tiny = {**_TINY, "width": 2, "d_model": 4, "n_layers": 1, "n_heads": 1, "d_state": 1}
        return [{**tiny, **_WITHOUT_RIDGE}, {**tiny, "horizon": 2, "patience": 1}]
