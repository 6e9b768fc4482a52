"""Arguments, help, exit codes and mistakes."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys

import pytest

from stmest.cli import main, models, parser
from stmest.cli.output import in_options
from tests.scripts import DOCS

COMMANDS = ("check", "forecast", "report")


def _python(*arguments, **settings):
    return subprocess.run(
        [sys.executable, "-m", "stmest", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        **settings,
    )


def test_module_can_be_run():
    done = _python()
    assert done.returncode == 0
    assert all(command in done.stdout for command in COMMANDS)


def test_help_names_all_models_and_loads_nothing_heavy():
    code = (
        "import sys\nfrom stmest.cli import main\n"
        "for command in [[], ['check'], ['forecast'], ['report']]:\n"
        "    try: main([*command, '--help'])\n"
        "    except SystemExit: pass\n"
        "print({'torch', 'numpy', 'pandas', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("set()")
    assert all(name in done.stdout for name in models.commands())


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("stmest ")


def test_no_command_prints_help(capsys):
    assert main([]) == 0
    assert "usage: stmest" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report", "--horizon", "0"], "'0' is no whole number of at least 1"),
        (["report", "--horizon", "1.5"], "'1.5' is no whole number of at least 1"),
        (["report", "--test-fraction", "1"], "1 is not between 0 and 1"),
        (["report", "--seed", "x"], "'x' is no whole number"),
        (["report", "--horizn", "3"], "--horizn 3; did you mean --horizon?"),
        (["report", "--save-modles", "x"], "did you mean --save-models?"),
        (["forecast", "--minutes", "0"], "0 is not above 0"),
        (["forecast", "--minutes", "soon"], "'soon' is no number"),
        (["forecast", "--coverage", "90"], "90 is not between 0 and 1"),
        (["forecast", "--decimal", ";"], "invalid choice: ';'"),
        (["forecast", "--savemodel", "x"], "did you mean --save-model?"),
        (["check", "x.csv", "--time-columns", "t"], "did you mean --time-column?"),
        (["check"], "FILE"),
        (["bake"], "invalid choice: 'bake'"),
        (["forcast"], "did you mean forecast?"),
    ],
)
def test_wrong_arguments_are_one_line(capsys, arguments, words):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    errors = capsys.readouterr().err
    assert words in errors
    assert "--help shows all)" in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "readigns.csv"], "there is no file readigns.csv; did you mean readings.csv?"),
        (["check", "."], "is a folder"),
        (["check", "readings.csv", "--adj", "readigns.csv"], "did you mean readings.csv?"),
        (["report", "--data", "readings.csv", "--coords", "readigns.csv"], "did you mean readings.csv?"),
        (["forecast", "--data", "readings.csv", "--adj", "readigns.csv"], "did you mean readings.csv?"),
        (["check", "readings.csv", "--channel", "x"], "has no named channels"),
        (["check", "readings.csv", "--time-column", "tme"], "--time-column tme, but there is no such column"),
        (["check", "readings.csv", "--sep", "::"], "--sep ::; needed: one sign"),
        (
            ["check", "readings.csv", "--no-time", "--time-column", "a"],
            "--no-time says that no column is the time",
        ),
        (["forecast"], "--data FILE is needed"),
        (["forecast", "--data", "readings.csv", "--model", "rigde"], "did you mean ridge?"),
        (["forecast", "--data", "readings.csv", "--model", "ridge,stm3"], "needed: one forecaster"),
        (["forecast", "--data", "readings.csv", "--out", "x.xlsx"], "needed: .csv or .csv.gz"),
        (
            ["forecast", "--data", "readings.csv", "--model", "gbt", "--save-model", "x"],
            "gbt cannot be saved",
        ),
        (
            ["forecast", "--data", "readings.csv", "--out", "readings.csv/x.csv"],
            "readings.csv is a file; needed: a folder",
        ),
        (
            ["report", "--data", "readings.csv", "--models", "last-value", "--out", "readings.csv"],
            "readings.csv is a file; needed: a folder",
        ),
        (["forecast", "--model", "absent.safetensors"], "there is no file absent.safetensors"),
        (["forecast", "--model", "readings.csv"], "readings.csv"),
        (["report", "--models", "stm4"], "did you mean stm3?"),
    ],
)
def test_input_that_cannot_be_used_is_one_line(run, csv, monkeypatch, arguments, words):
    monkeypatch.chdir(csv.parent)
    code, text, errors = run(*arguments)
    assert code == 2
    assert errors.startswith("stmest: error: ")
    assert words in errors
    assert len(errors.splitlines()) == 1
    assert "Traceback" not in text + errors


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            "say which: time_column='my time' or no_time=True",
            "say which: --time-column 'my time' or --no-time",
        ),
        ("say so: missing='-'.", "say so: --missing=-."),
        ("decimal=',' or decimal='.'; sep=';'", "--decimal , or --decimal .; --sep ';'"),
        ("time_column=1, dayfirst=False", "--time-column 1, --no-dayfirst"),
        ("my_decimal='x', horizon=3", "my_decimal='x', horizon=3"),
    ],
)
def test_messages_name_options(message, words):
    assert in_options(message) == words


def test_signs_that_the_output_cannot_show_are_escaped(table, csv):
    table.iloc[0, 0] = None
    table.rename(columns={"a": "\u00b5g \u4e2d"}).to_csv(csv)
    done = _python("check", csv, env={**os.environ, "PYTHONIOENCODING": "cp1252"}, encoding="cp1252")
    assert (done.returncode, done.stderr) == (0, "")
    assert "worst     sensors by share missing: \u00b5g \\u4e2d 0.4%" in done.stdout


def test_an_output_that_is_closed_is_no_error(csv, monkeypatch):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

        def fileno(self):
            return os.open(os.devnull, os.O_WRONLY)

    monkeypatch.setattr(sys, "stdout", Closed())
    assert main(["check", str(csv)]) == 0


def _commands_of_docs():
    """Every line of the pages that runs the command line."""
    for page in sorted([DOCS.parent / "README.md", *(DOCS / "how_to").glob("*.md"), *DOCS.glob("*.md")]):
        for line in re.findall(
            r"^(?:\$ )?(stmest (?:check|forecast|report)\b.*)$",
            page.read_text(encoding="utf-8"),
            flags=re.MULTILINE,
        ):
            yield page.name, line


@pytest.mark.parametrize(("page", "line"), list(_commands_of_docs()))
def test_commands_of_the_docs_have_options_that_exist(page, line):
    del page
    options = parser._parser().parse_args(shlex.split(line, comments=True)[1:])
    assert callable(options.run)
