"""A detector in TensorFlow that looks from the lidar: what stands on the ground, clustered in the range image.

Neighbours in the image that are near each other in space belong together (after Bogoslavskyi and Stachniss 2016,
"Fast range image-based segmentation of sparse 3D laser scans"). No learned weights.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

__all__ = ["INPUTS", "RangeDetector"]

_ROWS, _COLUMNS = 64, 1024
_PARAMS = {
    "height": _ROWS,
    "width": _COLUMNS,
    "fov": [15.0, -25.0],
    "outside_fov": "drop",
    "xyz_frame": "ego",
    "channels": ["range", "x", "y", "z"],
}
_SECTORS, _RINGS, _RING_M = 128, 32, 2.0
_STEPS = [(0, 1), (0, 2), (0, 3), (1, 0), (2, 0), (1, 1), (1, -1)]

INPUTS: list[dict[str, Any]] = [
    {"name": "lidar_range_image", "dtype": "float32", "shape": [4, _ROWS, _COLUMNS], "params": _PARAMS},
    {"name": "lidar_range_image_mask", "dtype": "uint8", "shape": [_ROWS, _COLUMNS], "params": _PARAMS},
]

_SIGNATURE = [tf.TensorSpec(row["shape"], row["dtype"], name=row["name"]) for row in INPUTS]


class RangeDetector(tf.Module):  # type: ignore[misc]
    """(lidar_range_image, lidar_range_image_mask) -> {"boxes": (n, 7), "scores": (n,)}, both float32, ego frame."""

    @tf.function(input_signature=_SIGNATURE)  # type: ignore[untyped-decorator]
    def __call__(self, lidar_range_image: Any, lidar_range_image_mask: Any) -> dict[str, Any]:
        seen = lidar_range_image_mask > 0
        x, y, z = lidar_range_image[1], lidar_range_image[2], lidar_range_image[3]
        ground = _ground(x, y, z, seen)
        above = z - ground
        standing = seen & (above > 0.35) & (above < 4.2)
        cluster = _clusters(lidar_range_image[0], tf.stack([x, y, z], -1), standing)
        at = tf.where(standing)
        _, number = tf.unique(tf.gather_nd(cluster, at))
        px, py, pz, floor = (tf.gather_nd(channel, at) for channel in (x, y, z, ground))
        return _boxes(px, py, pz, floor, number)


def _ground(x: Any, y: Any, z: Any, seen: Any) -> Any:
    """The height of the ground under each pixel: the lowest point of its part of a polar grid, and of those around."""
    sector = tf.cast((tf.atan2(y, x) / (2 * math.pi) + 0.5) * _SECTORS, tf.int32) % _SECTORS
    ring = tf.clip_by_value(tf.cast(tf.sqrt(x * x + y * y) / _RING_M, tf.int32), 0, _RINGS - 1)
    part = sector * _RINGS + ring
    height = tf.where(seen, z, 1e3)
    lowest = tf.math.unsorted_segment_min(tf.reshape(height, [-1]), tf.reshape(part, [-1]), _SECTORS * _RINGS)
    grid = tf.minimum(tf.reshape(lowest, [1, _SECTORS, _RINGS, 1]), 1e3)
    near = -tf.nn.max_pool2d(-_around(grid, 1), 3, 1, "SAME")[:, 1:-1]
    far = -tf.nn.max_pool2d(-_around(near, 3), 7, 1, "SAME")[:, 3:-3]
    return tf.gather(tf.reshape(tf.where(near < 1e2, near, far), [-1]), part)


def _around(grid: Any, n: int) -> Any:
    """Continues the sectors round the circle."""
    return tf.concat([grid[:, -n:], grid, grid[:, :n]], 1)


def _clusters(distance: Any, xyz: Any, standing: Any) -> Any:
    """A number per pixel, equal within a cluster."""
    own = tf.reshape(tf.range(_ROWS * _COLUMNS), [_ROWS, _COLUMNS])
    ones, others = [], []
    for row, column in _STEPS:
        stop = _ROWS - row
        away = tf.norm(tf.roll(xyz, -column, 1)[row:] - xyz[:stop], axis=-1)
        both = standing[:stop] & tf.roll(standing, -column, 1)[row:]
        joined = both & (away < 0.4 + 0.012 * distance[:stop])
        ones.append(tf.boolean_mask(own[:stop], joined))
        others.append(tf.boolean_mask(tf.roll(own, -column, 1)[row:], joined))
    one, other = tf.concat(ones, 0), tf.concat(others, 0)
    n = _ROWS * _COLUMNS
    parent = tf.range(n)
    # Shiloach and Vishkin 1982: hook trees onto each other, then shorten them; rounds grow with log n
    while tf.reduce_any(tf.gather(parent, one) != tf.gather(parent, other)):
        a, b = tf.gather(parent, one), tf.gather(parent, other)
        hooked = tf.math.unsorted_segment_max(tf.maximum(a, b), tf.minimum(a, b), n)
        parent = tf.maximum(parent, hooked)
        while tf.reduce_any(tf.gather(parent, parent) != parent):
            parent = tf.gather(parent, parent)
    return tf.reshape(parent, [_ROWS, _COLUMNS])


def _boxes(x: Any, y: Any, z: Any, ground: Any, cluster: Any) -> dict[str, Any]:
    n = tf.reduce_max(tf.concat([cluster, [-1]], 0)) + 1
    u0, u1, v0, v1, yaw = _rectangles(x, y, cluster, n)
    top = tf.math.unsorted_segment_max(z, cluster, n)
    bottom = tf.math.unsorted_segment_min(ground, cluster, n)
    points = tf.math.unsorted_segment_sum(tf.ones_like(x), cluster, n)
    length, width, height = u1 - u0, v1 - v0, top - bottom
    middle_u, middle_v = (u0 + u1) / 2, (v0 + v1) / 2
    small = (length < 1.1) & (width < 1.1)
    vehicle = ~small & (height < 2.3)
    # a car seen from behind shows its width: the length lies across
    across = tf.where(vehicle, (length < 2.2) & (length > width), length < width)
    yaw = tf.where(across, yaw + math.pi / 2, yaw)
    length, width = tf.where(across, width, length), tf.where(across, length, width)
    middle_u, middle_v = tf.where(across, middle_v, middle_u), tf.where(across, -middle_u, middle_v)
    # what is hidden lies behind what is seen: grow away from the sensor
    full_length = tf.where(vehicle, tf.maximum(length, 4.4), length + 0.1)
    full_width = tf.where(vehicle, tf.maximum(width, 1.8), width + 0.1)
    middle_u += tf.sign(middle_u) * (full_length - length) / 2
    middle_v += tf.sign(middle_v) * (full_width - width) / 2
    centre_x = middle_u * tf.cos(yaw) - middle_v * tf.sin(yaw)
    centre_y = middle_u * tf.sin(yaw) + middle_v * tf.cos(yaw)
    box = tf.stack([centre_x, centre_y, bottom + height / 2, full_length, full_width, height, yaw], 1)
    wall = (width < 0.5) & ((length > 5.5) | ((length > 1.3) & (height > 2.2)))
    trunk = (height > 2.2) & (length < 1.8)
    plausible = (length < 13.0) & (width < 3.2) & (height > 0.7) & ~wall & ~trunk & (points >= 8)
    keep = plausible & (1 - tf.exp(-points / 25) > 0.1)
    return _without_doubles(tf.boolean_mask(box, keep), tf.boolean_mask(1 - tf.exp(-points / 25), keep))


def _without_doubles(box: Any, score: Any) -> dict[str, Any]:
    """Leaves out what stands within 1.5 m of something surer."""
    away = tf.norm(box[:, None, :2] - box[None, :, :2], axis=-1)
    keep = ~tf.reduce_any((away < 1.5) & (score[:, None] < score[None, :]), 1)
    return {"boxes": tf.boolean_mask(box, keep), "scores": tf.boolean_mask(score, keep)}


def _rectangles(x: Any, y: Any, cluster: Any, n: Any) -> tuple[Any, Any, Any, Any, Any]:
    """The rectangle of each cluster that lies closest to its points: extents along its axes u and v, and its yaw."""
    angles = tf.range(30, dtype=tf.float32) * (math.pi / 60)
    cos, sin = tf.cos(angles), tf.sin(angles)
    # points first: segments are taken over the first axis
    u = x[:, None] * cos + y[:, None] * sin
    v = y[:, None] * cos - x[:, None] * sin
    u0, u1 = tf.math.unsorted_segment_min(u, cluster, n), tf.math.unsorted_segment_max(u, cluster, n)
    v0, v1 = tf.math.unsorted_segment_min(v, cluster, n), tf.math.unsorted_segment_max(v, cluster, n)
    to_u = tf.minimum(tf.gather(u1, cluster) - u, u - tf.gather(u0, cluster))
    to_v = tf.minimum(tf.gather(v1, cluster) - v, v - tf.gather(v0, cluster))
    closeness = 1 / tf.maximum(tf.minimum(to_u, to_v), 0.1)
    best = tf.argmax(tf.math.unsorted_segment_sum(closeness, cluster, n), 1, output_type=tf.int32)
    chosen = [tf.gather(value, best, batch_dims=1) for value in (u0, u1, v0, v1)]
    return chosen[0], chosen[1], chosen[2], chosen[3], tf.gather(angles, best)
