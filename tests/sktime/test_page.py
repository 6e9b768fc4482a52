"""The page of the documentation on sktime: its code runs."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how_to" / "sktime.md"


@pytest.mark.filterwarnings("ignore:The default of config:FutureWarning")
def test_examples_run_one_after_the_other():
    text = PAGE.read_text(encoding="utf-8")
    examples = "\n".join(re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))
    test = doctest.DocTestParser().get_doctest(examples, {}, PAGE.name, str(PAGE), 0)
    told: list[str] = []
    result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE, verbose=False).run(
        test, out=told.append
    )
    assert result.attempted > 30
    assert result.failed == 0, "".join(told)
