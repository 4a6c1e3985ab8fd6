"""camera_intrinsics, camera_extrinsics, camera_projection and camera_image_affine."""

from __future__ import annotations

from typing import Annotated, Literal

from .. import drawings
from ..feature import Axes, Feature
from ..group import Group
from ..parameter import About
from .camera import CameraParams, PlacedCameraParams
from .presets import AFFINE, EXTRINSICS, INTRINSICS, PROJECTION

__all__ = [
    "GROUPS",
    "AffineParams",
    "ExtrinsicsParams",
    "IntrinsicsParams",
    "ProjectionParams",
]

_AUGMENTED = About(
    "true: of the pictures as the tensor has them, after resize, crop, flip and rotation; false: as they were recorded "
    "(or undistorted)."
)
_WITHOUT = (
    "Of a camera that the frame has no picture of it is the identity, which models can invert; where there is one that "
    "does not decode it is as of any other, though camera_valid is 0."
)


class IntrinsicsParams(CameraParams, frozen=True, kw_only=True):
    augmented: Annotated[bool, _AUGMENTED] = True
    layout: Annotated[
        Literal["3x3", "3x4", "4x4"], About("3x4 has a fourth column of 0, 4x4 a fourth row of 0 0 0 1 too.")
    ] = "3x3"

    def rows(self) -> tuple[int, int]:
        return _LAYOUTS[self.layout]


class ExtrinsicsParams(PlacedCameraParams, frozen=True, kw_only=True):
    direction: Annotated[
        Literal["ref_from_camera", "camera_from_ref"],
        About(
            "ref_from_camera takes a point of the camera's axes (x right, y down, z forward) into the frame of "
            "reference; camera_from_ref is its inverse."
        ),
    ] = "ref_from_camera"
    layout: Annotated[Literal["3x4", "4x4"], About("4x4 has a fourth row, 0 0 0 1.")] = "4x4"

    def rows(self) -> tuple[int, int]:
        return _LAYOUTS[self.layout]


class ProjectionParams(PlacedCameraParams, frozen=True, kw_only=True):
    augmented: Annotated[bool, _AUGMENTED] = True
    layout: Annotated[Literal["3x4", "4x4"], About("4x4 has a fourth row, 0 0 0 1.")] = "4x4"

    def rows(self) -> tuple[int, int]:
        return _LAYOUTS[self.layout]


class AffineParams(CameraParams, frozen=True, kw_only=True):
    applied: Annotated[
        Literal["after_division", "before_division"],
        About(
            "after_division: 4x4, to (u, v, depth, 1), the translation in the last column, as BEVFusion's "
            "img_aug_matrix and LSS's and BEVDet's post_rots and post_trans; before_division: 3x3, to (u z, v z, z), "
            "the translation in the column of z, as what PETR multiplies intrinsics with. One in the place of the "
            "other scales the translation by depth."
        ),
    ] = "after_division"
    inverse: Annotated[bool, About("true: from the tensor's pixels to the recorded picture's.")] = False

    def rows(self) -> tuple[int, int]:
        return (4, 4) if self.applied == "after_division" else (3, 3)


_LAYOUTS = {"3x3": (3, 3), "3x4": (3, 4), "4x4": (4, 4)}
_Matrices = IntrinsicsParams | ExtrinsicsParams | ProjectionParams | AffineParams


def matrix_axes(params: _Matrices) -> Axes:
    """Returns the axes of one matrix per camera."""
    return ("num_cameras", *params.rows())


GROUPS = (
    Group(
        name="camera_intrinsics",
        params=IntrinsicsParams(),
        drawing=drawings.camera_pixels,
        presets=INTRINSICS,
        features=(
            Feature(
                name="camera_intrinsics",
                dtypes=("float32", "float64"),
                shape=matrix_axes,
                units="px",
                frame="image",
                cut="first_rows",
                prose="Per camera fx 0 cx, 0 fy cy, 0 0 1, of the built picture, K' = affine K, or with `augmented` "
                "false of the recorded one, K. The lens "
                f"is not in it: of a picture that is not undistorted it is that of its middle. {_WITHOUT}",
            ),
        ),
    ),
    Group(
        name="camera_extrinsics",
        params=ExtrinsicsParams(),
        drawing=drawings.camera_axes,
        presets=EXTRINSICS,
        features=(
            Feature(
                name="camera_extrinsics",
                dtypes=("float32", "float64"),
                shape=matrix_axes,
                units="m",
                frame="reference",
                cut="first_rows",
                prose=f"Per camera where it is and how it looks: a rotation and a translation. {_WITHOUT}",
            ),
        ),
    ),
    Group(
        name="camera_projection",
        params=ProjectionParams(),
        drawing=drawings.camera_pixels,
        presets=PROJECTION,
        features=(
            Feature(
                name="camera_projection",
                dtypes=("float32", "float64"),
                shape=matrix_axes,
                units="px",
                frame="reference",
                cut="first_rows",
                prose="Per camera from a point of the frame of reference to its pixel: q = projection [x y z 1], pixel "
                "(q0 / q2, q1 / q2), depth q2; known elsewhere as lidar2img. It is K' camera_from_ref, and has "
                f"everything that was done to the picture but its lens. {_WITHOUT}",
            ),
        ),
    ),
    Group(
        name="camera_image_affine",
        params=AffineParams(),
        drawing=drawings.camera_pixels,
        presets=AFFINE,
        features=(
            Feature(
                name="camera_image_affine",
                dtypes=("float32", "float64"),
                shape=matrix_axes,
                units="px",
                frame="image",
                cut="first_rows",
                prose="Per camera from the pixels of the recorded picture to those of the tensor: resize, crop, flip "
                f"and rotation as one matrix. {_WITHOUT}",
            ),
        ),
    ),
)
