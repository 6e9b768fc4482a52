"""What the documentation shows, runs: every example of every page, page by page; links and pictures are there."""

from __future__ import annotations

import ast
import doctest
import itertools
import re

import pytest

import stmest
from stmest import evaluation, plotting
from tests.forecasters.small import restored_registry
from tests.scripts import DOCS, script

PAGES = sorted(
    page for page in DOCS.rglob("*.md") if not {"_build", "auto_gallery", "tutorial"} & set(page.parts)
)
BLOCK = re.compile(r"^```(?:python|pycon)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
NAMES = [str(page.relative_to(DOCS)) for page in PAGES]


def _blocks(page):
    return BLOCK.findall(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_examples_of_a_page_run_one_after_the_other(page, tmp_path, monkeypatch):
    examples = "\n".join(block for block in _blocks(page) if ">>>" in block)
    if not examples:
        pytest.skip("a page without examples")
    monkeypatch.chdir(tmp_path)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    test = doctest.DocTestParser().get_doctest(examples, {}, page.name, str(page), 0)
    output: list[str] = []
    with restored_registry():
        result = doctest.DocTestRunner(optionflags=flags, verbose=False).run(test, out=output.append)
    assert result.attempted > 0
    assert result.failed == 0, "".join(output)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_other_code_of_a_page_is_python_and_imports_what_exists(page):
    for block in _blocks(page):
        if ">>>" not in block:
            tree = ast.parse(block)
            imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
            exec(compile(ast.Module(imports, []), str(page), "exec"), {})


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_and_pictures_of_a_page_exist(page):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", text)
    missing = [
        link for link in links
        if not (page.parent / link).exists()
        and not (page.parent / link).resolve().is_relative_to(DOCS / "auto_gallery")
        and not (page.parent / link).resolve().is_relative_to(DOCS / "tutorial")
        and not (page.parent / link).resolve().is_relative_to(DOCS / "reference")
    ]  # fmt: skip
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_files_that_a_page_names_exist(page):
    named = re.findall(
        r"`((?:stmest|tests|docs|benchmarks)/[\w/]+(?:\.\w+|/))`", page.read_text(encoding="utf-8")
    )
    missing = {name for name in named if not (DOCS.parent / name).exists()} - {"docs/reference/"}
    assert missing == set()


def test_every_package_is_described():
    text = (DOCS / "explanation" / "structure.md").read_text(encoding="utf-8")
    described = re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)
    house = script("house")
    assert described == [package for floor in (*house.ORDER, tuple(house.BESIDE)) for package in floor]
    order = " < ".join(map(", ".join, house.ORDER))
    assert f" {order};" in " ".join((DOCS / "contributing.md").read_text(encoding="utf-8").split())


def test_diagrams_are_those_of_the_script():
    for name, draw in script("diagrams").DIAGRAMS.items():
        saved = (DOCS / "images" / f"{name}.svg").read_text(encoding="utf-8")
        assert saved == draw().svg(), f"{name}.svg is not up to date: run python docs/diagrams.py"


def test_the_drawing_of_the_packages_has_all_of_them_and_their_uses():
    house = script("house")
    direct = house.uses(house.modules())
    lines = house.without_short_cuts(direct)
    text = script("diagrams").packages().svg()
    assert all(f">{package}</text>" in text for package in direct)
    assert text.count("<polyline") == sum(map(len, lines.values()))

    def reached(package):
        return lines[package].union(*map(reached, lines[package]))

    assert all(direct[package] <= reached(package) for package in direct)
    assert house.without_short_cuts({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {
        "a": {"b"},
        "b": {"c"},
        "c": set(),
    }


def test_lines_of_a_layered_drawing_pass_between_its_boxes():
    rows, lines = [["a"], ["b", "c"], ["d"]], {"a": {"b", "c", "d"}, "b": {"d"}, "c": {"d"}, "d": set()}
    layout = script("layout").Layered(rows, lines, 100, 10, 20)
    assert layout.path("a", "d") == [("a", 0), ("d", 1), ("d", 2)]
    places = sorted((x, name) for (name, row), x in layout.x.items() if row == 1)
    widths = {"b": 100, "c": 100, "d": 10}
    for (x, name), (next_x, next_name) in itertools.pairwise(places):
        assert next_x - x >= (widths[name] + widths[next_name]) / 2 + 20 - 1e-9


def test_the_stub_names_every_public_name():
    public_names = script("public_names")
    saved = public_names.STUB.read_text(encoding="utf-8")
    assert saved == public_names.stub(), (
        "stmest/__init__.pyi is not up to date: run python docs/public_names.py"
    )
    named = {
        alias.asname
        for node in ast.parse(saved).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert named == {*stmest.public_names(), *stmest._SUBMODULES}


def test_diagrams_keep_their_texts_inside():
    for picture in (DOCS / "images").glob("*.svg"):
        text = picture.read_text(encoding="utf-8")
        width, height = map(int, re.search(r'viewBox="0 0 (\d+) (\d+)"', text).groups())
        boxes = re.findall(r'<rect x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"', text)
        assert boxes
        assert all(int(x) + int(w) <= width and int(y) + int(h) <= height for x, y, w, h in boxes)


def test_reference_lists_every_public_name(tmp_path):
    script("listing").write_reference(tmp_path / "reference")
    text = (tmp_path / "reference" / "index.rst").read_text(encoding="utf-8")
    for name in {*stmest.public_names(), *plotting.__all__, *evaluation.__all__}:
        assert f"\n   {name}\n" in text
    assert ".. currentmodule:: stmest.plotting" in text
