"""What counts as a value: real numbers of a size that can be computed with, NaN where nothing was observed.

Builds on numpy and scikit-learn; used by the containers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils import check_array

from ..exceptions import DataError, DataTypeError
from .chunks import row_chunks

__all__ = ["LARGEST_VALUE", "array_of_tensor", "as_floats", "refuse_extremes", "repeated_outlier"]

# Networks compute in float32, whose squares end at 3e38. No observation is that large; marks of missing values are, such as
# 9.97e36 in NetCDF files.
LARGEST_VALUE = 1e18

# Numbers that are often written where nothing was observed; each may also be a value
_MARKS = (
    -9999,
    -999,
    -99,
    -9,
    -1,
    0,
    99,
    999,
    9999,
    -99999,
    99999,
    -32768,
    32767,
    65535,
    -8888,
    8888,
    -7777,
    7777,
)


def array_of_tensor(tensor: Any) -> np.ndarray:
    """The values of a torch tensor, of any device and type that numpy can hold (bfloat16 as float32).

    Parameters
    ----------
    tensor : Tensor
        Dense tensor with values.

    Returns
    -------
    ndarray
        The same values; on the CPU a view.

    Raises
    ------
    DataTypeError
        If the tensor has no values (device "meta") or is not dense.
    """
    try:
        values = tensor.detach().cpu()
        return (values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy()
    except (TypeError, RuntimeError) as error:
        raise DataTypeError(
            f"X is a tensor of shape {tuple(tensor.shape)}, type {tensor.dtype}, on {tensor.device}, whose values cannot be "
            f"read ({' '.join(str(error).split())[:100]}); needed: a dense tensor of real numbers."
        ) from error


def as_floats(values: Any) -> np.ndarray:
    """Values as an array of floats with at least two axes; float32 and float64 are not copied.

    Parameters
    ----------
    values : array-like
        Real numbers; masked entries of a masked array become NaN.

    Returns
    -------
    ndarray of float32 or float64
        NaN and infinity are kept.

    Raises
    ------
    DataTypeError
        If they are no real numbers: text, dates, complex numbers, a sparse matrix, objects of another kind.
    DataError
        If there are no time steps or nodes, or fewer than two axes.
    """
    if np.ma.isMaskedArray(values):
        values = np.ma.filled(values.astype(np.result_type(values.dtype, np.float32)), np.nan)
    if isinstance(values, np.ndarray):
        _refuse_other_types(values)
    if isinstance(values, np.ndarray) and values.ndim == 1:
        raise DataError(
            f"X has one axis, shape {values.shape}; needed: (n_times, n_nodes). Reshape your data: X[:, None] is a single node."
        )
    try:
        return check_array(
            values, dtype=[np.float64, np.float32], allow_nd=True, ensure_all_finite=False, input_name="X"
        )
    except TypeError as error:
        raise DataTypeError(f"X of type {type(values).__name__} holds no usable values: {error}") from error
    except (ValueError, OverflowError) as error:
        needed = "needed: real numbers, (n_times, n_nodes) or (n_times, n_nodes, n_features)"
        raise DataError(f"X of type {type(values).__name__} cannot be used: {error} ({needed}).") from error


def _refuse_other_types(array: np.ndarray) -> None:
    """Raise an error for what numpy would silently turn into numbers: text, dates, the real part of complex numbers."""
    if array.dtype.kind == "c":
        raise DataTypeError(
            f"Complex data not supported: X of shape {array.shape} holds {array.dtype} values; needed: real numbers."
        )
    text = array.dtype == object and next((v for v in array.flat if isinstance(v, (str, bytes))), None)
    if array.dtype.kind in "SUMmV" or isinstance(text, (str, bytes)):
        what = f"text such as {text!r}" if isinstance(text, (str, bytes)) else f"{array.dtype} values"
        raise DataTypeError(
            f"X of shape {array.shape} holds {what}, which are no numbers; convert them to floats first."
        )


def refuse_extremes(array: np.ndarray, axes: Sequence[str]) -> None:
    """Raise an error where a value is infinite or too large to compute with.

    Parameters
    ----------
    array : ndarray
        Values, also a memory map; NaN is fine.
    axes : sequence of str
        Name of each axis, for the message.

    Raises
    ------
    DataError
        Naming the place of the first such value.
    """
    for first, chunk in row_chunks(array):
        with np.errstate(invalid="ignore"):
            bad = np.argwhere(np.abs(chunk) > LARGEST_VALUE)
        if not len(bad):
            continue
        place = (first + bad[0][0], *bad[0][1:])
        named = ", ".join(f"{axis} {i}" for axis, i in zip(axes, place, strict=True) if axis != "feature")
        where = f"({len(bad)} value(s), the first at {named})"
        value = chunk[tuple(bad[0])]
        if np.isinf(value):
            raise DataError(f"X contains infinity {where}. Use NaN for a missing observation.")
        raise DataError(
            f"X contains {value:.3g} {where}; values above {LARGEST_VALUE:g} are too large to compute with. Use NaN if "
            "this marks a missing observation, or another unit."
        )


def repeated_outlier(values: np.ndarray) -> tuple[float, int] | None:
    """A value far beyond all others that is repeated: perhaps a mark of missing values.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_nodes, n_features)
        NaN is fine.

    Returns
    -------
    (value, count) or None
        The most frequent such value; None where there is none that stands at least three times. It lies beyond the other values
        of its node by more than five times their range (half of it for -9999 and the like).

    Examples
    --------
    >>> repeated_outlier(np.array([1.0, 2, -9999, 3, -9999, 5, 4, -9999])[:, None, None])
    (-9999.0, 3)
    """
    found: dict[float, int] = {}
    series = values.reshape(len(values), -1)
    width = max(1, 2**22 // max(1, len(series)))  # nodes at a time: the values may be larger than the memory
    for first in range(0, series.shape[1], width):
        part = np.asarray(series[:, first : first + width], dtype=np.float64)
        for sign in (1, -1):
            for value, count in _lowest_alone(sign * part):
                found[sign * value] = found.get(sign * value, 0) + count
    most = max(found, key=lambda value: found[value], default=None)
    return None if most is None or found[most] < 3 else (most + 0.0, found[most])


def _lowest_alone(series: np.ndarray) -> list[tuple[float, int]]:
    """Of each column whose lowest value lies far below the others: this value, and how often it is there."""
    lowest = np.min(series, axis=0, initial=np.inf, where=~np.isnan(series))
    is_lowest = series == lowest
    others = ~is_lowest & ~np.isnan(series)
    low = np.min(series, axis=0, initial=np.inf, where=others)
    high = np.max(series, axis=0, initial=-np.inf, where=others)
    with np.errstate(invalid="ignore"):
        gap, reach = low - lowest, high - low
        known = np.isin(np.abs(lowest), np.abs(_MARKS))
        far = (gap > 5 * reach) | (known & (gap > 0.5 * reach))
    out = []
    for i in np.flatnonzero(far & np.isfinite(gap)):
        if len(np.unique(series[others[:, i], i])) >= (1 if known[i] and abs(lowest[i]) >= 99 else 5):
            out.append((float(lowest[i]), int(is_lowest[:, i].sum())))
    return out
