"""Kernels of the map family."""
