"""The forecasting tasks of the accuracy benchmarks: values, graph, look-back and horizon by name.

The real ones need the folder of real data in STMEST_DATA; see `stmest.load_panel` for their origin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from stmest import Graph, load_panel, make_sensor_network

__all__ = ["TASKS", "Task", "load_task"]


@dataclass(frozen=True)
class Task:
    """What is forecast from what.

    Attributes
    ----------
    X : DataFrame of shape (n_times, n_nodes)
        Values.
    graph : Graph or None
        Given to every forecaster.
    input_length, horizon : int
        Rows in and out.
    unit : str
        Of the values.
    truth : object or None
        The simulated network with its true edges and node types.
    train_end : int or None
        Forecasters learn from the rows before this one; None: from all before the test part.
    test_start : int or None
        First row of the test part; None: the last fifth of the rows is the test part.
    """

    X: pd.DataFrame
    graph: Graph | None
    input_length: int
    horizon: int
    unit: str
    truth: Any = None
    train_end: int | None = None
    test_start: int | None = None

    @property
    def test_fraction(self) -> float:
        """Share of the rows, the last ones, in the test part."""
        return 0.2 if self.test_start is None else 1 - self.test_start / len(self.X)


def _longer(load: Callable[[], Task], input_length: int, horizon: int) -> Callable[[], Task]:
    """The same rows with other windows."""
    return lambda: replace(load(), input_length=input_length, horizon=horizon)


def _apart(task: Task, train_end: str, test_start: str, end: str) -> Task:
    """A task whose training data end some time before the test part begins; all three dates are left out of what they end."""
    X = task.X[task.X.index < end]
    cuts = {"train_end": train_end, "test_start": test_start}
    return replace(task, X=X, **{name: int((X.index < date).sum()) for name, date in cuts.items()})


def _taxi() -> Task:
    panel = load_panel("nyc_taxi_69zones_60min")
    inflow = panel.frame("inflow")
    return Task(inflow[inflow.index.year == 2019], panel.graph, 24, 12, "trips/h")


def _taxi_drift() -> Task:
    panel = load_panel("nyc_taxi_69zones_60min")
    inflow = panel.frame("inflow")
    task = Task(inflow[inflow.index >= "2019-01-01"], panel.graph, 24, 12, "trips/h")
    return _apart(task, "2019-09-01", "2020-01-01", "2020-03-01")


def _molene() -> Task:
    panel = load_panel("molene_brittany_temp")
    return Task(panel.frame("temperature"), panel.graph, 24, 6, "degC")


def _pjm() -> Task:
    load = load_panel("pjm_load_10regions").frame("MW")
    return Task(load.iloc[-26_280:].interpolate(), None, 168, 24, "MW")


def _metro() -> Task:
    # 06:00 to 24:00 only: 108 rows a day, and windows that reach over the night
    return Task(load_panel("hangzhou_metro_inflow").frame("inflow"), None, 24, 12, "passengers/10 min")


def _beijing() -> Task:
    return Task(load_panel("beijing_air_12sites").frame("PM2.5"), None, 24, 12, "ug/m3")


def _beijing_heating() -> Task:
    return _apart(_beijing(), "2016-10-01", "2016-11-15", "2017-03-01")


def _metrla() -> Task:
    panel = load_panel("metr_la_1week_losloop")
    return Task(panel.frame("speed_mph"), panel.graph, 12, 12, "mph")


def _simulated() -> Task:
    network = make_sensor_network(random_state=0)
    return Task(network.values, network.graph, 24, 12, "", network)


def _simulated_blind() -> Task:
    network = make_sensor_network(random_state=0)
    return Task(network.values, None, 24, 12, "", network)


def _falling() -> Task:
    network = make_sensor_network(random_state=0)
    rows = np.linspace(0, 1, len(network.values))
    level = np.interp(rows, [0.6, 0.85], [1, 2 / 3])
    return Task(network.values.mul(level, axis=0), network.graph, 24, 12, "")


# name -> loader, what it is
TASKS = {
    "taxi": (_taxi, "NYC taxi 2019, inflow of 69 zones by the hour"),
    "molene": (_molene, "Molene, temperature of 37 stations by the hour, one month"),
    "pjm": (_pjm, "PJM load of 10 regions by the hour, last 26,280 rows, gaps interpolated"),
    "metro": (_metro, "Hangzhou metro, inflow of 80 stations by ten minutes, 25 days"),
    "beijing": (_beijing, "Beijing PM2.5 of 12 sites by the hour, four years, 2 % missing"),
    "metrla": (_metrla, "METR-LA, speed at 207 sensors by five minutes, one week"),
    "simulated": (_simulated, "simulated sensor network, true graph given"),
    "simulated-blind": (_simulated_blind, "simulated sensor network, graph not given"),
    # many steps ahead
    **{f"taxi-{h}": (_longer(_taxi, 168, h), f"NYC taxi 2019, {h} hours ahead") for h in (24, 48, 96)},
    **{
        f"metro-{h}": (_longer(_metro, 108, h), f"Hangzhou metro, {h} rows of 108 a day ahead")
        for h in (36, 72)
    },
    **{f"metrla-{h}": (_longer(_metrla, 12, h), f"METR-LA, {h // 12} hours ahead") for h in (36, 72)},
    "beijing-72": (_longer(_beijing, 168, 72), "Beijing PM2.5, 72 hours ahead"),
    # the test part is not like the training data
    "taxi-drift": (_taxi_drift, "NYC taxi, learnt to August 2019, January and February 2020 forecast"),
    "beijing-heating": (
        _beijing_heating,
        "Beijing PM2.5, learnt to September 2016, the winter from 15 November forecast",
    ),
    "falling": (
        _falling,
        "simulated sensor network whose level falls by a third from 60 to 85 % of the rows",
    ),
}


def load_task(name: str) -> Task:
    """Values and settings of a task."""
    return TASKS[name][0]()
