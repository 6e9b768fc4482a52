"""Devices, memory, random numbers, deterministic algorithms, optional packages, versions.

Builds on psutil, and on torch where a device is meant: torch takes seconds to import, and forecasters in closed form do not
need it.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import platform
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import psutil

from .exceptions import DeviceError, MissingDependencyError

if TYPE_CHECKING:
    import torch

__all__ = [
    "RandomNumbers", "deterministic_algorithms", "free_memory", "random_generator", "require", "resolve_device", "seeded",
    "show_versions", "versions",
]  # fmt: skip

_CONTROL_GROUPS = Path("/sys/fs/cgroup")

_REPORTED_PACKAGES = (
    "stmest", "numpy", "scipy", "pandas", "scikit-learn", "torch", "skorch", "numba", "safetensors",
    "sktime", "holidays", "torch-geometric", "mamba-ssm", "causal-conv1d",
)  # fmt: skip


def require(module: str, extra: str) -> ModuleType:
    """Import an optional package, or raise an error that names the extra to install.

    Parameters
    ----------
    module : str
        Name of the module, as in an import statement.
    extra : str
        Name of stmest's extra that installs it.

    Returns
    -------
    ModuleType
        The imported module.

    Raises
    ------
    MissingDependencyError
        If the module cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f'{module!r} is needed here and could not be imported ({error}); install it with: pip install "stmest[{extra}]"'
        ) from error


def free_memory() -> int | None:
    """Bytes of memory that this process may still take.

    Returns
    -------
    int or None
        The limit of a Linux container where it is below the memory of the machine; None where it is unknown.
    """
    try:
        return min([psutil.virtual_memory().available, *_container_limits()])
    except (OSError, psutil.Error):  # a sandbox may hide the memory of the machine
        return None


def _container_limits() -> list[int]:
    """Bytes that the control groups of a container leave; psutil sees the machine only."""
    left = []
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            left.append(
                int((_CONTROL_GROUPS / limit).read_text()) - int((_CONTROL_GROUPS / used).read_text())
            )
        except (OSError, ValueError):  # no control group of that version, or "max": no limit
            continue
    return left


def available_devices() -> list[str]:
    """Names of the devices that torch can use here, best first.

    Returns
    -------
    list of str
        Some of ``"cuda"``, ``"cuda:1"``, ``"mps"``, always ending in ``"cpu"``.
    """
    import torch

    names = (
        ["cuda", *(f"cuda:{i}" for i in range(1, torch.cuda.device_count()))]
        if torch.cuda.is_available()
        else []
    )
    if torch.backends.mps.is_available():
        names.append("mps")
    return [*names, "cpu"]


def resolve_device(device: str | torch.device | None) -> torch.device:
    """The device that a user specifies.

    Parameters
    ----------
    device : str, torch.device or None
        ``"auto"`` or None takes CUDA, then MPS, then the CPU.

    Returns
    -------
    torch.device
        The device to use.

    Raises
    ------
    DeviceError
        If the name is not a device name, or the device is missing.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    import torch

    present = available_devices()
    if device is None or (isinstance(device, str) and device == "auto"):
        return torch.device(present[0])
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError, ValueError) as error:
        raise DeviceError(
            f"device={device!r} is not a device name; use 'auto' or one of {present}."
        ) from error
    wanted = str(torch.device(resolved.type)) if resolved.index == 0 else str(resolved)  # "cuda:0" is "cuda"
    if wanted not in present:
        raise DeviceError(f"device={device!r} is not available here; use 'auto' or one of {present}.")
    return resolved


class RandomNumbers:
    """The random generators of a seed: one for each kind of device, made when it is first drawn from.

    Parameters
    ----------
    seed : int
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._generators: dict[str, torch.Generator] = {}

    def on(self, device: torch.device) -> torch.Generator:
        """Return the generator for a device."""
        if device.type not in self._generators:
            import torch

            self._generators[device.type] = torch.Generator(device).manual_seed(self.seed)
        return self._generators[device.type]


_NUMBERS: ContextVar[RandomNumbers | None] = ContextVar("stmest_random_numbers", default=None)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[RandomNumbers]:
    """Run a block whose random numbers come from generators of its own, in this thread.

    What asks `random_generator` within the block draws from them. torch's own generators, which belong to the whole process, are
    neither read nor moved, so that blocks in several threads do not disturb each other or the caller.

    Parameters
    ----------
    seed : int
        Seed of the generators.
    """
    numbers = RandomNumbers(seed)
    outer = _NUMBERS.set(numbers)
    try:
        yield numbers
    finally:
        _NUMBERS.reset(outer)


def random_generator(device: torch.device) -> torch.Generator | None:
    """The generator to draw from on a device.

    Parameters
    ----------
    device : torch.device
        Where the numbers are needed.

    Returns
    -------
    torch.Generator or None
        That of the `seeded` block around; None, torch's own generator, where there is no block.
    """
    numbers = _NUMBERS.get()
    return None if numbers is None else numbers.on(device)


class _DeterministicBlocks:
    """How many blocks of any thread need deterministic operations, and the switches before the first of them."""

    def __init__(self) -> None:
        self.lock, self.n_blocks = threading.Lock(), 0
        self.before = (False, False, False)

    def begin(self) -> None:
        import torch

        with self.lock:
            if not self.n_blocks:
                self.before = (
                    torch.are_deterministic_algorithms_enabled(),
                    torch.is_deterministic_algorithms_warn_only_enabled(),
                    torch.backends.cudnn.benchmark,
                )
                torch.use_deterministic_algorithms(True)
                # the search for the fastest kernel may end with another one each time
                torch.backends.cudnn.benchmark = False
            self.n_blocks += 1

    def end(self) -> None:
        import torch

        with self.lock:
            self.n_blocks -= 1
            if not self.n_blocks:
                enabled, warn_only, searches = self.before
                torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
                torch.backends.cudnn.benchmark = searches


_DETERMINISTIC = _DeterministicBlocks()


@contextlib.contextmanager
def deterministic_algorithms(wanted: bool, device: torch.device) -> Iterator[None]:
    """Run a block with deterministic operations only; the setting of the caller is restored afterwards.

    Parameters
    ----------
    wanted : bool
        False does nothing.
    device : torch.device
        Where the block computes.

    Raises
    ------
    DeviceError
        If the device is a CUDA device and the environment variable that makes cuBLAS deterministic is not set.

    Notes
    -----
    The setting is `torch.use_deterministic_algorithms`. It belongs to the whole process, so that it applies to other threads
    too, until the last of such blocks has ended.
    """
    if not wanted:
        yield
        return
    if device.type == "cuda" and os.environ.get("CUBLAS_WORKSPACE_CONFIG") not in (":4096:8", ":16:8"):
        raise DeviceError(
            "deterministic=True on a CUDA device needs the environment variable CUBLAS_WORKSPACE_CONFIG=:4096:8, set before "
            "Python starts (cuBLAS reads it once); or use deterministic=False."
        )
    _DETERMINISTIC.begin()
    try:
        yield
    finally:
        _DETERMINISTIC.end()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that stmest uses.

    Returns
    -------
    dict of str to str
        Package name to version; packages that are not installed are left out.
    """
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in _REPORTED_PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def show_versions() -> None:
    """Write the versions of Python, the packages and the devices to the standard output."""
    rows = {**versions(), "devices": ", ".join(available_devices())}
    width = max(map(len, rows))
    sys.stdout.write("\n".join(f"{name:<{width}}  {value}" for name, value in rows.items()) + "\n")
