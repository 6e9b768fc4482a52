"""Reads known public data sets from a folder on this machine, or downloads them.

A file is looked for in the folder that the environment variable ``STMEST_DATA`` names, then among the downloads that pooch
keeps. Only `fetch_panel` downloads, and only files whose address is certain to stay and to serve the same bytes; others
have to be put into the folder by hand. The SHA-256 of each file is checked, so that what is read is what the published
figures were measured on. Builds on `graphs`; used by tests, benchmarks and documentation.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..exceptions import DataError
from ..graphs import Graph, graph_from_distances

__all__ = ["FOLDER_VARIABLE", "RealPanel", "fetch_panel", "load_field", "load_panel"]

FOLDER_VARIABLE = "STMEST_DATA"


class _File(NamedTuple):
    path: str
    sha256: str
    step: str
    origin: str
    url: str | None = None


# A commit, not a branch: what lies there cannot change
_ETT = (
    "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/1d16c8f4f943005d613b5bc962e9eeb06058cf07/ETT-small"
)

_FILES = {
    "ETTh1": _File(
        "ltsf/ETTh1.csv",
        "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
        "1 h",
        "zhouhaoyi/ETDataset, CC BY-ND 4.0; Informer, AAAI 2021; transformer load, OT in degC",
        f"{_ETT}/ETTh1.csv",
    ),
    "ETTm1": _File(
        "ltsf/ETTm1.csv",
        "6ce1759b1a18e3328421d5d75fadcb316c449fcd7cec32820c8dafda71986c9e",
        "15 min",
        "zhouhaoyi/ETDataset, CC BY-ND 4.0; Informer, AAAI 2021; transformer load, OT in degC",
        f"{_ETT}/ETTm1.csv",
    ),
    "exchange_rate": _File(
        "ltsf/exchange_rate.csv",
        "d55e7aa2641009814a18ba3279431b13f6d413b0eab195b9ff21988d8cf94e97",
        "business day",
        "LSTNet, SIGIR 2018; US dollar rates; the dates in the file are a made-up daily calendar",
    ),
    "weather": _File(
        "ltsf/weather_datesreconstructed.csv.gz",
        "3ab67300ac016001db8cc99cca9ec696da9d55dbbacba0d2fc9348686534de88",
        "10 min",
        "Autoformer, NeurIPS 2021; MPI-BGC Jena 2020; dates reconstructed; -9999 read as missing",
    ),
    "nyc_taxi_69zones_60min": _File(
        "panels/nyc_taxi_69zones_60min.npz",
        "adc94998472e7716bcc350fbf61740a97ea7c35ac236ed7b7d8e63b878e96f9b",
        "1 h",
        "Jiang et al., ITSC 2022; trips per hour",
    ),
    "hangzhou_metro_inflow": _File(
        "panels/hangzhou_metro_inflow.npz",
        "477febf8a2d22b1f3c83a04684a84cc9c13370a4f3ba3100010e6801116bd45f",
        "10 min",
        "Chen and Sun, transdim, MIT; passengers, 06:00 to 24:00 only",
    ),
    "molene_brittany_temp": _File(
        "panels/molene_brittany_temp.npz",
        "b884970d173b7705d225a361dbde06c800985acc92fd721b84837229a1ca9f6e",
        "1 h",
        "Girault 2015, Meteo-France, Licence Ouverte; degC",
    ),
    "metr_la_1week_losloop": _File(
        "panels/metr_la_1week_losloop.npz",
        "639ae47e5857f53e8c2b8dfec40be1ebb178f37116de03711b0683e7224b740d",
        "5 min",
        "T-GCN (Zhao et al. 2019), DCRNN, ICLR 2018; mph, missing values already interpolated",
    ),
    "beijing_air_12sites": _File(
        "panels/beijing_air_12sites.npz",
        "828fbbe45df8f303fd37dab63f90992b861005f60ca159d67d5ae6e0a1ad4641",
        "1 h",
        "UCI Beijing Multi-Site Air-Quality, CC BY 4.0; 1.5 % missing",
    ),
    "pjm_load_10regions": _File(
        "panels/pjm_load_10regions.npz",
        "145159a95dce4d12ea3ad5fcae83e255d2e7fd51006e64fc9737a94c24820a90",
        "1 h",
        "PJM hourly load, CC0; MW",
    ),
    "grid_era5_t2m_uk": _File(
        "panels/grid_era5_t2m_uk.npz",
        "4bd3b22c509b423c02d4039540d0edbd6d4ddc8810a7c1995a2d182d8e615187",
        "1 h",
        "ERA5, Copernicus licence; K",
    ),
    "grid_nasa_atmos_24x24": _File(
        "panels/grid_nasa_atmos_24x24.npz",
        "99ea7c593dfcb979b065f89702db2283b29aa3a53b82626241b1e9ae81b18276",
        "1 month",
        "NASA ISCCP, ASA 2006 Data Expo, MIT; K, hPa, Dobson, %",
    ),
}

# Row order of the matrix does not certainly follow the order of the nodes, so it would join the wrong ones.
_UNCONFIRMED_GRAPHS = {"hangzhou_metro_inflow"}
_MISSING_IN_CSV = ["-9999", "-9999.0"]


@dataclass(frozen=True)
class RealPanel:
    """A data set as it stands in its file.

    Attributes
    ----------
    values : ndarray of shape (n_times, n_nodes, n_channels) or (n_times, lat, lon, n_channels)
        Values, NaN where missing; the second shape for gridded fields.
    index : DatetimeIndex
        Time of every time step.
    nodes : list or None
        Names of the nodes; None for fields.
    channels : list of str
        Names of the channels.
    graph : Graph or None
        Adjacency of the file with names and (latitude, longitude), or, where the file has only distances,
        their Gaussian kernel (`stmest.graphs.graph_from_distances`); None where there is none that can be
        trusted.
    meta : dict
        Step, origin and whatever the file says about itself.
    """

    values: np.ndarray
    index: pd.DatetimeIndex
    nodes: list[Hashable] | None
    channels: list[str]
    graph: Graph | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    def frame(self, channel: str | int | None = None) -> pd.DataFrame:
        """Return one channel as a table.

        Parameters
        ----------
        channel : str, int or None
            Name or position of the channel; default: the first one.

        Returns
        -------
        DataFrame of shape (n_times, n_nodes)
            With the DatetimeIndex as rows and the node names as columns.

        Raises
        ------
        DataError
            If there is no such channel, or the data are a gridded field.
        """
        if self.nodes is None:
            raise DataError(
                f"values of shape {self.values.shape} are a gridded field without nodes; use .values "
                "instead of .frame()."
            )
        position = 0 if channel is None else channel
        if isinstance(position, str):
            if position not in self.channels:
                raise DataError(f"channel={channel!r} is unknown; there are {self.channels}.")
            position = self.channels.index(position)
        if not 0 <= position < len(self.channels):
            raise DataError(f"channel={channel!r} is none of the positions 0 to {len(self.channels) - 1}.")
        return pd.DataFrame(self.values[:, :, position], index=self.index, columns=self.nodes)


def load_field(name: str, folder: str | os.PathLike[str] | None = None) -> Any:
    """Read a known public data set on a grid as an xarray DataArray.

    Parameters
    ----------
    name : str
        grid_era5_t2m_uk (744 hours of temperature, 33 x 49 cells) or grid_nasa_atmos_24x24 (72 months of 7 quantities).
    folder : path, optional
        As for `load_panel`.

    Returns
    -------
    DataArray
        Dimensions time, lat, lon, and channel where there are several; with all coordinates that the file has. Its
        attributes say where the data come from.

    Raises
    ------
    DataError
        As `load_panel`, or if the data set is not on a grid.
    MissingDependencyError
        Without xarray.
    """
    data = load_panel(name, folder)
    if data.values.ndim != 4:
        raise DataError(f"{name!r} has the shape {data.values.shape}, which is no field; use load_panel.")
    from ..runtime import require

    xarray = require("xarray", "io")
    coords = {"time": data.index, "channel": data.channels}
    coords |= {key: data.meta[key] for key in ("lat", "lon") if key in data.meta}
    attrs = {key: data.meta[key] for key in ("origin", "unit") if key in data.meta}
    field = xarray.DataArray(data.values, coords, ["time", "lat", "lon", "channel"], name=name, attrs=attrs)
    return field.squeeze("channel", drop=True) if len(data.channels) == 1 else field


def load_panel(name: str, folder: str | os.PathLike[str] | None = None) -> RealPanel:
    """Read a known public data set.

    Parameters
    ----------
    name : str
        One of ETTh1, ETTm1, exchange_rate, weather, nyc_taxi_69zones_60min, hangzhou_metro_inflow,
        molene_brittany_temp, metr_la_1week_losloop, beijing_air_12sites, pjm_load_10regions, grid_era5_t2m_uk
        and grid_nasa_atmos_24x24.
    folder : path, optional
        Folder with the subfolders ``panels`` (npz) and ``ltsf`` (csv). Default: the one that the environment
        variable ``STMEST_DATA`` names, then the downloads of `fetch_panel`. Nothing is downloaded.

    Returns
    -------
    RealPanel
        values, index, nodes, channels, graph and meta; a csv gives one channel, ``"value"``, and its columns
        are the nodes.

    Raises
    ------
    DataError
        If the name is unknown, the folder or the file is not there, or the file has other contents.
    """
    known = _known(name)
    named = os.environ.get(FOLDER_VARIABLE) if folder is None else folder
    places = [Path(named)] if named else []
    if folder is None:
        places += _downloads()
    path = next((place / known.path for place in places if (place / known.path).is_file()), None)
    if path is None:
        raise DataError(_not_there(name, known, named))
    return _read(name, known, path)


def fetch_panel(name: str) -> RealPanel:
    """Read a known public data set, and download it first where it is not there yet.

    Parameters
    ----------
    name : str
        As for `load_panel`. An address that is certain to serve the very file is known of ETTh1 and ETTm1; the other files
        have to be put into the folder that ``STMEST_DATA`` names.

    Returns
    -------
    RealPanel
        As `load_panel` returns it. The file is kept in pooch's folder for downloads (on Linux ``~/.cache/stmest``), where
        `load_panel` finds it too.

    Raises
    ------
    DataError
        If the name is unknown, the file has no address and is not there, the download fails, or it brings other contents.
    MissingDependencyError
        If the file is to be downloaded and pooch (extra ``io``) is missing.
    """
    known = _known(name)
    named = os.environ.get(FOLDER_VARIABLE)
    if named and (Path(named) / known.path).is_file():
        return _read(name, known, Path(named) / known.path)
    if known.url is None:
        return load_panel(name)
    from ..runtime import require

    pooch = require("pooch", "io")
    kept = pooch.os_cache("stmest") / known.path
    by_hand = f"Put the file {known.path} (SHA-256 {known.sha256}) into a folder by hand and set {FOLDER_VARIABLE} to that folder"
    try:
        pooch.retrieve(known.url, f"sha256:{known.sha256}", fname=kept.name, path=kept.parent)
    except ValueError as error:  # pooch compared the hashes, and keeps nothing
        raise DataError(
            f"{known.url} served another file than {name!r}: {_one_line(error)}. {by_hand}."
        ) from error
    except OSError as error:  # the errors of requests are OSErrors too
        raise DataError(
            f"{name!r} could not be downloaded from {known.url} to {kept.parent}: {_one_line(error)}. Try again, or: {by_hand}."
        ) from error
    return _read(name, known, kept)


def _known(name: str) -> _File:
    if name not in _FILES:
        raise DataError(f"data set {name!r} is unknown; known are {', '.join(_FILES)}.")
    return _FILES[name]


def _downloads() -> list[Path]:
    """The folder in which pooch keeps downloads; none where pooch is not installed."""
    try:
        import pooch
    except ImportError:
        return []
    return [Path(pooch.os_cache("stmest"))]


def _read(name: str, known: _File, path: Path) -> RealPanel:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != known.sha256:
        raise DataError(
            f"{path} is not the expected file of {name!r}: its SHA-256 is {digest}, expected "
            f"{known.sha256}. It is damaged or another version; put the original there."
        )
    meta = {"name": name, "step": known.step, "origin": known.origin}
    return _from_csv(path, meta) if known.path.startswith("ltsf/") else _from_npz(path, meta)


def _not_there(name: str, known: _File, named: str | os.PathLike[str] | None) -> str:
    """What to do about a file that is not there."""
    if named:
        found = f"{name!r} is expected at {Path(named) / known.path}, where there is no file."
    else:
        found = (
            f"{name!r} is read from {known.path} in the folder that the environment variable {FOLDER_VARIABLE} names, but it "
            "is not set."
        )
    if known.url is None:
        fetched = "Nothing is downloaded, as no address is certain to serve this file."
    else:
        fetched = f"Or let stmest.fetch_panel({name!r}) download it."
    return (
        f"{found} Put the file there by hand (origin: {known.origin}; SHA-256 {known.sha256}), and set {FOLDER_VARIABLE} to the "
        f"folder that holds {known.path}, or pass folder=. {fetched}"
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300].rstrip(".")


def _from_csv(path: Path, meta: dict[str, Any]) -> RealPanel:
    table = pd.read_csv(path, index_col=0, na_values=_MISSING_IN_CSV)
    index = pd.DatetimeIndex(pd.to_datetime(table.index), name=None)
    values = table.to_numpy(dtype=np.float64)[:, :, None]
    return RealPanel(values, index, list(table.columns), ["value"], None, meta)


def _from_npz(path: Path, meta: dict[str, Any]) -> RealPanel:
    with np.load(path, allow_pickle=False) as archive:
        parts = {key: archive[key] for key in archive.files}
    nodes: list[Hashable] | None = parts["nodes"].tolist() if "nodes" in parts else None
    meta = {**json.loads(str(parts["meta"])), **meta}
    meta |= {key: parts[key] for key in ("lat", "lon", "dist") if key in parts}
    graph = None
    if "adj" in parts and meta["name"] not in _UNCONFIRMED_GRAPHS:
        graph = Graph(parts["adj"], nodes, parts.get("coords"))
    elif "adj" in parts:
        meta["unused_adjacency"] = parts["adj"]
    elif "dist" in parts:
        kernel = graph_from_distances(parts["dist"])
        graph = Graph(kernel.adjacency, nodes, parts.get("coords"))
    index = pd.DatetimeIndex(parts["time"])
    return RealPanel(parts["values"], index, nodes, parts["channels"].tolist(), graph, meta)
