"""How a camera sees: points in front of it to pixels, pixels to rays, and the map that undistorts its pictures.

Pixel centres are whole numbers: (0, 0) is the middle of the topmost pixel on the left, as OpenCV has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import ArrayLike, NDArray

from .arrays import Matrix
from .errors import BrokenRecord
from .once import once

__all__ = ["COEFFICIENTS", "Lens", "lens_of", "undistortion_map"]

COEFFICIENTS: Mapping[str, tuple[int, ...]] = {
    "none": (0,),
    "brown": (4, 5, 8, 12, 14),
    "fisheye": (4,),
    "mei": (5,),
    "ftheta": tuple(range(2, 13)),
    "ftheta_backward": tuple(range(2, 13)),
}
"""Model -> how many coefficients it may have."""

_KEPT_LENSES = 256
_STEEPEST = 1e12
"""A coefficient or an intrinsic number beyond is nonsense, and would overflow."""
_FARTHEST = 1e3
"""Mei's xi; those of real lenses are below 3, and of greater ones the digits of a ray are lost."""
_FLATTEST = 1e-9
"""The sine of the least angle between the rows and the columns of a picture."""
_OFF_AXIS = 0.01
"""Of the focal length: a fitted polynomial may begin beside 0; what it would put through the axis stays on it."""
_REAL = 1e-9
_HALVINGS = 100


@dataclass(frozen=True, eq=False)
class Lens:
    """One camera's model. Raises BrokenRecord where its numbers do not make one.

    none: a pinhole, u = fx x/z + cx.
    brown: k1 k2 p1 p2 [k3 [k4 k5 k6 [s1 s2 s3 s4 [tau_x tau_y]]]], as OpenCV's calib3d.
    fisheye: k1 k2 k3 k4, as OpenCV's fisheye (Kannala and Brandt 2006), and on beyond 90 degrees.
    mei: xi k1 k2 p1 p2. A point goes onto the unit sphere, from there, seen from xi behind its centre, onto the plane,
    and is then distorted as by brown (Mei and Rives 2007).
    ftheta: how far a pixel is from the principal point, in focal lengths, is a polynomial of the angle from the axis in
    radians, the constant first, about 0. ftheta_backward: the angle is a polynomial of that distance. `Lens.ftheta`
    makes both of pixels, as NVIDIA publishes them.
    """

    intrinsics: Matrix
    """(3, 3) float64, pixels: fx skew cx, 0 fy cy, 0 0 1."""
    model: str = "none"
    coefficients: Matrix = field(default_factory=lambda: np.zeros(0))
    """(n,) float64 in the model's order."""

    def __post_init__(self) -> None:
        matrix = np.array(self.intrinsics, dtype=np.float64)
        if matrix.shape != (3, 3) or not (abs(matrix) <= _STEEPEST).all() or matrix[2].tolist() != [0, 0, 1]:
            raise BrokenRecord(f"intrinsics are {matrix.tolist()}, wanted 3 x 3 finite numbers, the last row 0 0 1")
        if not _sine(matrix[0, :2], matrix[1, :2]) > _FLATTEST:
            raise BrokenRecord(f"intrinsics {matrix.tolist()} are singular: the whole picture would be one line")
        counts = COEFFICIENTS.get(self.model)
        if counts is None:
            raise BrokenRecord(f"distortion_model is {self.model!r}, wanted one of {', '.join(COEFFICIENTS)}")
        numbers = np.array(self.coefficients, dtype=np.float64)
        if numbers.ndim != 1 or len(numbers) not in counts:
            wanted = f"{counts[0]} to {counts[-1]}" if len(counts) > 5 else " or ".join(map(str, counts))
            raise BrokenRecord(f"distortion of {self.model} has shape {numbers.shape}, wanted {wanted} numbers")
        if not (np.abs(numbers) <= _STEEPEST).all():
            raise BrokenRecord(f"distortion of {self.model} is {numbers.tolist()}, wanted finite numbers")
        if self.model == "mei" and not 0 <= numbers[0] <= _FARTHEST:
            raise BrokenRecord(f"distortion of mei has xi {numbers[0]}, wanted 0 to {_FARTHEST:.0f}")
        if len(numbers) == 14 and self.model == "brown" and not (np.cos(numbers[12:]) > _FLATTEST).all():
            raise BrokenRecord(
                f"distortion of brown tilts the sensor by {numbers[12:].tolist()} rad, wanted less than a quarter turn"
            )
        if self.model.startswith("ftheta") and not (abs(numbers[0]) <= _OFF_AXIS and numbers[1] > 1 / _STEEPEST):
            raise BrokenRecord(
                f"distortion of {self.model} begins with {numbers[:2].tolist()}, wanted about 0 and a number above 0"
            )
        for array in (matrix, numbers):
            array.flags.writeable = False
        object.__setattr__(self, "intrinsics", matrix)
        object.__setattr__(self, "coefficients", numbers)

    @classmethod
    def ftheta(
        cls,
        principal_point: ArrayLike,
        polynomial: ArrayLike,
        backward: bool = False,
        linear: tuple[float, float, float] = (1.0, 0.0, 0.0),
    ) -> Lens:
        """Returns the lens of a polynomial in pixels, as NVIDIA's PhysicalAI-AV, ncore and DriveWorks publish it.

        principal_point: (2,) px, from the middle of the first pixel. polynomial: ascending, the distance in pixels of
        the angle in radians (fw_poly, angle_to_pixeldist_poly), or with `backward` the angle of the distance (bw_poly,
        pixeldist_to_angle_poly); where both are published, take the reference: the other is fitted to it. linear: c, d,
        e of ncore's linear_cde, (u, v) = [c d; e 1] (x, y). The focal length is the slope on the axis, px per radian.
        """
        (cx, cy), (c, d, e) = np.asarray(principal_point, dtype=np.float64).tolist(), linear
        numbers = np.array(polynomial, dtype=np.float64)
        slope = float(numbers[1]) if numbers.ndim == 1 and len(numbers) > 1 else 0.0
        if not 1 / _STEEPEST < slope < _STEEPEST:
            raise BrokenRecord(f"the polynomial is {numbers.tolist()}, wanted 0 and then a number above 0")
        focal = 1 / slope if backward else slope
        numbers = numbers * focal ** np.arange(len(numbers)) if backward else numbers / focal
        intrinsics = np.array([[focal * c, focal * d, cx], [focal * e, focal, cy], [0, 0, 1]])
        return cls(intrinsics, "ftheta_backward" if backward else "ftheta", numbers)

    def _key(self) -> tuple[bytes, str, bytes]:
        return self.intrinsics.tobytes(), self.model, self.coefficients.tobytes()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lens) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    @once
    def code(self) -> int:
        """The model's number, for kernels that call `lens_kernel.pixel_of`."""
        return list(COEFFICIENTS).index(self.model)

    @once
    def parameters(self) -> Matrix:
        """(32,) float64, for those kernels; read-only."""
        p, numbers = np.zeros(32), self.coefficients.tolist()
        pixel_from_plane = self.intrinsics
        if self.model == "brown":
            p[20 : 20 + min(len(numbers), 12)] = numbers[:12]
            p[18] = _brown_turn(p[20:32])
            if len(numbers) == 14:
                pixel_from_plane = self.intrinsics @ _tilt(*numbers[12:])
        elif self.model == "mei":
            p[19], p[20:24] = numbers[0], numbers[1:]
            p[18] = _brown_turn(p[20:32])
        elif self.model != "none":
            p[20 : 20 + len(numbers)] = numbers
            if self.model == "fisheye":
                p[20:32] = [0, 1, 0, numbers[0], 0, numbers[1], 0, numbers[2], 0, numbers[3], 0, 0]
            p[18] = _polynomial_end(p[20:32], self.model == "ftheta_backward")
            p[19] = Polynomial(p[20:32])(p[18])
        p[:9], p[9:18] = pixel_from_plane.ravel(), np.linalg.inv(pixel_from_plane).ravel()
        p.flags.writeable = False
        return p

    def project(self, points: ArrayLike) -> tuple[Matrix, NDArray[np.bool_]]:
        """Returns pixels (N, 2) float64 of points (N, 3) in camera axes, and (N,) which are seen; others are NaN.

        Seen is what is in front of a pinhole, or within the field of a wide lens, and not where the distortion folds
        back, however far it is from the picture: whether a pixel is within that is for the caller to ask. What is not
        finite is not seen.
        """
        from .lens_kernel import pixels_of

        given = np.ascontiguousarray(points, dtype=np.float64).reshape(-1, 3)
        pixels, valid = np.empty((len(given), 2)), np.empty(len(given), dtype=np.bool_)
        pixels_of(given, self.code, self.parameters, valid, pixels)
        return pixels, valid

    def unproject(self, pixels: ArrayLike) -> tuple[Matrix, NDArray[np.bool_]]:
        """Returns the rays (N, 3) float64 of length 1 of pixels (N, 2), and (N,) which have one; others are NaN."""
        from .lens_kernel import rays_of

        given = np.ascontiguousarray(pixels, dtype=np.float64).reshape(-1, 2)
        rays, valid = np.empty((len(given), 3)), np.empty(len(given), dtype=np.bool_)
        rays_of(given, self.code, self.parameters, valid, rays)
        return rays, valid


@lru_cache(maxsize=_KEPT_LENSES)
def _kept(intrinsics: bytes, model: str, coefficients: bytes) -> Lens:
    return Lens(np.frombuffer(intrinsics).reshape(3, 3), model, np.frombuffer(coefficients))


def lens_of(intrinsics: ArrayLike, model: str, coefficients: ArrayLike | None) -> Lens:
    """Returns the lens, the same object for the same numbers; a pinhole without coefficients. Raises BrokenRecord."""
    matrix = np.asarray(intrinsics, dtype=np.float64)
    if coefficients is None:
        model, numbers = "none", np.zeros(0)
    else:
        numbers = np.asarray(coefficients, dtype=np.float64)
    if matrix.shape != (3, 3) or numbers.ndim != 1:
        return Lens(matrix, model, numbers)
    return _kept(matrix.tobytes(), model, numbers.tobytes())


def undistortion_map(
    lens: Lens, size: tuple[int, int], new_intrinsics: ArrayLike | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns map_x and map_y (height, width) float32, as cv2.remap takes them: where in the picture as it was taken
    each pixel of an undistorted one lies.

    The undistorted picture is a pinhole's with `new_intrinsics`, or with the lens's own. As initUndistortRectifyMap and
    fisheye.initUndistortRectifyMap of OpenCV, but for where the distortion folds back: nothing is to be seen there, but
    those show a part of the picture again; here it is far outside, at -32768.
    """
    from .lens_kernel import map_of

    if new_intrinsics is None:
        straight = lens.intrinsics
    else:
        straight = Lens(np.asarray(new_intrinsics, dtype=np.float64)).intrinsics
    map_x, map_y = np.empty(size, dtype=np.float32), np.empty(size, dtype=np.float32)
    map_of(np.linalg.inv(straight), lens.code, lens.parameters, map_x, map_y)
    return map_x, map_y


def _sine(row: Matrix, other: Matrix) -> float:
    """Returns the sine of the angle between two rows, 0 where one of them is 0."""
    lengths = float(np.linalg.norm(row) * np.linalg.norm(other))
    return abs(float(row[0] * other[1] - row[1] * other[0])) / lengths if 0 < lengths < np.inf else 0.0


def _least_root(polynomial: Polynomial) -> float:
    """Returns the least root above 0 of a polynomial whose constant is above 0; inf where it has none.

    Of the reversed polynomial it is the greatest: its first coefficient is the constant, so that nothing overflows.
    """
    ascending = np.asarray(polynomial.coef, dtype=np.float64)
    roots = np.roots(ascending / ascending[0])
    real = roots.real[np.abs(roots.imag) <= _REAL * np.abs(roots)]
    greatest = float(real.max(initial=0.0))
    return 1 / greatest if greatest > 0 else np.inf


def _brown_turn(p: Matrix) -> float:
    """Returns r^2 where r (1 + k1 r^2 + k2 r^4 + k3 r^6) / (1 + k4 r^2 + ...) ends to rise; inf where it never does."""
    above, below = Polynomial([1, p[0], p[1], p[4]]), Polynomial([1, p[5], p[6], p[7]])
    twice = Polynomial([0, 2])
    rise = (above + twice * above.deriv()) * below - twice * above * below.deriv()
    return min(_least_root(rise), _least_root(below))


def _polynomial_end(p: Matrix, backward: bool) -> float:
    """Returns up to where a polynomial, ascending, rises as the angle goes from 0 to pi: an angle, or a radius."""
    polynomial = Polynomial(p)
    turn = _least_root(polynomial.deriv())
    if not backward:
        return min(turn, np.pi)
    if turn < np.inf and polynomial(turn) < np.pi:
        return turn
    low, high = 0.0, min(turn, 1.0)
    while high < turn and polynomial(high) < np.pi:
        high = min(turn, 2 * high)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if polynomial(middle) < np.pi else (low, middle)
    return low


def _tilt(x_rad: float, y_rad: float) -> Matrix:
    """Returns (3, 3) from the plane before the lens to that of a tilted sensor; after OpenCV's calib3d."""
    (sx, sy), (cx, cy) = np.sin([x_rad, y_rad]), np.cos([x_rad, y_rad])
    turned = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]]) @ np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    along = turned[2, 2]
    onto = np.array([[along, 0, -turned[0, 2]], [0, along, -turned[1, 2]], [0, 0, 1]])
    return np.asarray(onto @ turned, dtype=np.float64)
