"""Writes ``stmest/datasets/beijing_air.npz`` from the public file that ``STMEST_DATA`` holds: ``python docs/air_quality.py``.

`stmest.load_air_quality` reads it. LZMA halves what numpy's own compression leaves, and numpy reads it as any other npz.
"""

from __future__ import annotations

import zipfile

import numpy as np

from stmest.datasets import load_panel
from stmest.datasets.air_quality import FILE, SOURCE_CHANNELS, packed

START = "2015-03-01"


def write() -> None:
    """Write the file, with the same bytes each time."""
    source = load_panel("beijing_air_12sites")
    later = source.index >= START
    channels = {
        name: source.values[later, :, source.channels.index(name)].astype(np.float64)
        for name in SOURCE_CHANNELS
    }
    arrays = {"start": np.array(START), "nodes": np.array(source.nodes), **packed(channels)}
    with zipfile.ZipFile(FILE, "w", zipfile.ZIP_LZMA) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(2017, 2, 28, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_LZMA
            with archive.open(entry, "w") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


if __name__ == "__main__":
    write()
