"""Layouts of tables that people bring: read right, or refused with what was seen. Never read wrong."""

from __future__ import annotations

import bz2
import gzip
import importlib.util
import lzma
import zipfile

import numpy as np
import pandas as pd
import pytest

from stmest import DataError
from stmest.io.tables import read_table

TIMES = pd.date_range("2024-01-01 00:00", periods=24, freq="h")
METER = np.arange(100.0, 124.0)
B = np.arange(24.0) % 7 + 0.5
WRITTEN = [f"{t:%Y-%m-%d %H:%M}" for t in TIMES]

excel = pytest.mark.skipif(importlib.util.find_spec("openpyxl") is None, reason="openpyxl is not installed")


def _file(tmp_path, text, name="data.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_text(text, encoding=encoding)
    return path


def _lines(header, rows, separator=","):
    return "\n".join(separator.join(row) for row in ([header] if header else []) + rows) + "\n"


def _read(path, **settings):
    return read_table(path, **settings)[0]


def _check(frame, columns=("meter", "b"), index=TIMES):
    assert list(frame.index) == list(index)
    assert [str(c) for c in frame.columns] == list(columns)
    np.testing.assert_array_equal(frame.to_numpy(), np.column_stack([METER, B]))


def _rows(form="{:g}"):
    return [[t, form.format(m), form.format(b)] for t, m, b in zip(WRITTEN, METER, B, strict=True)]


SEPARATORS = pytest.mark.parametrize("separator", [",", ";", "\t", "|"])


# ---------------------------------------------------------------- K2, K21: a cell more or less


@SEPARATORS
def test_a_separator_at_the_end_of_the_rows_moves_nothing(tmp_path, separator):
    rows = [[*row, ""] for row in _rows()]
    _check(_read(_file(tmp_path, _lines(["time", "meter", "b"], rows, separator))))


@SEPARATORS
@pytest.mark.parametrize("n_empty", [1, 3])
def test_separators_at_the_end_of_all_lines_are_no_sensors(tmp_path, separator, n_empty):
    rows = [[*row, *[""] * n_empty] for row in _rows()]
    frame = _read(_file(tmp_path, _lines(["time", "meter", "b", *[""] * n_empty], rows, separator)))
    _check(frame)
    assert "without a name" in frame.attrs["notes"][0]


def test_a_separator_at_the_end_of_the_header_alone(tmp_path):
    _check(_read(_file(tmp_path, _lines(["time", "meter", "b", ""], _rows()))))


@SEPARATORS
def test_a_header_that_lacks_the_name_of_the_first_column(tmp_path, separator):
    _check(_read(_file(tmp_path, _lines(["meter", "b"], _rows(), separator))))


def test_numbers_of_rows_that_have_no_name_in_the_header(tmp_path):
    rows = [[str(i + 1), *row] for i, row in enumerate(_rows())]
    _check(_read(_file(tmp_path, _lines(["time", "meter", "b"], rows))))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (["time", "meter"], "the header has 2 names"),
        (["time"], "has values but no name"),
        (["time", "meter", ""], "column 3 of 3 has values but no name"),
    ],
)
def test_a_header_that_is_too_short_is_refused(tmp_path, header, words):
    with pytest.raises(DataError, match=words):
        _read(_file(tmp_path, _lines(header, _rows())))


def test_a_longer_row_further_down_is_refused(tmp_path):
    rows = _rows()
    rows[20] = [*rows[20], "5"]
    with pytest.raises(DataError, match=r"the header has 3 names .* 4 cells"):
        _read(_file(tmp_path, _lines(["time", "meter", "b"], rows)))
    with pytest.raises(DataError, match="cannot be read as csv"):
        _read(_file(tmp_path, _lines(["time", "meter", "b"], _rows() * 20 + rows)))


def test_rows_that_are_shorter_than_the_header_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"the header has 4 names .* the rows have 3 cells"):
        _read(_file(tmp_path, _lines(["time", "meter", "b", "c"], _rows())))
    rows = _rows()
    rows[3] = rows[3][:2]  # a single one has an empty cell at its end
    assert np.isnan(_read(_file(tmp_path, _lines(["time", "meter", "b"], rows))).iloc[3, 1])


def test_a_line_that_names_the_separator(tmp_path):
    for start in ("sep=;\n", '"sep=;"\r\n'):
        _check(_read(_file(tmp_path, start + _lines(["time", "meter", "b"], _rows(), ";"))))


def test_an_empty_sensor_that_has_a_name_stays(tmp_path):
    frame = _read(_file(tmp_path, _lines(["time", "a", "b"], [[t, "1", ""] for t in WRITTEN])))
    assert frame.columns.tolist() == ["a", "b"]
    assert frame["b"].isna().all()


# ---------------------------------------------------------------- K3: numbers of rows, and where the time stands


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "index", "No", "id"])
@pytest.mark.parametrize("numeric", [True, False])
@pytest.mark.parametrize("start", [0, 1])
def test_a_running_number_before_the_time_is_no_time(tmp_path, name, numeric, start):
    when = [str(1700000000 + 3600 * h) for h in range(24)] if numeric else WRITTEN
    rows = [[str(start + i), t, *row[1:]] for i, (t, row) in enumerate(zip(when, _rows(), strict=True))]
    index = pd.date_range("2023-11-14 22:13:20", periods=24, freq="h") if numeric else TIMES
    _check(_read(_file(tmp_path, _lines([name, "timestamp", "meter", "b"], rows))), index=index)


def test_labels_of_rows_that_are_no_running_number(tmp_path):
    rows = [[str(7 + 3 * i), *row] for i, row in enumerate(_rows())]
    _check(_read(_file(tmp_path, _lines(["", "time", "meter", "b"], rows))))


def test_a_running_number_in_front_of_a_long_table(tmp_path):
    long = (
        pd.DataFrame({"meter": METER, "b": B}, index=TIMES.rename("time"))
        .reset_index()
        .melt("time", var_name="node")
    )
    long.to_csv(tmp_path / "long.csv")
    _check(_read(tmp_path / "long.csv"))
    long.to_csv(tmp_path / "again.csv.gz")
    again = pd.read_csv(tmp_path / "again.csv.gz")  # has Unnamed: 0
    again.to_parquet(tmp_path / "again.parquet")
    _check(_read(tmp_path / "again.parquet"))


@pytest.mark.parametrize("name", ["time", "Timestamp", "datum", "when", ""])
def test_dates_are_the_time_wherever_they_stand(tmp_path, name):
    rows = [[m, b, t] for t, m, b in _rows()]
    if not name:
        with pytest.raises(DataError, match="column 3 of 3 has values but no name"):
            _read(_file(tmp_path, _lines(["meter", "b", name], [[*row[:2], "5"] for row in rows])))
        return
    _check(_read(_file(tmp_path, _lines(["meter", "b", name], rows))))


def test_two_columns_of_times_are_refused(tmp_path):
    rows = [[t, t, m] for t, m, _ in _rows()]
    with pytest.raises(DataError, match=r"'begin' .* and 'end' .*one column of times"):
        _read(_file(tmp_path, _lines(["begin", "end", "a"], rows)))


def test_columns_of_year_month_day_hour_after_a_running_number(tmp_path):
    rows = [
        [str(i + 1), f"{t:%Y}", f"{t:%m}", f"{t:%d}", f"{t:%H}", *row[1:]]
        for i, (t, row) in enumerate(zip(TIMES, _rows(), strict=True))
    ]
    frame = _read(_file(tmp_path, _lines(["No", "year", "month", "day", "hour", "meter", "b"], rows)))
    _check(frame)


@pytest.mark.parametrize("name", ["meter", "kwh"])
def test_a_rising_sensor_does_not_become_the_time(tmp_path, name):
    rows = [[f"{100 + h * h}", "1"] for h in range(24)]
    with pytest.raises(DataError, match="is it the time or a sensor"):
        _read(_file(tmp_path, _lines([name, "b"], rows)))


def test_a_table_without_times_has_numbered_rows(tmp_path):
    frame = _read(_file(tmp_path, "b,c\n0.5,1\n1.5,7\n0.1,3\n"))
    assert frame.index.tolist() == [0, 1, 2]
    assert frame.columns.tolist() == ["b", "c"]
    assert "no column holds times" in frame.attrs["notes"][0]


# ---------------------------------------------------------------- K22: sensors as rows

DAYS = pd.date_range("2024-01-01", periods=5, freq="D")


@pytest.mark.parametrize("ids", [[400001, 400002, 400003], [7, 3, 5], ["a", "b", "c"], ["007", "008", "010"]])
@pytest.mark.parametrize("label", ["id", "", "sensor"])
@pytest.mark.parametrize(
    ("form", "separator"), [("%Y-%m-%d", ","), ("%d.%m.%Y", ";"), ("%Y-%m-%d %H:%M", "\t"), ("%Y%m%d", "|")]
)
def test_a_row_per_sensor_is_turned(tmp_path, ids, label, form, separator):
    rows = [[str(name), *(f"{10 * i + j}" for j in range(5))] for i, name in enumerate(ids)]
    text = _lines([label, *DAYS.strftime(form)], rows, separator)
    frame = _read(_file(tmp_path, text))
    assert frame.index.tolist() == list(DAYS)
    assert frame.columns.tolist() == ids
    assert frame.to_numpy().tolist() == [[j, 10 + j, 20 + j] for j in range(5)]


def test_a_row_per_sensor_in_parquet(tmp_path):
    frame = pd.DataFrame(
        {"id": [400001, 400002], **{f"{t:%Y-%m-%d}": [i, 10.0 + i] for i, t in enumerate(DAYS)}}
    )
    frame.to_parquet(tmp_path / "rows.parquet")
    read = _read(tmp_path / "rows.parquet")
    assert read.index.tolist() == list(DAYS)
    assert read[400002].tolist() == [10, 11, 12, 13, 14]


@pytest.mark.parametrize(
    ("header", "index"),
    [
        ("id,Jan 2024,Feb 2024,Mar 2024", pd.date_range("2024-01-01", periods=3, freq="MS")),
        ("id,1/13/24,1/14/24,1/15/24", pd.date_range("2024-01-13", periods=3)),
        ("id,1700000000,1700003600,1700007200", pd.date_range("2023-11-14 22:13:20", periods=3, freq="h")),
        ("country,2001,2002,2003", [2001, 2002, 2003]),
        (",2024-01-01 00:00,2024-01-01 01:00,2024-01-01 02:00", TIMES[:3]),
    ],
)
@pytest.mark.parametrize("numbered", [True, False])
def test_times_in_a_header(tmp_path, header, index, numbered):
    names = ["a", "b"]
    rows = [[name, "1", "2", "3"] for name in names]
    if numbered and header.startswith(",2024"):  # numbers of rows before the names
        header, rows = f",{header}".replace(",,", ",id,"), [[str(i), *row] for i, row in enumerate(rows)]
    frame = _read(_file(tmp_path, header + "\n" + _lines(None, rows)))
    assert list(frame.index) == list(index)
    assert frame.columns.tolist() == names


@pytest.mark.parametrize("header", ["V1,V2,V3,V4", "id,t1,t2,t3", ",0,1,2", "station,2001,2002,2003"])
def test_a_row_per_sensor_with_numbered_times(tmp_path, header):
    frame = _read(_file(tmp_path, f"{header}\nH1,5,6,7\nH2,8,9,\n"))
    assert frame.columns.tolist() == ["H1", "H2"]
    assert len(frame) == 3
    np.testing.assert_array_equal(frame.to_numpy(), [[5, 8], [6, 9], [7, np.nan]])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,lat,2024-01-01,2024-01-02,2024-01-03\n1,5,6,7,8\n2,5,6,7,8\n", "a row per sensor, but also lat"),
        ("id,2024-01-01,2024-01-02\n1,5,6\n1,7,8\n", "1 twice"),
        ("id,0,1,2\n0,5,6,7\n1,7,8,9\n", "a row per time or per sensor"),
        ("id,0,1,2\n1,5,6,7\n2,7,8,9\n", "a row per time or per sensor"),
        ("id,00:00,01:00,02:00\n7,5,6,7\n9,7,8,9\n", "times of day without a date"),
        ("id,1/1/24,1/2/24,1/3/24\n7,1,2,3\n9,4,5,6\n", "two ways that are equally good"),
        (",1/13/24,1/14/24,1/15/24\n7,1,2,3\n9,4,5,6\n", "may hold times or names of sensors"),
        ("name,x,y\nH1,5,6\nH2,7,8\n", "'name' has to be the time, but holds 'H1'"),
    ],
)  # fmt: skip
def test_sensors_as_rows_that_are_not_clear_are_refused(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        _read(_file(tmp_path, text))


@pytest.mark.parametrize("header", [",0,1,2", "time,2001,2002,2003"])
def test_sensors_that_are_numbered_are_no_times(tmp_path, header):
    frame = _read(_file(tmp_path, f"{header}\n0,5,6,7\n1,7,8,9\n"))
    assert frame.index.tolist() == [0, 1]
    assert frame.to_numpy().tolist() == [[5, 6, 7], [7, 8, 9]]


# ---------------------------------------------------------------- no header


@SEPARATORS
def test_a_file_without_a_header_keeps_its_first_row(tmp_path, separator):
    frame = _read(_file(tmp_path, _lines(None, _rows(), separator)))
    _check(frame, columns=("0", "1"))


def test_a_long_table_without_a_header(tmp_path):
    rows = [
        [t, name, f"{v:g}"]
        for name, values in (("meter", METER), ("b", B))
        for t, v in zip(WRITTEN, values, strict=True)
    ]
    _check(_read(_file(tmp_path, _lines(None, rows))))


def test_values_alone_as_numpy_writes_them(tmp_path):
    values = np.random.default_rng(0).normal(size=(30, 4))
    for delimiter in (",", " ", "\t", ";"):
        np.savetxt(tmp_path / "values.txt", values, delimiter=delimiter, fmt="%.6f")
        frame = _read(tmp_path / "values.txt")
        np.testing.assert_allclose(frame.to_numpy(), values, atol=1e-6)
        assert frame.index.tolist() == list(range(30))


@pytest.mark.parametrize("text", ["400001,400002\n1.5,2.5\n1.7,2.4\n1.6,2.5\n", "0,1,2\n5,3,9\n4,8,1\n"])
def test_a_first_row_of_numbers_that_may_be_names_is_refused(tmp_path, text):
    with pytest.raises(DataError, match="may be names or values"):
        _read(_file(tmp_path, text))


def test_numbered_times_without_a_header(tmp_path):
    frame = _read(_file(tmp_path, "10,1.5,2\n20,1.7,3\n30,1.6,2\n"))
    assert frame.index.tolist() == [10, 20, 30]
    assert frame[0].tolist() == [1.5, 1.7, 1.6]


# ---------------------------------------------------------------- K19: separators, decimal marks, encodings


@pytest.mark.parametrize("separator", [";", "\t", "|", ","])
@pytest.mark.parametrize("header", [["time", "Main St, north", "a;b | c"], ["time", "1,5", "x"]])
def test_quoted_names_with_separators_in_them(tmp_path, separator, header):
    rows = [[f'"{t}"', m, b] for t, m, b in _rows()]
    frame = _read(_file(tmp_path, _lines([f'"{name}"' for name in header], rows, separator)))
    _check(frame, columns=header[1:])


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("quoted", [True, False])
def test_decimal_commas(tmp_path, separator, quoted):
    rows = [
        [t, *(f'"{c}"' if quoted else c for c in (m.replace(".", ","), b.replace(".", ",")))]
        for t, m, b in _rows()
    ]
    _check(_read(_file(tmp_path, _lines(["time", "meter", "b"], rows, separator))))


def test_decimal_commas_in_quotes_between_commas(tmp_path):
    rows = [[t, m, '"' + b.replace(".", ",") + '"'] for t, m, b in _rows()]
    _check(_read(_file(tmp_path, _lines(["time", "meter", "b"], rows))))


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["1.234,5", "2,25", "-0,5"], [1234.5, 2.25, -0.5]),
        (["1,234.5", "2.25", "-0.5"], [1234.5, 2.25, -0.5]),
        (["1 234,5", "12 345 678,5", "3"], [1234.5, 12345678.5, 3]),
        (["1'234.5", "2.5", "3"], [1234.5, 2.5, 3]),
        (["1,5e3", "2,5", "\u22123,5"], [1500, 2.5, -3.5]),
        (["1.234.567", "2.345.678", "12"], [1234567, 2345678, 12]),
        (["12,345", "0,5", "1,5"], [12.345, 0.5, 1.5]),
    ],
)
def test_separators_of_thousands(tmp_path, cells, numbers):
    rows = [[t, f'"{cell}"'] for t, cell in zip(WRITTEN, cells, strict=False)]
    for separator in (",", ";", "\t"):
        assert _read(_file(tmp_path, _lines(["time", "a"], rows, separator)))["a"].tolist() == numbers


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_point_parts_thousands_where_another_cell_shows_it(tmp_path, separator):
    rows = [["time", "a", "b"], ["2024-01-01", "1.234", "2.000,5"], ["2024-01-02", "5.678", "3,5"]]
    assert _read(_file(tmp_path, _lines(None, rows, separator))).to_numpy().tolist() == [
        [1234, 2000.5],
        [5678, 3.5],
    ]


def test_decimal_points_stay_beside_marks_of_missing_values(tmp_path):
    text = "time;a;b\n2024-01-01;4.216;?\n2024-01-02;5.360;?\n"
    assert _read(_file(tmp_path, text), missing="?")["a"].tolist() == [4.216, 5.36]


def test_columns_with_different_decimal_marks(tmp_path):
    text = "time;a;b\n2024-01-01;1.25;2,5\n2024-01-02;5.6;3,5\n"
    assert _read(_file(tmp_path, text)).to_numpy().tolist() == [[1.25, 2.5], [5.6, 3.5]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('time,a\n2024-01-01,"1,234"\n2024-01-02,"5,678"\n', r"'1,234', which may be 1234 or 1\.234"),
        ("time\ta\n2024-01-01\t1,234\n2024-01-02\t5,678\n", r"'1,234', which may be"),
        ("time;a;b\n2024-01-01;1.234;2,5\n2024-01-02;5.678;3,5\n", r"'1\.234', which may be 1\.234 or 1234"),
        ("time;a;b\n2024-01-01;1.234;2,512\n2024-01-02;5.678;3,512\n", "which may be"),
        ("time;a\n2024-01-01;1.25\n2024-01-02;5,6\n", "one decimal mark in a column"),
        ("time;a\n2024-01-01;1.2.3\n2024-01-02;5\n", r"'1\.2\.3' in row 1"),
    ],
)  # fmt: skip
def test_numbers_that_may_be_two_are_refused(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        _read(_file(tmp_path, text))


def test_commas_between_semicolons_are_decimal(tmp_path):
    assert _read(_file(tmp_path, "time;a\n2024-01-01;1,234\n2024-01-02;5,678\n"))["a"].tolist() == [
        1.234,
        5.678,
    ]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"]
)
@SEPARATORS
def test_encodings(tmp_path, encoding, separator):
    path = _file(tmp_path, _lines(["time", "Zürich", "Köln"], _rows(), separator), encoding=encoding)
    frame = _read(path)
    _check(frame, columns=("Zürich", "Köln"))
    assert any("Windows-1252" in note for note in frame.attrs.get("notes", [])) == (
        encoding in ("latin-1", "cp1252")
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_ends_of_lines(tmp_path, end):
    (tmp_path / "data.csv").write_bytes(_lines(["time", "meter", "b"], _rows()).replace("\n", end).encode())
    _check(_read(tmp_path / "data.csv"))


@pytest.mark.parametrize(("suffix", "opened"), [(".gz", gzip.open), (".bz2", bz2.open), (".xz", lzma.open)])
def test_compressed(tmp_path, suffix, opened):
    with opened(tmp_path / f"data.csv{suffix}", "wt", encoding="latin-1") as file:
        file.write(_lines(["time", "Zürich", "b"], _rows(), ";"))
    _check(_read(tmp_path / f"data.csv{suffix}"), columns=("Zürich", "b"))


def test_zipped(tmp_path):
    with zipfile.ZipFile(tmp_path / "data.csv.zip", "w") as archive:
        archive.writestr("inner.csv", _lines(["time", "meter", "b"], _rows()))
    _check(_read(tmp_path / "data.csv.zip"))
    with zipfile.ZipFile(tmp_path / "data.csv.zip", "a") as archive:
        archive.writestr("other.csv", "x")
    with pytest.raises(DataError, match="holds 2 files"):
        _read(tmp_path / "data.csv.zip")


def test_names_stay_as_they_are_written(tmp_path):
    long = "time,node,value\n" + "".join(
        f"{t},{n},{i}\n" for n in ("007", "NA", "None", "1e3") for i, t in enumerate(WRITTEN)
    )
    assert _read(_file(tmp_path, long)).columns.tolist() == ["007", "NA", "None", "1e3"]
    written = "".join(f"{t};{n};1,5\n" for n in "ab" for t in WRITTEN)
    assert _read(_file(tmp_path, "Zeit;Station;Wert\n" + written)).shape == (24, 2)
    quoted = '"time" "Main St" "b"\n' + "".join(
        f'"{i}" "{t}" 1.5 2\n' for i, t in enumerate(WRITTEN, start=1)
    )  # as R writes it
    assert _read(_file(tmp_path, quoted)).columns.tolist() == ["Main St", "b"]
    assert _read(_file(tmp_path, _lines(["time", "007", "7"], _rows()))).columns.tolist() == ["007", "7"]


@pytest.mark.parametrize(
    "names", [("time", "sensor_id", "speed"), ("Timestamp", "station", "pm25"), ("speed", "id", "date")]
)
def test_long_tables_under_other_names(tmp_path, names):
    parts = [
        {"time": t, "id": n, "v": f"{v:g}"}
        for n, values in (("meter", METER), ("b", B))
        for t, v in zip(WRITTEN, values, strict=True)
    ]
    order = ["v", "id", "time"] if names[0] == "speed" else ["time", "id", "v"]
    _check(_read(_file(tmp_path, _lines(list(names), [[row[key] for key in order] for row in parts]))))


def test_a_long_table_with_several_values_is_refused(tmp_path):
    rows = [[t, "a", m, b] for t, m, b in _rows()]
    with pytest.raises(DataError, match="seems to name the nodes of a long table"):
        _read(_file(tmp_path, _lines(["time", "station", "flow", "speed"], rows)))


# ---------------------------------------------------------------- Excel


@excel
@pytest.mark.parametrize("as_text", [True, False])
def test_excel(tmp_path, as_text):
    frame = pd.DataFrame({"meter": METER, "b": B}, index=pd.Index(WRITTEN if as_text else TIMES, name="time"))
    frame.to_excel(tmp_path / "data.xlsx")
    _check(_read(tmp_path / "data.xlsx"))


@excel
def test_excel_with_a_table_in_the_middle_and_other_sheets(tmp_path):
    frame = pd.DataFrame({"meter": METER, "b": B}, index=TIMES.rename("time"))
    with pd.ExcelWriter(tmp_path / "data.xlsx") as writer:
        pd.DataFrame().to_excel(writer, sheet_name="empty")
        frame.to_excel(writer, sheet_name="values", startrow=3, startcol=2)
        frame.to_excel(writer, sheet_name="more")
    read = _read(tmp_path / "data.xlsx")
    _check(read)
    assert "'values' was read; not used: more" in read.attrs["notes"][0]


@excel
def test_excel_without_a_header_and_with_sensors_as_rows(tmp_path):
    pd.DataFrame({"t": TIMES, "m": METER, "b": B}).to_excel(tmp_path / "data.xlsx", header=False, index=False)
    _check(_read(tmp_path / "data.xlsx"), columns=("0", "1"))
    pd.DataFrame(
        [[5.0, 6.0], [7.0, 8.0]], index=pd.Index([400001, 400002], name="id"), columns=DAYS[:2]
    ).to_excel(tmp_path / "rows.xlsx")
    turned = _read(tmp_path / "rows.xlsx")
    assert turned.index.tolist() == list(DAYS[:2])
    assert turned[400002].tolist() == [7, 8]


@excel
def test_broken_excel(tmp_path):
    (tmp_path / "data.xlsx").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(DataError, match=r"data\.xlsx"):
        _read(tmp_path / "data.xlsx")


# ---------------------------------------------------------------- parquet and feather


@pytest.mark.parametrize("kind", ["parquet", "feather"])
@pytest.mark.parametrize("index", ["times", "named", "texts", "columns"])
def test_arrow_files(tmp_path, kind, index):
    frame = pd.DataFrame({"meter": METER, "b": B}, index=TIMES)
    if index == "columns":
        frame = frame.reset_index(names="time")
    else:
        frame.index = {"times": TIMES, "named": TIMES.rename("time"), "texts": WRITTEN}[index]
    (frame.to_parquet if kind == "parquet" else frame.to_feather)(tmp_path / f"data.{kind}")
    _check(_read(tmp_path / f"data.{kind}"))


def test_arrow_types_and_text_numbers_in_parquet(tmp_path):
    frame = pd.DataFrame(
        {"time": TIMES, "meter": METER, "b": [f"{b}".replace(".", ",") for b in B]}
    ).convert_dtypes(dtype_backend="pyarrow")
    frame.to_parquet(tmp_path / "data.parquet")
    _check(_read(tmp_path / "data.parquet"))


# ---------------------------------------------------------------- neighbours


@pytest.mark.parametrize("name", ["row", "index", "No", "Unnamed: 0.1", "step"])
def test_labels_of_rows_in_front_are_no_sensor(tmp_path, name):
    order = np.arange(24) if name in ("step", "Unnamed: 0.1") else 1000 + 5 * np.arange(24) % 24
    front = [name] if name != "Unnamed: 0.1" else ["Unnamed: 0.1", "Unnamed: 0"]
    rows = [[str(n)] * len(front) + row for n, row in zip(order, _rows(), strict=True)]
    _check(_read(_file(tmp_path, _lines([*front, "time", "meter", "b"], rows))))


def test_a_running_number_without_a_header(tmp_path):
    frame = _read(_file(tmp_path, _lines(None, [[str(i), *row] for i, row in enumerate(_rows())])))
    assert frame.columns.tolist() == [0, 1]
    assert list(frame.index) == list(TIMES)
    np.testing.assert_array_equal(frame[0], METER)


@pytest.mark.parametrize("name", ["Date/Time", "time (UTC)", "unixtime", "DATETIME_UTC"])
def test_a_running_number_before_other_names_of_times(tmp_path, name):
    rows = [[str(i), str(1700000000 + 3600 * i), *row[1:]] for i, row in enumerate(_rows())]
    index = pd.date_range("2023-11-14 22:13:20", periods=24, freq="h")
    _check(_read(_file(tmp_path, _lines(["", name, "meter", "b"], rows))), index=index)


def test_names_of_nodes_are_no_times(tmp_path):
    with pytest.raises(DataError, match=r"column 'sensor' seems to name nodes"):
        _read(_file(tmp_path, "sensor,Mon,Tue,Wed\n" + "".join(f"{400001 + i},1,2,3\n" for i in range(9))))


def test_cells_that_are_lists(tmp_path):
    pd.DataFrame({"time": TIMES, "a": [[1, 2]] * 24}).to_parquet(tmp_path / "lists.parquet")
    with pytest.raises(DataError, match=r"column 'a' holds .* no number"):
        _read(tmp_path / "lists.parquet")


def test_feather_is_measured_before_it_is_read(tmp_path, monkeypatch):
    frame = pd.DataFrame({"time": TIMES, "meter": METER, "b": B})
    frame.to_feather(tmp_path / "a.feather", compression="zstd")
    _check(_read(tmp_path / "a.feather"))
    monkeypatch.setattr("stmest.runtime.free_memory", lambda: 500)
    monkeypatch.setattr(pd, "read_feather", None)
    with pytest.raises(DataError, match="576 bytes of values, 500 bytes of memory are free"):
        _read(tmp_path / "a.feather")


@pytest.mark.parametrize("integers", [True, False])
def test_decimal_commas_beside_whole_numbers_and_what_parts_thousands(tmp_path, integers):
    text = "time;a;b\n" + "".join(
        f"{t};{i},5;{'1.000' if not integers else 1000}\n" for i, t in enumerate(WRITTEN)
    )
    path = _file(tmp_path, text)
    if integers:
        frame = _read(path)
        assert frame["b"].tolist() == [1000] * 24
        assert frame["a"].tolist() == [i + 0.5 for i in range(24)]
    else:
        with pytest.raises(DataError, match=r"column 'b' holds '1.000', which may be"):
            _read(path)
