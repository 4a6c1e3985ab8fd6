"""py123d's lidars, radars, cameras and boxes as columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, Labels, Lens, Matrix
from perceptum.inputs.poses import inverse, rotation_from_quaternion, yaw_from_rotation

from ..reading.calibrated_lens import CalibratedLens
from ..reading.picture_file import size_of
from ..reading.unset_times import offsets_where_set

__all__ = ["label_boxes", "lens_of", "lidar_columns", "radar_columns"]

Column = NDArray[Any]

_RADAR = {
    "rcs": "rcs",
    "v_radial": "radial_velocity",
    "vx": "velocity_x",
    "vy": "velocity_y",
    "vx_comp": "velocity_x_comp",
    "vy_comp": "velocity_y_comp",
    "id": "cluster_id",
    "dyn_prop": "dyn_prop",
    "is_quality_valid": "is_quality_valid",
    "ambig_state": "ambig_state",
    "invalid_state": "invalid_state",
    "pdh0": "pdh0",
    "x_rms": "x_rms",
    "y_rms": "y_rms",
    "vx_rms": "vx_rms",
    "vy_rms": "vy_rms",
}


def lidar_columns(lidar: Any, time_ns: int) -> dict[str, Any]:
    """Returns the columns of a LidarSweep; the points are in the ego frame, rays start at the first lidar."""
    features = lidar.point_cloud_features or {}
    x, y, z = np.asarray(lidar.xyz).T
    stamps_us = features.get("timestamps")
    # the points' own stamps are microseconds since 1970
    offset_ns = None
    if stamps_us is not None:
        times_ns = np.asarray(stamps_us, dtype=np.int64) * 1000
        offset_ns = offsets_where_set("a lidar of py123d", "timestamps", times_ns, times_ns - time_ns)
    intensity = features.get("intensity")
    first = next(iter(lidar.lidar_metadatas.values()), None)
    origin = np.zeros(3) if first is None else np.asarray(first.lidar_to_imu_se3.transformation_matrix)[:3, 3].copy()
    return {
        "x": x,
        "y": y,
        "z": z,
        "intensity": intensity,
        "ring": features.get("channel"),
        "offset_ns": offset_ns,
        "elongation": features.get("elongation"),
        "intensity_scale": 255.0 if intensity is not None and intensity.dtype == np.uint8 else 1.0,
        "origin": origin,
    }


def radar_columns(radar: Any) -> dict[str, Any]:
    """Returns the columns of a RadarSweep, in the ego frame, into which the library turns velocities too.

    Its origin is where the radar sits; NaN for a record of several radars, or of one whose place is not known.
    """
    features = radar.point_cloud_features or {}
    x, y, z = np.asarray(radar.xyz).T
    places = [metadata.radar_to_imu_se3 for metadata in getattr(radar, "radar_metadatas", {}).values()]
    alone = len(places) == 1
    return {
        "x": x,
        "y": y,
        "z": z,
        **{name: features.get(theirs) for name, theirs in _RADAR.items()},
        "origin": np.asarray(places[0].transformation_matrix)[:3, 3].copy() if alone else np.full(3, np.nan),
    }


def lens_of(metadata: Any, source: str) -> CalibratedLens:
    """Returns what the camera's metadata say of its lens; raises BrokenRecord for a camera of another kind."""
    kind = type(metadata).__name__
    size = size_of(getattr(metadata, "height", None), getattr(metadata, "width", None))
    if kind == "PinholeCameraMetadata" and metadata.intrinsics is not None:
        matrix = np.array(metadata.intrinsics.camera_matrix, dtype=np.float64)
        if metadata.distortion is None or not np.any(metadata.distortion.array):
            return CalibratedLens(matrix, None, "none", size)
        return CalibratedLens(matrix, np.array(metadata.distortion.array, dtype=np.float64), "brown", size)
    if kind == "FisheyeMEICameraMetadata" and metadata.projection is not None:
        p, d = metadata.projection, metadata.distortion
        matrix = np.array([[p.gamma1, 0, p.u0], [0, p.gamma2, p.v0], [0, 0, 1]], dtype=np.float64)
        bent = [0.0] * 4 if d is None else [d.k1, d.k2, d.p1, d.p2]
        distortion = np.array([metadata.mirror_parameter or 0.0, *bent], dtype=np.float64)
        return CalibratedLens(matrix, distortion, "mei", size)
    if kind == "FThetaCameraMetadata" and metadata.intrinsics is not None:
        # the forward polynomial, by which the library projects
        lens = Lens.ftheta((metadata.intrinsics.cx, metadata.intrinsics.cy), metadata.intrinsics.fw_poly)
        return CalibratedLens(lens.intrinsics, lens.coefficients, lens.model, size)
    raise BrokenRecord(
        f"{source}: a camera of the kind {kind}, wanted a pinhole, a mei fisheye or an f-theta camera with intrinsics"
    )


def label_boxes(boxes: Any, time_ns: int, world_from_ego: Matrix) -> Labels:
    """Returns the labels in the ego frame; the library holds them in the global one."""
    ego_from_world = inverse(world_from_ego)
    table = np.array([b.bounding_box_se3.array for b in boxes], dtype=np.float64).reshape(-1, 10)
    centre = table[:, :3] @ ego_from_world[:3, :3].T + ego_from_world[:3, 3]
    rotation = ego_from_world[:3, :3] @ rotation_from_quaternion(table[:, 3:7])
    velocity = np.array([_velocity(b) for b in boxes], dtype=np.float64).reshape(-1, 3)
    counts = [b.attributes.num_lidar_points for b in boxes]
    return Labels(
        time_ns=time_ns,
        boxes=np.column_stack([centre, table[:, 7:], yaw_from_rotation(rotation)]),
        category=np.array([b.attributes.label.name for b in boxes], dtype=np.str_),
        track_id=np.array([b.attributes.track_token for b in boxes], dtype=np.str_),
        velocity=(velocity @ ego_from_world[:3, :3].T)[:, :2],
        num_points=None if None in counts else np.array(counts, dtype=np.int64),
    )


def _velocity(box: Any) -> list[float]:
    return [np.nan] * 3 if box.velocity_3d is None else list(map(float, box.velocity_3d.array))
