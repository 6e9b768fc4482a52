"""Fuzz the opening of model files by coverage: ``python -m tests.faults.fuzz_model_file -max_total_time=600 [CORPUS_FOLDER]``.

Needs atheris, which is no dependency of stmest: ``pip install atheris``. Every input is tried as it is and with a right
checksum. libFuzzer stops at the first input that ends in anything but a model or `ModelFileError`, takes too long
(``-timeout=10``), or takes too much memory (``-rss_limit_mb=4096``), and writes it into a file named ``crash-...``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Fuzz from sound files until libFuzzer's options say that it is enough."""
    import atheris  # here, as the test suite imports this file where atheris is not installed

    with atheris.instrument_imports(include=["stmest.storage", "stmest.forecasters.model_file"]):
        from .mutations import opened, signed, sound_files

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus = folder / "corpus"
        corpus.mkdir()
        for number, file in enumerate(sound_files(folder)):
            (corpus / str(number)).write_bytes(file)

        def once(content: bytes) -> None:
            opened(content, folder)
            opened(signed(content), folder)

        atheris.Setup([*sys.argv, str(corpus), "-max_len=100000"], once)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
