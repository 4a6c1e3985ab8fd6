"""Named parameters of published models, and the configuration they follow."""

from __future__ import annotations

from typing import Any

from ..preset import Preset

__all__ = ["AFFINE", "EXTRINSICS", "IMAGES", "INTRINSICS", "PROJECTION"]

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
