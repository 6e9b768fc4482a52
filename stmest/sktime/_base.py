"""The sktime API: a forecaster of stmest behind sktime's fit, predict, update and pretrain.

`SktimeForecaster` composes a scikit-learn-style forecaster; `SktimeNetworkForecaster` adds what only trained networks can do, and
`SktimeEnsembleForecaster` gives the members of an ensemble the wanted horizon.
The forecasters themselves are in `forecasters.py`, the conversion of tables in `_tables.py`.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import clone
from sktime.base import _HeterogenousMetaEstimator
from sktime.forecasting.base import BaseForecaster, ForecastingHorizon
from sktime.utils.warnings import warn

from ..exceptions import DataError, ParameterError
from ..forecasters.parameter_names import explain_unknown
from ._constructor import compose
from ._tables import Layout, rows_after

__all__ = ["FITTED", "SktimeEnsembleForecaster", "SktimeForecaster", "SktimeNetworkForecaster"]

# A forecaster that fit is to take instead of training one. sktime's own fit does the bookkeeping of tables, but resets all
# attributes first, so that it cannot lie in one.
FITTED: ContextVar[Any] = ContextVar("FITTED", default=None)

_UPDATE_EPOCHS_DOC = """\
update_epochs : int, default=0
    Epochs that `update` with ``update_params=True`` trains on the new time steps; 0 moves the forecast origin only.
"""


class SktimeForecaster(BaseForecaster):
    """Base of the sktime forecasters; a subclass names the forecaster that it composes: ``class A(Base, composes=B)``."""

    _tags: ClassVar[dict[str, Any]] = {
        "authors": ["stmest developers"],
        "maintainers": ["stmest developers"],
        "y_inner_mtype": ["pd.DataFrame", "pd-multiindex"],
        "X_inner_mtype": ["pd.DataFrame", "pd-multiindex"],
        "capability:multivariate": True,
        "capability:exogenous": False,
        "capability:categorical_in_X": False,
        "capability:insample": False,
        "capability:pred_int": True,
        "capability:pred_int:insample": False,
        "capability:missing_values": True,
        "capability:unequal_length": True,
        "capability:update": True,
        "capability:random_state": False,
        "property:randomness": "deterministic",
        "requires-fh-in-fit": False,
    }
    # the look-back is all of the data that is kept; sktime reads these two even where nothing is remembered
    _config: ClassVar[dict[str, Any]] = {"remember_data": False}
    _y = _X = None

    _composed: ClassVar[type]
    _more_parameters: ClassVar[dict[str, tuple[Any, str]]] = {}
    horizon: int | None

    def __init_subclass__(cls, composes: type | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if composes is not None:
            cls._composed = composes
            compose(cls, composes, cls._more_parameters)

    def set_params(self, **params: Any) -> SktimeForecaster:
        """Set parameters; see sktime. An unknown one is a `ParameterError` that says which one was meant."""
        try:
            return super().set_params(**params)
        except ValueError as error:
            known = [name for name in self.get_params() if "__" not in name]
            unknown = next((name for name in params if name.partition("__")[0] not in known), None)
            if unknown is None:
                raise
            raise ParameterError(explain_unknown(type(self).__name__, unknown, known)) from error

    # ---------------------------------------------------------------- fit

    def _fit(
        self, y: pd.DataFrame, X: pd.DataFrame | None, fh: ForecastingHorizon | None
    ) -> SktimeForecaster:
        self._layout = Layout.of(y, X)
        self.forecaster_ = FITTED.get() or self._trained(self._layout.table(y, X), fh)
        return self

    def _trained(self, table: pd.DataFrame, fh: ForecastingHorizon | None) -> Any:
        """A forecaster fitted to a table."""
        return self._new_forecaster(len(table), self._wanted_horizon(fh, self.cutoff)).fit(table)

    def _wanted_horizon(self, fh: ForecastingHorizon | None, cutoff: Any) -> int:
        if self.horizon is not None:
            return self.horizon
        if fh is None:
            return self._usual_horizon()
        return int(self._layout.ahead(fh, cutoff)[0].max())

    def _usual_horizon(self) -> int:
        """The horizon where none is wanted."""
        return self._composed().horizon

    def _new_forecaster(self, n_rows: int, horizon: int) -> Any:
        """The composed forecaster, with a horizon and look-back that the time steps have room for."""
        parameters = {k: v for k, v in self.get_params(deep=False).items() if k not in self._more_parameters}
        parameters |= self._made_to_fit(n_rows, horizon, self.input_length)
        if self._layout.targets is not None and self.get_tag("capability:exogenous"):
            parameters["target"] = self._layout.targets
        return self._composed(**parameters)

    def _made_to_fit(self, n_rows: int, horizon: int, input_length: int) -> dict[str, int]:
        """Shorter windows for short series: half of the time steps as horizon at most, the others as look-back at most."""
        if n_rows < 2:
            raise DataError(f"y has {n_rows} row; at least 2 are needed to learn from.")
        short = {"horizon": min(horizon, n_rows // 2)}
        short["input_length"] = min(input_length, n_rows - short["horizon"])
        if short != {"horizon": horizon, "input_length": input_length}:
            warn(
                f"y has {n_rows} rows, fewer than input_length + horizon = {input_length + horizon}; "
                f"{type(self).__name__} learns with input_length={short['input_length']}, horizon={short['horizon']}.",
                UserWarning,
                obj=self,
            )
        return short

    # ---------------------------------------------------------------- predict

    def _predict(self, fh: ForecastingHorizon, X: pd.DataFrame | None) -> pd.DataFrame:
        steps, times = self._layout.ahead(fh, self.cutoff)
        return self._layout.frame(self._ahead(steps, X), times)

    def _ahead(self, steps: np.ndarray, X: pd.DataFrame | None) -> np.ndarray:
        """Forecasts at the given steps: (n_steps, n_nodes, n_channels), float64."""
        forecaster, last = self.forecaster_, int(steps.max())
        known = None
        if last > forecaster.horizon and self._layout.exogenous and X is not None:
            _, times = self._layout.ahead(ForecastingHorizon(np.arange(1, last + 1)), self.cutoff)
            values = self._layout.known(X, times)
            known = np.concatenate(
                [np.full((*values.shape[:2], len(self._layout.channels)), np.nan), values], axis=2
            )
        predictor, recent = forecaster.predictor_, forecaster.context_
        ahead = predictor.forecast(recent, recent.bounds[1:] - predictor.look_back, last, known)
        return ahead[0, steps - 1].astype(np.float64)

    def _predict_quantiles(
        self, fh: ForecastingHorizon, X: pd.DataFrame | None, alpha: list[float]
    ) -> pd.DataFrame:
        return self._levels(fh, X, alpha, [(a,) for a in alpha])

    def _predict_interval(
        self, fh: ForecastingHorizon, X: pd.DataFrame | None, coverage: list[float]
    ) -> pd.DataFrame:
        alpha = [0.5 + side * c / 2 for c in coverage for side in (-1, 1)]
        return self._levels(fh, X, alpha, [(c, end) for c in coverage for end in ("lower", "upper")])

    def _levels(
        self,
        fh: ForecastingHorizon,
        X: pd.DataFrame | None,
        alpha: list[float],
        labels: list[tuple[Any, ...]],
    ) -> pd.DataFrame:
        """Quantiles at the levels `alpha`, as the ends of the symmetric intervals that they belong to."""
        steps, times = self._layout.ahead(fh, self.cutoff)
        center = self._ahead(steps, X)
        forecaster = self.forecaster_
        quantiles = [center] * len(alpha)
        for i, a in enumerate(alpha):
            coverage = round(abs(2 * a - 1), 12)
            if coverage:
                calibration, recent = forecaster.calibration_, forecaster.context_
                width = calibration.half_widths(recent, int(steps.max()), coverage)[0, steps - 1]
                quantiles[i] = center + np.sign(a - 0.5) * width
        return self._layout.frame(np.stack(quantiles, axis=-1), times, labels)

    # ---------------------------------------------------------------- update

    def _update(
        self, y: pd.DataFrame, X: pd.DataFrame | None = None, update_params: bool = True
    ) -> SktimeForecaster:
        table = self._layout.table(y, X)
        new = rows_after(table, self.forecaster_.context_.index, self.forecaster_.input_.freq)
        if len(new):
            self._take_in(new, update_params)
        return self

    def _take_in(self, new: pd.DataFrame, update_params: bool) -> None:
        """Move the forecast origin over new time steps."""
        self.forecaster_.update(new)


class SktimeEnsembleForecaster(_HeterogenousMetaEstimator, SktimeForecaster):
    """Base of the ensemble, whose members are forecasters of stmest; their parameters are ``name__parameter``."""

    _steps_attr = "forecasters"
    forecasters: Any

    def _usual_horizon(self) -> int:
        return self._composed(self.forecasters).horizon

    def _new_forecaster(self, n_rows: int, horizon: int) -> Any:
        ensemble = self._composed(self.forecasters, weights=self.weights, adj=self.adj)
        return self._made_to_fit_all(ensemble, n_rows, horizon)

    def _made_to_fit_all(self, model: Any, n_rows: int, horizon: int) -> Any:
        """A copy with the horizon, and with look-backs that the time steps have room for."""
        known = model.get_params(deep=False)
        if "forecasters" in known:
            members = [
                (name, self._made_to_fit_all(member, n_rows, horizon)) for name, member in model.forecasters
            ]
            return clone(model).set_params(forecasters=members)
        sizes = self._made_to_fit(n_rows, horizon, known.get("input_length", 1))
        return clone(model).set_params(**{name: size for name, size in sizes.items() if name in known})


class SktimeNetworkForecaster(SktimeForecaster):
    """Base of the sktime forecasters of networks, which can be trained further and pretrained."""

    _tags: ClassVar[dict[str, Any]] = {
        "capability:exogenous": True,
        "capability:pretrain": True,
    }
    _more_parameters: ClassVar[dict[str, tuple[Any, str]]] = {"update_epochs": (0, _UPDATE_EPOCHS_DOC)}
    update_epochs: int

    def _fit(
        self, y: pd.DataFrame, X: pd.DataFrame | None, fh: ForecastingHorizon | None
    ) -> SktimeForecaster:
        super()._fit(y, X, fh)
        self._recent = self._last_rows(self._layout.table(y, X))
        return self

    def _wanted_horizon(self, fh: ForecastingHorizon | None, cutoff: Any) -> int:
        if self.horizon is None and hasattr(self, "pretrained_"):
            return self.pretrained_.horizon
        return super()._wanted_horizon(fh, cutoff)

    def _trained(self, table: pd.DataFrame, fh: ForecastingHorizon | None) -> Any:
        """A forecaster trained on a table, from the pretrained weights on if there are any."""
        forecaster = self._new_forecaster(len(table), self._wanted_horizon(fh, table.index[-1:]))
        if hasattr(self, "pretrained_"):
            forecaster.first_weights = [network.state_dict() for network in self.pretrained_.networks_]
        return forecaster.fit(table)

    def _pretrain(self, y: pd.DataFrame, X: pd.DataFrame | None = None, fh: Any = None) -> SktimeForecaster:
        self._layout = Layout.of(y, X)
        self.pretrained_ = self._trained(self._layout.table(y, X), fh)
        return self

    def _last_rows(self, table: pd.DataFrame) -> pd.DataFrame | None:
        """The time steps that, before a new one, make a window to train on."""
        forecaster = self.forecaster_
        return (
            table.iloc[-(forecaster.input_length + forecaster.horizon - 1) :] if self.update_epochs else None
        )

    def _take_in(self, new: pd.DataFrame, update_params: bool) -> None:
        if not self.update_epochs:
            return super()._take_in(new, update_params)
        table = pd.concat([self._recent, new])
        if update_params:
            usual = self.forecaster_.get_params(deep=False)
            self.forecaster_.set_params(warm_start=True, max_epochs=self.update_epochs).fit(table)
            self.forecaster_.set_params(warm_start=False, max_epochs=usual["max_epochs"])
        else:
            super()._take_in(new, update_params)
        self._recent = self._last_rows(table)
        return None
