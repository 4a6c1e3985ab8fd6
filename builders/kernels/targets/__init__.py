"""Kernels of targets."""
