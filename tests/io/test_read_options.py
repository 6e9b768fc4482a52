"""What a user says about a table: separator, decimal mark, order of dates, columns."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from stmest.exceptions import DataError, ParameterError
from stmest.io.tables import read_table


@pytest.fixture
def read(tmp_path):
    def reader(text, **said):
        (tmp_path / "data.csv").write_text(text, encoding="utf-8")
        return read_table(tmp_path / "data.csv", **said)[0]

    return reader


def test_the_separator_decides_what_looks_like_two(read):
    text = "time;a,b;c\n0;1,5;2\n1;2,5;3\n2;3,5;4\n"
    assert list(read(text, sep=";").columns) == ["a,b", "c"]
    assert read("time a\n0  1\n1    2\n", sep=r"\s+")["a"].tolist() == [1, 2]
    with pytest.raises(ParameterError, match="sep='::'"):
        read(text, sep="::")


def test_the_decimal_mark_is_what_was_said(read):
    text = 'time,a,b\n0,"1,234","2,000"\n1,"5,678","3,000"\n'
    with pytest.raises(DataError, match=r"may be 1234 or 1.234; say which: decimal='.' or decimal=','"):
        read(text)
    assert read(text, decimal=".")["a"].tolist() == [1234, 5678]
    assert read(text, decimal=",")["a"].tolist() == [1.234, 5.678]
    # what pandas reads as a decimal point parts thousands
    assert read("time;a\n0;1.234\n1;5.678\n", decimal=",")["a"].tolist() == [1234, 5678]
    with pytest.raises(DataError, match=r"column 'a' holds numbers that do not read with decimal=','"):
        read("time;a\n0;1.5\n1;2.5\n", decimal=",")
    with pytest.raises(ParameterError, match=r"decimal=';'; needed: '\.' or ','"):
        read(text, decimal=";")
    with pytest.raises(ParameterError, match="sep and decimal are both ','"):
        read(text, decimal=",", sep=",")


def test_the_order_of_dates_is_what_was_said(read):
    text = "time,a\n01/02/2024,1\n02/02/2024,2\n03/02/2024,3\n"
    first = read(text, dayfirst=True)
    assert first.index[0] == pd.Timestamp("2024-02-01")
    assert first.attrs["dates"] == "day first"
    second = read(text, dayfirst=False)
    assert second.index[0] == pd.Timestamp("2024-01-02")
    assert second.attrs["dates"] == "month first"
    with pytest.raises(DataError, match="do not all read with dayfirst=True"):
        read("time,a\n01/13/2024,1\n01/14/2024,2\n", dayfirst=True)
    # dates that can be read in one way only stay what they are
    for dayfirst in (True, False):
        iso = read("time,a\n2024-02-01,1\n2024-02-02,2\n", dayfirst=dayfirst)
        assert iso.index[0] == pd.Timestamp("2024-02-01")
        assert "dates" not in iso.attrs


def test_how_dates_were_read_is_kept_for_the_user(read):
    assert read("time,a\n30/01/2024,1\n31/01/2024,2\n").attrs["dates"] == "day first"


@pytest.mark.parametrize("named", ["end", "END", 2])
def test_the_named_column_is_the_time_and_other_dates_are_left_out(read, named):
    text = "start,end,a\n2024-01-01,2024-01-02,1\n2024-01-02,2024-01-03,2\n"
    with pytest.raises(DataError, match=r"may all be the time.*time_column='start'"):
        read(text)
    frame = read(text, time_column=named)
    assert frame.index[0] == pd.Timestamp("2024-01-02")
    assert list(frame.columns) == ["a"]
    assert frame.attrs["notes"] == ["not used: 'start'"]


def test_a_named_time_of_numbers_in_unequal_steps(read):
    text = "meter,a\n1,5\n4,6\n5,7\n9,8\n"
    with pytest.raises(DataError, match=r"If the time: time_column='meter'; if a sensor: no_time=True"):
        read(text)
    assert read(text, time_column="meter").index.tolist() == [1, 4, 5, 9]
    frame = read(text, no_time=True)
    assert frame.shape == (4, 2)
    assert frame.index.tolist() == [0, 1, 2, 3]


def test_joined_times_stay_where_the_named_column_is_one_of_them(read):
    text = "date,time,stamp,a\n2024-01-01,00:00,7,1\n2024-01-01,01:00,9,2\n"
    assert read(text, time_column="date").index[1] == pd.Timestamp("2024-01-01 01:00")
    assert read("year,month,day,t,a\n2024,1,1,5,1\n2024,1,2,6,2\n", time_column="t").index.tolist() == [5, 6]


def test_columns_of_a_long_table_by_name_or_number(read):
    text = "when,pump,flag,flow\n2024-01-01,a,ok,1\n2024-01-01,b,ok,2\n2024-01-02,a,no,3\n2024-01-02,b,ok,4\n"
    for said in (
        {"node_column": "pump", "value_column": "flow"},
        {"time_column": "when", "node_column": 2, "value_column": 4},
        {"time_column": 1, "node_column": "Pump", "value_column": "flow"},
    ):
        frame = read(text, **said)
        np.testing.assert_array_equal(frame, [[1, 2], [3, 4]])
        assert list(frame.columns) == ["a", "b"]
        assert frame.attrs["notes"] == ["not used: 'flag'"]
    with pytest.raises(
        DataError, match=r"'flag' and 'flow' may be the value_column; say which: value_column='flag'"
    ):
        read(text, node_column="pump")
    with pytest.raises(
        DataError, match=r"node_column='pmp', but there is no such column: its columns are 'when', 'pump'"
    ):
        read(text, node_column="pmp", value_column="flow")
    with pytest.raises(DataError, match="named twice"):
        read(text, time_column="when", node_column="pump", value_column="pump")


def test_a_column_of_text_may_name_the_nodes(read):
    with pytest.raises(
        DataError, match=r"column 'pump' holds 'a' in row 1.*long table, say so: node_column='pump'\."
    ):
        read("when,pump,flag,flow\n2024-01-01,a,7,1\n2024-01-02,b,7,2\n")
    with pytest.raises(DataError, match=r"column 'a' holds '-' in row 1.*say so: missing='-'\.$"):
        read("time,a,b\n0,-,1\n1,-,2\n")


def test_further_columns_of_a_known_long_table(read):
    text = "time,node,value,quality\n0,a,1,9\n0,b,2,9\n1,a,3,9\n1,b,4,9\n"
    with pytest.raises(DataError, match=r"extra column\(s\) quality.*value_column='value'"):
        read(text)
    np.testing.assert_array_equal(read(text, node_column="node", value_column="value"), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(
        read(text, value_column="value", node_column="node", time_column="time"), [[1, 2], [3, 4]]
    )


def test_the_value_alone_is_enough_where_the_others_have_their_names(read):
    text = "time,node,value,quality\n0,a,1,9\n0,b,2,9\n1,a,3,9\n1,b,4,9\n"
    np.testing.assert_array_equal(read(text, value_column="value"), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(read(text, value_column="quality"), [[9, 9], [9, 9]])


def test_a_named_column_makes_the_first_row_a_header(read):
    text = "7,400001,400002\n1,5,6\n2,7,8\n"
    with pytest.raises(DataError, match="may be names or values"):
        read(text)
    assert read("7,a1,400002\n1,5,6\n2,7,8\n", time_column="7").index.tolist() == [1, 2]


def test_rows_per_sensor_or_per_time(read):
    text = "id,1/1/24,1/2/24,1/3/24\n7,1,2,3\n9,4,5,6\n"
    assert read(text, dayfirst=True).index[1] == pd.Timestamp("2024-02-01")
    assert list(read(text, dayfirst=True).columns) == [7, 9]
    assert read(text, time_column="id").index.tolist() == [7, 9]


def test_contradictions_are_refused(read, tmp_path):
    with pytest.raises(ParameterError, match="no_time=True"):
        read("time,a\n0,1\n1,2\n", no_time=True, time_column="time")
    np.save(tmp_path / "x.npy", np.eye(3))
    with pytest.raises(ParameterError, match=re.escape("sep describes tables; x.npy holds arrays")):
        read_table(tmp_path / "x.npy", sep=";")
    np.savez(tmp_path / "x.npz", values=np.eye(3), time=[1, 2, 3])
    assert read_table(tmp_path / "x.npz", no_time=True)[0].index.tolist() == [0, 1, 2]
