"""A made-up drive: a street of any length, with traffic, seen by a lidar, five radars and six cameras.

It needs no files, its answers are known exactly, and the same options give the same bytes.
"""

from __future__ import annotations

from pathlib import Path

from .options import Options
from .source import START_NS, SyntheticSource

__all__ = ["START_NS", "Options", "SyntheticSource", "open_source", "recognises"]


def recognises(path: Path) -> bool:
    """Returns False: no folder is a made-up drive; it is opened by its name."""
    return False


def open_source(
    frames: int = 50,
    seed: int = 0,
    beams: int = 64,
    azimuth_steps: int = 2400,
    image_size: tuple[int, int] = (1600, 900),
    noise_m: float = 0.015,
    dropout: float = 0.01,
    ground_wave_m: float = 0.5,
    max_range_m: float = 120.0,
) -> SyntheticSource:
    """Returns the drive; `Options` explains each option. Raises LogError for a value that is not possible."""
    return SyntheticSource(
        Options(frames, seed, beams, azimuth_steps, image_size, noise_m, dropout, ground_wave_m, max_range_m)
    )
