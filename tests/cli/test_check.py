"""``stmest check``, and what is said before a training."""

from __future__ import annotations

import numpy as np
import pandas as pd


def _words(text):
    """Lines of the output by their first word."""
    return {line.split()[0]: line for line in text.splitlines() if line.startswith("  ")}


def test_a_clean_file(run, csv):
    code, text, errors = run("check", csv)
    assert (code, errors) == (0, "")
    words = _words(text)
    assert list(words) == ["rows", "times", "sensors", "missing"]
    assert "240, from 2024-03-01 00:00:00 to 2024-03-10 23:00:00" in words["rows"]
    assert "one step: 1h; no time zone" in words["times"]
    assert words["missing"].endswith("nothing")


def test_faults_are_found_and_named(run, table, tmp_path):
    table["still"] = 3.0
    table["copy"] = table["b"]
    table["late"] = table["c"].where(np.arange(240) > 170)
    table.iloc[100:, 0] = np.nan
    table.iloc[150:, 3] = 2.5
    table.iloc[::24, 2] = -9999
    table = table.drop(table.index[60:65])
    table.index = table.index.strftime("%d/%m/%Y %H:%M")
    table.to_csv(tmp_path / "x.csv", sep=";", decimal=",")
    (tmp_path / "edges.csv").write_text("source,target\na,b\nb,c\n", encoding="utf-8")
    code, text, errors = run("check", tmp_path / "x.csv", "--adj", tmp_path / "edges.csv")
    assert (code, errors) == (0, "")
    words = _words(text)
    assert "235, from" in words["rows"]
    assert "day first" in words["dates"]
    assert "5 steps are not there" in words["gaps"]
    assert "5 between 2024-03-03 11:00:00 and 2024-03-03 17:00:00" in words["gaps"]
    assert "worst" in words
    assert "late" in words["worst"]
    assert "-9999 is there 10 times" in words["extreme"]
    assert "--missing=-9999" in words["extreme"]
    assert "a (no value since 2024-03-05 03:00:00)" in words["dead"]
    assert "d (always 2.5 since 2024-03-07 06:00:00)" in words["dead"]
    assert "late (from 2024-03-08 03:00:00 to 2024-03-10 23:00:00)" in words["short"]
    assert "1 of 7 sensors: still" in words["constant"]
    assert "b = copy" in words["equal"]
    assert "2 edges, in 5 parts" in words["graph"]
    assert "correlate" in words["fit"]
    assert "4 without an edge: d, still, copy, late" in words["alone"]

    code, text, _ = run("report", "--data", tmp_path / "x.csv", "--models", "last-value", "--out", tmp_path)
    assert code == 0
    before = text.split("fitting")[0]
    assert {"gaps", "extreme", "dead", "short", "constant", "equal"} <= set(_words(before))
    assert "rows" not in _words(before)


def test_ambiguous_files_are_answered_by_the_option(run, tmp_path):
    path = tmp_path / "x.csv"
    rows = "".join(f"0{i}/02/2024,{i},{i * i}\n" for i in range(1, 4))
    path.write_text(f"time,a,b\n{rows}", encoding="utf-8")
    code, _, errors = run("check", path)
    assert code == 2
    assert "say which: --dayfirst or --no-dayfirst." in errors
    for option, first in (("--dayfirst", "2024-02-01"), ("--no-dayfirst", "2024-01-02")):
        code, text, _ = run("check", path, option)
        assert code == 0
        assert f"from {first}" in text


def test_long_table_and_no_times(run, tmp_path):
    path = tmp_path / "long.csv"
    path.write_text(
        "when,pump,flag,flow\n2024-01-01,a,x,1\n2024-01-01,b,x,2\n2024-01-02,a,x,3\n2024-01-02,b,x,5\n"
    )
    code, _, errors = run("check", path)
    assert code == 2
    assert "names the nodes of a long table, say so: --node-column pump." in errors
    code, text, _ = run("check", path, "--node-column", "pump", "--value-column", "flow")
    assert code == 0
    assert "note      not used: 'flag'" in text
    path.write_text("a,b\n3,1\n1,2\n2,4\n", encoding="utf-8")
    code, text, _ = run("check", path, "--no-time")
    assert code == 0
    assert "rows      3, from 0 to 2" in text


def test_a_field(run, tmp_path):
    values = np.random.default_rng(0).normal(size=(60, 3, 4, 1))
    values[:, 1, 2] = np.nan
    np.savez(tmp_path / "field.npz", values=values)
    code, text, errors = run("check", tmp_path / "field.npz")
    assert (code, errors) == (0, "")
    words = _words(text)
    assert "12 (3 x 4)" in words["cells"]
    assert "1,2 (no value at all)" in words["dead"]


def test_times_without_a_step(run, tmp_path):
    index = pd.to_datetime(
        ["2024-01-01", "2024-01-02", "2024-01-03 05:13", "2024-01-09 17:01", "2024-01-10"], format="mixed"
    )
    pd.DataFrame({"a": range(5), "b": [3, 1, 2, 5, 4]}, index=index).to_csv(
        tmp_path / "x.csv", index_label="time"
    )
    code, text, _ = run("check", tmp_path / "x.csv")
    assert code == 0
    assert "irregular" in _words(text)["gaps"]
