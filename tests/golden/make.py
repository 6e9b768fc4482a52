"""Make the saved models that every later version must open: ``python -m tests.golden.make``.

For each forecaster of stmest that has none yet, a small model is fitted, saved as ``NAME-v1.safetensors``, and what it
forecasts of the rows in ``rows.csv`` is written as ``NAME-v1.csv``. Files that exist are never touched: a model that no
longer opens, or forecasts something else, is a fault of the code and not of the file. When the file format gets a new
number, raise `VERSION`, run this again, and keep the old files.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stmest.storage.tensor_file import FORMAT
from tests.forecasters.small import FIELD_NAMES, saved_names, small

FOLDER = Path(__file__).parent
VERSION = f"v{FORMAT}"
NODES = ["north", "south", "east"]
ADJACENCY = pd.DataFrame([[0, 1, 0], [0, 0, 0.5], [0.25, 0, 0]], index=NODES, columns=NODES)


def rows() -> pd.DataFrame:
    """The observations of all golden models: three nodes, hourly, some values missing."""
    frame = pd.read_csv(FOLDER / "rows.csv", index_col="time", parse_dates=True)
    return frame.asfreq("h")


def make_rows() -> None:
    """Simulate the observations, once."""
    rng = np.random.default_rng(9)
    t = np.arange(120)[:, None]
    values = 20 + 5 * np.sin(2 * np.pi * t / 24 + np.arange(3)) + 0.5 * rng.normal(size=(120, 3))
    values[rng.random(values.shape) < 0.05] = np.nan
    frame = pd.DataFrame(values.round(3), pd.date_range("2024-02-26", periods=120, freq="h"), NODES)
    frame.to_csv(FOLDER / "rows.csv", index_label="time")


def observations(name: str) -> pd.DataFrame | np.ndarray:
    """What a golden model reads: the rows, or the same as a field of three cells for those that read fields only."""
    return rows().to_numpy()[:, :, None, None] if name in FIELD_NAMES else rows()


def forecast(model: Any, X: pd.DataFrame | np.ndarray) -> pd.DataFrame:
    """The forecast as a table."""
    values = np.asarray(model.predict(X))
    return pd.DataFrame(values.reshape(len(values), -1), columns=NODES)


def main() -> None:
    """Fit, save and forecast for every forecaster without a golden model."""
    if not (FOLDER / "rows.csv").exists():
        make_rows()
    for name in [*saved_names(), *FIELD_NAMES]:
        model_file = FOLDER / f"{name}-{VERSION}.safetensors"
        if model_file.exists():
            continue
        X = observations(name)
        # without a validation part the network is kept, whatever it learnt
        model = small(name)
        model.set_params(**{key: None for key in model.get_params() if key.endswith("patience")})
        model.fit(X[:100], adj=None if name in FIELD_NAMES else ADJACENCY)
        model.save(model_file)
        forecast(model, X).to_csv(model_file.with_suffix(".csv"), index=False)
        sys.stdout.write(f"{model_file.name}: {model_file.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
