"""Camera models in numbers: where a point of the camera's axes is seen, and along which ray a pixel looks.

`pixel_of` and `ray_of` are for other kernels, which call them for each point. A lens is a number for its model and
(32,) float64 `p`, as `Lens.parameters` gives both:

p[0:9]    pixel from plane, (3, 3) by rows: the intrinsics, behind the tilt of the sensor where there is one
p[9:18]   the inverse
p[18]     the end of the region in which the model is one to one: r^2 on the plane before distortion (brown, mei), the
          angle (fisheye, ftheta) or the radius (ftheta_backward)
p[19]     mei: xi; fisheye, ftheta: the radius at that angle; ftheta_backward: the angle at that radius
p[20:32]  brown, mei: k1 k2 p1 p2 k3 k4 k5 k6 s1 s2 s3 s4; the others: a polynomial, the constant first
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .kernel import inner, kernel

__all__ = [
    "BROWN",
    "FISHEYE",
    "FTHETA",
    "FTHETA_BACKWARD",
    "MEI",
    "PARAMETERS",
    "PINHOLE",
    "map_of",
    "pixel_of",
    "pixels_of",
    "ray_of",
    "rays_of",
]

PINHOLE, BROWN, FISHEYE, MEI, FTHETA, FTHETA_BACKWARD = 0, 1, 2, 3, 4, 5
PARAMETERS = 32

_OUTSIDE = -32768.0
"""Where a map points if no pixel of the picture shows it: as far outside as the 16 bits of cv2.remap can say."""

_STEPS = 100
_DOUBLINGS = 60
_LAST_DIGITS = 4e-16
_CLOSE = 1e-12
"""How near Newton's method must come, of the distance from the axis: the step after that is exact."""


@inner
def _brown(x: float, y: float, p: Any) -> Any:
    """Returns the distorted x and y, and the derivatives xx xy yx yy."""
    x2, y2, xy2 = x * x, y * y, 2.0 * x * y
    r2 = x2 + y2
    above = 1.0 + ((p[24] * r2 + p[21]) * r2 + p[20]) * r2
    below = 1.0 + ((p[27] * r2 + p[26]) * r2 + p[25]) * r2
    radial = above / below
    bent_x = x * radial + p[22] * xy2 + p[23] * (r2 + 2.0 * x2) + p[28] * r2 + p[29] * r2 * r2
    bent_y = y * radial + p[22] * (r2 + 2.0 * y2) + p[23] * xy2 + p[30] * r2 + p[31] * r2 * r2
    above_slope = (3.0 * p[24] * r2 + 2.0 * p[21]) * r2 + p[20]
    below_slope = (3.0 * p[27] * r2 + 2.0 * p[26]) * r2 + p[25]
    # of `radial` by r2
    slope = (above_slope - radial * below_slope) / below
    across = slope * xy2 + 2.0 * (p[22] * x + p[23] * y)
    prism_x, prism_y = 2.0 * (p[28] + 2.0 * p[29] * r2), 2.0 * (p[30] + 2.0 * p[31] * r2)
    xx = radial + 2.0 * slope * x2 + 2.0 * p[22] * y + 6.0 * p[23] * x + x * prism_x
    yy = radial + 2.0 * slope * y2 + 6.0 * p[22] * y + 2.0 * p[23] * x + y * prism_y
    return bent_x, bent_y, xx, across + y * prism_x, across + x * prism_y, yy


@inner
def _brown_radius(r: float, p: Any) -> Any:
    """Returns the distorted radius and its derivative, of the radial part alone."""
    r2 = r * r
    above = 1.0 + ((p[24] * r2 + p[21]) * r2 + p[20]) * r2
    below = 1.0 + ((p[27] * r2 + p[26]) * r2 + p[25]) * r2
    above_slope = (3.0 * p[24] * r2 + 2.0 * p[21]) * r2 + p[20]
    below_slope = (3.0 * p[27] * r2 + 2.0 * p[26]) * r2 + p[25]
    radial = above / below
    return r * radial, radial + 2.0 * r2 * (above_slope - radial * below_slope) / below


@inner
def _polynomial(t: float, p: Any) -> Any:
    """Returns the value and the derivative."""
    value, slope = 0.0, 0.0
    for i in range(31, 19, -1):
        slope = slope * t + value
        value = value * t + p[i]
    return value, slope


@inner
def _solved(wanted: float, high: float, brown: bool, p: Any) -> float:
    """Returns t in [0, high] at which the rising function (the polynomial, or Brown's radius) is `wanted`.

    Newton's method, and halving where that would leave the bracket.
    """
    low, t = 0.0, min(wanted, 0.5 * high)
    for _ in range(_STEPS):
        if brown:
            value, slope = _brown_radius(t, p)
        else:
            value, slope = _polynomial(t, p)
        step = t - (value - wanted) / slope
        if abs(step - t) <= _LAST_DIGITS * t:
            break
        if value > wanted:
            high = t
        else:
            low = t
        t = step if step > low and step < high else 0.5 * (low + high)
    return t


@inner
def _straight(bent_x: float, bent_y: float, p: Any) -> Any:
    """Returns x and y which Brown's model distorts to these, and whether there are such within its region."""
    bent_r = np.sqrt(bent_x * bent_x + bent_y * bent_y)
    if not bent_r < np.inf:
        return 0.0, 0.0, False
    if bent_r == 0.0 and p[28] == 0.0 and p[30] == 0.0:
        return 0.0, 0.0, True
    limit = p[18]
    if limit < np.inf:
        # just before it, for it may be a pole
        high = np.sqrt(limit) * (1.0 - _CLOSE)
    else:
        high = max(bent_r, 1.0)
        for _ in range(_DOUBLINGS):
            if _brown_radius(high, p)[0] >= bent_r:
                break
            high *= 2.0
    # from the radial part alone, which the others bend a little; just inside where that does not reach
    r = _solved(bent_r, high, True, p) if _brown_radius(high, p)[0] >= bent_r else 0.98 * high
    scale = r / bent_r if bent_r > 0.0 else 0.0
    x, y = bent_x * scale, bent_y * scale
    for _ in range(_STEPS):
        now_x, now_y, xx, xy, yx, yy = _brown(x, y, p)
        off_x, off_y = now_x - bent_x, now_y - bent_y
        det = xx * yy - xy * yx
        if not det > 0.0:
            return 0.0, 0.0, False
        step_x, step_y = (yy * off_x - xy * off_y) / det, (xx * off_y - yx * off_x) / det
        share = 1.0
        while share > 1e-6:
            next_x, next_y = x - share * step_x, y - share * step_y
            if next_x * next_x + next_y * next_y < limit:
                break
            share *= 0.5
        done = abs(step_x) + abs(step_y) <= _CLOSE * (abs(x) + abs(y))
        x, y = x - share * step_x, y - share * step_y
        if done:
            break
    now_x, now_y, xx, xy, yx, yy = _brown(x, y, p)
    off = abs(now_x - bent_x) + abs(now_y - bent_y)
    inside = x * x + y * y < limit and xx * yy - xy * yx > 0.0
    return x, y, inside and off <= _CLOSE * (1.0 + bent_r)


@inner
def pixel_of(x: float, y: float, z: float, model: int, p: Any) -> Any:
    """Returns u, v and whether the camera sees the point, wherever its picture ends. Camera axes, metres.

    Not seen is what is behind, beyond the model's field, where its distortion folds back, and what is not finite.
    """
    u, v, seen = 0.0, 0.0, False
    if model in (PINHOLE, BROWN):
        seen = z > 0.0 and z < np.inf
        u, v = x / z, y / z
    elif model == MEI:
        far, xi = np.sqrt(x * x + y * y + z * z), p[19]
        up = z / far
        seen = up > (-xi if xi <= 1.0 else -1.0 / xi) and far < np.inf
        u, v = x / far / (up + xi), y / far / (up + xi)
    else:
        r = np.sqrt(x * x + y * y)
        angle = np.arctan2(r, z)
        if r == 0.0:
            seen = z > 0.0 and z < np.inf
        elif r < np.inf and abs(z) < np.inf:
            if model == FISHEYE:
                # as OpenCV writes it, to its bytes
                a2 = angle * angle
                a4 = a2 * a2
                a6, a8 = a4 * a2, a4 * a4
                radius = angle * (1.0 + p[23] * a2 + p[25] * a4 + p[27] * a6 + p[29] * a8)
                seen = angle < p[18]
            elif model == FTHETA:
                radius = max(_polynomial(angle, p)[0], 0.0)
                seen = angle < p[18]
            else:
                seen = angle < p[19]
                radius = _solved(angle, p[18], False, p) if seen else 0.0
            scale = radius / r
            u, v = x * scale, y * scale
    if seen and model in (BROWN, MEI):
        inside = u * u + v * v < p[18]
        u, v, xx, xy, yx, yy = _brown(u, v, p)
        seen = inside and xx * yy - xy * yx > 0.0
    w = p[6] * u + p[7] * v + p[8]
    column, row = (p[0] * u + p[1] * v + p[2]) / w, (p[3] * u + p[4] * v + p[5]) / w
    return column, row, seen and w > 0.0 and abs(column) < np.inf and abs(row) < np.inf


@inner
def ray_of(column: float, row: float, model: int, p: Any) -> Any:
    """Returns x, y, z of length 1 in camera axes, and whether any ray falls on the pixel."""
    w = p[15] * column + p[16] * row + p[17]
    u, v = (p[9] * column + p[10] * row + p[11]) / w, (p[12] * column + p[13] * row + p[14]) / w
    if not (w > 0.0 and abs(u) < np.inf and abs(v) < np.inf):
        return 0.0, 0.0, 0.0, False
    if model in (PINHOLE, BROWN, MEI):
        seen, xi = True, 0.0
        if model != PINHOLE:
            u, v, seen = _straight(u, v, p)
        if model == MEI:
            xi = p[19]
        r2 = u * u + v * v
        under = 1.0 + (1.0 - xi * xi) * r2
        if not (seen and under >= 0.0):
            return 0.0, 0.0, 0.0, False
        long = (xi + np.sqrt(under)) / (r2 + 1.0)
        return u * long, v * long, long - xi, long < np.inf
    radius = np.sqrt(u * u + v * v)
    if radius == 0.0:
        return 0.0, 0.0, 1.0, True
    if model == FTHETA_BACKWARD:
        seen = radius < p[18]
        angle = max(_polynomial(radius, p)[0], 0.0)
    else:
        seen = radius < p[19]
        angle = _solved(radius, p[18], False, p) if seen else 0.0
    if not seen:
        return 0.0, 0.0, 0.0, False
    share = np.sin(angle) / radius
    return u * share, v * share, np.cos(angle), True


@kernel
def pixels_of(points: Any, model: int, p: Any, valid: Any, out: Any) -> None:
    """Writes the pixels of points (N, 3) float64 into (N, 2) float64, NaN where they are not seen; valid: (N,) bool."""
    for i in range(len(points)):
        u, v, seen = pixel_of(points[i, 0], points[i, 1], points[i, 2], model, p)
        valid[i] = seen
        out[i, 0], out[i, 1] = (u, v) if seen else (np.nan, np.nan)


@kernel
def rays_of(pixels: Any, model: int, p: Any, valid: Any, out: Any) -> None:
    """Writes the rays of pixels (N, 2) float64 into (N, 3) float64, NaN where there is none; valid: (N,) bool."""
    for i in range(len(pixels)):
        x, y, z, seen = ray_of(pixels[i, 0], pixels[i, 1], model, p)
        valid[i] = seen
        out[i, 0], out[i, 1], out[i, 2] = (x, y, z) if seen else (np.nan, np.nan, np.nan)


@kernel
def map_of(plane_from_pixel: Any, model: int, p: Any, map_x: Any, map_y: Any) -> None:
    """Writes where in the picture as it was taken each pixel of an undistorted one lies.

    plane_from_pixel: (3, 3) float64, the inverse of the undistorted picture's intrinsics. map_x, map_y: (H, W) float32.
    """
    m = plane_from_pixel
    for row in range(map_x.shape[0]):
        for column in range(map_x.shape[1]):
            x, y = m[0, 0] * column + (m[0, 1] * row + m[0, 2]), m[1, 0] * column + (m[1, 1] * row + m[1, 2])
            u, v, seen = pixel_of(x, y, 1.0, model, p)
            map_x[row, column] = u if seen else _OUTSIDE
            map_y[row, column] = v if seen else _OUTSIDE
