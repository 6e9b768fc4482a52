"""Promise: whatever is done to a model file, opening it ends in a model or in `ModelFileError`, at once and in little memory."""

from __future__ import annotations

import contextlib
import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stmest.exceptions import ModelFileError
from stmest.storage.tensor_file import write_tensor_file

from .mutations import content_of, opened, places, replaced, signed, sound_files

QUICK = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NUMBERS = [-1, 0, 1, 2, 3, 7, 10**6, 10**9, 2**63, 10**30, 0.5, -0.0, 1e308]
WORDS = [
    "", "a", "LastValue", "RidgeForecaster", "weights_", "array", "tuple", "dict", "scalar", "float64", "O", "M8[ns]",
    "<U9", "RandomState", "Graph", "Index", "DatetimeIndex", "Panel", "Predictor", "NodeScaler", "os", "day",
    "Europe/Berlin", "h",
]  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return sound_files(tmp_path_factory.mktemp("sound"))


def test_sound_files_open(files, tmp_path):
    assert all(opened(file, tmp_path, use=True) and opened(signed(file), tmp_path) for file in files)


@QUICK
@given(st.data())
def test_changed_bytes_never_open(files, tmp_path, data):
    file = bytearray(data.draw(st.sampled_from(files)))
    for _ in range(data.draw(st.integers(1, 4))):
        # the beginning is where lengths, names and numbers are
        position = data.draw(st.integers(0, len(file) - 1) | st.integers(0, 300))
        file[position] = data.draw(st.integers(0, 255))
    if bytes(file) not in files:
        assert not opened(bytes(file), tmp_path)


@QUICK
@given(st.data())
def test_changed_bytes_with_a_right_checksum(files, tmp_path, data):
    file = bytearray(data.draw(st.sampled_from(files)))
    position = data.draw(st.integers(0, len(file) - 1) | st.integers(0, 6000))
    kind = data.draw(st.sampled_from(["replace", "insert", "delete", "cut"]))
    chunk = data.draw(
        st.binary(min_size=1, max_size=4) | st.sampled_from([b"9", b"-", b"e", b'"', b"[", b"{", b"null"])
    )
    if kind == "replace":
        file[position : position + len(chunk)] = chunk
    elif kind == "insert":
        file[position:position] = chunk
    elif kind == "delete":
        del file[position : position + len(chunk)]
    else:
        del file[position:]
    opened(signed(bytes(file)), tmp_path, use=True)


@QUICK
@given(st.integers(0, 2**32 - 1))
def test_changed_content_with_a_right_checksum(files, tmp_path, seed):
    choose = random.Random(seed)
    document, arrays = content_of(choose.choice(files))
    everywhere = sorted(places(document), key=str)
    parts = [_at(document, place) for place in everywhere]
    for _ in range(choose.randint(1, 2)):
        value = choose.choice(parts) if choose.random() < 0.5 else _json(choose)
        with contextlib.suppress(KeyError, IndexError, TypeError):  # the first change took the place away
            document = replaced(document, choose.choice(everywhere), value)
    if arrays and choose.random() < 0.5:
        name = choose.choice(sorted(arrays))
        with np.errstate(all="ignore"):  # numbers that do not fit into the other type
            arrays[name] = _changed(arrays[name], choose)
    write_tensor_file(tmp_path / "changed", document, arrays)
    opened((tmp_path / "changed").read_bytes(), tmp_path, use=True)


def _json(choose, depth=0):
    """A small JSON value."""
    kind = choose.choice(["plain", "number", "word", "list", "dict"][: 5 if depth < 2 else 3])
    if kind == "list":
        return [_json(choose, depth + 1) for _ in range(choose.randint(0, 3))]
    if kind == "dict":
        keys = choose.sample([*WORDS, "kind"], choose.randint(0, 3))
        return {key: _json(choose, depth + 1) for key in keys}
    return choose.choice({"plain": [None, False, True], "number": NUMBERS, "word": WORDS}[kind])


def _at(node, place):
    for key in place:
        node = node[key]
    return node


def _changed(array, choose):
    kind = choose.choice(["dtype", "flat", "empty", "wide", "values"])
    if kind == "dtype":
        return array.astype(choose.choice(["bool", "int8", "int64", "float16", "float64"]))
    if kind == "flat":
        return array.reshape(-1)
    if kind == "empty":
        return array.reshape(-1)[:0].reshape(0, 10**9)
    if kind == "wide":
        return array[..., None]
    return array * 0 - 1 if array.dtype != bool else ~array


def test_random_bytes(tmp_path):
    for content in (
        b"",
        b"\0" * 100,
        bytes(range(256)) * 10,
        b"PK\x03\x04" + b"\0" * 100,
        b"\x93NUMPY" + b"\1" * 100,
    ):
        assert not opened(content, tmp_path)
    assert issubclass(ModelFileError, ValueError)
