"""Simulated two-dimensional turbulence: the vorticity of an incompressible flow on a periodic square.

A pseudo-spectral solver in torch, batched over trajectories, on any device. Builds on `runtime`; used by the tests and
benchmarks of the forecasters of fields.

The initial fields and the forcing are those of Li et al., Fourier neural operator for parametric partial differential
equations, ICLR 2021, section 5.3, with the spectrum of the initial field cut after ten waves per side.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor

from ..exceptions import ParameterError
from ..runtime import resolve_device

__all__ = ["evolve_vorticity", "make_navier_stokes", "velocity"]

_VERSION = 1  # of the numbers; a change of the method makes the cached files of before invalid
_WAVES = 10  # largest wave number of the initial field, so that it is the same on every grid
_STEP_TIMES_POINTS = (
    1.5  # solver step where none is given: stable for velocities below 0.9, three times what is seen
)
# Runge and Kutta's method of fourth order is stable while velocity * step * largest wave number is below sqrt(8)
_STABLE = math.sqrt(8)


def make_navier_stokes(
    n_trajectories: int = 16,
    resolution: int = 64,
    viscosity: float = 1e-5,
    n_steps: int = 20,
    *,
    interval: float = 1.0,
    forcing: float = 0.1,
    refinement: int = 2,
    time_step: float | None = None,
    batch_size: int = 16,
    device: str | torch.device = "auto",
    cache: str | os.PathLike[str] | None = None,
    random_state: Any = None,
    verbose: int = 0,
) -> np.ndarray:
    """Simulate the vorticity of forced two-dimensional flows from random beginnings.

    Parameters
    ----------
    n_trajectories : int, default=16
        Independent flows. The first k are the same for any number of them.
    resolution : int, default=64
        Grid points per side of the unit square.
    viscosity : float, default=1e-5
        Kinematic viscosity; the smaller, the more turbulent.
    n_steps : int, default=20
        Snapshots of each flow, the first one an `interval` after the beginning.
    interval : float, default=1.0
        Time between two snapshots.
    forcing : float, default=0.1
        Amplitude of the constant force on the vorticity, ``forcing * (sin(2 pi (x + y)) + cos(2 pi (x + y)))``.
    refinement : int, default=2
        The flow is computed on a grid so many times finer than what is returned.
    time_step : float, optional
        Step of the solver at most; default ``1.5 / (refinement * resolution)``.
    batch_size : int, default=16
        Flows computed at a time.
    device : str or torch.device, default="auto"
        Where to compute. In float64, except on MPS, which has only float32.
    cache : path, optional
        Folder in which the result is kept, and looked for next time; needs an integer `random_state`.
    random_state : int, RandomState or None, default=None
        Seed of the initial fields.
    verbose : int, default=0
        1 shows a line of progress.

    Returns
    -------
    ndarray of shape (n_trajectories, n_steps, resolution, resolution, 1), float32
        Vorticity on the axes trajectory, time, y, x, feature, as `fit` takes it.

    Raises
    ------
    ParameterError
        If a parameter cannot be used, or the flow becomes too fast for `time_step`.
    DeviceError
        If the device is not there.

    Examples
    --------
    >>> X = make_navier_stokes(n_trajectories=2, resolution=32, n_steps=3, refinement=1, random_state=0, device="cpu")
    >>> X.shape
    (2, 3, 32, 32, 1)
    """
    flow = _Flow(
        n_trajectories, resolution, viscosity, n_steps, interval, forcing, refinement,
        _STEP_TIMES_POINTS / (refinement * resolution) if time_step is None else time_step,
    )  # fmt: skip
    flow.check()
    path = None if cache is None else flow.path(cache, random_state)
    if path is not None and path.is_file():
        return np.load(path)
    start = _random_vorticity(n_trajectories, refinement * resolution, check_random_state(random_state))
    progress = _Progress(n_trajectories * n_steps) if verbose else None
    out = np.empty((n_trajectories, n_steps, resolution, resolution, 1), dtype=np.float32)
    for first in range(0, n_trajectories, batch_size):
        batch = start[first : first + batch_size]
        frames = _snapshots(batch, flow, resolve_device(device), progress)
        for step, frame in enumerate(frames):
            out[first : first + len(batch), step, ..., 0] = frame[:, ::refinement, ::refinement]
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
        with unfinished.open("wb") as file:
            np.save(file, out)
        unfinished.replace(path)  # a file under its own name is always whole
    return out


@dataclass(frozen=True)
class _Flow:
    """What determines the numbers, beside the seed."""

    n_trajectories: int
    resolution: int
    viscosity: float
    n_steps: int
    interval: float
    forcing: float
    refinement: int
    time_step: float

    def check(self) -> None:
        """Refuse what cannot be computed."""
        lowest = {"n_trajectories": 1, "resolution": 4, "n_steps": 1, "refinement": 1}
        for name, low in lowest.items():
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < low:
                raise ParameterError(f"{name}={value!r}; needed: an integer of at least {low}.")
        for name in ("interval", "time_step"):
            if not getattr(self, name) > 0:
                raise ParameterError(f"{name}={getattr(self, name)!r}; needed: a number above 0.")
        if not self.viscosity >= 0:
            raise ParameterError(f"viscosity={self.viscosity!r}; needed: a number of at least 0.")
        if self.resolution * self.refinement < 3 * _WAVES or self.resolution * self.refinement % 2:
            raise ParameterError(
                f"resolution * refinement = {self.resolution * self.refinement}; needed: an even number of at least "
                f"{3 * _WAVES} points per side, to represent the initial field."
            )

    def path(self, folder: str | os.PathLike[str], seed: Any) -> Path:
        """File of the result in a cache folder."""
        if not isinstance(seed, (int, np.integer)):
            raise ParameterError(f"random_state={seed!r}; needed: an integer, for a result that can be kept.")
        key = json.dumps(
            {**asdict(self), "seed": int(seed), "version": _VERSION}, sort_keys=True, default=float
        )
        return Path(folder) / f"navier-stokes-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"


def evolve_vorticity(
    vorticity: np.ndarray,
    viscosity: float,
    n_steps: int,
    *,
    interval: float = 1.0,
    forcing: float = 0.0,
    time_step: float | None = None,
    device: str | torch.device = "auto",
) -> np.ndarray:
    """Follow given vorticity fields through time.

    Parameters
    ----------
    vorticity : ndarray of shape (n_trajectories, n, n)
        Fields on the periodic unit square, axes y and x; their mean is kept.
    viscosity : float
        Kinematic viscosity.
    n_steps : int
        Snapshots.
    interval : float, default=1.0
        Time between two snapshots.
    forcing : float, default=0.0
        See `make_navier_stokes`.
    time_step : float, optional
        Step of the solver at most; default ``1.5 / n``.
    device : str or torch.device, default="auto"
        Where to compute.

    Returns
    -------
    ndarray of shape (n_trajectories, n_steps, n, n), float64
        Vorticity after 1, 2, ... intervals; without the waves above a third of n, which the solver leaves out.

    Raises
    ------
    ParameterError
        If a parameter cannot be used, or the flow becomes too fast for `time_step`.
    """
    n = vorticity.shape[-1]
    step = _STEP_TIMES_POINTS / n if time_step is None else time_step
    flow = _Flow(len(vorticity), n, viscosity, n_steps, interval, forcing, 1, step)
    flow.check()
    return np.stack(list(_snapshots(np.asarray(vorticity), flow, resolve_device(device), None)), axis=1)


def velocity(vorticity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Velocity of an incompressible flow on the periodic unit square, from its vorticity.

    Parameters
    ----------
    vorticity : ndarray of shape (..., n, n)
        Vorticity ``dv/dx - du/dy`` on the axes y and x.

    Returns
    -------
    u, v : ndarray of shape (..., n, n)
        Components along x and y, of mean 0.
    """
    grid = _Spectrum(vorticity.shape[-1], torch.device("cpu"))
    u, v = grid.velocity(torch.fft.rfft2(torch.as_tensor(np.asarray(vorticity, dtype=np.float64))))
    return u.numpy(), v.numpy()


def _random_vorticity(n_fields: int, n: int, rng: np.random.RandomState) -> np.ndarray:
    """Gaussian fields of covariance 7^(3/2) (49 - Laplacian)^(-5/2), the same for every n: (n_fields, n, n)."""
    waves = np.arange(-_WAVES, _WAVES + 1)
    squared = waves[:, None] ** 2 + waves[None, :] ** 2
    deviation = 7**1.5 * (4 * np.pi**2 * squared + 49.0) ** -1.25
    deviation[squared == 0] = 0  # the mean vorticity of a periodic flow is 0
    noise = rng.standard_normal((n_fields, 2, *squared.shape))
    spectrum = np.zeros((n_fields, n, n), dtype=np.complex128)
    spectrum[:, waves[:, None], waves[None, :]] = deviation * (noise[:, 0] + 1j * noise[:, 1])
    return np.fft.ifft2(spectrum).real * n**2


class _Spectrum:
    """Wave numbers of a grid, and what is computed with them; `w` below is the spectrum of the vorticity."""

    def __init__(self, n: int, device: torch.device) -> None:
        dtype = torch.float32 if device.type == "mps" else torch.float64
        whole = torch.fft.fftfreq(n, 1 / n, dtype=torch.float64)
        half = torch.fft.rfftfreq(n, 1 / n, dtype=torch.float64)
        # two thirds rule: products of the waves that are kept do not fold back onto them
        self.kept = ((whole.abs() < n / 3)[:, None] & (half < n / 3)).to(device)
        self.ky = (2 * math.pi * whole)[:, None].to(device, dtype)
        self.kx = (2 * math.pi * half)[None, :].to(device, dtype)
        self.squared = self.kx**2 + self.ky**2
        self.inverse = torch.where(self.squared > 0, 1 / self.squared.clamp(min=1.0), 0.0)
        # the derivative of the highest wave of an even grid is not seen on its points
        nyquist = (whole.abs() < n / 2)[:, None] & (half < n / 2)
        self.to_velocity = 1j * torch.stack(
            [self.ky.expand_as(self.squared), -self.kx.expand_as(self.squared)]
        )
        self.to_velocity = self.to_velocity * self.inverse * nyquist.to(device)
        self.n = n

    def velocity(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Velocity on the grid, from the stream function psi: u = dpsi/dy, v = -dpsi/dx, -Laplace psi = w."""
        factors = self.to_velocity.view(2, *[1] * (w.ndim - 2), *w.shape[-2:])
        u, v = torch.fft.irfft2(factors * w, s=(self.n, self.n))
        return u, v

    def advection(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Rate of change of w by the flow, and the largest velocity.

        As the curl of the divergence of the products of velocities (Basdevant 1983), which takes four transforms.
        """
        u, v = self.velocity(w)
        products = torch.fft.rfft2(torch.stack([u * v, (v - u) * (v + u)]))
        rate = (self.kx**2 - self.ky**2) * products[0] + self.kx * self.ky * products[1]
        return rate * self.kept, torch.maximum(u.abs().max(), v.abs().max())


def _snapshots(start: np.ndarray, flow: _Flow, device: torch.device, progress: _Progress | None) -> Any:
    """Yield the vorticity (b, n, n) after every interval.

    Fourth-order Runge and Kutta for advection and forcing; viscosity is integrated exactly.
    """
    n = start.shape[-1]
    grid = _Spectrum(n, device)
    w = torch.fft.rfft2(torch.as_tensor(start).to(device, grid.kx.dtype)) * grid.kept
    force = _force(n, flow.forcing, grid)
    n_substeps = math.ceil(flow.interval / flow.time_step - 1e-9)
    h = flow.interval / n_substeps
    half = torch.exp(-flow.viscosity * grid.squared * (h / 2))

    def rate(w: Tensor) -> Tensor:
        return grid.advection(w)[0] + force

    for _ in range(flow.n_steps):
        for _ in range(n_substeps):
            first, calm = rate(w), half * w
            second = rate(calm + (h / 2) * half * first)
            third = rate(calm + (h / 2) * second)
            fourth = rate(half * calm + h * half * third)
            w = half * (half * (w + (h / 6) * first) + (h / 3) * (second + third)) + (h / 6) * fourth
        fastest = float(grid.advection(w)[1])
        if not fastest * h * (2 * math.pi * n / 3) < _STABLE:
            longest = (
                _STABLE / (max(fastest, 1e-9) * 2 * math.pi * n / 3) if math.isfinite(fastest) else h / 4
            )
            raise ParameterError(
                f"the flow reaches a velocity of {fastest:.3g}, for which time_step={flow.time_step:.3g} is too long on "
                f"{n} x {n} points; needed: below {longest:.2g}."
            )
        if progress is not None:
            progress(len(start))
        yield torch.fft.irfft2(w, s=(n, n)).cpu().numpy()


def _force(n: int, amplitude: float, grid: _Spectrum) -> Tensor:
    points = torch.arange(n, dtype=torch.float64) / n
    angle = 2 * math.pi * (points[:, None] + points[None, :])
    force = amplitude * (torch.sin(angle) + torch.cos(angle))
    return torch.fft.rfft2(force.to(grid.kx.device, grid.kx.dtype))


class _Progress:
    """A progress line that is written over: how many snapshots of all, and the seconds left."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.began = total, 0, time.perf_counter()

    def __call__(self, more: int) -> None:
        self.done += more
        left = (time.perf_counter() - self.began) * (self.total - self.done) / self.done
        end = "\n" if self.done == self.total else ""
        sys.stdout.write(f"\rnavier-stokes: {self.done}/{self.total} snapshots, {left:.0f} s left   {end}")
        sys.stdout.flush()
