"""Small files and a way to run the command line on them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stmest.cli import main


@pytest.fixture
def run(capsys):
    """Runs a command; returns its exit code, output and errors."""

    def runner(*arguments):
        code = main([*map(str, arguments)])
        return code, *capsys.readouterr()

    return runner


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    index = pd.date_range("2024-03-01", periods=240, freq="1h", name="time")
    cycle = 5 * np.sin(np.arange(240) * np.pi / 12)[:, None]
    return pd.DataFrame(cycle + rng.normal(size=(240, 4)), index=index, columns=list("abcd"))


@pytest.fixture
def csv(table, tmp_path):
    table.to_csv(tmp_path / "readings.csv")
    return tmp_path / "readings.csv"
