"""The tables of results in README and docs are those of the stored results."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def page_tables(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import page_tables

    return page_tables


def test_pages_show_the_stored_results(page_tables, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["page_tables.py"])
    assert page_tables.main() == 0, capsys.readouterr().out
    marked = [
        name
        for page in page_tables.pages()
        for name in re.findall(r"<!-- results: (.+) -->", page.read_text())
    ]
    assert set(marked) >= {
        "panels-before",
        "ablations",
        "fields",
        "etth1",
        "sktime",
        "scan-forward",
        "whole-network",
    }


def test_a_changed_figure_is_noticed_and_written_back(page_tables):
    table = page_tables.TABLES["whole-network"]()
    page = f"before\n<!-- results: whole-network -->\n{table}<!-- end of results -->\nafter"
    assert page_tables.renewed(page) == (page, [])
    wrong = page.replace("| 69, numba | 1", "| 69, numba | 9", 1)
    assert wrong != page
    assert page_tables.renewed(wrong) == (page, ["whole-network"])


def test_means_have_their_deviation_and_number_of_seeds(page_tables):
    from _tables import bold, figure, number

    assert number([1.0]) == "1.000"
    assert number([1.0, 2.0, 3.0]) == "2.000 ± 1.0 (3)"
    assert number([0.9046, 0.9046]) == "0.9046 (2)"
    assert number(None) == "–"
    assert [figure(x, 3) for x in (0.12345, 123.4, 1234.5)] == ["0.123", "123", "1,234"]
    assert bold(["2.0 (3)", "–", "1.5 (3)"], [2.0, None, 1.5]) == ["2.0 (3)", "–", "**1.5** (3)"]
