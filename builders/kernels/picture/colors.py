"""Colours of pictures changed in place: by the formulas that torchvision has for bytes, and by OpenCV's."""

from __future__ import annotations

from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs.kernel import inner, kernel

__all__ = ["distort", "gray_sum", "reorder", "shift_hue", "through_table", "towards_gray"]

Bytes = NDArray[np.uint8]
_EPSILON = np.float32(np.finfo(np.float32).eps)


@inner
def _gray(red: Any, green: Any, blue: Any) -> Any:
    """torchvision's rgb_to_grayscale, rounded down."""
    sum_ = np.float32(0.2989) * np.float32(red) + np.float32(0.587) * np.float32(green)
    return np.uint8(sum_ + np.float32(0.114) * np.float32(blue))


@inner
def _clipped(value: Any) -> Any:
    return np.uint8(min(max(value, np.float32(0)), np.float32(255)))


@kernel
def gray_sum(pixels: Bytes, begin: int, stride: int, rows: int, columns: int) -> int:
    """Returns the sum of the picture in gray."""
    total: Any = np.int64(0)
    for y in range(rows):
        for x in range(columns):
            at = begin + y * stride + 3 * x
            total += np.int64(_gray(pixels[at], pixels[at + 1], pixels[at + 2]))
    return int(total)


@kernel
def through_table(pixels: Bytes, begin: int, stride: int, rows: int, columns: int, table: Bytes) -> None:
    """Each value as the table, (256,), has it."""
    for y in range(rows):
        for at in range(begin + y * stride, begin + y * stride + 3 * columns):
            pixels[at] = table[pixels[at]]


@kernel
def towards_gray(
    pixels: Bytes, begin: int, stride: int, rows: int, columns: int, ratio: np.float32, rest: np.float32
) -> None:
    """ratio times each value, and rest times its pixel's gray."""
    for y in range(rows):
        for x in range(columns):
            at = begin + y * stride + 3 * x
            gray = rest * np.float32(_gray(pixels[at], pixels[at + 1], pixels[at + 2]))
            for colour in range(3):
                pixels[at + colour] = _clipped(ratio * np.float32(pixels[at + colour]) + gray)


@kernel
def shift_hue(pixels: Bytes, begin: int, stride: int, rows: int, columns: int, turns: np.float32) -> None:
    """torchvision's adjust_hue: to HSV from 0 to 1, and back."""
    one, six = np.float32(1), np.float32(6)
    for y in range(rows):
        for x in range(columns):
            at = begin + y * stride + 3 * x
            r, g, b = (
                np.float32(pixels[at]) / np.float32(255),
                np.float32(pixels[at + 1]) / np.float32(255),
                np.float32(pixels[at + 2]) / np.float32(255),
            )
            v, least = max(r, g, b), min(r, g, b)
            # gray has no hue, and stays
            if v == least:
                s, h = np.float32(0), np.float32(0)
            else:
                spread = v - least
                s = spread / v
                from_r, from_g, from_b = (v - r) / spread, (v - g) / spread, (v - b) / spread
                if v == r:
                    h = from_b - from_g
                elif v == g:
                    h = np.float32(2) + from_r - from_b
                else:
                    h = np.float32(4) + from_g - from_r
                h = h / six + one
                h -= np.float32(floor(h))
            h += turns
            h -= np.float32(floor(h))
            sector = floor(h * six)
            share = h * six - np.float32(sector)
            r, g, b = _of_sector(sector % 6, v, v * (one - s), v * (one - s * share), v * (one - s * (one - share)))
            most = np.float32(256 - 1e-3)
            pixels[at] = np.uint8(min(max(r, np.float32(0)), one) * most)
            pixels[at + 1] = np.uint8(min(max(g, np.float32(0)), one) * most)
            pixels[at + 2] = np.uint8(min(max(b, np.float32(0)), one) * most)


@inner
def _of_sector(sector: Any, v: Any, p: Any, q: Any, t: Any) -> Any:
    """Red, green and blue of a sixth of the hues."""
    if sector == 0:
        return v, t, p
    if sector == 1:
        return q, v, p
    if sector == 2:
        return p, v, t
    if sector == 3:
        return p, q, v
    if sector == 4:
        return t, p, v
    return v, p, q


@kernel
def reorder(pixels: Bytes, begin: int, stride: int, rows: int, columns: int, red: int, green: int, blue: int) -> None:
    """Puts the channels of these numbers in the places of red, green and blue."""
    for y in range(rows):
        for x in range(columns):
            at = begin + y * stride + 3 * x
            r, g, b = pixels[at + red], pixels[at + green], pixels[at + blue]
            pixels[at], pixels[at + 1], pixels[at + 2] = r, g, b


@kernel
def distort(
    pixels: Bytes, begin: int, stride: int, rows: int, columns: int, by: NDArray[np.float32], in_hsv: bool
) -> None:
    """mmdetection's PhotoMetricDistortion, in float32 and rounded to bytes at the end, as OpenCV rounds: half to even.

    by (5,): what is added; by what it is multiplied then; by what S is multiplied, and what is added to H in degrees,
    if in_hsv; by what it is multiplied after that.
    """
    for y in range(rows):
        for x in range(columns):
            at = begin + y * stride + 3 * x
            r, g, b = (
                (np.float32(pixels[at]) + by[0]) * by[1],
                (np.float32(pixels[at + 1]) + by[0]) * by[1],
                (np.float32(pixels[at + 2]) + by[0]) * by[1],
            )
            if in_hsv:
                r, g, b = _through_hsv(r, g, b, by[2], by[3])
            pixels[at] = _clipped(np.rint(r * by[4]))
            pixels[at + 1] = _clipped(np.rint(g * by[4]))
            pixels[at + 2] = _clipped(np.rint(b * by[4]))


@inner
def _through_hsv(r: Any, g: Any, b: Any, times: Any, degrees: Any) -> Any:
    """OpenCV's RGB2HSV of float32, S multiplied, H moved on, and its HSV2RGB."""
    v, one = max(r, g, b), np.float32(1)
    spread = v - min(r, g, b)
    s = spread / (abs(v) + _EPSILON) * times
    per_degree = np.float32(60) / (spread + _EPSILON)
    if v == r:
        h = (g - b) * per_degree
    elif v == g:
        h = (b - r) * per_degree + np.float32(120)
    else:
        h = (r - g) * per_degree + np.float32(240)
    if h < 0:
        h += np.float32(360)
    h += degrees
    if h > 360:
        h -= np.float32(360)
    if h < 0:
        h += np.float32(360)
    if s == 0:
        return v, v, v
    h *= np.float32(1 / 60)
    h -= np.float32(6) * np.float32(floor(h / np.float32(6)))
    sector = floor(h)
    share = h - np.float32(sector)
    return _of_sector(sector % 6, v, v * (one - s), v * (one - s * share), v * (one - s * (one - share)))
