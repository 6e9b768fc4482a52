"""Data to try the library on: air quality of Beijing, simulated sensor networks and flows, and readers of public data sets.

Builds on `data` and `graphs`; used by the demo, the documentation, the tests and the benchmarks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .air_quality import AirQuality, load_air_quality
from .generators import SensorNetwork, make_sensor_network, mask_gaps
from .real import RealPanel, fetch_panel, load_field, load_panel

if TYPE_CHECKING:
    from .navier_stokes import make_navier_stokes

__all__ = [
    "AirQuality",
    "RealPanel",
    "SensorNetwork",
    "fetch_panel",
    "load_air_quality",
    "load_field",
    "load_panel",
    "make_navier_stokes",
    "make_sensor_network",
    "mask_gaps",
]


def __getattr__(name: str) -> Any:
    if name == "make_navier_stokes":  # it needs torch, which takes seconds to import
        from .navier_stokes import make_navier_stokes

        return make_navier_stokes
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
