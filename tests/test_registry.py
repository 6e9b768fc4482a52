"""The list of forecasters: one more class that enters itself is found wherever forecasters are listed."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
import sys

import numpy as np
import pandas as pd
import pytest

import stmest
import stmest.sktime  # before a test adds to the list
from stmest.cli import main
from stmest.exceptions import ModelFileError
from stmest.forecasters import registry
from stmest.forecasters.registry import register
from tests.forecasters import small

SOURCE = '''
"""A forecaster of somebody else."""

from dataclasses import dataclass

from stmest.forecasters.registry import register
from tests.forecasters.tiny import TinyForecaster


@register(
    tiny={"input_length": 4, "horizon": 2, "max_epochs": 1, "random_state": 0},
    commands={"tiny-one": {"text": "two linear maps", "settings": {"size_weight": 0.5}}},
)
@dataclass(kw_only=True, eq=False, repr=False)
class TinyOne(TinyForecaster):
    """Two linear maps."""
'''


@pytest.fixture
def restored():
    """The list as it was, once the test is done."""
    with small.restored_registry():
        yield


@pytest.fixture
def tiny_one(restored, tmp_path, monkeypatch):
    """A registered class, in a module of its own."""
    (tmp_path / "somebody_else.py").write_text(SOURCE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("somebody_else").TinyOne
    del sys.modules["somebody_else"]
    vars(stmest.sktime.forecasters).pop("TinyOne", None)


@pytest.fixture
def X():
    times = pd.date_range("2024-01-01", periods=80, freq="h")
    rng = np.random.default_rng(0)
    return pd.DataFrame(rng.normal(size=(80, 3)), index=times, columns=list("abc"))


def test_a_registered_class_is_a_public_name(tiny_one):
    assert stmest.TinyOne is tiny_one
    assert stmest.public_names()["TinyOne"] == "somebody_else"
    assert "TinyOne" in dir(stmest)
    assert "TinyOne" in stmest.__all__


def test_its_models_are_saved_and_loaded(tiny_one, X, tmp_path):
    model = small.small("TinyOne").fit(X)
    model.save(tmp_path / "model")
    same = stmest.load(tmp_path / "model", device="cpu")
    assert type(same) is tiny_one
    assert same.predict().equals(model.predict())


def test_the_command_line_has_it(tiny_one, X, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["report", "--help"])
    assert "tiny-one: two linear maps" in " ".join(capsys.readouterr().out.split())
    X.to_csv(tmp_path / "data.csv")
    arguments = [
        "--data",
        tmp_path / "data.csv",
        "--out",
        tmp_path,
        "--horizon",
        2,
        "--input-length",
        4,
        "--max-epochs",
        1,
    ]
    assert main(["report", "--models", "tiny-one,last-value", *map(str, arguments)]) == 0
    assert "tiny-one" in capsys.readouterr().out


def test_sktime_has_it(tiny_one, X):
    kind = stmest.sktime.TinyOne
    assert kind is stmest.sktime.TinyOne
    model = kind(input_length=4, max_epochs=1, random_state=0).fit(X, fh=[1, 2])
    assert type(model.forecaster_) is tiny_one
    forecast = model.predict()
    assert forecast.shape == (2, 3)
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(model)).predict(), forecast)


def test_the_tables_of_tests_have_it(tiny_one):
    assert "TinyOne" in small.names()
    assert "TinyOne" in small.network_names()


def test_nothing_of_it_is_left():
    assert "TinyOne" not in registry.entries()
    assert not hasattr(stmest, "TinyOne")
    assert not hasattr(stmest.sktime, "TinyOne")


def test_an_unregistered_class_is_not_saved(X, tmp_path):
    from tests.forecasters.tiny import TinyForecaster

    with pytest.raises(ModelFileError, match="TinyForecaster is no registered forecaster"):
        TinyForecaster(max_epochs=1).fit(X).save(tmp_path / "model")


def test_what_the_sources_say_is_what_the_modules_enter():
    for module in pkgutil.iter_modules(stmest.forecasters.__path__, "stmest.forecasters."):
        importlib.import_module(module.name)
    assert registry._found_in_sources() == registry._REGISTERED
    for name, entry in registry.entries().items():
        assert (entry.cls.__name__, entry.cls.__module__) == (name, entry.module)


def test_two_classes_of_one_name_are_refused(restored):
    with pytest.raises(
        ValueError, match=r"there is a forecaster LastValue already, in stmest\.forecasters\.naive"
    ):
        register(tiny={})(type("LastValue", (), {}))


def test_two_commands_of_one_name_are_refused(restored):
    with pytest.raises(ValueError, match="Other has the command 'last-value', which LastValue has already"):
        register(tiny={}, commands={"last-value": {"text": ""}})(type("Other", (), {}))
    assert "Other" not in registry.entries()


def test_details_that_are_no_literals_are_refused():
    source = "import x\n\n@register(tiny={}, commands=x.COMMANDS)\nclass Made: ...\n"
    with pytest.raises(
        ValueError, match=r"made\.up, line 3: Made is registered with x\.COMMANDS, which is no literal"
    ):
        list(registry._registered_in(source, "made.up"))
    with pytest.raises(ValueError, match="Made is registered with DETAILS"):
        list(registry._registered_in("@register(**DETAILS)\nclass Made: ...\n", "made.up"))
