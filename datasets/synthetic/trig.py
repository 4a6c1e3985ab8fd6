"""Sine, cosine and arctangent from + - * / and square roots alone.

Those are exact in IEEE 754, so the same options give the same bits on every machine; the sines of numpy and
of C libraries differ in their last bit from processor to processor. Matrix products sum in a fixed order here
for the same reason. Within 1e-11 of the true value for |x| up to 1e5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from perceptum.inputs import Matrix

__all__ = ["angle", "cosine", "product", "sine"]


# pi in two parts, the first with few enough bits that whole multiples of it are exact
_PI_HIGH = 3.1415926534682512
_PI_LOW = 1.2154201013012384e-10
_HALF_PI = 1.5707963267948966
_INVERSE_PI = 0.3183098861837907
# 1/3!, 1/5!, ... with alternating signs: Taylor to x**21, below 1e-17 at pi/2
_SINE = (
    -0.16666666666666666,
    0.008333333333333333,
    -0.0001984126984126984,
    2.7557319223985893e-06,
    -2.505210838544172e-08,
    1.6059043836821613e-10,
    -7.647163731819816e-13,
    2.8114572543455206e-15,
    -8.22063524662433e-18,
    1.9572941063391263e-20,
)


def sine(x: ArrayLike) -> Matrix:
    """Returns sin(x) (...) float64, x in radians."""
    x = np.asarray(x, dtype=np.float64)
    turns = np.floor(x * _INVERSE_PI + 0.5)
    r = (x - turns * _PI_HIGH) - turns * _PI_LOW
    square = r * r
    total = np.full_like(r, _SINE[-1])
    for coefficient in _SINE[-2::-1]:
        total = total * square + coefficient
    sign = 1.0 - 2.0 * (turns - 2.0 * np.floor(turns * 0.5))
    out: Matrix = sign * (r + r * square * total)
    return out


def cosine(x: ArrayLike) -> Matrix:
    """Returns cos(x) (...) float64, x in radians."""
    return sine(np.asarray(x, dtype=np.float64) + _HALF_PI)


def angle(y: ArrayLike, x: ArrayLike) -> Matrix:
    """Returns atan2(y, x) (...) in (-pi, pi] float64 for finite (x, y); zero where both are zero."""
    y, x = np.asarray(y, dtype=np.float64), np.asarray(x, dtype=np.float64)
    length = np.sqrt(x * x + y * y)
    # half the angle, twice: tan(a / 2) = sin a / (1 + cos a), with the larger side below to lose no digits
    steep = np.abs(y) > np.abs(x)
    low, high = np.where(steep, np.abs(x), np.abs(y)), np.where(steep, np.abs(y), np.abs(x))
    half = low / np.where(length > 0, length + high, 1.0)
    quarter = half / (1.0 + np.sqrt(1.0 + half * half))
    square = quarter * quarter
    total = np.zeros_like(quarter)
    for k in range(12, -1, -1):
        total = total * square + (1.0 - 2.0 * (k % 2)) / (2 * k + 1)
    out = 4.0 * quarter * total
    out = np.where(steep, _HALF_PI - out, out)
    out = np.where(x < 0, 2.0 * _HALF_PI - out, out)
    signed: Matrix = np.where(y < 0, -out, out)
    return signed


def product(a: Matrix, b: Matrix) -> Matrix:
    """Returns a @ b of (..., 3, 3) and (..., 3, 3), summed in a fixed order."""
    out: Matrix = a[..., :, 0:1] * b[..., 0:1, :] + a[..., :, 1:2] * b[..., 1:2, :] + a[..., :, 2:3] * b[..., 2:3, :]
    return out
