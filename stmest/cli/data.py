"""From a file to values and a graph, with a word on what they are.

Builds on `io` and `datasets`; used by the modules of the commands.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import READING, did_you_mean
from .output import in_options

if TYPE_CHECKING:
    import pandas as pd

    from ..graphs import Graph

__all__ = ["check_files", "check_path", "describe", "index_of", "load", "place"]


def check_files(options: argparse.Namespace) -> None:
    """Refuse files that are not there, before anything is loaded; those to read of `add_data_options` and `--coords`."""
    for name in ("data", "adj", "coords"):
        path = getattr(options, name, None)
        if path is not None and not (name == "adj" and path.lower() == "none"):
            check_path(path)


def check_path(path: str) -> None:
    """Refuse a file that is not there, with the name of one like it."""
    given = Path(path)
    if given.is_dir():
        raise IsADirectoryError(f"{path} is a folder; needed: a file in it")
    if not given.exists():
        beside = [file.name for file in given.parent.iterdir()] if given.parent.is_dir() else []
        raise FileNotFoundError(f"there is no file {path}{did_you_mean(given.name, beside)}")


def load(
    options: argparse.Namespace, say: Callable[[str], None], all_channels: bool = False
) -> tuple[Any, Graph | None, str]:
    """Values of one channel (a DataFrame, or a DataArray for fields), graph, and what the data are called.

    Parameters
    ----------
    options : Namespace
        Those of `add_data_options`.
    say : callable
        Prints a line.
    all_channels : bool, default=False
        Whether all channels of a table are wanted.
    """
    from ..io.fields import holds_field, read_field
    from ..io.tables import read_table

    if options.data is not None and holds_field(options.data):
        fields = read_field(options.data, missing=options.missing)
        name = _channel_of(list(fields), options.channel, say)
        if options.adj not in (None, "none"):
            say("the cells of a field have no graph: --adj is not used")
        return fields[name], None, f"{Path(options.data).name}, {name}"

    graph: Graph | None
    if options.data is None:
        from ..datasets import load_air_quality

        air = load_air_quality()
        X, graph, title = air.values, air.graph, "PM2.5 in Beijing"
    else:
        X, graph = read_table(options.data, **{name: getattr(options, name) for name in READING})
        title = Path(options.data).name
    channel = None
    if not all_channels:
        X, channel = _one_channel(X, options.channel, say)
    if options.adj is not None:
        nodes = list(dict.fromkeys(X.columns.get_level_values(0)))
        graph = None if options.adj.lower() == "none" else _graph_file(options.adj, nodes, say)
    return X, graph, title if channel is None else f"{title}, {channel}"


def place(X: Any, path: str, say: Callable[[str], None]) -> None:
    """Note where the nodes are, as a file says."""
    from ..io.coordinates import read_coordinates

    if X.ndim == 3:
        say("the cells of a field are no sensors: --coords is not used")
        return
    nodes = list(X.columns)
    X.attrs["coordinates"] = read_coordinates(path, nodes)
    if len(X.attrs["coordinates"]) < len(nodes):
        say(f"{Path(path).name}: places {len(X.attrs['coordinates'])} of {len(nodes)} nodes")


def _graph_file(path: str, nodes: list[Any], say: Callable[[str], None]) -> Graph:
    """The graph of a file, with a word on how it was read."""
    from ..io.graphs import read_graph

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        graph = read_graph(path, nodes=nodes)
    for warning in caught:
        say(f"{Path(path).name}: {warning.message}")
    return graph


def _one_channel(
    X: pd.DataFrame, wanted: str | None, say: Callable[[str], None]
) -> tuple[pd.DataFrame, str | None]:
    """The wide table of the wanted channel, or of the first one; other channels are not used."""
    named = None if X.columns.name is None else str(X.columns.name)
    channels = list(dict.fromkeys(X.columns.get_level_values(1))) if X.columns.nlevels == 2 else []
    known = {str(channel): channel for channel in channels} or ({} if named is None else {named: named})
    if not known and wanted is None:
        return X, named
    name = _channel_of(list(known), wanted, say)
    if not channels:
        return X, named
    one = X.xs(known[name], axis=1, level=1)
    one.attrs = X.attrs
    return one, name


def _channel_of(known: list[str], wanted: str | None, say: Callable[[str], None]) -> str:
    """The wanted channel, or the first one, with a word on those that are left out."""
    from ..exceptions import ParameterError

    if wanted is not None and wanted not in known:
        has = f"has the channels {', '.join(known)}" if known else "has no named channels"
        hint = did_you_mean(wanted, known)
        raise ParameterError(f"--channel: there is no channel {wanted!r}; the data file {has}{hint or '.'}")
    name = known[0] if wanted is None else wanted
    others = ", ".join(other for other in known if other != name)
    if others:
        say(f"channel {name} is forecast; not used: {others}" + ("" if wanted else "  (--channel chooses)"))
    return name


def describe(X: Any, graph: Graph | None, title: str, say: Callable[[str], None]) -> None:
    """Say what is about to be forecast, and what may be wrong with it."""
    import pandas as pd

    from ..evaluation.quality import inspect_data, quality_lines

    index = index_of(X)
    missing = float(pd.isna(X.values).mean())
    edges = "no graph: it is learned" if graph is None else f"graph of {graph.n_edges} edges"
    where = f"{_n_nodes(X)} nodes" if X.ndim == 2 else f"a field of {X.shape[1]} x {X.shape[2]} cells"
    size = f"{len(X):,} rows from {index[0]} to {index[-1]}, {where}, {missing:.1%} missing"
    say(f"{title}: {size}" + (f", {edges}" if X.ndim == 2 else ""))
    for line in quality_lines(inspect_data(X, graph), short=True):
        say(f"  {in_options(line)}")


def _n_nodes(X: pd.DataFrame) -> int:
    return X.columns.get_level_values(0).nunique()


def index_of(X: Any) -> pd.Index:
    """The times of a table or of a field."""
    return X.index if X.ndim == 2 else X.indexes[X.dims[0]]
