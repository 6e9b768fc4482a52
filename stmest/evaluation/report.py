"""One table for all forecasters, scored on exactly the same windows.

The data are cut once in time. Every forecaster learns from the first part and forecasts every window whose targets
lie in the second; look-back may reach before the cut, so that forecasters with short and long memory have the same
targets. A forecaster that fails keeps its row, with what went wrong. Builds on the public methods of the forecasters, which
are given Panels, and on `metrics`; used by the command line.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import numpy as np
from sklearn.base import clone

from ..data.calendar import season_length
from ..data.chunks import row_chunks
from ..data.containers import as_panel
from ..data.output import ToArray
from ..data.panel import Panel, regular
from ..exceptions import DataError, ParameterError
from ..graphs import Graph, as_graph
from ..metrics.intervals import interval_coverage
from ..metrics.point import horizon_errors, mae, mase, origin_errors, r2, rmse, scaled_errors
from .machine import describe_machine
from .results import ModelResult, Report, Sample
from .summary import summarise
from .tables import plain
from .verdict import KEPT_LINEAR

__all__ = ["Report", "compare", "how_training_ended"]

# Origins, spread over the test part: those of which the forecasts are kept for pictures, and those whose intervals are scored
_N_KEPT, _N_INTERVALS = 5, 50
# Share of the values that the intervals are to contain
_COVERAGE = 0.9


def compare(
    models: Mapping[str, Any],
    X: Any,
    adj: Any = None,
    *,
    test_fraction: float = 0.2,
    season: int | None = None,
    unit: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Fit forecasters on the first time steps and score them on the same windows of the last ones.

    Parameters
    ----------
    models : mapping of str to forecaster
        Unfitted forecasters by name, all with the same horizon; they are cloned, and stay as they are.
    X : array-like, DataFrame, DataArray or Tensor
        Values, as for `fit`, of one series; the cells of a field count as nodes. ``X.attrs["coordinates"]``, a dict from
        nodes to (latitude, longitude) or (x, y), is where they are on the map of a report; default: the
        coordinates of the graph.
    adj : graph, optional
        Graph, in any container that `fit` takes; given to every forecaster.
    test_fraction : float, default=0.2
        Share of the time steps, the last ones, whose values are forecast.
    season : int, optional
        Time steps per season, for MASE. Default: see `stmest.data.calendar.season_length`.
    unit : str, optional
        Unit of the values, for table and pictures.
    progress : callable, optional
        Called with a line of text before and after each forecaster.

    Returns
    -------
    Report
        Table, settings and a few forecasts.

    Raises
    ------
    DataError
        If the data leave no room for training data and a test window, or one of the two parts has no observation.
    GraphError
        If the graph does not fit the nodes.
    ParameterError
        If the forecasters have different horizons, or a parameter cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> from stmest import LastValue, SeasonalNaive, compare
    >>> X = np.sin(np.arange(240.0) * 2 * np.pi / 24)[:, None] + np.arange(3.0)
    >>> report = compare({"last": LastValue(horizon=6), "season": SeasonalNaive(horizon=6, season=24)}, X, season=24)
    >>> report.to_frame()["MAE"].round(3).tolist()
    [0.531, 0.0]
    """
    panel = regular(as_panel(X))
    horizon, cut = _checked(models, panel, test_fraction)
    graph = None if adj is None else as_graph(adj, panel.values.shape[1], panel.nodes)
    season = min(season_length(panel.index), cut - 1) if season is None else season
    # Checked before the first fit: a wrong season must not cost an hour of training.
    if not isinstance(season, (int, np.integer)) or not 1 <= season < cut:
        raise ParameterError(
            f"season={season!r}; needed: an integer from 1 to {cut - 1}, the training time steps less one."
        )
    trial = _Trial(panel, cut, horizon, int(season), graph)
    rows = []
    for number, (name, model) in enumerate(models.items(), start=1):
        rows.append(trial.run(name, model, f"[{number}/{len(models)}] {name}", progress or _quiet))
    return Report(
        rows=rows,
        data=summarise(panel),
        settings={
            "test_fraction": test_fraction, "train_rows": cut, "test_rows": panel.n_times - cut,
            "first_test_time": None if panel.index is None else str(panel.index[cut]),
            "horizon": horizon, "windows": panel.n_times - cut - horizon + 1, "season": int(season),
            "graph_edges": None if graph is None else graph.n_edges, "coverage": _COVERAGE,
            "interval_origins": len(trial.scored),
        },
        machine=describe_machine(),
        unit=unit,
        nodes=_node_names(panel),
        samples=trial.samples(),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        future=trial.future(),
        graph=graph,
        coordinates=_coordinates(X, graph, _node_names(panel)),
    )  # fmt: skip


class _Trial:
    """The same data, cut and windows for every forecaster."""

    def __init__(self, panel: Panel, cut: int, horizon: int, season: int, graph: Any) -> None:
        self.panel, self.cut, self.horizon, self.season, self.graph = panel, cut, horizon, season, graph
        self.n_windows = panel.n_times - cut - horizon + 1
        self.kept, self.scored = _spread(self.n_windows, _N_KEPT), _spread(self.n_windows, _N_INTERVALS)
        self.after_the_last = self.n_windows - 1 + horizon  # the window that begins where the data end
        self.truth: np.ndarray | None = None
        self.targets: list[int] = []
        self.forecasts: dict[str, np.ndarray] = {}
        self.intervals: dict[str, dict[int, tuple[np.ndarray, np.ndarray]]] = {}
        self.next: dict[str, np.ndarray] = {}

    def run(self, name: str, model: Any, label: str, progress: Callable[[str], None]) -> ModelResult:
        """Fit and score one forecaster; whatever it raises becomes the text of its row."""
        row = ModelResult(name)
        try:
            forecaster = clone(model)
            row.parameters = {key: plain(value) for key, value in forecaster.get_params(deep=False).items()}
            progress(f"{label}: fitting on {self.cut} time steps")
            start = time.perf_counter()
            forecaster.fit(self.panel.rows(0, self.cut), adj=self.graph)
            row.fit_seconds = time.perf_counter() - start
            row.n_parameters = _count(forecaster)
            row.network, row.note = _has_network(forecaster), _note(forecaster)
            row.predict_ms, truth, forecast = self._forecast(forecaster)
            self._score(row, truth, forecast)
            self._look_ahead(name, forecaster)
            self._score_intervals(row, forecaster)
            self.forecasts[name] = forecast[self.kept]
            row.forecaster = forecaster
            told = [f"MAE {row.scores['MAE']:.4g}", *([] if row.note is None else [row.note])]
            progress(
                f"{label}: {', '.join(told)}, fitted in {row.fit_seconds:.1f} s, "
                f"{row.predict_ms:.2f} ms per window"
            )
        except Exception as error:
            row.error = f"{type(error).__name__}: {' '.join(str(error).split())}"
            row.scores, row.horizon_mae, row.node_mae, row.node_mase, row.origin_mae = (
                {},
                None,
                None,
                None,
                None,
            )
            row.coverage = row.node_coverage = None
            progress(f"{label}: failed, {row.error}")
        return row

    def _forecast(self, forecaster: Any) -> tuple[float, np.ndarray, np.ndarray]:
        """Milliseconds per window, truth and forecasts of all windows whose targets lie in the test part."""
        tail = self.panel.rows(max(0, self.cut - forecaster.context_length_), self.panel.n_times)
        start = time.perf_counter()
        truth, forecast = forecaster.predict_windows(tail)
        milliseconds = 1000 * (time.perf_counter() - start) / max(1, len(truth))
        # what a forecaster sees before its look-back may hold whole windows of the training part
        truth, forecast = (self._by_node(windows[-self.n_windows :]) for windows in (truth, forecast))
        targets = list(getattr(forecaster, "target_", range(self.panel.values.shape[2])))
        if self.truth is None and len(truth) == self.n_windows:
            self.truth, self.targets = truth, targets
        if self.truth is None or not np.array_equal(truth, self.truth, equal_nan=True):
            raise DataError(
                f"the forecasts of shape {truth.shape} are not for all of the {self.n_windows} windows, or not for the "
                "targets of the other rows of the table."
            )
        return milliseconds, truth, forecast

    def _look_ahead(self, name: str, forecaster: Any) -> None:
        """Forecast the steps after the last time step."""
        try:
            forecast = forecaster.predict(self._past(forecaster, self.after_the_last))
        except (DataError, ParameterError):  # for instance if inputs have to be known in advance
            return
        self.next[name] = self._by_node(forecast[None])[0]

    def _score_intervals(self, row: ModelResult, forecaster: Any) -> None:
        """Bounds of the kept origins and of the future, and how many of the targets lie within theirs."""
        windows = {*self.kept, *self.scored, *([self.after_the_last] if row.name in self.next else [])}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)
                bounds = {int(window): self._interval(forecaster, window) for window in sorted(windows)}
        except (DataError, UserWarning):  # too little to calibrate them on: the forecasts stand without
            return
        assert self.truth is not None  # scored before
        truth = self.truth[self.scored]
        lower, upper = (np.stack([bounds[int(w)][end] for w in self.scored]) for end in (0, 1))
        row.coverage = interval_coverage(truth, lower, upper)
        row.node_coverage = np.array(
            [interval_coverage(truth[:, :, i], lower[:, :, i], upper[:, :, i]) for i in range(truth.shape[2])]
        )
        kept = {*map(int, self.kept), self.after_the_last}
        self.intervals[row.name] = {window: pair for window, pair in bounds.items() if window in kept}

    def _interval(self, forecaster: Any, window: int) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bounds of the forecasts from one origin."""
        lower, upper = forecaster.predict_interval(self._past(forecaster, window), coverage=_COVERAGE)
        return self._by_node(lower[None])[0], self._by_node(upper[None])[0]

    def _past(self, forecaster: Any, window: int) -> Panel:
        """What a forecast of one window is made from."""
        origin = self.cut + int(window)
        past = self.panel.rows(max(0, origin - forecaster.context_length_), origin)
        return replace(past, restore=ToArray())

    def _by_node(self, windows: np.ndarray) -> np.ndarray:
        """Forecasts of windows with the cells of a field, if it is one, as nodes."""
        if self.panel.grid is None:
            return windows
        return windows.reshape(*windows.shape[:2], -1, *windows.shape[4:])

    def _score(self, row: ModelResult, truth: np.ndarray, forecast: np.ndarray) -> None:
        if np.isnan(truth).all():
            raise DataError(f"none of the {truth.size} target values is observed; there is nothing to score.")
        train = self.panel.values[: self.cut][..., self.targets]
        train = train[..., 0] if truth.ndim == 3 else train
        row.scores = {
            "MAE": mae(truth, forecast),
            "RMSE": rmse(truth, forecast),
            "MASE": mase(truth, forecast, train, self.season),
            "R2": r2(truth, forecast),
        }
        row.horizon_mae = horizon_errors(truth, forecast)
        row.origin_mae = origin_errors(truth, forecast)
        row.node_mae = np.array([mae(truth[:, :, i], forecast[:, :, i]) for i in range(truth.shape[2])])
        row.node_mase = _by_row(scaled_errors(truth, forecast, train, self.season))

    def samples(self) -> list[Sample]:
        """Truth and forecasts of the kept origins."""
        if self.truth is None:
            return []
        return [
            self._sample(int(window), self.truth[window], {name: f[i] for name, f in self.forecasts.items()})
            for i, window in enumerate(self.kept)
        ]

    def future(self) -> Sample | None:
        """Forecasts of the steps after the last time step, of the forecasters that did not fail."""
        forecasts = {name: forecast for name, forecast in self.next.items() if name in self.forecasts}
        if not forecasts:
            return None
        unknown = np.full(next(iter(forecasts.values())).shape, np.nan)
        return self._sample(self.after_the_last, unknown, forecasts)

    def _sample(self, window: int, truth: np.ndarray, forecasts: dict[str, np.ndarray]) -> Sample:
        origin = self.cut + window
        begin = max(0, origin - max(2 * self.horizon, min(self.season, 200)))
        shown = self.panel.rows(begin, min(origin + self.horizon, self.panel.n_times))
        history, time = shown.values[: origin - begin][..., self.targets], shown.index
        if window == self.after_the_last and time is not None:
            time = time.append(shown.future(self.horizon))
        return Sample(
            row=origin,
            history=history[..., 0] if self.panel.ndim == 2 else history,
            truth=truth,
            forecasts=forecasts,
            intervals={name: bounds[window] for name, bounds in self.intervals.items() if window in bounds},
            time=time,
        )


def _checked(models: Mapping[str, Any], panel: Panel, test_fraction: float) -> tuple[int, int]:
    """The common horizon, and the first test time step."""
    if panel.parts:
        raise DataError(
            f"X holds {len(panel.parts)} trajectories; needed: one series, which can be cut in time."
        )
    if not models:
        raise ParameterError("models is empty; needed: at least one forecaster.")
    horizons = {name: model.horizon for name, model in models.items()}
    if len(set(horizons.values())) > 1:
        raise ParameterError(
            f"the forecasters have different horizons, {horizons}; needed: the same, for equal windows."
        )
    if not 0 < test_fraction < 1:
        raise ParameterError(f"test_fraction={test_fraction!r}; needed: a number between 0 and 1.")
    horizon = next(iter(horizons.values()))
    cut = panel.n_times - round(test_fraction * panel.n_times)
    if cut < 2 or panel.n_times - cut < horizon:
        raise DataError(
            f"X has {panel.n_times} rows, of which test_fraction={test_fraction} leaves {cut} to learn from and "
            f"{panel.n_times - cut} to forecast; needed: 2 and horizon = {horizon}."
        )
    for part, first, last in (("to learn from", 0, cut), ("to score on", cut, panel.n_times)):
        if all(np.isnan(chunk).all() for _, chunk in row_chunks(panel.values[first:last])):
            when = "" if panel.index is None else f", from {panel.index[first]} to {panel.index[last - 1]},"
            raise DataError(
                f"the {last - first} rows {part}{when} hold no observation at all; needed: some. Choose another test_fraction, "
                "or leave out the rows without observations."
            )
    return horizon, cut


def _node_names(panel: Panel) -> list[Any]:
    """Names of the nodes, else their numbers; cells of a field by row and column."""
    if panel.grid is not None:
        return [f"{row},{column}" for row in range(panel.grid[0]) for column in range(panel.grid[1])]
    return list(range(panel.values.shape[1])) if panel.nodes is None else list(panel.nodes)


def _coordinates(X: Any, graph: Graph | None, nodes: list[Any]) -> np.ndarray | None:
    """Where the nodes are, as the data or else the graph say; NaN for nodes that the data do not place."""
    placed = getattr(X, "attrs", {}).get("coordinates")
    if placed is None:
        return None if graph is None else graph.coordinates
    by_name = {str(node): place for node, place in placed.items()}
    unknown = (float("nan"), float("nan"))
    return np.array([by_name.get(str(node), unknown) for node in nodes], dtype=float)


def _by_row(values: np.ndarray) -> np.ndarray:
    """Mean over the features of each node, of those that are known."""
    if values.ndim == 1:
        return values
    known = ~np.isnan(values)
    sums = np.where(known, values, 0.0).sum(1)
    return np.divide(sums, known.sum(1), out=np.full(len(values), np.nan), where=known.any(1))


def _spread(n_windows: int, n_wanted: int) -> np.ndarray:
    """Positions of windows, evenly spread from the first to the last."""
    return np.unique(np.linspace(0, n_windows - 1, min(n_wanted, n_windows)).round().astype(int))


def _count(forecaster: Any) -> int | None:
    count = getattr(forecaster, "n_parameters_", None)
    return None if count is None else int(count)


def _has_network(forecaster: Any) -> bool:
    """Whether a network forecasts, that of the forecaster or of a member of it; trained here, or before."""
    members = getattr(forecaster, "estimators_", [])
    own = hasattr(forecaster, "residual_weight_") or hasattr(forecaster, "pipeline_")
    return own or any(map(_has_network, members))


def how_training_ended(forecaster: Any) -> str | None:
    """Where the training of a forecaster was ended early.

    Parameters
    ----------
    forecaster : BaseForecaster
        A fitted one.

    Returns
    -------
    str or None
        Such as "stopped at epoch 7"; None where it came to its own end, or there was none.
    """
    history = getattr(forecaster, "history_", None)
    if history is None or not history.attrs.get("interrupted"):
        return None
    if "member" not in history:
        return f"stopped at epoch {len(history)}"
    last = int(history["member"].max())
    return f"stopped at epoch {int((history['member'] == last).sum())} of member {last + 1}"


def _note(forecaster: Any) -> str | None:
    """What a table of errors does not show: that a training was ended early, or a network added nothing."""
    kept = KEPT_LINEAR if getattr(forecaster, "residual_weight_", 1.0) == 0 else None
    return "; ".join(filter(None, [how_training_ended(forecaster), kept])) or None


def _quiet(line: str) -> None:
    """Show nothing."""
