"""How a training went: losses and learning rate by epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from ..exceptions import DataError
from ..runtime import require
from ._canvas import COLOURS, DASHES, Display, entitle, given_axes, head, new_axes, tidy
from ._docs import fill_in

__all__ = ["HistoryDisplay", "plot_history"]

_LOSSES = {"train_loss": "training loss", "valid_loss": "validation loss"}


@fill_in
def plot_history(history: pd.DataFrame, *, best_epoch: int | None = None, axes: Any = None) -> np.ndarray:
    """Draw losses and learning rate of each epoch.

    Parameters
    ----------
    history : DataFrame
        As in ``history_`` of the forecasters: ``epoch``, ``train_loss``, ``learning_rate`` and, where there was a
        validation part, ``valid_loss``. With a column ``member`` each member of an ensemble has its lines.
    best_epoch : int, optional
        Epoch whose weights are kept (of the first member), to be marked; 0: those at the start.
    {axes: losses first, learning rate second}

    Returns
    -------
    ndarray of matplotlib Axes, of shape (2,)
        The panels.

    Raises
    ------
    DataError
        If the history has no epoch, or lacks a column.
    {matplotlib}
    """
    require("matplotlib", extra="plot")
    lacking = {"epoch", "train_loss", "learning_rate"} - set(history.columns)
    if lacking or not len(history):
        raise DataError(
            f"history has {len(history)} rows and the columns {list(history.columns)}; needed: a row per epoch, with "
            "epoch, train_loss and learning_rate."
        )
    new = axes is None
    panels = new_axes(2, 1, 4.6, sharex=True)[:, 0] if new else given_axes(axes, 2, "losses and rate")
    members = [part for _, part in history.groupby("member")] if "member" in history else [history]
    marker = "." if len(members[0]) <= 40 else None
    for member in members:
        for i, (column, label) in enumerate(_LOSSES.items()):
            if column in history:
                panels[0].plot(
                    member["epoch"], member[column], color=COLOURS[i], linestyle=DASHES[i], marker=marker,
                    label=label if member is members[0] else None,
                )  # fmt: skip
        panels[1].plot(member["epoch"], member["learning_rate"], color="0.2", marker=marker)
    if best_epoch is not None:
        label = "weights that are kept" + ("" if best_epoch else " (the start)")
        panels[0].axvline(best_epoch, color="0.35", linewidth=1, linestyle=":", label=label)
    panels[0].set_ylabel("loss (scaled data)")
    panels[1].set_ylabel("learning rate")
    panels[1].set_ylim(bottom=0)
    panels[1].set_xlabel("epoch")
    panels[1].xaxis.get_major_locator().set_params(integer=True)
    for axis in panels:
        tidy(axis)
    if axes is None:
        head(panels, None)
    return panels


class HistoryDisplay(Display):
    """Course of a training.

    Parameters
    ----------
    history : DataFrame
        As in ``history_`` of the forecasters.
    best_epoch : int, optional
        Epoch whose weights are kept.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, of shape (2,)
        Losses and learning rate, after `plot`.
    {figure}

    Examples
    --------
    >>> from stmest import STMambaForecaster, make_sensor_network
    >>> from stmest.plotting import HistoryDisplay
    >>> X = make_sensor_network(n_nodes=4, n_times=200, random_state=0).values
    >>> model = STMambaForecaster(d_model=4, max_epochs=2, random_state=0).fit(X)
    >>> HistoryDisplay.from_estimator(model).axes_[0].get_ylabel()
    'loss (scaled data)'
    """

    def __init__(self, history: pd.DataFrame, *, best_epoch: int | None = None) -> None:
        self.history, self.best_epoch = history, best_epoch

    def plot(self, *, title: str | None = None, axes: Any = None) -> HistoryDisplay:
        """Draw the picture.

        Parameters
        ----------
        {title}
        {axes: losses first, learning rate second}

        Returns
        -------
        HistoryDisplay
            This display.
        """
        self.axes_ = plot_history(self.history, best_epoch=self.best_epoch, axes=axes)
        if axes is None:
            entitle(self.figure_, title)
        return self

    @classmethod
    def from_estimator(cls, estimator: Any, *, title: str | None = None, axes: Any = None) -> HistoryDisplay:
        """Draw the training of a fitted forecaster.

        Parameters
        ----------
        estimator : forecaster
            Fitted, with a network.
        title, axes
            As in `plot`.

        Returns
        -------
        HistoryDisplay
            Drawn.

        Raises
        ------
        DataError
            If the forecaster is one without epochs, such as a ridge regression.
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "history_"):
            raise DataError(f"{type(estimator).__name__} has no history_: it was not trained by epochs.")
        return cls(estimator.history_, best_epoch=estimator.best_epoch_).plot(title=title, axes=axes)
