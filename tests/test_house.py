"""How the house is built: who may use whom, what exists once, what cannot be changed. Each check is tried on made-up sources."""

from __future__ import annotations

import ast
import dataclasses

import pytest

from stmest.data.input_spec import InputSpec
from stmest.data.panel import Panel
from stmest.data.splits import Split
from stmest.forecasters.registry import entries
from stmest.prediction.mean_predictor import MeanPredictor
from stmest.prediction.predictor import Predictor
from tests.scripts import script

house = script("house")
MODULES = house.modules()
REFERENCES = list(house.references(MODULES))
PACKAGES = [package for floor in house.ORDER for package in floor]
# pictures are drawn of forecasters, by what these say of themselves
BELOW_FORECASTERS = {*PACKAGES[: PACKAGES.index("forecasters")], *house.BESIDE} - {"plotting"}


def _made_up(**sources):
    """Modules of made-up sources: ``data__panel`` is `stmest.data.panel`, ``data`` the package's ``__init__.py``."""
    found = {"stmest": house.Module("stmest", "", True)}
    for name, source in sources.items():
        dotted = "stmest." + name.replace("__", ".")
        is_package = any(other.startswith(f"{name}__") for other in sources)
        found[dotted] = house.Module(dotted, source, is_package)
    return found


def _calls(known, name):
    """Where a function is called."""
    return [
        f"{module.name}, line {node.lineno}"
        for module in known.values()
        for node in ast.walk(ast.parse(module.source))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == name
    ]


# ---------------------------------------------------------------- order of the packages


def _out_of_order(references):
    """References to a package that the order puts after the one that makes them."""
    wrong = []
    for reference in references:
        own, used = house.package_of(reference.module), house.package_of(reference.target)
        if own in ("", "__main__", used):  # the top of the package names everything, lazily
            continue
        allowed = house.BESIDE.get(own) or PACKAGES[: PACKAGES.index(own)]
        version = own == "cli" and reference.names == ("__version__",)
        data = own == "cli" and used in house.BESIDE
        if used not in allowed and not version and not data:
            wrong.append(str(reference))
    return wrong


def test_packages_use_those_before_them():
    assert _out_of_order(REFERENCES) == []


def test_every_package_has_its_place_in_the_order():
    assert {house.package_of(name) for name in MODULES} - {"", "__main__"} == {*PACKAGES, *house.BESIDE}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("data__x", "from ..forecasters import base"),
        ("data__x", "from ..forecasters.base import Base"),
        ("data__x", "import stmest.forecasters.base"),
        ("data__x", "def f():\n    from ..forecasters.base import Base"),
        ("data__x", "if TYPE_CHECKING:\n    from ..forecasters.base import Base"),
        ("data__x", "import_module('stmest.forecasters.base')"),
        ("data__x", "import_module('..forecasters.base', __package__)"),
        ("data__x", "HOMES = {'Base': 'forecasters.base'}"),
        ("data__x", "from .. import load"),
        ("data__x", "from ..graphs import Graph"),
        ("datasets__x", "from ..ops import selective_scan"),
        ("ops__x", "from ..datasets import load_panel"),
    ],
)
def test_a_use_against_the_order_is_found(module, source):
    known = _made_up(
        **{
            "data": "",
            "data__panel": "",
            "forecasters__base": "",
            "graphs": "",
            "ops": "",
            "datasets": "",
            module: source,
        }
    )
    known |= {"stmest.forecasters": house.Module("stmest.forecasters", "", True)}
    assert len(_out_of_order(house.references(known))) == 1


def test_a_use_that_follows_the_order_is_not_found():
    known = _made_up(
        data__panel="", ops="", forecasters__base="from ..data.panel import Panel\nimport stmest.ops"
    )
    assert len(list(house.references(known))) == 2
    assert _out_of_order(house.references(known)) == []


# Modules that are imported by a name which is not written in the source, and why.
COMPUTED = {
    "stmest": "the public names, which are imported when they are first used",
    "stmest.forecasters.registry": "the module of a registered class",
    "stmest.ops.backends": "functions of mamba_ssm and causal_conv1d",
    "stmest.runtime": "packages of the extras",
}


def _imported_by_computed_name(known):
    return {
        module.name
        for module in known.values()
        for node in ast.walk(ast.parse(module.source))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__")
        and not isinstance(node.args[0], ast.Constant)
    }


def test_modules_are_imported_by_a_computed_name_in_few_places():
    assert _imported_by_computed_name(MODULES) == set(COMPUTED)
    assert _imported_by_computed_name(_made_up(data="import_module('stmest.' + name)")) == {"stmest.data"}


# ---------------------------------------------------------------- circles


def _circle(references):
    """Modules that use each other in a circle, the first one twice; nothing where there is none."""
    uses = {}
    for reference in references:
        uses.setdefault(reference.module, {})[reference.target] = None
    done = set()

    def visit(module, above):
        if module in above:
            return [*above[above.index(module) :], module]
        if module not in done:
            for target in uses.get(module, ()):
                if found := visit(target, [*above, module]):
                    return found
            done.add(module)
        return []

    return next(filter(None, (visit(module, []) for module in uses)), [])


def test_modules_do_not_use_each_other_in_circles():
    assert _circle(REFERENCES) == []


@pytest.mark.parametrize(
    "source", ["from . import b", "def f():\n    from .b import B", "if TYPE_CHECKING:\n    from .b import B"]
)
def test_a_circle_is_found(source):
    known = _made_up(data="", data__a=source, data__b="from .c import C", data__c="from .a import A")
    assert set(_circle(house.references(known))) == {"stmest.data.a", "stmest.data.b", "stmest.data.c"}
    known["stmest.data.a"] = house.Module("stmest.data.a", "")
    assert _circle(house.references(known)) == []


# ---------------------------------------------------------------- what is private


def _users_of(references, target):
    """Modules that use those below a package."""
    return {r.module for r in references if f"{r.target}.".startswith(f"{target}.")}


def test_the_vector_language_is_used_by_the_kernels_only():
    users = _users_of(REFERENCES, "stmest.ops.cpu.simd")
    assert users
    assert all(user.startswith("stmest.ops.cpu.") for user in users)


# Private names of others that a module uses, and why.
ACROSS = {
    ("stmest.training.engine", "_no_weight_decay"): "the mark that mamba_ssm, too, puts on its parameters",
    ("stmest.ops.internals", "_C"): "torch and numba have no public way; gathered in this one file",
    ("stmest.ops.internals", "_functorch"): "the same",
    ("stmest.ops.internals", "_dynamo_marked_constant"): "the same",
    ("stmest.ops.internals", "_cache"): "the same",
    ("stmest.ops.internals", "_cache_file"): "the same",
    ("stmest.ops.internals", "_cache_path"): "the same",
    ("stmest.ops.internals", "_impl"): "the same",
}
OF_NAMED_TUPLES = {"_asdict", "_fields", "_make", "_replace"}  # public, whatever they are called


def _is_private(name):
    return name.startswith("_") and not name.startswith("__") and name not in OF_NAMED_TUPLES


def _private_attributes(module):
    """Private attributes of other objects than its own that a module reads or sets."""
    for node in ast.walk(ast.parse(module.source)):
        name = ""
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls", "super()"):
            name = node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "getattr",
            "setattr",
            "hasattr",
            "delattr",
        ):
            name = node.args[1].value if isinstance(node.args[1], ast.Constant) else ""
        if _is_private(name):
            yield name


def _defined_in(module):
    """Names that a module gives to functions, classes, variables, parameters, and attributes of its own objects."""
    for node in ast.walk(ast.parse(module.source)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and ast.unparse(node.value) == "self"
        ):
            yield node.attr


def _across(known):
    """Modules, with the private names of other packages that they use: in imports, and of objects."""
    found = {
        (reference.module, name)
        for reference in house.references(known)
        for name in ".".join((reference.target, *reference.names)).split(".")
        if _is_private(name) and house.package_of(reference.module) != house.package_of(reference.target)
    }
    own = {}
    for module in known.values():
        own.setdefault(house.package_of(module.name), set()).update(_defined_in(module))
    return found | {
        (module.name, name)
        for module in known.values()
        for name in _private_attributes(module)
        if name not in own[house.package_of(module.name)]
    }


def test_private_names_stay_in_their_package():
    assert _across(MODULES) == set(ACROSS)


@pytest.mark.parametrize(
    "source",
    [
        "from ..data._panel import Panel",
        "from ..data.spec import _read",
        "def f(spec):\n    return spec._nodes",
        "def f(spec):\n    spec._nodes = 1",
        "def f(spec):\n    return getattr(spec, '_nodes', None)",
    ],
)
def test_a_private_name_in_another_package_is_found(source):
    spec = "def _read(): ...\nclass Spec:\n    def __init__(self): self._nodes = 1"
    known = _made_up(data="", data___panel="", data__spec=spec, ops="", ops__x=source)
    assert len(_across(known)) == 1
    known = _made_up(data="", data___panel="", data__spec=spec, data__x=source.replace("..data.", "."))
    assert _across(known) == set()


# ---------------------------------------------------------------- what the flow hangs on


def _unfrozen(classes):
    return [cls for cls in classes if not (dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen)]


def test_the_four_objects_cannot_be_changed():
    assert _unfrozen([Panel, InputSpec, Split, Predictor, MeanPredictor]) == []
    assert _unfrozen([dataclasses.make_dataclass("Made", ["x"]), object]) != []


def _parameters_called(known, names):
    """Parameters of functions, and fields of classes, that have one of the names."""
    wrong = []
    for module in known.values():
        for node in ast.walk(ast.parse(module.source)):
            parameters = [node.arg] if isinstance(node, ast.arg) else []
            if isinstance(node, ast.ClassDef):
                parameters = [
                    ast.unparse(field.target) for field in node.body if isinstance(field, ast.AnnAssign)
                ]
            if names & set(parameters) and house.package_of(module.name) in BELOW_FORECASTERS:
                wrong.append(f"{module.name}, line {node.lineno}")
    return wrong


def test_nothing_below_the_forecasters_is_handed_one():
    names = {"forecaster", "estimator"}
    assert _parameters_called(MODULES, names) == []
    made_up = ["def f(forecaster): ...", "f = lambda estimator: 1", "class A:\n    forecaster: int"]
    for source in made_up:
        assert len(_parameters_called(_made_up(prediction=source), names)) == 1
        assert _parameters_called(_made_up(evaluation=source), names) == []


def test_the_rows_are_split_in_one_place():
    assert len(_calls(MODULES, "temporal_split")) == 1
    assert len(_calls(_made_up(data="temporal_split(1)\nsplits.temporal_split(2)"), "temporal_split")) == 2


def _listing(known, classes):
    """Where forecasters are listed, by class or by its name, in a display of a list, tuple, set or dict."""
    wrong = []
    for module in known.values():
        if house.package_of(module.name) == "forecasters":
            continue
        for node in ast.walk(ast.parse(module.source)):
            if isinstance(node, ast.Dict):
                items = [*node.keys, *node.values]
            elif isinstance(node, (ast.List, ast.Set, ast.Tuple)):
                items = node.elts
            else:
                continue
            named = {
                i.value if isinstance(i, ast.Constant) else ast.unparse(i).split(".")[-1] for i in items if i
            }
            if named & classes:
                wrong.append(f"{module.name}, line {node.lineno}")
    return wrong


def test_the_registry_is_the_only_list_of_forecasters():
    assert _listing(MODULES, set(entries())) == []


@pytest.mark.parametrize(
    "source",
    [
        "MODELS = {'stm3': STM3Forecaster}",
        "HOMES = {'STM3Forecaster': 'forecasters.stm3'}",
        "for cls in (forecasters.STM3Forecaster,): ...",
        "NAMES = ['STM3Forecaster']",
    ],
)
def test_a_second_list_of_forecasters_is_found(source):
    assert len(_listing(_made_up(cli=source), set(entries()))) == 1
