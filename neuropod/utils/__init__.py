"""Uber's helper modules, at Uber's places: only for code that imports them there. Ours have names of their own."""

__all__: list[str] = []
