"""Kernels that numba compiles, on addresses and sizes alone; each module serves the operator of the same name in ``cpu``."""
