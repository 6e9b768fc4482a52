"""The operators on a CPU: each module runs kernels for the door of the same name in ``ops``; needs numba."""
