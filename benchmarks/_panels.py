"""The forecasting tasks of the accuracy benchmarks: values, graph, look-back and horizon by name.

The real ones need the folder of real data in STMEST_DATA; see `stmest.load_panel` for their origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    """

    X: pd.DataFrame
    graph: Graph | None
    input_length: int
    horizon: int
    unit: str
    truth: Any = None


def _taxi() -> Task:
    panel = load_panel("nyc_taxi_69zones_60min")
    inflow = panel.frame("inflow")
    return Task(inflow[inflow.index.year == 2019], panel.graph, 24, 12, "trips/h")


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


def _metrla() -> Task:
    panel = load_panel("metr_la_1week_losloop")
    return Task(panel.frame("speed_mph"), panel.graph, 12, 12, "mph")


def _simulated() -> Task:
    network = make_sensor_network(random_state=0)
    return Task(network.values, network.graph, 24, 12, "", network)


def _simulated_blind() -> Task:
    network = make_sensor_network(random_state=0)
    return Task(network.values, None, 24, 12, "", network)


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
}


def load_task(name: str) -> Task:
    """Values and settings of a task."""
    return TASKS[name][0]()
