"""The vector language that kernels are written in: vectors, arithmetic, lanes, tiles, and how it is compiled."""
