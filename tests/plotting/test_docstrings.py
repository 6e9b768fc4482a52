"""Docstrings of the pictures: the shared paragraphs are filled in, and every parameter is described once."""

from __future__ import annotations

import inspect
import re

import pytest

from stmest import plotting
from stmest.plotting._docs import fill_in

PUBLIC = {name: getattr(plotting, name) for name in plotting.__all__}
METHODS = {
    f"{name}.{method}": getattr(display, method)
    for name, display in PUBLIC.items()
    if inspect.isclass(display)
    for method in ("plot", "from_estimator", "from_predictions", "from_report")
    if hasattr(display, method)
}


def _sections(doc):
    """Text of each section by its heading; what comes before the first is the summary."""
    parts = re.split(r"^(\w+)\n-+\n", doc, flags=re.MULTILINE)
    return {"Summary": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


@pytest.mark.parametrize("name", [*PUBLIC, *METHODS])
def test_every_parameter_is_described_once(name):
    documented = {**PUBLIC, **METHODS}[name]
    doc = inspect.getdoc(documented)
    assert not re.search(r"^ *\{", doc, flags=re.MULTILINE)
    listed = re.findall(
        r"^(\*{0,2}\w[\w, ]*?)(?: :.*)?$", _sections(doc).get("Parameters", ""), flags=re.MULTILINE
    )
    described = [word.strip("*") for names in listed for word in names.split(", ")]
    assert described == [word for word in inspect.signature(documented).parameters if word != "self"]


@pytest.mark.parametrize("name", [name for name in PUBLIC if name.startswith("plot_")])
def test_a_function_says_what_it_returns_and_that_it_needs_matplotlib(name):
    sections = _sections(inspect.getdoc(PUBLIC[name]))
    assert sections["Returns"].startswith("ndarray of matplotlib Axes")
    assert "MissingDependencyError\n    If matplotlib is not installed." in sections["Raises"]


def test_a_mark_may_carry_a_detail_and_keeps_its_place():
    @fill_in
    def draw(axes, title):
        """Draw.

        Parameters
        ----------
        {axes: one per node}
        {title}
        """

    assert inspect.getdoc(draw) == (
        "Draw.\n\nParameters\n----------\n"
        "axes : sequence of matplotlib Axes, optional\n"
        "    Where to draw, one per node; default a new figure, not known to pyplot.\n"
        "title : str, optional\n"
        "    Title of the new figure; not written where `axes` are given."
    )
