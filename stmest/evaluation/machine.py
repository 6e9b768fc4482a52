"""What a measurement was made on: machine, threads, devices and versions, so that it can be understood and repeated."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import torch

from ..runtime import available_devices, versions

__all__ = ["describe_machine"]


def describe_machine() -> dict[str, Any]:
    """Describe the machine and the software that is running.

    Returns
    -------
    dict
        `processor`, `cores`, `threads` (of torch), `devices` (that torch can use, by name) and `versions`, all plain
        Python.
    """
    devices = {name: name for name in available_devices()}
    for name in devices:
        if name.startswith("cuda"):
            devices[name] = torch.cuda.get_device_name(name)
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "devices": devices,
        "versions": versions(),
    }


def _processor() -> str:
    """Name of the processor: Linux keeps it in a file of its own, elsewhere Python knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
