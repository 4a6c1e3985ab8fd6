"""The camera family: what each tensor is. How they are made is in builders/camera, file by file the same."""

from . import images, matrices
from .camera import CameraFrame, CameraParams, PlacedCameraParams
from .image import ImageParams, ImageTransform, PixelConvention
from .images import CameraImagesParams, Resampler
from .matrices import AffineParams, ExtrinsicsParams, IntrinsicsParams, ProjectionParams
from .norms import NORMS, ImageNorm, table_of

__all__ = [
    "GROUPS",
    "NORMS",
    "AffineParams",
    "CameraFrame",
    "CameraImagesParams",
    "CameraParams",
    "ExtrinsicsParams",
    "ImageNorm",
    "ImageParams",
    "ImageTransform",
    "IntrinsicsParams",
    "PixelConvention",
    "PlacedCameraParams",
    "ProjectionParams",
    "Resampler",
    "table_of",
]

GROUPS = (*images.GROUPS, *matrices.GROUPS)
