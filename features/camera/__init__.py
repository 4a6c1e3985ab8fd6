"""The camera family: what each tensor is. How they are made is in builders/camera, file by file the same."""

from . import depth, images, matrices, points
from .camera import CameraFrame, CameraParams, PlacedCameraParams
from .depth import DepthParams
from .image import ImageParams, ImageTransform, PixelConvention
from .images import CameraImagesParams, Resampler
from .matrices import AffineParams, ExtrinsicsParams, IntrinsicsParams, ProjectionParams
from .norms import BGR_NORMS, NORMS, ImageNorm, table_of
from .points import LidarPixelsParams, RadarCameraPointsParams
from .sight import PixelRule, SightParams

__all__ = [
    "BGR_NORMS",
    "GROUPS",
    "NORMS",
    "AffineParams",
    "CameraFrame",
    "CameraImagesParams",
    "CameraParams",
    "DepthParams",
    "ExtrinsicsParams",
    "ImageNorm",
    "ImageParams",
    "ImageTransform",
    "IntrinsicsParams",
    "LidarPixelsParams",
    "PixelConvention",
    "PixelRule",
    "PlacedCameraParams",
    "ProjectionParams",
    "RadarCameraPointsParams",
    "Resampler",
    "SightParams",
    "table_of",
]

GROUPS = (*images.GROUPS, *matrices.GROUPS, *depth.GROUPS, *points.GROUPS)
