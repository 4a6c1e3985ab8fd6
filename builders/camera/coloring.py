"""Colours of a picture changed, as a draw says."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..augment.photometric import ColorChange
from .picture import Canvas, Picture

__all__ = ["colored"]


def colored(picture: Picture, part: Canvas | None, change: ColorChange) -> Picture:
    """Returns the picture, copied, with its colours changed; where there is a part, all else of it stays black.

    picture: of bytes, and never changed itself: others may show the same pixels.
    """
    canvas = Canvas(picture.rows, picture.columns, 0, 0, picture.rows, picture.columns) if part is None else part
    whole, seen = canvas.take("colored")
    whole.array()[...] = picture.array()
    where: list[Any] = [seen.values, seen.begin, seen.stride, seen.rows, seen.columns]
    if change.formulas == "torchvision":
        for name, amount in change.steps:
            _by_torchvision(where, name, amount)
    else:
        _by_opencv(where, dict(change.steps), [name for name, _ in change.steps])
    if change.channels != (0, 1, 2):
        from ..kernels.picture.colors import reorder

        reorder(*[*where, *change.channels])
    return whole


def _by_torchvision(where: list[Any], name: str, amount: float) -> None:
    from ..kernels.picture.colors import gray_sum, shift_hue, through_table, towards_gray

    if name == "hue":
        shift_hue(*[*where, np.float32(amount)])
    elif name == "saturation":
        towards_gray(*[*where, np.float32(amount), np.float32(1 - amount)])
    else:
        n = where[3] * where[4]
        mean = gray_sum(*where) / n if name == "contrast" else 0.0
        through_table(*[*where, _blended(amount, np.float32(mean))])


def _blended(ratio: float, other: np.float32) -> NDArray[np.uint8]:
    """Returns (256,) uint8: ratio times each value, and the rest of the other."""
    values = np.float32(ratio) * np.arange(256, dtype=np.float32) + np.float32(1 - ratio) * other
    table: NDArray[np.uint8] = np.clip(values, 0, 255).astype(np.uint8)
    return table


def _by_opencv(where: list[Any], steps: dict[str, float], order: list[str]) -> None:
    from ..kernels.picture.colors import distort

    in_hsv = "saturation" in steps or "hue" in steps
    contrast = steps.get("contrast", 1.0)
    # the last of all, or before saturation and hue
    last = in_hsv and order[-1] == "contrast"
    by = [steps.get("brightness", 0.0), 1.0 if last else contrast, steps.get("saturation", 1.0), steps.get("hue", 0.0)]
    distort(*[*where, np.array([*by, contrast if last else 1.0], np.float32), in_hsv])
