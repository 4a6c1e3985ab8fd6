"""What a log says of a camera's lens."""

from __future__ import annotations

from dataclasses import dataclass

from perceptum.inputs import Matrix

__all__ = ["CalibratedLens"]


@dataclass(frozen=True, eq=False)
class CalibratedLens:
    """By the names of CameraImage, which takes it as `**vars(lens)`.

    Whether the numbers make a lens is asked when points are projected: a picture is there without.
    """

    intrinsics: Matrix
    """(3, 3) float64, px."""
    distortion: Matrix | None
    distortion_model: str
    size: tuple[int, int] | None
    """Height and width of the pictures, px; None where the log does not say."""
