"""Named parameters of published models, and the configuration they follow."""

from __future__ import annotations

from typing import Any

import msgspec

from ..preset import Preset

__all__ = ["AFFINE", "DEPTH", "EXTRINSICS", "IMAGES", "INTRINSICS", "LIDAR_PIXELS", "PROJECTION", "RADAR_POINTS"]

Presets = dict[str, Preset]
Values = dict[str, Any]

_FRONT_FIRST = ["CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_FRONT_LEFT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT"]
_LEFT_FIRST = ["CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT"]
# the resize factor itself goes into the matrices, and no half pixel
_PUBLISHED = {"matrix_scale": "factor", "pixel_convention": "published"}
_AT_THE_BOTTOM = {"crop_at": [1.0, 0.5], **_PUBLISHED}
# Pillow reads RGB, and mmcv's imnormalize with to_rgb exchanges red and blue as if it were BGR: the means of RGB meet
# BGR, and the weights were trained so
_SWAPPED: Values = {"resampler": "pil_bicubic", "norm": "imagenet_255", "channel_order": "BGR"}
_SWAPPED_SAID = "whose imnormalize exchanges the red and blue that Pillow read"

# whatever segments the pictures scales them itself
_PAINTING = (
    "in the style of the paper (Vora et al. 2020, PointPainting), of which no code is public; the pictures are as "
    "recorded, for any model of segmentation"
)


class _Model(msgspec.Struct, frozen=True):
    """What one published model is given; each field but the first and last says what differs from a group's own."""

    image: Values
    images: Values
    follows: str
    places: Values = {}
    """Of extrinsics and projection: the axes, and whether the ego motion is taken out."""
    intrinsics: Values = {}
    extrinsics: Values = {}
    projection: Values = {}
    affine: Values = {}


# LSS and what came of it take the plain intrinsics, and the affine of the picture after the division by depth
_LIFTED: Values = {"augmented": False}
_LIFTED_4X4: Values = {"augmented": False, "layout": "4x4"}
# the lidar's axes at its own time, each camera where it was at its own, as mmdetection3d's infos have them
_IN_LIDAR: Values = {"frame": "lidar"}
# each camera's picture is taken as if it were of the reference time
_AS_MOUNTED: Values = {"motion_compensated": False}
_LIDAR_TO_CAMERA: Values = {"direction": "camera_from_ref"}
_BEFORE: Values = {"applied": "before_division"}

_MODELS: dict[str, _Model] = {
    "bevfusion_256x704": _Model(
        {"cameras": _FRONT_FIRST, "resize": 0.48, "crop": [256, 704], **_AT_THE_BOTTOM},
        {"resampler": "pil_bicubic", "norm": "imagenet_unit"},
        "BEVFusion configs/nuscenes/default.yaml and mmdet3d/datasets/pipelines/transforms_3d.py, ImageAug3D "
        "(mit-han-lab)",
        places=_IN_LIDAR,
        intrinsics=_LIFTED_4X4,
        # lidar2image, to which the model applies img_aug_matrix
        projection={"augmented": False},
    ),
    "lss_128x352": _Model(
        # int((1 - mean of (0, .22)) * 198) - 128 rows from the top of the resized picture of 900 x 1600
        {"cameras": _LEFT_FIRST, "resize": "cover", "crop": [128, 352], "crop_offset": [48, 0], **_PUBLISHED},
        {"resampler": "pil_bicubic", "norm": "imagenet_unit"},
        "lift-splat-shoot src/train.py and src/data.py in testing, the crop for pictures of 900 x 1600 (nv-tlabs)",
        places=_AS_MOUNTED,
        intrinsics=_LIFTED,
    ),
    "bevdet_256x704": _Model(
        {"cameras": _LEFT_FIRST, "resize": 0.48, "crop": [256, 704], **_AT_THE_BOTTOM},
        {"resampler": "pil_bicubic", "norm": "imagenet_unit"},
        "BEVDet of version 1, configs/bevdet/bevdet-r50.py and mmdet3d/datasets/pipelines/loading.py, "
        "LoadMultiViewImageFromFiles_BEVDet (HuangJunJie2017)",
        places=_IN_LIDAR,
        intrinsics=_LIFTED,
    ),
    "bevdet2_256x704": _Model(
        {"cameras": _LEFT_FIRST, "resize": "cover", "crop": [256, 704], **_AT_THE_BOTTOM},
        _SWAPPED,
        f"BEVDet of version 2, configs/bevdet/bevdet-r50.py, PrepareImageInputs (HuangJunJie2017), {_SWAPPED_SAID}; "
        "its ego frame is of the time of the first camera's picture, not of the frame's",
        intrinsics=_LIFTED,
    ),
    "bevdepth_256x704": _Model(
        {"cameras": _LEFT_FIRST, "resize": "cover", "crop": [256, 704], **_AT_THE_BOTTOM},
        _SWAPPED,
        "BEVDepth bevdepth/datasets/nusc_det_dataset.py in testing (Megvii-BaseDetection), "
        f"{_SWAPPED_SAID}; each camera is seen from the ego frame of its own time",
        places=_AS_MOUNTED,
        intrinsics=_LIFTED_4X4,
    ),
    "crn_256x704": _Model(
        {"cameras": _LEFT_FIRST, "resize": "cover", "crop": [256, 704], **_AT_THE_BOTTOM},
        _SWAPPED,
        f"CRN datasets/nusc_det_dataset.py in testing (youngskkim), {_SWAPPED_SAID}; each camera is seen from the ego "
        "frame of its own time",
        places=_AS_MOUNTED,
        intrinsics=_LIFTED_4X4,
    ),
    "petr_320x800": _Model(
        {"cameras": _FRONT_FIRST, "resize": "cover", "crop": [320, 800], **_AT_THE_BOTTOM},
        {"resampler": "pil_bicubic", "norm": "petr_bgr", "channel_order": "BGR"},
        "PETR projects/configs/petr/petr_vovnet_gridmask_p4_800x320.py and "
        "projects/mmdet3d_plugin/datasets/pipelines/transform_3d.py, ResizeCropFlipImage (megvii-research)",
        places=_IN_LIDAR,
        intrinsics={"layout": "4x4"},
        extrinsics=_LIDAR_TO_CAMERA,
        affine=_BEFORE,
    ),
    "detr3d": _Model(
        {"cameras": _FRONT_FIRST, "pad_multiple": 32, **_PUBLISHED},
        {"norm": "caffe_bgr", "channel_order": "BGR"},
        "DETR3D projects/configs/detr3d/detr3d_res101_gridmask.py (WangYueFt)",
        places=_IN_LIDAR,
        extrinsics=_LIDAR_TO_CAMERA,
        affine=_BEFORE,
    ),
    "bevformer_base": _Model(
        {"cameras": _FRONT_FIRST, "pad_multiple": 32, **_PUBLISHED},
        {"norm": "caffe_bgr", "channel_order": "BGR"},
        "BEVFormer projects/configs/bevformer/bevformer_base.py (fundamentalvision)",
        places=_IN_LIDAR,
        intrinsics=_LIFTED_4X4,
        extrinsics=_LIDAR_TO_CAMERA,
        affine=_BEFORE,
    ),
    "bevformer_tiny": _Model(
        {"cameras": _FRONT_FIRST, "resize": 0.5, "pad_multiple": 32, **_PUBLISHED},
        {"resampler": "cv2_linear", "norm": "imagenet_255", "norm_at": "start"},
        "BEVFormer projects/configs/bevformer/bevformer_tiny.py (fundamentalvision), which normalises before it "
        "resizes, and scales its lidar2img alone",
        places=_IN_LIDAR,
        intrinsics=_LIFTED_4X4,
        extrinsics=_LIDAR_TO_CAMERA,
        affine=_BEFORE,
    ),
    "caddn": _Model(
        {"cameras": ["image_2"]},
        {"norm": "unit"},
        "CaDDN tools/cfgs/kitti_models/CaDDN.yaml and pcdet/datasets/kitti/kitti_dataset.py (TRAILab), whose model "
        "takes mean and std itself; the fourth column of P2 is in the extrinsics, so that depths are 2.7 mm more",
        places={**_IN_LIDAR, **_AS_MOUNTED},
        intrinsics={"layout": "3x4"},
        extrinsics=_LIDAR_TO_CAMERA,
    ),
    "pointpainting_kitti": _Model(
        {"cameras": ["image_2"]},
        {"layout": "HWC"},
        _PAINTING,
        places={**_IN_LIDAR, **_AS_MOUNTED},
    ),
}
"""Name -> what the model is given. Whatever is random in training is that of testing."""


def _presets(*fields: str) -> Presets:
    """Returns the presets of a group whose values the fields of a model hold."""
    found = {}
    for name, model in _MODELS.items():
        values = {key: value for field in fields for key, value in getattr(model, field).items()}
        found[name] = Preset({"image": model.image, **values}, {}, model.follows)
    return found


IMAGES = _presets("images")
INTRINSICS = _presets("intrinsics")
EXTRINSICS = _presets("places", "extrinsics")
PROJECTION = _presets("places", "projection")
AFFINE = _presets("affine")

_NUS_SWEEPS: Values = {
    "num_sweeps": 10,
    "intensity_mode": "raw",
    "remove_close": 1.0,
    "remove_close_of": "past",
    "compensate": "per_sweep",
}
_CRN_RADAR: Values = {
    "num_sweeps": 8,
    "newest": "nearest",
    "filter": "crn",
    "advance_by_velocity": True,
    "velocity_axes": "mount",
    "min_distance": 0.1,
    "max_distance": 100.0,
}


# the depth that a model is trained to find, in its pictures divided by 16
_LEARNT: Values = {
    "lidar": {"compensate": "per_sweep"},
    "depth_range": [0.0, 58.0],
    "pixel": "truncate",
    "margin": 1.0,
    "stride": 16,
    "collision": "last_of_pixel",
}

DEPTH: Presets = {
    "bevfusion_256x704": Preset(
        {
            "image": _MODELS["bevfusion_256x704"].image,
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
    "bevdet2_256x704": Preset(
        {
            "image": _MODELS["bevdet2_256x704"].image,
            "lidar": {"compensate": "per_sweep"},
            "pixel": "round",
        },
        {},
        "BEVDet of version 2, mmdet3d/datasets/pipelines/loading.py, PointToMultiViewDepth (HuangJunJie2017)",
    ),
    "bevdepth_256x704": Preset(
        {"image": _MODELS["bevdepth_256x704"].image, **_LEARNT},
        {},
        "BEVDepth scripts/gen_depth_gt.py, bevdepth/datasets/nusc_det_dataset.py, depth_transform, and "
        "bevdepth/exps/nuscenes/base_exp.py, get_downsampled_gt_depth (Megvii-BaseDetection), before it becomes bins",
    ),
    "crn_256x704": Preset(
        {"image": _MODELS["crn_256x704"].image, **_LEARNT},
        {},
        "CRN scripts/gen_depth_gt.py and datasets/nusc_det_dataset.py, depth_transform (youngskkim), and what its loss "
        "makes of it, as BEVDepth",
    ),
}
"""Model -> the depth of lidar points that it takes, or is trained with."""

RADAR_POINTS: Presets = {
    "crn_256x704": Preset(
        {
            "image": _MODELS["crn_256x704"].image,
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

LIDAR_PIXELS: Presets = {
    "pointpainting_kitti": Preset(
        {"image": _MODELS["pointpainting_kitti"].image, **_IN_LIDAR, **_AS_MOUNTED}, follows=_PAINTING
    ),
}
