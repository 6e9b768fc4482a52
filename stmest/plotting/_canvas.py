"""What all pictures share: colours, figures without pyplot, tidy axes, times, and the base of the displays."""

from __future__ import annotations

import base64
import html
import inspect
import io
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import DataError
from ..runtime import require
from ._docs import fill_in

__all__ = [
    "COLOURS", "DASHES", "MARKERS", "Display", "entitle", "given_axes", "head", "in_unit", "label_nodes", "label_time",
    "new_axes", "plain_text", "png", "positions", "shown", "step_labels", "tidy",
]  # fmt: skip

# Okabe and Ito's colours differ with any colour vision; dashes and markers differ without any colour.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)), (0, (3, 3)), (0, (1, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P")

# 7 inches at 200 dots: 1400 pixels; shrunk to 600 its letters are still about 12 pixels high
_WIDTH, _DOTS = 7.0, 200
_MOST_NAMES = 30  # more names than these along an axis would run into each other
_LONGEST, _LONGEST_ON_AXIS, _LONGEST_TITLE = 40, 24, 80  # letters of a label that fit
_LEGEND_WIDTH = 90  # letters side by side


def new_axes(
    n_rows: int, n_columns: int, height: float, *, width_ratios: Sequence[float] | None = None, **shared: Any
) -> np.ndarray:
    """Make an empty figure that pyplot does not know.

    Parameters
    ----------
    n_rows, n_columns : int
        Panels.
    height : float
        Height of the figure in inches; it is 7 wide.
    width_ratios : sequence of float, optional
        Widths of the columns.
    **shared
        ``sharex``, ``sharey`` of `matplotlib.figure.Figure.subplots`.

    Returns
    -------
    ndarray of matplotlib Axes, of shape (n_rows, n_columns)
        The panels.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    require("matplotlib", extra="plot")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), dpi=_DOTS, layout="constrained")
    FigureCanvasAgg(figure)
    return figure.subplots(n_rows, n_columns, squeeze=False, width_ratios=width_ratios, **shared)


def given_axes(axes: Any, n_needed: int, what: str) -> np.ndarray:
    """Take the axes of the user, one per panel.

    Parameters
    ----------
    axes : matplotlib Axes or sequence of them
        Where to draw.
    n_needed : int
        Panels of the picture.
    what : str
        What they are needed for, for the message.

    Returns
    -------
    ndarray of matplotlib Axes, of shape (n_needed,)
        The same.

    Raises
    ------
    DataError
        If there are more or fewer.
    """
    panels = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if len(panels) != n_needed:
        raise DataError(f"{len(panels)} axes were given for {what}; needed: {n_needed}.")
    return panels


def plain_text(value: Any) -> str:
    """Return a name or another text of the user as one line of text.

    Parameters
    ----------
    value : object
        Such as the name of a node.

    Returns
    -------
    str
        Without control characters and half characters, which fonts and files cannot hold. Text written from right to left is
        isolated, so that words beside it keep their order.
    """
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    text = "".join(
        " " if char.isspace() else char
        for char in text
        if unicodedata.category(char) != "Cf" or char in _JOINERS
    )
    text = "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(char) in ("Cc", "Cs") else char for char in text
    )
    from_right = any(unicodedata.bidirectional(char) in ("R", "AL") for char in text)
    return f"\N{FIRST STRONG ISOLATE}{text}\N{POP DIRECTIONAL ISOLATE}" if from_right else text


# Scripts and emoji need them; other invisible characters, such as those that turn the direction round, are left out
_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"


def shown(value: Any, longest: int = _LONGEST) -> str:
    """Return a text of the user as matplotlib draws it letter by letter, without mathematics.

    Parameters
    ----------
    value : object
        Such as the name of a node.
    longest : int, default=40
        Letters; of longer texts the middle is left out.

    Returns
    -------
    str
        For titles, axes and legends.
    """
    text = plain_text(value)
    if len(text) > longest:
        half = (longest - 1) // 2
        text = plain_text(f"{text[:half]}…{text[-half:]}")
    # a label that begins with an underscore would be left out of the legend
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def entitle(figure: Any, title: str | None) -> None:
    """Write the title of a figure, if it has one."""
    if title is not None:
        figure.suptitle(shown(title, _LONGEST_TITLE), fontsize="medium")


def tidy(axis: Any, grid: str = "y") -> None:
    """Draw pale lines along one direction, and no box around the panel."""
    axis.grid(True, axis=grid, color="0.85", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def head(panels: np.ndarray, title: str | None, source: Any = None, n_columns: int = 4) -> None:
    """Put the legend of one panel (default the first) beneath the figure, and the title above it."""
    figure = panels[0].figure
    handles, labels = (panels[0] if source is None else source).get_legend_handles_labels()
    if handles:
        fitting = _LEGEND_WIDTH // (max(map(len, labels)) + 6)
        n_columns = max(1, min(n_columns, len(handles), fitting))
        figure.legend(handles, labels, loc="outside lower center", ncols=n_columns, frameon=False)
    entitle(figure, title)


def in_unit(name: str, unit: str | None) -> str:
    """Text of an axis: what it shows, and in which unit."""
    return name if unit is None else f"{name} ({shown(unit, _LONGEST_ON_AXIS)})"


def positions(time: pd.Index) -> Any:
    """Times as matplotlib understands them."""
    return time.to_timestamp() if isinstance(time, pd.PeriodIndex) else time


def label_time(axis: Any, time: pd.Index | None, text: str) -> None:
    """Write times along a horizontal axis, or leave numbers there; `text` follows the name of the axis."""
    if isinstance(time, (pd.DatetimeIndex, pd.PeriodIndex)):
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator = AutoDateLocator(minticks=4, maxticks=8)
        axis.xaxis.set_major_locator(locator)
        axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axis.set_xlabel(f"{'steps from the origin' if time is None else 'time'}{text}")


def step_labels(axis: Any, horizon: int) -> None:
    """Write whole steps ahead along a horizontal axis."""
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    axis.set_xlim(0.5, horizon + 0.5)
    axis.set_xlabel("steps ahead")


def label_nodes(axis: Any, names: Sequence[Any], vertical: bool = False, what: str = "node") -> None:
    """Write the names of the nodes along an axis, or only what it shows where there are too many of them."""
    line = axis.yaxis if vertical else axis.xaxis
    (axis.set_ylabel if vertical else axis.set_xlabel)(what)
    if len(names) > _MOST_NAMES:
        return
    labels = [shown(name, _LONGEST_ON_AXIS) for name in names]
    line.set_ticks(range(len(names)), labels)
    if not vertical and sum(map(len, labels)) > 30:
        axis.tick_params(axis="x", labelrotation=90)
    if len(names) > 15:
        axis.tick_params(axis="y" if vertical else "x", labelsize="small")


def png(figure: Any) -> bytes:
    """Return a figure as the bytes of a PNG file. Letters that no font has become boxes."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


class Display:
    """Base of the displays: the data of a picture, which `plot` draws.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        The panels that were drawn last.
    figure_ : matplotlib Figure
        The figure they are in; ``figure_.savefig(path)`` writes it.

    Notes
    -----
    Figures are made without pyplot: nothing is registered globally and no window opens. A notebook shows a display that
    a cell ends with.
    """

    axes_: np.ndarray
    plot: Callable[..., Any]

    def __init_subclass__(cls) -> None:
        """Fill in what the docstrings of the displays share."""
        for member in (cls, *vars(cls).values()):
            documented = getattr(member, "__func__", member)  # of a class method
            if documented is cls or inspect.isfunction(documented):
                fill_in(documented)

    @property
    def figure_(self) -> Any:
        """The figure that was drawn last."""
        return self.axes_[0].figure

    def _repr_html_(self) -> str:
        """Picture for notebooks, 700 pixels wide at most."""
        if not hasattr(self, "axes_"):
            return f"<pre>{html.escape(repr(self))}</pre>"
        picture = base64.b64encode(png(self.figure_)).decode("ascii")
        return f'<img alt="{type(self).__name__}" style="max-width: 700px; width: 100%" src="data:image/png;base64,{picture}">'
