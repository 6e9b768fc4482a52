"""Places of nodes from text files: columns in any order and language of numbers, names as they are written."""

from __future__ import annotations

import pytest

from stmest import DataError
from stmest.io.coordinates import read_coordinates

NODES = ["007", "b", 12]
PLACES = {"007": (48.5, -4.25), "b": (47.0, 2.0), 12: (50.0, 3.0)}


def _written(tmp_path, text):
    path = tmp_path / "places.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "node,lat,lon\n007,48.5,-4.25\nb,47,2\n12,50,3\n",
        "Longitude;Latitude;Station\n-4,25;48,5;007\n2,0;47,0;b\n3,0;50,0;12\n",
        "name\theight\tlng\tlat\n007\t3\t-4.25\t48.5\nb\t4\t2\t47\n12\t5\t3\t50\nelsewhere\t1\t0\t0\n",
        "row,sensor_id,x,y\n1,b,2,47\n2,12,3,50\n3,007,-4.25,48.5\n",
    ],
)
def test_columns_are_found_by_name_and_names_stay_as_written(tmp_path, text):
    assert read_coordinates(_written(tmp_path, text), NODES) == PLACES


def test_nodes_that_the_file_does_not_place_are_left_out(tmp_path):
    assert read_coordinates(_written(tmp_path, "node,lat,lon\nb,47,2\n"), NODES) == {"b": (47.0, 2.0)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("node,lat,height\nb,47,2\n", "has the columns node, lat, height; needed: node, lat and lon"),
        ("lat,lon\n47,2\n", "no column of names"),
        ("node,lat,lon\nb,47,2\nb,48,2\n", "'b'.* more than once"),
        ("node,lat,lon\nc,47,2\n", "'c'.* none of the nodes of the data"),
        ("node,lat,lon\nb,north,2\n", "north"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        read_coordinates(_written(tmp_path, text), NODES)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        read_coordinates(tmp_path / "absent.csv", NODES)
