"""Results as text and as plain Python: the parts of a report that do not depend on how it was measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate

__all__ = ["aligned_table", "filled_rows", "finite_or_none", "outlier_hint", "plain"]


def aligned_table(frame: pd.DataFrame, settings: dict[str, Any], unit: str | None) -> str:
    """Lay the table of a report out in columns.

    Parameters
    ----------
    frame : DataFrame
        As `Report.to_frame` returns it.
    settings : dict
        As in `Report.settings`.
    unit : str or None
        Unit of the values.

    Returns
    -------
    str
        Heading, table, and a line for each forecaster that failed.
    """
    unit = "the unit of the data" if unit is None else unit
    steps = [column for column in frame if str(column).startswith("MAE@")]
    digits = _decimals(frame["MAE"])
    formats: dict[str, Callable[[Any], str]] = {
        **dict.fromkeys(["MAE", "RMSE", *steps], f"{{:.{digits}f}}".format),
        **dict.fromkeys(["MASE", "R2"], "{:.3f}".format),
        "fit_seconds": "{:.1f}".format,
        "predict_ms": "{:.2f}".format,
        "n_parameters": "{:,}".format,
    }
    titles = {"fit_seconds": "fit s", "predict_ms": "ms/window", "n_parameters": "parameters"}
    columns = [["model", *frame.index.astype(str)]]
    for column, as_text in formats.items():
        columns.append(
            [titles.get(column, column), *("-" if pd.isna(v) else as_text(v) for v in frame[column])]
        )
    failed = [f"{name} failed: {reason}" for name, reason in frame["error"].items() if reason is not None]
    count = (
        f"{settings['windows']:,} test windows, {settings['horizon']} steps ahead; the same for every row."
    )
    legend = (
        f"MAE, RMSE in {unit}; MAE@k: k steps ahead alone; MASE: 1 is a naive forecast of season {settings['season']} "
        "on the training rows."
    )
    aligns = ["left", *["right"] * len(formats)]
    if frame["note"].notna().any():
        columns.append(["", *("" if note is None else note for note in frame["note"])])
        aligns.append("left")
    cells = zip(*columns, strict=True)
    heading, *lines = tabulate(cells, tablefmt="plain", colalign=aligns, disable_numparse=True).splitlines()
    lines = [line.rstrip() for line in lines]
    return "\n".join([count, legend, "", heading, "-" * len(heading), *lines, *failed])


def filled_rows(data: dict[str, Any]) -> list[str]:
    """A sentence about the time steps that were missing, if any were.

    Parameters
    ----------
    data : dict
        As `summarise` returns it.

    Returns
    -------
    list of str
        One line, or none.
    """
    n_filled = data.get("filled_rows", 0)
    if not n_filled:
        return []
    rows, are = ("row", "is") if n_filled == 1 else ("rows", "are")
    return [
        f"{n_filled:,} {rows} between the first and the last time {are} missing in the data, and filled with NaN."
    ]


def outlier_hint(data: dict[str, Any]) -> list[str]:
    """A sentence about a value far beyond the others that is repeated, if there is one.

    Parameters
    ----------
    data : dict
        As `summarise` returns it.

    Returns
    -------
    list of str
        One line, or none.
    """
    if "repeated_outlier" not in data:
        return []
    value, count = data["repeated_outlier"]
    sentence = (
        f"The value {value:.10g} is there {count:,} times, far beyond all others. If it marks missing values, put NaN in its "
        f"place (stmest report --missing {value:.10g})."
    )
    return [sentence]


def plain(value: Any) -> Any:
    """Turn a value into what JSON can hold; anything else becomes its type's name.

    Parameters
    ----------
    value : object
        Number, text, container, array or anything else.

    Returns
    -------
    None, bool, int, float, str, list or dict
        The same, plain.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.ndarray) and value.ndim <= 1:
        return [plain(entry) for entry in value.tolist()]
    if isinstance(value, (list, tuple, set)):
        return [plain(entry) for entry in value]
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    shape = getattr(value, "shape", None)
    return type(value).__name__ + ("" if shape is None else str(tuple(shape)))


def finite_or_none(value: Any) -> Any:
    """Replace numbers that JSON does not know (NaN, infinity) by None, at any depth.

    Parameters
    ----------
    value : object
        As `plain` returns it.

    Returns
    -------
    object
        The same with None.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [finite_or_none(entry) for entry in value]
    if isinstance(value, dict):
        return {key: finite_or_none(entry) for key, entry in value.items()}
    return value


def _decimals(errors: pd.Series) -> int:
    """Decimals that leave about four digits in the smallest error."""
    finite = errors[np.isfinite(errors.astype(float)) & (errors > 0)]
    return 3 if finite.empty else int(np.clip(3 - math.floor(math.log10(finite.min())), 0, 8))
