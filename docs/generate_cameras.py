"""Writes the drawings of docs/cameras.md from the code: python docs/generate_cameras.py [--check]"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perceptum.datasets.synthetic.rig import CAMERAS, LIDAR_MOUNT, RADARS, ego_from_camera
from perceptum.features.camera import ImageTransform, PixelConvention

FOLDER = Path(__file__).with_name("images")
EGO, LIDAR, RADAR, CAMERA, GREY = "#111111", "#2e86ab", "#c2185b", "#d97706", "#8a8f98"
ARROW = """\
<marker id="{0}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">\
<path d="M0 0 8 4 0 8z" fill="{1}"/></marker>"""
COLORS = {"ego": EGO, "lidar": LIDAR, "radar": RADAR, "camera": CAMERA, "grey": GREY}


class Drawing:
    """Lines and words in an SVG, whose x is to the right and whose y is down, px."""

    def __init__(self, width: int, height: int) -> None:
        self._head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            'font-family="sans-serif" font-size="13">'
        )
        markers = "".join(ARROW.format(name, color) for name, color in COLORS.items())
        self._parts = [f"<defs>{markers}</defs>", f'<rect width="{width}" height="{height}" fill="white"/>']

    def line(self, points: Sequence[Sequence[float]], kind: str, width: float = 1, dash: str = "") -> None:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{COLORS[kind]}" stroke-width="{width:g}"{dashes}/>'
        )

    def arrow(self, begin: Sequence[float], end: Sequence[float], kind: str, width: float = 1.6) -> None:
        (x, y), (to_x, to_y) = begin, end
        self._parts.append(
            f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="{COLORS[kind]}" '
            f'stroke-width="{width:g}" marker-end="url(#{kind})"/>'
        )

    def dot(self, at: Sequence[float], kind: str, radius: float = 3) -> None:
        self._parts.append(f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="{radius:g}" fill="{COLORS[kind]}"/>')

    def towards(self, at: Sequence[float], kind: str, away: bool = False) -> None:
        """An axis along which one looks: a ring with a dot where it comes towards one, with a cross where it leaves."""
        x, y = at
        self._parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="white" stroke="{COLORS[kind]}" stroke-width="1.6"/>'
        )
        if away:
            self.line([(x - 4, y - 4), (x + 4, y + 4)], kind, 1.6)
            self.line([(x - 4, y + 4), (x + 4, y - 4)], kind, 1.6)
        else:
            self.dot(at, kind, 2)

    def words(self, at: Sequence[float], text: str, kind: str = "ego", anchor: str = "start", size: int = 13) -> None:
        self._parts.append(
            f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" fill="{COLORS[kind]}" text-anchor="{anchor}" '
            f'font-size="{size}">{text}</text>'
        )

    def text(self) -> str:
        return "\n".join([self._head, *self._parts, "</svg>"]) + "\n"


def frames() -> str:
    """The frames of reference of the synthetic car, from above as `perceptum view` draws it, and of a camera."""
    drawing = Drawing(960, 620)
    _car(drawing)
    _picture(drawing, (640, 70))
    _lidars(drawing, (640, 400))
    return drawing.text()


def _above(x: float, y: float) -> tuple[float, float]:
    """From the ego frame to the drawing: x up, y to the left."""
    return 280 - 78 * y, 420 - 78 * x


def _axis(
    drawing: Drawing, ref_from_own: NDArray[np.float64], axis: int, length_m: float, kind: str, name: str
) -> None:
    x, y = ref_from_own[:2, 3]
    dx, dy = ref_from_own[:2, axis] * length_m
    drawing.arrow(_above(x, y), _above(x + dx, y + dy), kind)
    drawing.words(_above(x + 1.28 * dx, y + 1.28 * dy), name, kind, "middle", 12)


def _car(drawing: Drawing) -> None:
    drawing.words((20, 26), "seen from above", "grey")
    drawing.line(
        [_above(x, y) for x, y in ((3.9, 0.95), (3.9, -0.95), (-0.9, -0.95), (-0.9, 0.95), (3.9, 0.95))], "grey"
    )
    for mount in CAMERAS.values():
        pose, half_rad = ego_from_camera(mount), math.atan(0.5 / mount.focal)
        (x, y), look = pose[:2, 3], math.atan2(*pose[1::-1, 2])
        for side in (-half_rad, half_rad):
            away = (x + 1.25 * math.cos(look + side), y + 1.25 * math.sin(look + side))
            drawing.line([_above(x, y), _above(*away)], "camera", 0.8, "4 3")
        _axis(drawing, pose, 2, 0.55, "camera", "z")
        _axis(drawing, pose, 0, 0.35, "camera", "x")
    for radar in RADARS.values():
        _axis(drawing, radar.ego_from_sensor, 0, 0.5, "radar", "x")
        _axis(drawing, radar.ego_from_sensor, 1, 0.35, "radar", "y")
    for axis, name in enumerate("xy"):
        _axis(drawing, LIDAR_MOUNT, axis, 0.45, "lidar", name)
        _axis(drawing, np.eye(4), axis, 0.6, "ego", name)
    drawing.towards(_above(0.94, 0), "lidar")
    drawing.towards(_above(0, 0), "ego")
    said = [
        ("ego", "ego: x forward, y left, z up (towards you)"),
        ("lidar", "lidar: where its log mounts it; here nearly as ego"),
        ("radar", "radar: x along its beam, y left"),
        ("camera", "camera: z where it looks, x right, y down (away from you)"),
    ]
    for row, (kind, text) in enumerate(said):
        drawing.dot((28, 536 + 21 * row), kind, 4)
        drawing.words((40, 540 + 21 * row), text, kind)


def _picture(drawing: Drawing, at: tuple[float, float]) -> None:
    """A camera's axes and the pixels of its picture, seen as it looks."""
    left, top = at
    drawing.words((left - 40, top - 44), "as the camera looks", "grey")
    right, bottom, middle = left + 240, top + 150, (left + 120, top + 75)
    drawing.line([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], "ego")
    drawing.dot(at, "ego")
    drawing.arrow(at, (left + 70, top), "ego", 2)
    drawing.arrow(at, (left, top + 60), "ego", 2)
    drawing.words((left + 74, top + 16), "u")
    drawing.words((left - 14, top + 72), "v")
    drawing.words((left - 44, top - 12), "u = v = 0: the middle of the first pixel", size=11)
    drawing.arrow(middle, (middle[0] + 70, middle[1]), "camera")
    drawing.arrow(middle, (middle[0], middle[1] + 50), "camera")
    drawing.towards(middle, "camera", away=True)
    drawing.words((middle[0] + 74, middle[1] + 4), "x", "camera")
    drawing.words((middle[0] - 4, middle[1] + 66), "y", "camera")
    drawing.words((middle[0] - 22, middle[1] - 10), "z, at cx cy", "camera")
    for row, text in enumerate(("d [u v 1] = K camera_from_ego [x y z 1],", "d: how far ahead along the camera's z")):
        drawing.words((left - 40, bottom + 26 + 19 * row), text)


def _lidars(drawing: Drawing, at: tuple[float, float]) -> None:
    """The two ways in which logs mount their lidar."""
    left, top = at
    drawing.words((left - 40, top - 60), "lidars, from above, the car driving up", "grey")
    for place, (said, x, y) in enumerate((("most logs", (0, -1), (-1, 0)), ("nuScenes", (1, 0), (0, -1)))):
        centre = (left + 40 + 180 * place, top + 60)
        for (across, down), name in ((x, "x"), (y, "y")):
            drawing.arrow(centre, (centre[0] + 60 * across, centre[1] + 60 * down), "lidar")
            drawing.words((centre[0] + 72 * across, centre[1] + 72 * down + 4), name, "lidar", "middle")
        drawing.towards(centre, "lidar")
        drawing.words((centre[0], centre[1] + 34), said, "lidar", "middle")


STEPS: tuple[tuple[str, ImageTransform], ...] = (
    ("recorded: 8 pixels", ImageTransform((1, 8), (1, 8), (1.0, 1.0), (0, 0, 1, 8))),
    ("resized to half: 4", ImageTransform((1, 8), (1, 4), (1.0, 0.5), (0, 0, 1, 4))),
    ("cropped to 3, from 1 on", ImageTransform((1, 8), (1, 4), (1.0, 0.5), (0, 1, 1, 3))),
    ("flipped", ImageTransform((1, 8), (1, 4), (1.0, 0.5), (0, 1, 1, 3), flip=True)),
)
SHOWN_U = 5.0


def pixel(transform: ImageTransform, convention: PixelConvention) -> float:
    """Returns where the matrices of a convention bring the recorded pixel SHOWN_U."""
    matrix = replace(transform, pixel_convention=convention).matrix()
    return float((matrix @ [SHOWN_U, 0.0, 1.0])[0])


def pixels() -> str:
    """The pixels of a row through the steps of a transform, and where both conventions say that one thing lies."""
    drawing = Drawing(860, 60 + 96 * len(STEPS))
    drawing.words((560, 30), "center", "lidar", "middle")
    drawing.words((700, 30), "published", "radar", "middle")
    left = 230
    for row, (said, transform) in enumerate(STEPS):
        top = 46 + 96 * row
        count, wide = transform.size[1], 36 * (8 // transform.resized[1])
        # what is cut off leaves its place
        begin = left + wide * transform.crop[1]
        drawing.words((16, top + 26), said)
        for number in range(count):
            x = begin + wide * number
            drawing.line([(x, top), (x + wide, top), (x + wide, top + 40), (x, top + 40), (x, top)], "ego")
            drawing.words((x + wide / 2, top + 56), f"{number}", "grey", "middle", 11)
            drawing.dot((x + wide / 2, top + 20), "grey", 1.6)
        true, said_too = pixel(transform, "center"), pixel(transform, "published")
        drawing.dot((begin + wide * (true + 0.5), top + 20), "camera", 5)
        drawing.words((560, top + 26), f"u = {true:g}", "lidar", "middle")
        drawing.words((700, top + 26), f"u = {said_too:g}", "radar", "middle")
    return drawing.text()


def drawings() -> dict[str, str]:
    """File name -> text."""
    return {"frames.svg": frames(), "pixels.svg": pixels()}


def main() -> int:
    wanted = drawings()
    if "--check" in sys.argv:
        there = {name: (FOLDER / name).read_text(encoding="utf-8") for name in wanted if (FOLDER / name).is_file()}
        return 0 if there == wanted else 1
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
