"""How well experts and scales differ: what they make of the windows, by t-SNE in a plane."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ..exceptions import DataError
from ..runtime import require
from ._canvas import COLOURS, MARKERS, Display, entitle, given_axes, new_axes, shown
from ._docs import fill_in

__all__ = ["EmbeddingDisplay", "plot_embedding"]

_FEWEST = 10  # t-SNE of fewer points means nothing


@fill_in
def plot_embedding(
    points: ArrayLike, groups: ArrayLike, *, name: str = "group", axes: Any = None
) -> np.ndarray:
    """Draw points of the plane in the colours and markers of their groups.

    Parameters
    ----------
    points : array-like of shape (n_points, 2)
        Places, such as t-SNE gives them.
    groups : array-like of shape (n_points,)
        Group of each point.
    name : str, default="group"
        What the groups are, for the legend.
    {axis}

    {panel}

    Raises
    ------
    DataError
        If the shapes do not agree.
    {matplotlib}
    """
    require("matplotlib", extra="plot")
    place, group = np.asarray(points, dtype=float), np.asarray(groups)
    if place.ndim != 2 or place.shape[1] != 2 or group.shape != (len(place),):
        raise DataError(
            f"points have shape {place.shape}, groups {group.shape}; needed: (n_points, 2) and (n_points,)."
        )
    panels = new_axes(1, 1, 4.2)[:, 0] if axes is None else given_axes(axes, 1, "one panel")
    axis = panels[0]
    for i, value in enumerate(np.unique(group)):
        mine = group == value
        axis.scatter(
            *place[mine].T, s=9, color=COLOURS[i % len(COLOURS)], marker=MARKERS[i % len(MARKERS)], alpha=0.6,
            linewidth=0, label=f"{shown(name)} {shown(value)}",
        )  # fmt: skip
    axis.set_xlabel("t-SNE 1 (no unit)")
    axis.set_ylabel("t-SNE 2 (no unit)")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, markerscale=2, handletextpad=0.2)
    return panels


class EmbeddingDisplay(Display):
    """What experts and scales make of the windows, by t-SNE.

    Parameters
    ----------
    embeddings : dict of str to (ndarray of shape (n_points, n_numbers), ndarray of shape (n_points,))
        Representations and their groups, by what the groups are: ``"expert"``, ``"scale"``.
    random_state : int, RandomState or None, default=None
        Seed of t-SNE.

    Attributes
    ----------
    points_ : dict of str to ndarray of shape (n_points, 2)
        Where t-SNE puts them, after `plot`.
    axes_ : ndarray of matplotlib Axes
        One per kind of embedding, after `plot`.
    {figure}

    Notes
    -----
    t-SNE keeps neighbourhoods: clusters mean that a group has its own region, but sizes of and distances between
    clusters mean nothing.
    """

    def __init__(
        self, embeddings: dict[str, tuple[np.ndarray, np.ndarray]], *, random_state: Any = None
    ) -> None:
        self.embeddings, self.random_state = embeddings, random_state

    def plot(self, *, title: str | None = None, axes: Any = None) -> EmbeddingDisplay:
        """Draw the picture.

        Parameters
        ----------
        {title}
        {axes: one per kind of embedding}

        Returns
        -------
        EmbeddingDisplay
            This display.

        Raises
        ------
        DataError
            If there are fewer than 10 points of a kind.
        """
        n = len(self.embeddings)
        panels = (
            new_axes(n, 1, 0.4 + 3.3 * n)[:, 0] if axes is None else given_axes(axes, n, "the embeddings")
        )
        self.points_ = {name: self._place(points) for name, (points, _) in self.embeddings.items()}
        for axis, (name, (_, groups)) in zip(panels, self.embeddings.items(), strict=True):
            plot_embedding(self.points_[name], groups, name=name, axes=axis)
            axis.set_title(f"{len(groups)} embeddings, by {shown(name)}", loc="left", fontsize="medium")
        if axes is None:
            entitle(panels[0].figure, title)
        self.axes_ = panels
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        n_points: int = 600,
        random_state: Any = 0,
        title: str | None = None,
        axes: Any = None,
    ) -> EmbeddingDisplay:
        """Draw what the experts and scales of a fitted STM3 make of the windows in X.

        Parameters
        ----------
        estimator : STM3Forecaster
            Fitted; STM2 (without experts) has scales only.
        X : array-like, DataFrame, DataArray or Tensor
            Values of at least `input_length` time steps.
        n_points : int, default=600
            Points of each kind at most, chosen at random.
        random_state : int, RandomState or None, default=0
            Seed of that choice and of t-SNE.
        title, axes
            As in `plot`.

        Returns
        -------
        EmbeddingDisplay
            Drawn.

        Raises
        ------
        DataError
            If the forecaster has no such embeddings, or X gives fewer than 10 points.
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "scale_embeddings"):
            raise DataError(f"{type(estimator).__name__} has no scales or experts; needed: STM3Forecaster.")
        rng = check_random_state(random_state)
        scales = estimator.scale_embeddings(X)
        widths = np.broadcast_to(np.asarray(estimator.scales), scales.shape[:3])
        parts = {}
        if estimator.n_experts:
            outputs = estimator.expert_embeddings(X)
            first = np.asarray(estimator.routing_).argmax(1)
            experts = np.broadcast_to(first, outputs.shape[:2]).ravel()
            parts["expert"] = _some(outputs.reshape(len(experts), -1), experts, n_points, rng)
        parts["scale"] = _some(scales.reshape(-1, scales.shape[-1]), widths.ravel(), n_points, rng)
        return cls(parts, random_state=rng.randint(2**31 - 1)).plot(title=title, axes=axes)

    def _place(self, points: np.ndarray) -> np.ndarray:
        from sklearn.manifold import TSNE

        if len(points) < _FEWEST:
            raise DataError(
                f"there are {len(points)} embeddings; needed: at least {_FEWEST}. Give more time steps."
            )
        perplexity = min(30.0, (len(points) - 1) / 3)
        model = TSNE(perplexity=perplexity, init="pca", random_state=check_random_state(self.random_state))
        spread = points.std(0)
        return model.fit_transform((points - points.mean(0)) / np.where(spread > 0, spread, 1))


def _some(
    points: np.ndarray, groups: np.ndarray, n_points: int, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    chosen = rng.permutation(len(points))[:n_points]
    return points[chosen], groups[chosen]
