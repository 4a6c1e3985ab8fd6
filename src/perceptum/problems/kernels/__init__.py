"""Counting functions of metrics. Only metrics import them, and only in functions: they bring numba."""
