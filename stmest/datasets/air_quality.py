"""Real data that come with the package: two years of air quality at twelve sites of Beijing.

`docs/air_quality.py` writes the file; `beijing_air.md` beside it names its origin and licence. Builds on `graphs`; used by the
command line without ``--data``, by the documentation and by tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..graphs import Graph, graph_from_coordinates

__all__ = ["FILE", "SOURCE_CHANNELS", "AirQuality", "load_air_quality", "packed", "unpacked"]

FILE = Path(__file__).parent / "beijing_air.npz"

# Names in the file, in the order of UCI's columns, with what one unit of its integers means
SOURCE_CHANNELS = {"PM2.5": 0.1, "TEMP": 0.1, "DEWP": 0.1, "RAIN": 0.1, "WSPM": 0.1, "wd_deg": 22.5}
_MISSING = np.iinfo(np.int16).min
_FEATURES = ["PM2.5", "temperature", "dew_point", "rain", "wind_u", "wind_v"]
_UNIT = "µg/m³"
_NEIGHBOURS = 4

# Latitude and longitude in degrees, WGS 84: the list of stations of KDD Cup 2018, where Changping is spelt "pingchang"
_PLACES = {
    "Aotizhongxin": (39.982, 116.397),
    "Changping": (40.217, 116.230),
    "Dingling": (40.292, 116.220),
    "Dongsi": (39.929, 116.417),
    "Guanyuan": (39.929, 116.339),
    "Gucheng": (39.914, 116.184),
    "Huairou": (40.328, 116.628),
    "Nongzhanguan": (39.937, 116.461),
    "Shunyi": (40.127, 116.655),
    "Tiantan": (39.886, 116.407),
    "Wanliu": (39.987, 116.287),
    "Wanshouxigong": (39.878, 116.352),
}

_DESCRIPTION = """\
Air quality at 12 sites of Beijing by the hour, 1 March 2015 to 28 February 2017, Beijing time (UTC+8).

PM2.5 in µg/m³ (2 % missing, in runs of up to a week), temperature and dew point in °C, rain in mm, and the wind in m/s:
wind_u towards the east, wind_v towards the north. The weather is that of the nearest weather station, of which some
sites share one. To the tenth of the unit; not changed otherwise.

Origin: Beijing Multi-Site Air-Quality Data, UCI Machine Learning Repository, doi 10.24432/C5RK5G, CC BY 4.0.
Zhang, Guo, Dong, He, Xu, Chen, "Cautionary tales on air-quality improvement in Beijing", Proceedings of the Royal
Society A 473 (2017), 20170457. Places of the sites: the list of stations of KDD Cup 2018.
"""


@dataclass(frozen=True)
class AirQuality:
    """Air quality at twelve sites, as `load_air_quality` returns it.

    Attributes
    ----------
    values : DataFrame of shape (17544, 12)
        PM2.5 in µg/m³ by the hour, one column per site; NaN where missing.
    features : DataFrame of shape (17544, 72)
        PM2.5 and the weather, with (node, feature) columns: ``"PM2.5"``, ``"temperature"``, ``"dew_point"``, ``"rain"``,
        ``"wind_u"`` and ``"wind_v"`` of each site.
    graph : Graph
        Each site joined with its four nearest ones; its `coordinates` are latitude and longitude in degrees.
    description : str
        Units, origin and licence.
    """

    values: pd.DataFrame
    features: pd.DataFrame
    graph: Graph
    description: str


def load_air_quality() -> AirQuality:
    """Load two years of air quality at twelve sites of Beijing, which come with the package.

    Nothing is downloaded. Each call returns new tables, which may be changed.

    Returns
    -------
    AirQuality
        values, features, graph and description.

    Notes
    -----
    Beijing Multi-Site Air-Quality Data, UCI Machine Learning Repository, doi 10.24432/C5RK5G, under the Creative Commons
    Attribution 4.0 licence (CC BY 4.0): the last two of its four years. Zhang, Guo, Dong, He, Xu,
    Chen, "Cautionary tales on air-quality improvement in Beijing", Proceedings of the Royal Society A 473 (2017), 20170457. UCI
    gives no places; those in the graph are of the list of stations of KDD Cup 2018.

    Examples
    --------
    >>> from stmest import load_air_quality
    >>> air = load_air_quality()
    >>> air.values.shape, air.features.shape, air.graph.n_nodes
    ((17544, 12), (17544, 72), 12)
    >>> air.values.loc["2017-01-01 00:00", ["Dongsi", "Huairou"]].tolist()
    [501.0, 324.0]
    """
    with np.load(FILE, allow_pickle=False) as archive:
        channels = unpacked(archive)
        index = pd.date_range(str(archive["start"]), periods=len(channels["PM2.5"]), freq="1h", name="time")
        nodes = archive["nodes"].tolist()
    towards = np.deg2rad(channels["wd_deg"] + 180)  # the source says where the wind comes from
    columns = [channels[name] for name in ("PM2.5", "TEMP", "DEWP", "RAIN")]
    columns += [channels["WSPM"] * np.sin(towards), channels["WSPM"] * np.cos(towards)]
    names = pd.MultiIndex.from_product([nodes, _FEATURES], names=["node", "feature"])
    values = pd.DataFrame(channels["PM2.5"], index, nodes)
    features = pd.DataFrame(np.stack(columns, axis=2).reshape(len(index), -1), index, names)
    for table in (values, features):
        table.attrs["unit"] = _UNIT
    places = [_PLACES[node] for node in nodes]
    graph = graph_from_coordinates(places, k=_NEIGHBOURS, nodes=nodes)
    return AirQuality(values, features, graph, _DESCRIPTION)


def packed(channels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Channels as differences in time of whole numbers, which take little room in a compressed file.

    Parameters
    ----------
    channels : dict of str to ndarray of shape (n_times, n_nodes)
        By the names of `SOURCE_CHANNELS`; NaN where missing.

    Returns
    -------
    dict of str to ndarray of shape (n_nodes, n_times), int16
        What `unpacked` reads.
    """
    out = {}
    for name, unit in SOURCE_CHANNELS.items():
        whole = np.round(channels[name].T / unit)
        whole = np.where(np.isnan(whole), _MISSING, whole).astype(np.int16)
        # int16 wraps round, and so does its sum
        out[name] = np.ascontiguousarray(np.diff(whole, axis=1, prepend=np.int16(0)))
    return out


def unpacked(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Channels from `packed`.

    Parameters
    ----------
    arrays : mapping of str to ndarray of shape (n_nodes, n_times), int16
        As `packed` returns them.

    Returns
    -------
    dict of str to ndarray of shape (n_times, n_nodes), float64
        By the names of `SOURCE_CHANNELS`; NaN where missing.
    """
    out = {}
    for name, unit in SOURCE_CHANNELS.items():
        whole = np.cumsum(arrays[name], axis=1, dtype=np.int16).T
        # divided, not multiplied: 43 tenths are the same number as 4.3
        value = whole * unit if unit >= 1 else whole / round(1 / unit)
        out[name] = np.where(whole == _MISSING, np.nan, value)
    return out
