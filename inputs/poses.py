"""Rigid transforms and poses over time: float64 matrices, int64 nanoseconds, quaternions (w, x, y, z)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import Matrix
from .errors import BrokenRecord, LogError, PoseUnknown
from .longest_rise import kept_of
from .once import once

__all__ = [
    "BrokenPose",
    "Poses",
    "box_corners",
    "inverse",
    "moved_boxes",
    "quaternion_from_rotation",
    "quaternion_from_yaw",
    "rigid",
    "rotation_from_quaternion",
    "yaw_from_rotation",
]


# nlerp is exact to rounding below this angle between neighbours, where slerp divides by nearly zero
_SMALL_ANGLE_DOT = 1.0 - 1e-12


def rotation_from_quaternion(wxyz: ArrayLike) -> Matrix:
    """Returns (..., 3, 3) rotations of the quaternions (..., 4), scalar first, normalised here."""
    q = np.asarray(wxyz, dtype=np.float64)
    w, x, y, z = np.moveaxis(q / np.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def quaternion_from_rotation(rotation: ArrayLike) -> Matrix:
    """Returns (4,) w x y z, w >= 0, of one (3, 3) rotation.

    The eigenvector of Bar-Itzhack's symmetric matrix (2000): safe at every angle.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = np.asarray(rotation, dtype=np.float64)
    k = np.array(
        [
            [xx - yy - zz, 0, 0, 0],
            [yx + xy, yy - xx - zz, 0, 0],
            [zx + xz, zy + yz, zz - xx - yy, 0],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    _, vectors = np.linalg.eigh(k, UPLO="L")
    q = vectors[[3, 0, 1, 2], -1]
    return q if q[0] >= 0 else -q


def quaternion_from_yaw(yaw_rad: ArrayLike) -> Matrix:
    """Returns (..., 4) w x y z of rotations about +z."""
    half = np.asarray(yaw_rad, dtype=np.float64) / 2
    zero = np.zeros_like(half)
    return np.stack([np.cos(half), zero, zero, np.sin(half)], axis=-1)


def yaw_from_rotation(rotation: ArrayLike) -> Matrix:
    """Returns the yaw (...) in [-pi, pi] about +z of (..., 3, 3) or (..., 4, 4) matrices."""
    r = np.asarray(rotation, dtype=np.float64)
    return np.arctan2(r[..., 1, 0], r[..., 0, 0])


def moved_boxes(boxes: ArrayLike, target_from_source: ArrayLike) -> Matrix:
    """Returns (N, 7) float64: boxes x y z (centre) length width height yaw, in the axes of `target`.

    Where those are tilted against the source's, a box stays upright in them: its yaw is the heading of its length.
    """
    moved = np.array(boxes, dtype=np.float64)
    turn, shift = np.asarray(target_from_source)[:3, :3], np.asarray(target_from_source)[:3, 3]
    moved[:, :3] = moved[:, :3] @ turn.T + shift
    heading = np.stack([np.cos(moved[:, 6]), np.sin(moved[:, 6])]).T @ turn[:2, :2].T
    moved[:, 6] = np.arctan2(heading[:, 1], heading[:, 0])
    return moved


def box_corners(boxes: ArrayLike) -> Matrix:
    """Returns (n, 8, 3): the corners of (n, 7) boxes, the lower four first, both round the same way."""
    x, y, z, length, width, height, yaw = np.asarray(boxes, dtype=np.float64).reshape(-1, 7).T[:, :, None]
    along = np.tile([0.5, -0.5, -0.5, 0.5], 2) * length
    across = np.tile([0.5, 0.5, -0.5, -0.5], 2) * width
    up = np.repeat([-0.5, 0.5], 4) * height
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.stack([x + cos * along - sin * across, y + sin * along + cos * across, z + up], axis=-1)


def rigid(rotation: ArrayLike, translation: ArrayLike) -> Matrix:
    """Returns the (..., 4, 4) transform p -> rotation @ p + translation, float64."""
    r = np.asarray(rotation, dtype=np.float64)
    out = np.zeros((*r.shape[:-2], 4, 4))
    out[..., :3, :3] = r
    out[..., :3, 3] = translation
    out[..., 3, 3] = 1.0
    return out


def inverse(transform: ArrayLike) -> Matrix:
    """Returns the inverse of rigid (..., 4, 4) transforms, from the transpose: no general inversion."""
    t = np.asarray(transform, dtype=np.float64)
    back = np.swapaxes(t[..., :3, :3], -1, -2)
    return rigid(back, -np.einsum("...ij,...j->...i", back, t[..., :3, 3]))


_FARTHEST_M = 1e9


class BrokenPose(NamedTuple):
    """A pose that a log has and that cannot be used."""

    time_ns: int
    why: str
    """The file and the entry, what it holds, and what was wanted."""


@dataclass(frozen=True)
class Poses:
    """world_from_ego over time.

    Between stamps translation is linear and rotation is slerp; outside the recorded span, inside gaps longer than
    `max_gap_ns`, and next to a broken pose, asking is an error: nothing is guessed in silence.
    """

    times_ns: NDArray[np.int64]
    """(n,) strictly increasing."""
    quaternions: NDArray[np.float64]
    """(n, 4) w x y z."""
    translations: NDArray[np.float64]
    """(n, 3) metres, world frame."""
    max_gap_ns: int = 500_000_000
    broken: tuple[BrokenPose, ...] = ()
    """By time. Between the recorded poses around one of these no pose is known."""

    def __post_init__(self) -> None:
        n = len(self.times_ns)
        if n == 0:
            raise LogError("a log needs at least one pose, got none")
        if self.quaternions.shape != (n, 4) or self.translations.shape != (n, 3):
            raise LogError(
                f"{n} pose times need quaternions ({n}, 4) and translations ({n}, 3), "
                f"got {self.quaternions.shape} and {self.translations.shape}"
            )
        self._check_numbers()
        # compared, not subtracted: a difference of int64 may wrap
        falls = self.times_ns[1:] <= self.times_ns[:-1]
        if falls.any():
            at = int(np.argmax(falls))
            raise LogError(
                f"pose times must increase: {self.times_ns[at]} ns is followed by {self.times_ns[at + 1]} ns"
            )

    def _check_numbers(self) -> None:
        lengths = np.linalg.norm(self.quaternions, axis=1)
        bad = ~(np.isfinite(self.translations).all(axis=1) & np.isfinite(lengths) & (lengths > 0))
        if bad.any():
            at = int(np.argmax(bad))
            raise LogError(
                f"the pose at {self.times_ns[at]} ns is not a pose: quaternion {self.quaternions[at].tolist()}, "
                f"translation {self.translations[at].tolist()}; wanted finite numbers and a rotation"
            )

    @classmethod
    def fixed(cls, times_ns: ArrayLike) -> Poses:
        """The identity at each of the times: for logs that record no motion."""
        times = np.asarray(times_ns, dtype=np.int64)
        return cls(times, np.tile([1.0, 0, 0, 0], (len(times), 1)), np.zeros((len(times), 3)))

    @classmethod
    def standing(cls, streams: Iterable[ArrayLike]) -> Poses:
        """The identity from the first to the last of all stamps, however far apart: the vehicle stands still."""
        times = np.unique(np.concatenate([np.asarray(times_ns, dtype=np.int64) for times_ns in streams]))
        return replace(cls.fixed(times), max_gap_ns=np.iinfo(np.int64).max)

    @classmethod
    def leaving_gaps(
        cls,
        source: str,
        times_ns: NDArray[np.int64],
        quaternions: NDArray[np.float64],
        translations: NDArray[np.float64],
        broken: Mapping[int, str] | None = None,
        max_gap_ns: int = 500_000_000,
    ) -> Poses:
        """Returns the poses of those rows that can be used; each of the others leaves a gap, and is in `broken`.

        source: the file, for messages. broken: row -> why it is known to be broken, with the file in it; such a row
        may hold anything. Broken is also a row that is not a rigid pose within 1e9 m, or whose time is repeated or out
        of order; of equal times the first is kept. Raises BrokenRecord where none can be used, or there is none.
        """
        if not len(times_ns):
            raise BrokenRecord(f"{source}: a log needs at least one pose, got none")
        why = dict(broken or {})
        with np.errstate(over="ignore", invalid="ignore"):
            lengths = np.linalg.norm(quaternions, axis=1)
            rigid_here = np.isfinite(lengths) & (lengths > 0) & (np.abs(translations) <= _FARTHEST_M).all(axis=1)
        rigid_here[list(why)] = False
        for row in np.flatnonzero(~rigid_here).tolist():
            why.setdefault(
                row,
                f"{source}: pose {row} has the quaternion {quaternions[row].tolist()} and translation "
                f"{translations[row].tolist()}, wanted finite numbers, a rotation and metres within 1e9",
            )
        good = np.flatnonzero(rigid_here)
        kept = good[kept_of(times_ns[good])] if len(good) else good
        if len(kept) == len(times_ns):
            return cls(times_ns, quaternions, translations, max_gap_ns)
        # a whole pose that repeats a time takes nothing away: what it says of that time is known
        repeated = set(np.setdiff1d(good, kept).tolist())
        for row in sorted(repeated):
            why[row] = f"{source}: the time of pose {row}, {times_ns[row]} ns, is repeated or out of order"
        if not len(kept):
            raise BrokenRecord(f"{why[min(why)]}; none of the {len(times_ns)} poses can be used")
        found = sorted(BrokenPose(_within(times_ns, kept, row, row in repeated), text) for row, text in why.items())
        return cls(times_ns[kept], quaternions[kept], translations[kept], max_gap_ns, tuple(found))

    def __repr__(self) -> str:
        first, last = self.span_ns
        broken = f", {len(self.broken)} broken" if self.broken else ""
        return f"<Poses: {len(self.times_ns)} from {first} to {last} ns{broken}>"

    @property
    def span_ns(self) -> tuple[int, int]:
        return int(self.times_ns[0]), int(self.times_ns[-1])

    @once
    def _unit(self) -> Matrix:
        return np.asarray(self.quaternions / np.linalg.norm(self.quaternions, axis=1, keepdims=True))

    def at(self, time_ns: int) -> Matrix:
        """Returns the (4, 4) world_from_ego at `time_ns`; raises PoseUnknown outside the record."""
        world_from_ego: Matrix = self.at_many(np.array([time_ns], dtype=np.int64))[0]
        return world_from_ego

    def at_many(self, times_ns: ArrayLike, extrapolate_ns: int = 0) -> Matrix:
        """Returns (k, 4, 4) world_from_ego.

        Up to `extrapolate_ns` beyond either end the last motion goes on; further is PoseUnknown.
        """
        times = np.asarray(times_ns, dtype=np.int64)
        before = np.clip(np.searchsorted(self.times_ns, times, side="right") - 1, 0, max(len(self.times_ns) - 2, 0))
        after = np.minimum(before + 1, len(self.times_ns) - 1)
        self._check(times, before, after, extrapolate_ns)
        step = np.maximum(self.times_ns[after] - self.times_ns[before], 1)
        # a single pose says nothing of motion: it holds
        fraction = np.where(after == before, 0.0, (times - self.times_ns[before]) / step)
        quaternions = _slerp(self._unit[before], self._unit[after], fraction)
        a, b = self.translations[before], self.translations[after]
        # weights, not a + (b - a) * fraction: a recorded pose comes back to the last bit at both ends
        return rigid(rotation_from_quaternion(quaternions), (1 - fraction)[:, None] * a + fraction[:, None] * b)

    @once
    def _broken_ns(self) -> NDArray[np.int64]:
        return np.array([pose.time_ns for pose in self.broken], dtype=np.int64)

    def next_to_broken(self, times_ns: ArrayLike) -> NDArray[np.int64]:
        """Returns (k,) the number in `broken` of one that lies between the same recorded poses as each time, or -1.

        A time of a recorded pose has none. Beyond an end only those beyond it count.
        """
        times = np.asarray(times_ns, dtype=np.int64)
        if not self.broken:
            return np.full(times.shape, -1)
        recorded, gaps = self.times_ns, self._broken_ns
        at = np.searchsorted(recorded, times, side="left")
        low = np.where(at > 0, np.searchsorted(gaps, recorded[np.maximum(at - 1, 0)], side="right"), 0)
        end = len(recorded) - 1
        high = np.where(at <= end, np.searchsorted(gaps, recorded[np.minimum(at, end)], side="left"), len(gaps))
        known = recorded[np.minimum(at, end)] == times
        return np.where(~known & (low < high), low, -1)

    def _check(
        self, times: NDArray[np.int64], before: NDArray[np.intp], after: NDArray[np.intp], extrapolate_ns: int
    ) -> None:
        first, last = self.span_ns
        lost = self.next_to_broken(times)
        if (lost >= 0).any():
            at = int(np.argmax(lost >= 0))
            raise PoseUnknown(f"no pose at {int(times[at])} ns: {self.broken[int(lost[at])].why}")
        outside = (times < first - extrapolate_ns) | (times > last + extrapolate_ns)
        if outside.any():
            t = int(times[np.argmax(outside)])
            raise PoseUnknown(f"no pose at {t} ns: poses are recorded from {first} to {last} ns")
        recorded = (self.times_ns[before] == times) | (self.times_ns[after] == times)
        gap = (self.times_ns[after] - self.times_ns[before] > self.max_gap_ns) & ~recorded
        if gap.any():
            at = int(np.argmax(gap))
            a, b = int(self.times_ns[before[at]]), int(self.times_ns[after[at]])
            raise PoseUnknown(
                f"no pose at {int(times[at])} ns: between {a} and {b} ns none is recorded for {(b - a) * 1e-9:.3f} s, "
                f"more than the {self.max_gap_ns * 1e-9:.3f} s that are interpolated"
            )


def _within(times_ns: NDArray[np.int64], kept: NDArray[np.intp], row: int, may_repeat: bool) -> int:
    """Returns the time of a broken row, or one between its kept neighbours where its own is not.

    may_repeat: the time of a neighbour will do, where no gap is.
    """
    at = int(np.searchsorted(kept, row))
    low = int(times_ns[kept[at - 1]]) if at > 0 else None
    high = int(times_ns[kept[at]]) if at < len(kept) else None
    time_ns = int(times_ns[row])
    if (low is None or low < time_ns) and (high is None or time_ns < high):
        return time_ns
    if may_repeat and time_ns in (low, high):
        return time_ns
    if low is None or high is None:
        return low + 1 if low is not None else (high or 0) - 1
    return (low + high) // 2


def _slerp(a: Matrix, b: Matrix, fraction: Matrix) -> Matrix:
    """Shoemake's slerp (1985) of unit quaternions (k, 4), by the shorter way; also beyond [0, 1]."""
    dot = np.einsum("ij,ij->i", a, b)
    b = np.where(dot[:, None] < 0, -b, b)
    dot = np.minimum(np.abs(dot), 1.0)
    near = dot > _SMALL_ANGLE_DOT
    angle = np.arccos(np.where(near, 0.5, dot))
    sine = np.sin(angle)
    wa = np.where(near, 1 - fraction, np.sin((1 - fraction) * angle) / sine)
    wb = np.where(near, fraction, np.sin(fraction * angle) / sine)
    out = wa[:, None] * a + wb[:, None] * b
    return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True))
