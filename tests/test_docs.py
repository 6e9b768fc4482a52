"""What the documentation shows, runs: every example of every page, page by page; links and pictures are there."""

from __future__ import annotations

import ast
import doctest
import importlib.util
import re
from pathlib import Path

import pytest

import stmest
from stmest import evaluation, plotting

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if not {"_build", "auto_gallery"} & set(page.parts))
BLOCK = re.compile(r"^```(?:python|pycon)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
NAMES = [str(page.relative_to(DOCS)) for page in PAGES]


def _blocks(page):
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def _script(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_examples_of_a_page_run_one_after_the_other(page, tmp_path, monkeypatch):
    examples = "\n".join(block for block in _blocks(page) if ">>>" in block)
    if not examples:
        pytest.skip("a page without examples")
    monkeypatch.chdir(tmp_path)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    test = doctest.DocTestParser().get_doctest(examples, {}, page.name, str(page), 0)
    output: list[str] = []
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
        and not (page.parent / link).resolve().is_relative_to(DOCS / "reference")
    ]  # fmt: skip
    assert missing == []


def test_diagrams_are_those_of_the_script():
    for name, draw in _script("diagrams").DIAGRAMS.items():
        assert (DOCS / "images" / f"{name}.svg").read_text(encoding="utf-8") == draw().svg(), name


def test_diagrams_keep_their_texts_inside():
    for picture in (DOCS / "images").glob("*.svg"):
        text = picture.read_text(encoding="utf-8")
        width, height = map(int, re.search(r'viewBox="0 0 (\d+) (\d+)"', text).groups())
        boxes = re.findall(r'<rect x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"', text)
        assert boxes
        assert all(int(x) + int(w) <= width and int(y) + int(h) <= height for x, y, w, h in boxes)


def test_reference_lists_every_public_name(tmp_path):
    _script("listing").write_reference(tmp_path / "reference")
    text = (tmp_path / "reference" / "index.rst").read_text(encoding="utf-8")
    for name in {*stmest.public_names(), *plotting.__all__, *evaluation.__all__}:
        assert f"\n   {name}\n" in text
    assert ".. currentmodule:: stmest.plotting" in text
