"""Networks that are kept whatever their gain, so that tests of what a network does are not tests of its linear forecast."""

from __future__ import annotations

import pytest

from stmest.training import callbacks


@pytest.fixture(scope="module", autouse=True)
def believed():
    """Tiny networks on little data are seldom better than their linear forecast beyond doubt."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callbacks, "_LEAST_BLOCKS", 2)
        patch.setattr(callbacks, "_CONFIDENCE", 1e-9)
        yield
