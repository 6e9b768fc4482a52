"""Data to try the library on: a simulated sensor network, and readers of known public data sets.

Builds on `data` and `graphs`; used by the demo, the documentation, the tests and the benchmarks.
"""

from __future__ import annotations

from .generators import SensorNetwork, make_sensor_network, mask_gaps
from .real import RealPanel, load_panel

__all__ = ["RealPanel", "SensorNetwork", "load_panel", "make_sensor_network", "mask_gaps"]
