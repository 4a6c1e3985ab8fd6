"""The options of a made-up drive, checked once."""

from __future__ import annotations

from dataclasses import dataclass

from perceptum.inputs import BadOption

__all__ = ["Options"]

_WHOLE = {"frames": (1, 100_000), "seed": (0, 2**63 - 1), "beams": (2, 256), "azimuth_steps": (16, 36_000)}
_REAL = {"noise_m": (0.0, 1.0), "dropout": (0.0, 1.0), "ground_wave_m": (0.0, 2.0), "max_range_m": (5.0, 250.0)}


@dataclass(frozen=True)
class Options:
    """Everything that the bytes of a drive depend on."""

    frames: int = 50
    """Lidar revolutions, 10 a second."""
    seed: int = 0
    beams: int = 64
    azimuth_steps: int = 2400
    """Firings of all beams in one revolution."""
    image_size: tuple[int, int] = (1600, 900)
    """Width and height of every camera, pixels."""
    noise_m: float = 0.015
    """Standard deviation of lidar ranges; radar ranges have six times as much."""
    dropout: float = 0.01
    """The share of lidar returns lost by chance; grazing and far ones are lost more often. 0 keeps them all."""
    ground_wave_m: float = 0.5
    """Height of the long waves of the ground; 0 is a flat street."""
    max_range_m: float = 120.0
    """The lidar's."""

    def __post_init__(self) -> None:
        for name, (low, high) in _WHOLE.items():
            _check_whole(name, getattr(self, name), low, high)
        for name, (least, most) in _REAL.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
                raise BadOption(f"synthetic: {name} must be a number from {least:g} to {most:g}, got {value!r}")
        if not isinstance(self.image_size, tuple | list) or len(self.image_size) != 2:
            raise BadOption(f"synthetic: image_size must be (width, height), got {self.image_size!r}")
        object.__setattr__(self, "image_size", tuple(self.image_size))
        for side in self.image_size:
            _check_whole("image_size", side, 8, 8192)


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise BadOption(f"synthetic: {name} must be a whole number from {low} to {high}, got {value!r}")
