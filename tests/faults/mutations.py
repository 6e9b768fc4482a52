"""Model files that somebody changed: bit by bit, or in their content with a right checksum."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

import stmest
from stmest.exceptions import ModelFileError, StmestError
from stmest.storage.tensor_file import parse
from tests.forecasters.small import small

_SECONDS = 10.0


def sound_files(folder: Any) -> list[bytes]:
    """Files of a network on a graph, a network without one, a baseline, and an ensemble."""
    X = _values("2024-01-01 00:00")
    files = []
    for name, adj in (
        ("STM3Forecaster", np.eye(3)),
        ("STMambaForecaster", None),
        ("RidgeForecaster", None),
        ("EnsembleForecaster", np.eye(3)),
    ):
        model = small(name).fit(X, adj=adj)
        if name == "STMambaForecaster":  # a generator among the parameters becomes a number in the file
            model.set_params(random_state=np.random.RandomState(0))
        model.save(folder / name)
        files.append((folder / name).read_bytes())
    return files


def _values(first: str) -> pd.DataFrame:
    values = np.random.default_rng(0).normal(size=(60, 3))
    return pd.DataFrame(values, pd.date_range(first, periods=60, freq="h"), list("abc"))


def signed(content: bytes) -> bytes:
    """The same bytes with a checksum that fits them, as far as there is a place for one."""
    try:
        length = int.from_bytes(content[:8], "little")
        digest = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["stmest"])["sha256"].encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return content
    if len(digest) != 64 or content.count(digest) != 1:
        return content
    return content.replace(digest, hashlib.sha256(content.replace(digest, b"0" * 64)).hexdigest().encode())


def opened(content: bytes, folder: Any, use: bool = False) -> bool:
    """Whether the file opens, and perhaps its use; every error but those of stmest goes through, and so does what takes long."""
    path = folder / "mutated"
    path.write_bytes(content)
    began = time.process_time()
    try:
        model = stmest.load(path, device="cpu")
    except ModelFileError:
        return False
    finally:
        assert time.process_time() - began < _SECONDS
    if use:
        _use(model)
    return True


def _use(model: Any) -> None:
    """Forecast, go on and learn: each succeeds or is refused."""
    new = _values("2024-01-03 12:00")
    # how long to train is up to who wrote the file
    short = {name: 1 for name in model.get_params() if name.split("__")[-1] in ("max_epochs", "n_members")}
    for call in (
        model.predict, model.predict_interval, lambda: model.score(new), lambda: model.update(new), model.predict,
        lambda: model.set_params(**short).fit(new).predict(),
    ):  # fmt: skip
        began = time.process_time()
        with contextlib.suppress(StmestError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call()
        assert time.process_time() - began < _SECONDS


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """All places in a JSON document."""
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def replaced(document: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A copy of the document with another value in one place."""
    copy = json.loads(json.dumps(document))
    if not place:
        return copy
    node = copy
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    return copy


def content_of(file: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Document and arrays of a sound file."""
    document, arrays = parse(file, "sound")
    return {key: value for key, value in document.items() if key not in ("format", "sha256")}, arrays
