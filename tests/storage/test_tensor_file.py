"""The file below model files and checkpoints: whole or not there, every byte checked, nothing believed."""

from __future__ import annotations

import errno
import json
import os
import struct
import threading

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save

from stmest.exceptions import ModelFileError, StorageError
from stmest.storage import tensor_file
from stmest.storage.tensor_file import TENSOR_DTYPES, parse, read_tensor_file, write_tensor_file

ARRAYS = {dtype: np.arange(6).reshape(2, 3).astype(dtype) for dtype in sorted(TENSOR_DTYPES)}
DOCUMENT = {"class": "A", "text": 'sha256":"' + "0" * 64, "list": [1, None, 0.1]}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "x.safetensors"
    write_tensor_file(path, DOCUMENT, ARRAYS)
    return path


def test_there_and_back(path):
    document, arrays = read_tensor_file(path)
    assert {key: document[key] for key in DOCUMENT} == DOCUMENT
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


def test_same_content_same_bytes(path, tmp_path):
    write_tensor_file(tmp_path / "y", DOCUMENT, ARRAYS)
    assert (tmp_path / "y").read_bytes() == path.read_bytes()


def test_safetensors_itself_reads_it(path):
    with safe_open(path, "numpy") as file:
        assert json.loads(file.metadata()["stmest"])["format"] == tensor_file.FORMAT
        np.testing.assert_array_equal(file.get_tensor("float32"), ARRAYS["float32"])


def test_every_flipped_byte_and_every_truncation_is_found(path):
    content = path.read_bytes()
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        with pytest.raises(ModelFileError):
            parse(bytes(changed), "x")
    for length in range(len(content)):
        with pytest.raises(ModelFileError):
            parse(content[:length], "x")
    with pytest.raises(ModelFileError, match="SHA-256"):
        parse(content + b"\0", "x")


def _file(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def _metadata(**document):
    return {"__metadata__": {"stmest": json.dumps({"format": 1, "sha256": "0" * 64, **document})}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "0 bytes"),
        (b"\x80\x04\x95\x10\0\0\0\0\0\0\0cos\nsystem\n(S'true'\ntR.", "header"),
        (struct.pack("<Q", 2**63) + b"{}" * 50, "claims a header of"),
        (_file(b"[" * 100_000), "no JSON"),
        (_file(b"\xff\xfe"), "no JSON"),
        (_file(b"9" * 5000), "no JSON"),
        (_file([]), "no JSON object"),
        (_file({}), "no file of stmest"),
        (_file({"__metadata__": {"stmest": 3}}), "no file of stmest"),
        (_file({"__metadata__": {"stmest": "{"}}), "no JSON"),
        (_file({"__metadata__": {"stmest": "[" * 100_000}}), "no JSON"),
        (_file({"__metadata__": {"stmest": "{}"}}), "no format"),
        (_file(_metadata(format=2)), "format 2.*newer"),
        (_file(_metadata(format=True)), "format True"),
        (_file(_metadata(sha256=None)), "no SHA-256"),
        (_file(_metadata(sha256="é" * 64)), "no SHA-256"),
        (_file(_metadata(sha256="0" * 64, again="0" * 64)), "checksum"),
        (_file(_metadata()), "does not match its SHA-256"),
        (save({"a": np.zeros(3)}), "no file of stmest"),
    ],
)
def test_what_is_no_such_file(tmp_path, content, words):
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=words) as caught:
        read_tensor_file(path)
    assert str(path) in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [10**15], "data_offsets": [0, 4 * 10**15]},
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
        {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]},
        {"dtype": "object", "shape": [1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
    ],
)
def test_tables_that_claim_what_is_not_there(tmp_path, entry):
    """With a right checksum, as somebody who means harm would write it."""
    path = tmp_path / "x"
    path.write_bytes(_signed(_file({**_metadata(), "a": entry}, b"\0\0\0\0")))
    with pytest.raises(ModelFileError, match=r"table of tensors|dtype"):
        read_tensor_file(path)


def _signed(content):
    import hashlib

    return content.replace(b"0" * 64, hashlib.sha256(content).hexdigest().encode())


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_tensor_file(tmp_path / "missing")


# ---------------------------------------------------------------- writing


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_last_good_file(path, monkeypatch, step):
    good = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if step == "write":
        real = open

        class Full:
            def __init__(self, file):
                self.file = file

            def __enter__(self):
                return self

            def __exit__(self, *error):
                self.file.close()

            write = full

        monkeypatch.setattr(tensor_file, "open", lambda *args: Full(real(*args)), raising=False)
    else:
        monkeypatch.setattr(os, step, full)
    with pytest.raises(StorageError, match=r"No space left.*unchanged") as caught:
        write_tensor_file(path, DOCUMENT, ARRAYS)
    assert caught.value.errno == errno.ENOSPC
    assert isinstance(caught.value, OSError)
    assert path.read_bytes() == good
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(StorageError, match="another folder"):
        write_tensor_file(tmp_path / "missing" / "x", DOCUMENT, ARRAYS)
    with pytest.raises(StorageError):
        write_tensor_file(tmp_path, DOCUMENT, ARRAYS)


def test_readers_see_the_old_file_or_the_new_one(path):
    """Two writers and a reader: never half a file."""
    stop, seen = threading.Event(), set()

    def write(number):
        while not stop.is_set():
            write_tensor_file(path, {"number": number}, {"a": np.full(20_000, number)})

    write_tensor_file(path, {"number": 0}, {"a": np.full(20_000, 0)})
    writers = [threading.Thread(target=write, args=(number,)) for number in (1, 2)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(100):
            document, arrays = read_tensor_file(path)
            assert (arrays["a"] == document["number"]).all()
            seen.add(document["number"])
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert seen & {1, 2}


def test_headers_are_bounded_before_they_are_parsed(tmp_path, monkeypatch):
    """A header of tiny entries takes twenty times its size in Python; escapes hide it from a look at the bytes."""
    parsed = []
    monkeypatch.setattr(tensor_file.json, "loads", lambda text: parsed.append(text))
    entries = b"[" + b"{}," * 1_000_000 + b"{}]"
    with pytest.raises(ModelFileError, match=r"2,000,\d+ entries|entries; at most"):
        parse(_file(b'{"a":' + entries + b',"b":' + entries + b"}"), "x")
    with pytest.raises(ModelFileError, match="bytes; at most"):
        parse(_file(b"[" + b" " * (1 << 25) + b"]"), "x")
    assert parsed == []
    monkeypatch.undo()
    hidden = "[" + "{}\\u002c" * 1_100_000 + "]"
    with pytest.raises(ModelFileError, match="entries; at most"):
        parse(_file(b'{"__metadata__":{"stmest":"' + hidden.encode() + b'"}}'), "x")
    with pytest.raises(ModelFileError, match="20,002 arrays; at most"):
        parse(_file({**_metadata(), **{str(i): {} for i in range(20_001)}}), "x")


def test_what_could_not_be_read_again_is_not_written(tmp_path):
    with pytest.raises(ModelFileError, match=r"was not written: .* entries; at most .* numbers as names"):
        write_tensor_file(tmp_path / "x", {"names": list(range(3_000_000))}, {})
    assert not (tmp_path / "x").exists()
