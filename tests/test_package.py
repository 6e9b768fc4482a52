"""The package as a whole: lazy names, quick import, types."""

from __future__ import annotations

import importlib
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

import stmest

PACKAGE = Path(stmest.__file__).parent
_WITHOUT_NETWORK = ("LastValue", "MeanProfile", "RegressorForecaster", "RidgeForecaster", "SeasonalNaive")


def _run(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    ).stdout


def test_import_is_quick_and_loads_nothing_heavy():
    loaded = _run(
        "import sys, time; start = time.perf_counter(); import stmest; seconds = time.perf_counter() - start\n"
        "print(seconds, *sorted({name.split('.')[0] for name in sys.modules}))"
    ).split()
    assert not {"torch", "numpy", "sklearn", "pandas", "scipy", "skorch", "numba", "sktime"} & set(loaded[1:])
    assert float(loaded[0]) < 0.3


def test_forecasters_without_a_network_never_load_torch():
    loaded = _run(
        """
import pickle, sys, tempfile
import numpy as np
from stmest.forecasters.registry import entries
import stmest
X = np.random.default_rng(0).normal(size=(60, 3))
assert "torch" not in sys.modules
for entry in entries().values():
    if entry.name in sys.argv[1:]:
        model = entry.smallest().fit(X[:50]).update(X[50:])
        model.predict(X), model.predict_interval(), model.predict_windows(X), model.score(X)
        pickle.loads(pickle.dumps(model))
        if entry.saves:
            with tempfile.TemporaryDirectory() as folder:
                model.save(folder + "/model.safetensors")
                stmest.load(folder + "/model.safetensors").predict()
        print(entry.name, "torch" in sys.modules)
""",
        *_WITHOUT_NETWORK,
    ).splitlines()
    assert sorted(loaded) == sorted(f"{name} False" for name in _WITHOUT_NETWORK)


@pytest.mark.parametrize("name", [name for name in stmest.__all__ if name != "__version__"])
def test_every_public_name_can_be_had(name):
    value = getattr(stmest, name)
    assert value.__name__ == name
    assert value.__doc__
    assert "{{" not in pydoc.plain(pydoc.render_doc(value))


def test_names_are_listed_before_they_are_used():
    listed = _run("import stmest; print(*dir(stmest))").split()
    assert set(stmest.__all__) <= set(listed)
    assert set(stmest.public_names()) | {"__version__"} == set(stmest.__all__)


@pytest.mark.parametrize("name", stmest._SUBMODULES)
def test_parts_can_be_had_as_attributes(name):
    assert getattr(stmest, name) is importlib.import_module(f"stmest.{name}")


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="has no attribute 'STM4Forecaster'"):
        stmest.STM4Forecaster
    with pytest.raises(ImportError, match="STM4Forecaster"):
        from stmest import STM4Forecaster  # noqa: F401


def test_version_is_that_of_the_distribution():
    text = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{stmest.__version__}"\n' in text


def test_types_are_announced():
    assert (PACKAGE / "py.typed").is_file()
