"""What the README shows, runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


def test_there_are_python_blocks():
    assert len(BLOCKS) >= 2


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_python_block_runs_by_itself(block, tmp_path):
    # skorch imports torch_geometric where it is installed, which uses what torch has deprecated
    silent = "ignore:`torch.jit.script:DeprecationWarning"
    quick = block.replace("air.values, air.graph", "air.values[-1200:], air.graph")
    command = [sys.executable, "-W", "error", "-W", silent, "-c", quick]
    environment = {**os.environ, "PYTHONPATH": str(README.parent)}  # also where stmest is not installed
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_links_lead_to_files_that_exist():
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", TEXT)
    assert links
    assert [link for link in links if not (README.parent / link).exists()] == []


def test_shell_blocks_name_commands_that_exist():
    blocks = re.findall(r"^```sh\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    targets = {line.split()[1] for line in lines if line.startswith("make ")}
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
    assert targets == {"demo", "test", "docs"}
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)
    options = {
        word for line in lines if line.startswith("stmest ") for word in line.split() if word.startswith("--")
    }
    offered = subprocess.run(
        [sys.executable, "-m", "stmest", "report", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert all(option in offered for option in options)
