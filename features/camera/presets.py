"""Named parameters of published models, and the configuration they follow."""

from __future__ import annotations

from typing import Any

from ..preset import Preset

__all__ = ["AFFINE", "DEPTH", "EXTRINSICS", "IMAGES", "INTRINSICS", "PROJECTION", "RADAR_POINTS"]

Presets = dict[str, Preset]

_FRONT_FIRST = ["CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_FRONT_LEFT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT"]
_LEFT_FIRST = ["CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT"]
_AT_THE_BOTTOM = {"crop_at": [1.0, 0.5], "pixel_convention": "published"}

_PICTURES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "bevfusion_256x704": (
        {"cameras": _FRONT_FIRST, "resize": 0.48, "crop": [256, 704], **_AT_THE_BOTTOM},
        {"resampler": "pil_bicubic", "norm": "imagenet_unit"},
        "BEVFusion configs/nuscenes/default.yaml and mmdet3d/datasets/pipelines/transforms_3d.py, ImageAug3D "
        "(mit-han-lab)",
    ),
    "bevdet_256x704": (
        {"cameras": _LEFT_FIRST, "resize": 0.48, "crop": [256, 704], **_AT_THE_BOTTOM},
        {"resampler": "pil_bicubic", "norm": "imagenet_255"},
        "BEVDet mmdet3d/datasets/pipelines/loading.py, PrepareImageInputs with a resize_test of 0.04 (HuangJunJie2017)",
    ),
    "crn_256x704": (
        {"cameras": _LEFT_FIRST, "resize": "cover", "crop": [256, 704], **_AT_THE_BOTTOM},
        {"resampler": "pil_bicubic", "norm": "imagenet_255"},
        "CRN datasets/nusc_det_dataset.py, sample_ida_augmentation in testing (youngskkim)",
    ),
    "petr_320x800": (
        {"cameras": _FRONT_FIRST, "resize": "cover", "crop": [320, 800], **_AT_THE_BOTTOM},
        {"resampler": "pil_bicubic", "norm": "petr_bgr", "channel_order": "BGR"},
        "PETR projects/mmdet3d_plugin/datasets/pipelines/transform_3d.py, ResizeCropFlipImage (megvii-research)",
    ),
    "bevformer_base": (
        {"cameras": _FRONT_FIRST, "pad_multiple": 32, "pixel_convention": "published"},
        {"resampler": "cv2_linear", "norm": "caffe_bgr", "channel_order": "BGR"},
        "BEVFormer projects/configs/bevformer/bevformer_base.py (fundamentalvision)",
    ),
    "bevformer_tiny": (
        {
            "cameras": _FRONT_FIRST,
            "resize": 0.5,
            "pad_multiple": 32,
            "pixel_convention": "published",
        },
        {"resampler": "cv2_linear", "norm": "imagenet_255", "norm_at": "start"},
        "BEVFormer projects/configs/bevformer/bevformer_tiny.py (fundamentalvision), which normalises before it "
        "resizes",
    ),
    "caddn": (
        {},
        {"norm": "unit"},
        "CaDDN tools/cfgs/kitti_models/CaDDN.yaml (TRAILab), whose model normalises by itself",
    ),
}
"""Model -> what is done to its pictures, how their values are written, and what that follows."""


def _matrices(**more: Any) -> Presets:
    return {name: Preset({"image": image, **more}, {}, follows) for name, (image, _, follows) in _PICTURES.items()}


IMAGES: Presets = {
    name: Preset({"image": image, **values}, {}, follows) for name, (image, values, follows) in _PICTURES.items()
}
INTRINSICS = _matrices()
EXTRINSICS = _matrices()
PROJECTION = _matrices()
AFFINE = _matrices()

_NUS_SWEEPS = {
    "num_sweeps": 10,
    "intensity_mode": "raw",
    "remove_close": 1.0,
    "remove_close_of": "past",
    "compensate": "per_sweep",
}
_CRN_RADAR = {
    "num_sweeps": 8,
    "newest": "nearest",
    "filter": "crn",
    "advance_by_velocity": True,
    "velocity_axes": "mount",
    "min_distance": 0.1,
    "max_distance": 100.0,
}


def _image(name: str) -> dict[str, Any]:
    image, _, _ = _PICTURES[name]
    return image


DEPTH: Presets = {
    "bevfusion_256x704": Preset(
        {
            "image": _image("bevfusion_256x704"),
            "frame": "lidar",
            "lidar": _NUS_SWEEPS,
            "range": [-54.0, -54.0, -5.0, 54.0, 54.0, 3.0],
            "depth_range": [0.0, None],
            "pixel": "floor",
            "collision": "last",
            "layout": "K1HW",
        },
        follows="BEVFusion mmdet3d/models/vtransforms/base.py, BaseDepthTransform of lidar points (mit-han-lab); that "
        "some points behind a camera are written too is not followed",
    ),
    "bevdet_256x704": Preset(
        {
            "image": _image("bevdet_256x704"),
            "frame": "lidar",
            "lidar": {"compensate": "per_sweep"},
            "pixel": "round",
        },
        follows="BEVDet mmdet3d/datasets/pipelines/loading.py, PointToMultiViewDepth (HuangJunJie2017)",
    ),
    "crn_256x704": Preset(
        {
            "image": _image("crn_256x704"),
            "frame": "lidar",
            "lidar": {"compensate": "per_sweep"},
            "depth_range": [0.0, 58.0],
            "pixel": "truncate",
            "margin": 1.0,
            "stride": 16,
            "collision": "last_of_pixel",
        },
        follows="CRN scripts/gen_depth_gt.py, datasets/nusc_det_dataset.py, depth_transform, and "
        "layers/backbones/base_lss_fpn.py (youngskkim), as BEVDepth has it",
    ),
}
"""Model -> the depth of lidar points that it takes, or is trained with."""

RADAR_POINTS: Presets = {
    "crn_256x704": Preset(
        {
            "image": _image("crn_256x704"),
            "frame": "lidar",
            "radar": _CRN_RADAR,
            "depth_range": [0.0, 58.0],
            "pixel": "truncate",
            "margin": 1.0,
        },
        follows="CRN scripts/gen_radar_bev.py, scripts/gen_radar_pv.py and datasets/nusc_det_dataset.py, "
        "transform_radar_pv (youngskkim), before rcs and velocities are scaled; it takes the cycles in the order of "
        "their age, and 1536 by chance where there are more",
    ),
}
