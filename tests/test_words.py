"""The words of public docstrings are those of the field; each of these words has a plainer one, given beside it."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re

import pytest

# Whole words, in upper or lower case, and what to write instead
FORBIDDEN = {
    "readings?": "observation, value",
    "the line": "linear forecast",
    "correct(?:s|ed|ions?) (?:of )?(?:the |a )?(?:line|ridge)": "residual",
    "blends?|blended|recipes?": "ensemble",
    "draws|drawn": "chosen; of an ensemble: members",
    "faces?": "API, estimator",
    "rows of (?:look-back|history|time)|(?:training|validation|test) rows": "time steps; training data",
    "lively|liveliness": "scale",
    "twins?": "predictor before the refit",
    "crumbs?": "calibration predictor",
    "judges?|judged": "calibrate, evaluate",
    "phases?": "seasonal index",
    "(?:by (?:the|its|whose)|its) clock|clock begins": "time index, time zone",
    "carry|carries|carried": "forward-filled; of other things: have, include",
    "pieces?": "chunk",
    "gathers|gathered": "collected, joined",
    "tells?|telling": "specify, distinguish",
    "told": "given, specified",
    "variates?": "node",
    "of this house|in the house": "of stmest",
}
IN_PICTURES = {"draws|drawn"}  # what matplotlib does
# Names in quotes or backticks, examples, and the lines that name parameters and their types are no prose
CODE = re.compile(
    r"``.*?``|`[^`]*`|\"[^\"\n]*\"|^ *(?:>>>|\.\.\.).*$|^ *\w+(?:, \w+)* : .*$", flags=re.MULTILINE
)


def _modules():
    names = ["datasets", "evaluation", "graphs", "plotting"]
    names += ["sktime"] if importlib.util.find_spec("sktime") else []
    return [importlib.import_module(name) for name in ("stmest", *(f"stmest.{name}" for name in names))]


def _public():
    """What has a public docstring, by name: the modules, their names, and public methods and properties."""
    found = {}
    for module in _modules():
        public = {name: getattr(module, name) for name in module.__all__ if name != "__version__"}
        found |= {module.__name__: module} | {
            f"{module.__name__}.{name}": value for name, value in public.items()
        }
        for cls in (base for value in public.values() if inspect.isclass(value) for base in value.__mro__):
            if cls.__module__.startswith("stmest."):
                found |= {
                    f"{cls.__module__}.{cls.__name__}.{name}": member
                    for name, member in vars(cls).items()
                    if not name.startswith("_")
                    and (inspect.isroutine(member) or isinstance(member, property))
                }
    return found


def _replaceable(text, besides=frozenset()):
    """The forbidden words of a text, with what to write instead."""
    prose = CODE.sub("", text)
    return {
        match[0]: f"write: {instead}"
        for words, instead in FORBIDDEN.items()
        if words not in besides
        for match in re.finditer(rf"\b(?:{words})\b", prose, flags=re.IGNORECASE)
    }


PUBLIC = _public()


@pytest.mark.parametrize("name", PUBLIC)
def test_public_docstrings_use_the_words_of_the_field(name):
    besides = IN_PICTURES if name.startswith("stmest.plotting") else set()
    assert _replaceable(inspect.getdoc(PUBLIC[name]) or "", besides) == {}


def test_the_search_finds_words_and_leaves_code_alone():
    assert list(_replaceable("Readings of\na node, judged\nby its clock.")) == [
        "Readings",
        "judged",
        "by its clock",
    ]
    assert (
        _replaceable('face : {"blend"}\n    Either ``twin`` or `face`.\n>>> face = 1\nA surface is no word.')
        == {}
    )
    assert {"stmest.STM3Forecaster", "stmest.forecasters.base.BaseForecaster.fit"} <= set(PUBLIC)
