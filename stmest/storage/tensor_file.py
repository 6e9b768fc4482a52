"""One file of tensors and a JSON document: safetensors with a checksum over every byte, replaced in one step.

The file is an ordinary safetensors file. Its metadata hold one entry, ``"stmest"``: a JSON document with the format
number, what the caller wants to keep, and the SHA-256 of the whole file (taken with zeros in the place of the digest).
Reading parses JSON and copies numbers; nothing in the file is ever executed. Used for model files and checkpoints.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from safetensors.numpy import save

from ..exceptions import ModelFileError, StorageError

__all__ = ["FORMAT", "TENSOR_DTYPES", "parse", "read_tensor_file", "write_bytes", "write_tensor_file"]

FORMAT = 1

# safetensors' names of the numbers that both numpy and the file know
_DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32",
    "U64": "uint64", "I64": "int64", "F16": "float16", "F32": "float32", "F64": "float64",
}  # fmt: skip
TENSOR_DTYPES = frozenset(_DTYPES.values())

_KEY = "stmest"
# Of files that are written and read. Of a table of so many entries Python makes about 250 MB; names of nodes are one entry each
_LARGEST_HEADER = 1 << 25
_MOST_ENTRIES = 1 << 21
_MOST_ARRAYS = 20_000
_NO_DIGEST = "0" * 64


def write_tensor_file(
    path: str | os.PathLike[str], document: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    """Write a document and arrays into one file, all or not at all.

    Parameters
    ----------
    path : str or path-like
        Where to; a file that is there is replaced in one step.
    document : dict
        Values that JSON knows; the keys ``"format"`` and ``"sha256"`` are added.
    arrays : dict of str to ndarray
        Arrays of the dtypes in `TENSOR_DTYPES`.

    Raises
    ------
    StorageError
        If the file cannot be written, for instance because the disk is full. A file that was there is unchanged.
    ModelFileError
        If there are more values than such a file may name.
    """
    whole = {"format": FORMAT, **document, "sha256": _NO_DIGEST}
    metadata = {_KEY: json.dumps(whole, ensure_ascii=True, allow_nan=False, separators=(",", ":"))}
    content = save({name: np.asarray(array, order="C") for name, array in arrays.items()}, metadata)
    wrong = _too_large(content[8 : 8 + int.from_bytes(content[:8], "little")], len(arrays))
    if wrong is not None:
        raise ModelFileError(
            f"{os.fspath(path)!r} was not written: {wrong}. Use numbers as names of nodes, or none."
        )
    digest = hashlib.sha256(content).hexdigest().encode()
    # quotes within the document are escaped once; the same words in a string of the document would be escaped twice
    mark = rb"\"sha256\":\""
    place = content.rindex(mark + _NO_DIGEST.encode(), 0, 8 + int.from_bytes(content[:8], "little")) + len(
        mark
    )
    write_bytes(path, [content[:place], digest, content[place + len(digest) :]])


def write_bytes(path: str | os.PathLike[str], pieces: list[bytes]) -> None:
    """Write bytes to a temporary file beside `path`, flush them to the disk, and put the file in its place.

    Parameters
    ----------
    path : str or path-like
        Where to.
    pieces : list of bytes
        The content.

    Raises
    ------
    StorageError
        If that fails; a file that was there is unchanged and no temporary file is left.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        with open(temporary, "xb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _flush_folder(target.parent)
    except OSError as error:
        size = sum(map(len, pieces))
        raise StorageError(
            error.errno,
            f"could not write {size:,} bytes to {str(target)!r}: {error.strerror or error}. A file that was there before "
            "is unchanged. Free some space, or write to another folder that exists and is yours.",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """Make the renaming itself last; systems that cannot open folders do without."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_tensor_file(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what `write_tensor_file` wrote.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    document : dict
        The JSON document.
    arrays : dict of str to ndarray
        The arrays, each its own copy.

    Raises
    ------
    ModelFileError
        If the file is no such file, was written in another format, is damaged, or claims more than it holds.
    OSError
        If there is no such file, or it may not be read.
    """
    return parse(Path(path).read_bytes(), os.fspath(path))


def parse(content: bytes, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """As `read_tensor_file`, from the bytes of a file; `name` is for the errors."""
    refuse = _refusal(name)
    header = _header(content, refuse)
    document = _document(header, refuse)
    digest = document["sha256"].encode()
    end = 8 + int.from_bytes(content[:8], "little")
    if content.count(digest, 0, end) != 1:
        raise refuse("its checksum is not stored where it should be")
    place = content.index(digest, 0, end)
    found = hashlib.sha256(content[:place] + _NO_DIGEST.encode() + content[place + len(digest) :]).hexdigest()
    if found != document["sha256"]:
        raise refuse(
            "its content does not match its SHA-256: the file was damaged or changed after it was written"
        )
    return document, _arrays(content, refuse)


def _refusal(name: str) -> Callable[[str], ModelFileError]:
    return lambda reason: ModelFileError(
        f"{name!r} was not loaded: {reason}. Needed: an undamaged file written by stmest."
    )


def _header(content: bytes, refuse: Callable[[str], ModelFileError]) -> dict[str, Any]:
    """The JSON header of a safetensors file, of which nothing is believed yet."""
    if len(content) < 10:
        raise refuse(f"it has {len(content)} bytes, too few for a safetensors file")
    length = int.from_bytes(content[:8], "little")
    if length > len(content) - 8:
        raise refuse(f"it claims a header of {length:,} bytes, the whole file has {len(content):,}")
    wrong = _too_large(content[8 : 8 + length])
    if wrong is not None:
        raise refuse(wrong)
    try:
        header = json.loads(content[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise refuse(f"its header is no JSON ({error})") from error
    if not isinstance(header, dict):
        raise refuse("its header is no JSON object")
    return header


def _too_large(text: bytes, n_arrays: int = 0) -> str | None:
    """Why JSON must not be parsed, as it would fill the memory; None where it may be."""
    if len(text) > _LARGEST_HEADER:
        return f"its header has {len(text):,} bytes; at most {_LARGEST_HEADER:,} are read"
    # each value comes after one of these; those within strings are counted too
    n_entries = sum(map(text.count, (b",", b":", b"[", b"{")))
    if n_entries > _MOST_ENTRIES:
        return f"its header has {n_entries:,} entries; at most {_MOST_ENTRIES:,} are read"
    if n_arrays > _MOST_ARRAYS:
        return f"it has {n_arrays:,} arrays; at most {_MOST_ARRAYS:,} are read"
    return None


def _document(header: dict[str, Any], refuse: Callable[[str], ModelFileError]) -> dict[str, Any]:
    metadata = header.get("__metadata__")
    text = metadata.get(_KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise refuse("it is no file of stmest (its metadata have no entry 'stmest')")
    wrong = _too_large(text.encode("utf-8", "replace"), len(header))  # again, as escapes may hide entries
    if wrong is not None:
        raise refuse(wrong)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise refuse(f"its metadata are no JSON ({error})") from error
    if not isinstance(document, dict) or "format" not in document:
        raise refuse("its metadata name no format")
    if type(document["format"]) is not int or document["format"] != FORMAT:
        raise refuse(
            f"it has format {document['format']!r}, this version of stmest reads format {FORMAT}; a newer stmest may read it"
        )
    digest = document.get("sha256")
    if (
        not isinstance(digest, str)
        or len(digest) != len(_NO_DIGEST)
        or not digest.isalnum()
        or not digest.isascii()
    ):
        raise refuse("its metadata hold no SHA-256")
    return document


def _arrays(content: bytes, refuse: Callable[[str], ModelFileError]) -> dict[str, np.ndarray]:
    try:
        tensors = safetensors.deserialize(content)
    except safetensors.SafetensorError as error:
        raise refuse(f"its table of tensors is wrong ({error})") from error
    arrays = {}
    for name, tensor in tensors:
        if tensor["dtype"] not in _DTYPES:
            raise refuse(f"tensor {name!r} has the dtype {tensor['dtype']}, which stmest never writes")
        numbers = np.frombuffer(tensor["data"], dtype=np.dtype(_DTYPES[tensor["dtype"]]).newbyteorder("<"))
        arrays[name] = numbers.astype(numbers.dtype.newbyteorder("=")).reshape(tensor["shape"])
    return arrays
