"""Kernels in Triton for CUDA devices: selective scan and causal convolution, forward and backward.

They are compiled at their first call by Triton, which comes with PyTorch for CUDA; no CUDA toolkit is needed. Builds on triton
and is imported only when a backend probe asks for it.
"""
