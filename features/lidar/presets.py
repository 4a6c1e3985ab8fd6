"""Named parameters of published models: in testing, what differs in training, and the configuration they follow."""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

from ..preset import Preset

__all__ = ["BEV_OCCUPANCY", "BEV_STATS", "BEV_TEMPORAL", "PILLARS", "RANGE_IMAGE", "VOXELS"]

_PIXOR = "philip-huang/PIXOR srcs/datagen.py, which takes none of the points on the edges of its range"
_XYZI = ["x", "y", "z", "intensity"]
_XYZIT = [*_XYZI, "time_lag"]
# nuScenes-trained checkpoints see ten sweeps in the LIDAR_TOP's axes, raw intensity, the car itself cut out
_NUS_CLOUD = {
    "num_sweeps": 10,
    "frame": "lidar",
    "intensity_mode": "raw",
    "remove_close": 1.0,
    "remove_close_of": "past",
    "compensate": "per_sweep",
}
_KITTI_CLOUD = {"frame": "lidar", "intensity_mode": "unit"}
# the vehicle's axes, as Waymo's own points are
_WAYMO_CLOUD = {"frame": "ego", "intensity_mode": "tanh"}
_WAYMO_COLUMNS = [*_XYZI, "elongation"]


_PCDET = "OpenPCDet tools/cfgs/"
_MMDET3D = "mmdetection3d configs/_base_/models/"


def _voxels(
    follows: str,
    low_high: list[float],
    voxel: list[float],
    points: int,
    voxels: tuple[int, int],
    columns: list[str],
    **cloud: Any,
) -> Preset:
    """voxels: at most so many, in training and in testing."""
    in_training, in_testing = voxels
    params = {
        "grid": {"range": low_high, "voxel": voxel},
        "max_points_per_voxel": points,
        "max_voxels": in_testing,
        "columns": columns,
        **cloud,
    }
    return Preset(params, {"max_voxels": in_training} if in_training != in_testing else {}, follows)


def _cylinder3d() -> Preset:
    """480 x 360 x 32 cells, of which the last along each axis begins at the end of Cylinder3D's range.

    It divides by (max - min) / (cells - 1), and what is beyond its range is in the nearest cell.
    """
    cells, low, high = (480, 360, 32), (0.0, -pi, -4.0), (50.0, pi, 2.0)
    step = [(b - a) / (n - 1) for n, a, b in zip(cells, low, high, strict=True)]
    ends = [b + edge for b, edge in zip(high, step, strict=True)]
    return Preset(
        {
            "grid": {"range": [*low, *ends], "voxel": step, "coordinates": "cylinder", "outside": "clamp"},
            "columns": _XYZI,
            "max_voxels": None,
            "order": "sorted_xyz",
            "coord_order": "xyz",
            **_KITTI_CLOUD,
        },
        follows="xinge008/Cylinder3D config/semantickitti.yaml and dataloader/dataset_semantickitti.py; the offsets "
        "from the centres of the cells, in rho, phi and z, are the model's to take",
    )


def _nus_0075(follows: str) -> Preset:
    voxel, most = [0.075, 0.075, 0.2], (120_000, 160_000)
    return _voxels(follows, [-54, -54, -5, 54, 54, 3], voxel, 10, most, _XYZIT, **_NUS_CLOUD)


def _kitti_005(follows: str) -> Preset:
    voxel, most = [0.05, 0.05, 0.1], (16_000, 40_000)
    return _voxels(follows, [0, -40, -3, 70.4, 40, 1], voxel, 5, most, _XYZI, **_KITTI_CLOUD)


def _waymo_010(follows: str) -> Preset:
    low_high, voxel, most = [-75.2, -75.2, -2, 75.2, 75.2, 4], [0.1, 0.1, 0.15], (150_000, 150_000)
    return _voxels(follows, low_high, voxel, 5, most, _WAYMO_COLUMNS, **_WAYMO_CLOUD)


def _waymo_pillars(follows: str, height_m: float = 6, **rows: Any) -> Preset:
    grid = {"range": [-74.88, -74.88, -2, 74.88, 74.88, 4], "voxel": [0.32, 0.32, height_m]}
    return Preset({"grid": grid, "columns": _WAYMO_COLUMNS, **_WAYMO_CLOUD, **rows}, follows=follows)


Presets = dict[str, Preset]

VOXELS: Presets = {
    "pointpillars_kitti": _voxels(
        f"{_PCDET}kitti_models/pointpillar.yaml",
        [0, -39.68, -3, 69.12, 39.68, 1],
        [0.16, 0.16, 4],
        32,
        (16_000, 40_000),
        _XYZI,
        **_KITTI_CLOUD,
    ),
    "second_kitti": _kitti_005(f"{_PCDET}kitti_models/second.yaml"),
    "pvrcnn_kitti": _kitti_005(f"{_PCDET}kitti_models/pv_rcnn.yaml"),
    "pointpillars_nus": _voxels(
        f"{_MMDET3D}pointpillars_hv_fpn_nus.py",
        [-50, -50, -5, 50, 50, 3],
        [0.25, 0.25, 8],
        64,
        (30_000, 40_000),
        ["x", "y", "z", "time_lag"],
        # ten before the newest, and the car itself stays in
        **{**_NUS_CLOUD, "num_sweeps": 11, "remove_close": 0.0},
    ),
    "centerpoint_pillar_nus": _voxels(
        f"{_MMDET3D}centerpoint_pillar02_second_secfpn_nus.py",
        [-51.2, -51.2, -5, 51.2, 51.2, 3],
        [0.2, 0.2, 8],
        20,
        (30_000, 40_000),
        _XYZIT,
        **_NUS_CLOUD,
    ),
    "centerpoint_voxel01_nus": _voxels(
        f"{_MMDET3D}centerpoint_voxel01_second_secfpn_nus.py",
        [-51.2, -51.2, -5, 51.2, 51.2, 3],
        [0.1, 0.1, 0.2],
        10,
        (90_000, 120_000),
        _XYZIT,
        **_NUS_CLOUD,
    ),
    "centerpoint_voxel0075_nus": _nus_0075(
        "mmdetection3d configs/centerpoint/centerpoint_voxel0075_second_secfpn_8xb4-cyclic-20e_nus-3d.py"
    ),
    "bevfusion_seg": _voxels(
        "mit-han-lab/bevfusion configs/nuscenes/seg/fusion-bev256d2-lss.yaml and mmdet3d/ops/voxel",
        [-51.2, -51.2, -5, 51.2, 51.2, 3],
        [0.1, 0.1, 0.2],
        10,
        (90_000, 120_000),
        _XYZIT,
        coord_order="xyz",
        **_NUS_CLOUD,
    ),
    "bevfusion": _nus_0075(f"{_PCDET}nuscenes_models/bevfusion.yaml"),
    "transfusion": _nus_0075(f"{_PCDET}nuscenes_models/transfusion_lidar.yaml"),
    "voxelnext_nus": _nus_0075(f"{_PCDET}nuscenes_models/cbgs_voxel0075_voxelnext.yaml"),
    "voxelnext_av2": _voxels(
        f"{_PCDET}argo2_models/cbgs_voxel01_voxelnext.yaml",
        [-200, -200, -20, 200, 200, 20],
        [0.1, 0.1, 0.2],
        20,
        (120_000, 160_000),
        _XYZI,
        # 0 to 255, as OpenPCDet writes Argoverse 2's out
        intensity_mode="raw",
    ),
    "centerpoint_pillar_waymo": _waymo_pillars(
        f"{_PCDET}waymo_models/centerpoint_pillar_1x.yaml", max_points_per_voxel=20, max_voxels=150_000
    ),
    "centerpoint_waymo": _waymo_010(f"{_PCDET}waymo_models/centerpoint.yaml"),
    "pvrcnn_waymo": _waymo_010(f"{_PCDET}waymo_models/pv_rcnn.yaml"),
    "dsvt_pillar_waymo": _waymo_pillars(
        f"{_PCDET}waymo_models/dsvt_pillar.yaml, DynamicVoxelVFE; it takes the tanh of the elongation, too",
        max_voxels=None,
        order="sorted_xyz",
        mean_of="all",
    ),
    "dsvt_waymo": _waymo_pillars(
        f"{_PCDET}waymo_models/dsvt_voxel.yaml, DynamicVoxelVFE; it takes the tanh of the elongation, too",
        height_m=0.1875,
        max_voxels=None,
        order="sorted_xyz",
        mean_of="all",
    ),
    "second_waymo": _voxels(
        f"{_MMDET3D}second_hv_secfpn_waymo.py",
        [-76.8, -51.2, -2, 76.8, 51.2, 4],
        [0.08, 0.08, 0.1],
        20,
        (80_000, 90_000),
        _WAYMO_COLUMNS,
        **_WAYMO_CLOUD,
    ),
    "once_pillar": _voxels(
        f"{_PCDET}once_models/pointpillar.yaml",
        [-75.2, -75.2, -5, 75.2, 75.2, 3],
        [0.2, 0.2, 8],
        16,
        (60_000, 60_000),
        _XYZI,
        frame="lidar",
    ),
    "cylinder3d": _cylinder3d(),
}


def _points(voxels: str, follows: str, **own: Any) -> Preset:
    """The points that become the voxels of a preset."""
    of_voxels = {"grid", "max_points_per_voxel", "max_voxels", "order", "coord_order", "mean_of"}
    params = {name: value for name, value in VOXELS[voxels].params.items() if name not in of_voxels}
    return Preset({**params, **own}, follows=follows)


# OpenPCDet crops what it samples keypoints from in x and y alone; no lidar measures beyond 1 km
_CROPPED = "cropped in x and y, half-open where OpenPCDet takes the upper edge too"
POINTS: Presets = {
    "pvrcnn_kitti": _points(
        "pvrcnn_kitti", f"{_PCDET}kitti_models/pv_rcnn.yaml, {_CROPPED}", range=[0, -40, -1000, 70.4, 40, 1000]
    ),
    "pvrcnn_waymo": _points(
        "pvrcnn_waymo", f"{_PCDET}waymo_models/pv_rcnn.yaml, {_CROPPED}", range=[-75.2, -75.2, -1000, 75.2, 75.2, 1000]
    ),
    "dsvt_waymo": _points("dsvt_waymo", VOXELS["dsvt_waymo"].follows),
    "dsvt_pillar_waymo": _points("dsvt_pillar_waymo", VOXELS["dsvt_pillar_waymo"].follows),
    "cylinder3d": _points("cylinder3d", VOXELS["cylinder3d"].follows),
    "pointrcnn_kitti": _points(
        "pvrcnn_kitti",
        f"{_PCDET}kitti_models/pointrcnn.yaml, {_CROPPED}; it draws 16384 of them by chance",
        range=[0, -40, -1000, 70.4, 40, 1000],
    ),
    "pointpainting_kitti": Preset(
        {"columns": _XYZI, **_KITTI_CLOUD},
        follows="in the style of the paper (Vora et al. 2020, PointPainting), of which no code is public",
    ),
}


def _pillars(voxels: str, follows: str, **decoration: Any) -> Preset:
    """The pillars of a preset of voxels, decorated."""
    own = VOXELS[voxels]
    return Preset({**own.params, **decoration}, own.training, follows)


PILLARS: Presets = {
    "pointpillars_kitti": _pillars("pointpillars_kitti", f"{_PCDET}kitti_models/pointpillar.yaml, PillarVFE"),
    "pointpillars_kitti_legacy": _pillars(
        "pointpillars_kitti",
        f"{_MMDET3D}pointpillars_hv_secfpn_kitti.py, PillarFeatureNet with legacy=True, its default",
        legacy=True,
    ),
    "pointpillars_nus": _pillars("pointpillars_nus", f"{_MMDET3D}pointpillars_hv_fpn_nus.py, HardVFE"),
    "centerpoint_pillar_nus": _pillars(
        "centerpoint_pillar_nus",
        f"{_MMDET3D}centerpoint_pillar02_second_secfpn_nus.py, PillarFeatureNet with legacy=False",
    ),
    "centerpoint_pillar_waymo": _pillars(
        "centerpoint_pillar_waymo", f"{_PCDET}waymo_models/centerpoint_pillar_1x.yaml, PillarVFE"
    ),
    "once_pillar": _pillars("once_pillar", f"{_PCDET}once_models/pointpillar.yaml, PillarVFE"),
}


def _temporal(paper: str, sweeps: int, low_high: list[float], voxel: list[float], **how: Any) -> Preset:
    """Uber's, of which neither code nor configurations are public."""
    params = {"num_sweeps": sweeps, "grid": {"range": low_high, "voxel": voxel}, **how}
    return Preset(params, follows=f"in the style of the paper ({paper}), of which no configuration is public")


_HDNET = "in the style of the paper (Yang et al. 2018, HDNET, section 3), of which no configuration is public"
# PIXOR's heights from the ground: a KITTI lidar is 1.73 m above it
_HDNET_RANGE = [0, -40, -0.8, 70, 40, 2.7]

BEV_OCCUPANCY: Presets = {
    "pixor_kitti": Preset(
        {"grid": {"range": [0, -40, -2.5, 70, 40, 1], "voxel": [0.1, 0.1, 0.1]}, **_KITTI_CLOUD}, follows=_PIXOR
    ),
    "hdnet": Preset(
        {
            "grid": {"range": _HDNET_RANGE, "voxel": [0.1, 0.1, 0.1]},
            "overflow_slices": True,
            "frame": "ego_ground",
        },
        follows=f"{_HDNET}; its road mask is map_raster's hdnet",
    ),
    "intentnet": Preset(
        {"grid": {"range": [-72, -40, -2, 72, 40, 3.8], "voxel": [0.2, 0.2, 0.2]}},
        follows="in the style of the paper (Casas et al. 2018, section 4), of which no configuration is public",
    ),
}

BEV_STATS: Presets = {
    "pixor_kitti": Preset(
        {
            "grid": {"range": [0, -40, -2.5, 70, 40, 1], "voxel": [0.1, 0.1, 3.5]},
            "channels": ["mean_i"],
            **_KITTI_CLOUD,
        },
        follows=_PIXOR,
    ),
    "hdnet": Preset(
        {
            "grid": {"range": _HDNET_RANGE, "voxel": [0.1, 0.1, 3.5]},
            "channels": ["mean_i"],
            "frame": "ego_ground",
        },
        follows=f"{_HDNET}; reflectance as PIXOR's public code has it",
    ),
    "complex_yolo_kitti": Preset(
        {
            "grid": {"range": [0, -25, -2.73, 50, 25, 1.27], "voxel": [50 / 608, 50 / 608, 4]},
            "channels": ["top_i", "height_ratio", "density"],
            "bev_layout": "CXY",
            **_KITTI_CLOUD,
        },
        follows="ghimiredhikura/Complex-YOLOv3 utils/kitti_bev_utils.py, which also keeps points at the upper edges",
    ),
    "mv3d_kitti": Preset(
        {
            "grid": {"range": [0, -40, -2, 70.4, 40, 0.4], "voxel": [0.1, 0.1, 0.4]},
            "channels": ["slice_height", "top_i", "density"],
            **_KITTI_CLOUD,
        },
        follows="in the style of the paper (Chen et al. 2017, section 3.1), of which no configuration is public; "
        "heights and channels as in bostondiditeam/MV3D src/data.py, which turns rows and columns and takes the "
        "highest intensity",
    ),
}

BEV_TEMPORAL: Presets = {
    "faf": _temporal("Luo et al. 2018", 5, [-72, -40, -2, 72, 40, 3.8], [0.2, 0.2, 0.2], time_axis="own"),
    "intentnet": _temporal("Casas et al. 2018", 10, [-72, -40, -2, 72, 40, 3.8], [0.2, 0.2, 0.2]),
    "nmp": _temporal("Zeng et al. 2019", 10, [-70, -40, -2, 70, 40, 3], [0.2, 0.2, 0.2]),
    "multixnet": _temporal("Djuric et al. 2020", 10, [-75, -50, -0.4, 75, 50, 2.8], [0.16, 0.16, 0.2]),
    # cells as wide as those of its radar, to which they are joined
    "radarnet": _temporal("Yang et al. 2020, RadarNet", 10, [-50, -50, -5, 50, 50, 3], [0.25, 0.25, 0.25]),
    # its cells lie at multiples of their edges: z from -3.2 to 2, of which it takes -3 to 2
    "motionnet": Preset(
        {
            "num_sweeps": 5,
            "sweep_step": 4,
            "grid": {"range": [-32, -32, -3.2, 32, 32, 2], "voxel": [0.25, 0.25, 0.4]},
            "time_axis": "own",
            "bev_layout": "XYC",
            "oldest_first": True,
            "frame": "lidar",
            "remove_close": 1.0,
            "compensate": "per_sweep",
        },
        follows="MotionNet gen_data.py and data/data_utils.py (Wu et al. 2020), a sweep every 0.2 s at nuScenes' 20 "
        "Hz; it takes z from -3, and none of the points on the edges of its range",
    ),
}


def _rangenet(width: int, follows: str) -> Preset:
    params = {
        "height": 64,
        "width": width,
        "fov": [3.0, -25.0],
        "azimuth_seam": "clamp",
        "norm": {"mean": [12.12, 10.88, 0.23, -1.04, 0.21], "std": [12.32, 11.47, 6.91, 0.86, 0.16]},
    }
    return Preset(
        params, follows=f"lidar-bonnetal train/tasks/semantic/config/arch/{follows}; point 0 is not masked out"
    )


# channel, least and greatest value, mean, variance
_RANGEDET: dict[str, tuple[list[float] | None, float, float]] = {
    "range": ([0, 80], 20.0, 1500.0),
    "intensity": ([0, 1], 0.1, 0.01),
    "elongation": ([0, 1], 7.2558375e-02, 2.6764875e-02),
    "x": ([-80, 80], 1.56725, 307.40625),
    "y": ([-80, 80], 0.98824875, 219.1325),
    "z": ([-5, 10], 1.4, 1.0),
    "inclination": ([-0.5, 0.1], -8.8427375e-02, 9.900175e-03),
    "azimuth": (None, -7.80625e-03, 2.5494125),
}
_LASERNET = {
    "height": 64,
    "channels": ["range", "height", "azimuth", "intensity", "occupancy"],
    "fill": 0.0,
}

RANGE_IMAGE: Presets = {
    "rangenet_64x2048": _rangenet(2048, "darknet53.yaml"),
    "rangenet_64x1024": _rangenet(1024, "darknet53-1024px.yaml"),
    "rangenet_64x512": _rangenet(512, "darknet53-512px.yaml"),
    "rangedet_waymo": Preset(
        {
            "rows": "ring",
            "column_of": "record",
            "height": 64,
            "width": 2650,
            "width_multiple": 16,
            "channels": list(_RANGEDET),
            "xyz_frame": "ego",
            "azimuth_of": "point",
            "inclination_of": "row",
            "intensity_mode": "raw",
            "gaps": "windows",
            "fill": [80.0] + [0.0] * 7,
            "norm": {
                "mean": [mean for _, mean, _ in _RANGEDET.values()],
                "std": [sqrt(variance) for _, _, variance in _RANGEDET.values()],
                "clip": [clip for clip, _, _ in _RANGEDET.values()],
                "empty": "fill",
            },
        },
        follows="tusen-ai/RangeDet config/rangedet/rangedet_wo_aug_all_36e.py and rangedet/core/input.py; range and "
        "inclination are those of the compensated points, and a row's inclination is the mean of its rays, where "
        "RangeDet has both as they were measured",
    ),
    "lasernet_kitti": Preset(
        {**_LASERNET, "width": 512, "fov": [3.0, -25.0], "azimuth_fov": [45.0, -45.0]},
        follows="in the style of LaserNet (Meyer et al. 2019), of which no configuration is public; KITTI has no beam "
        "numbers, so rows are by elevation",
    ),
    "lasernet": Preset(
        {**_LASERNET, "width": 2048, "rows": "ring"},
        follows="in the style of LaserNet (Meyer et al. 2019, section 3.1), of which no configuration is public",
    ),
}
