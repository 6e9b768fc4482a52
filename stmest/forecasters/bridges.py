"""From a forecaster to its likes in other libraries.

`Bridges` is mixed into the face (`base.py`).
"""

from __future__ import annotations

import importlib
from typing import Any

from ..exceptions import ParameterError

__all__ = ["Bridges"]


class Bridges:
    """Forecasters of the same kind elsewhere."""

    def to_sktime(self) -> Any:
        """The sktime forecaster of the same name, with the same parameters, not fitted.

        Returns
        -------
        sktime.forecasting.base.BaseForecaster
            Of a class of `stmest.sktime`. `target` and `warm_start`, which sktime has other ways for, are left behind.

        Raises
        ------
        MissingDependencyError
            If sktime is not installed.
        ParameterError
            If `stmest.sktime` has no such class.

        Examples
        --------
        >>> from stmest import RidgeForecaster
        >>> RidgeForecaster(input_length=48, horizon=6).to_sktime()
        RidgeForecaster(horizon=6, input_length=48)
        """
        # by name: the faces for sktime build on the forecasters, which must not depend on them
        faces = importlib.import_module("stmest.sktime")
        face = getattr(faces, type(self).__name__, None)
        if face is None:
            raise ParameterError(
                f"{type(self).__name__} has no counterpart in stmest.sktime; there are {faces.__all__}."
            )
        known = set(face.get_param_names())
        parameters = self.get_params(deep=False)  # type: ignore[attr-defined]
        return face(**{name: value for name, value in parameters.items() if name in known})
