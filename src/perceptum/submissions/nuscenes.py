"""nuScenes' detection results: one JSON file, boxes in the world frame.

After nuscenes-devkit, python-sdk/nuscenes/eval/detection/README.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from perceptum.errors import UsageError
from perceptum.inputs.arrays import Matrix
from perceptum.inputs.poses import quaternion_from_rotation, quaternion_from_yaw
from perceptum.output_file import whole_file

from .detected import Detected

__all__ = ["ATTRIBUTES", "CLASSES", "ENDING", "USES", "default_attribute", "write"]

CLASSES = (
    *("car", "truck", "bus", "trailer", "construction_vehicle"),
    *("pedestrian", "motorcycle", "bicycle", "traffic_cone", "barrier"),
)
ATTRIBUTES = (
    *("pedestrian.moving", "pedestrian.sitting_lying_down", "pedestrian.standing"),
    *("cycle.with_rider", "cycle.without_rider"),
    *("vehicle.moving", "vehicle.parked", "vehicle.stopped"),
)
USES = ("camera", "lidar", "radar", "map", "external")
"""What a file must say of a model: which of these it looks at."""
ENDING = ".json"

_MOST_BOXES = 500
_MOVING_M_S = 0.2
_VEHICLES = ("car", "truck", "bus", "trailer", "construction_vehicle")
_CYCLES = ("motorcycle", "bicycle")


def default_attribute(label: str, speed_m_s: float) -> str:
    """Returns the attribute of a box whose model gives none, by its class and speed; "" for a class without any.

    As the published baselines do (mmdetection3d, mmdet3d/evaluation/metrics/nuscenes_metric.py; CenterPoint,
    det3d/datasets/nuscenes/nusc_common.py).
    """
    moving = speed_m_s > _MOVING_M_S
    if label in _CYCLES:
        return "cycle.with_rider" if moving else "cycle.without_rider"
    if label == "pedestrian":
        return "pedestrian.moving" if moving else "pedestrian.standing"
    if label in _VEHICLES:
        return "vehicle.moving" if moving else "vehicle.stopped" if label == "bus" else "vehicle.parked"
    return ""


def write(out: Path, found: Iterable[Detected], uses: Iterable[str] | None = None) -> dict[str, int]:
    """Writes the file, sample by sample, and returns how many boxes were left out, by the reason.

    uses: what the model looks at, of USES. Of a sample the 500 boxes of the highest scores are kept, as the devkit
    refuses more. A velocity that is not known is 0. Raises UsageError for a frame that is not a sample.
    """
    if uses is None:
        raise UsageError(f"nuScenes' results say what the model looks at: uses=, --uses, of {', '.join(USES)}")
    said = set(uses)
    unknown = sorted(said - set(USES))
    if unknown:
        raise UsageError(f"uses: no '{unknown[0]}'; there are {', '.join(USES)}")
    meta = {f"use_{kind}": kind in said for kind in USES}
    too_many = 0
    with whole_file(out) as beside, beside.open("wb") as file:
        file.write(b'{"meta":' + msgspec.json.encode(meta) + b',"results":{')
        for number, one in enumerate(found):
            _check_sample(one)
            kept = one
            if len(one) > _MOST_BOXES:
                too_many += len(one) - _MOST_BOXES
                kept = one.taken(np.sort(np.argsort(-one.scores, kind="stable")[:_MOST_BOXES]))
            head = b"," if number else b""
            file.write(head + msgspec.json.encode(one.frame.id) + b":" + msgspec.json.encode(_rows(kept)))
        file.write(b"}}")
    return {f"beyond the {_MOST_BOXES} of a sample": too_many}


def _check_sample(one: Detected) -> None:
    source = one.frame.log.source
    if source.dataset not in ("nuscenes", "store"):
        raise UsageError(f"{one.frame} is of {source.dataset}, and nuScenes' results are of its samples")
    if one.frame.id == str(one.frame.time_ns):
        raise UsageError(f"{one.frame} of {source.name} is between keyframes; nuScenes' results are of samples alone")


def _rows(one: Detected) -> list[Mapping[str, Any]]:
    world_from_ego = one.frame.world_from_ego
    turn = world_from_ego[:3, :3]
    centre = one.boxes[:, :3] @ turn.T + world_from_ego[:3, 3]
    wxyz = _turned(turn, one.boxes[:, 6])
    said_m_s = np.full((len(one), 2), np.nan) if one.velocity is None else one.velocity
    known = np.where(np.isfinite(said_m_s).all(axis=1, keepdims=True), said_m_s, 0.0)
    velocity = known @ turn[:2, :2].T
    speed = np.hypot(known[:, 0], known[:, 1])
    said = [""] * len(one) if one.attributes is None else one.attributes.tolist()
    _check_attributes(one, said)
    columns = (centre, one.boxes[:, [4, 3, 5]], wxyz, velocity, one.scores)
    rows = zip(*(column.tolist() for column in columns), one.labels.tolist(), said, speed.tolist(), strict=True)
    return [
        {
            "sample_token": one.frame.id,
            "translation": translation,
            "size": wlh,
            "rotation": rotation,
            "velocity": moves,
            "detection_name": label,
            "detection_score": score,
            "attribute_name": attribute or default_attribute(label, speed_m_s),
        }
        for translation, wlh, rotation, moves, score, label, attribute, speed_m_s in rows
    ]


def _check_attributes(one: Detected, said: Iterable[str]) -> None:
    unknown = sorted(set(said) - {"", *ATTRIBUTES})
    if unknown:
        raise UsageError(f"{one.frame} has the attribute '{unknown[0]}'; there are {', '.join(ATTRIBUTES)}")


def _turned(world_from_ego: Matrix, yaw_rad: Matrix) -> Matrix:
    """Returns (n, 4) w x y z of boxes in the world: upright in the ego frame, with that tilted as it is."""
    if not len(yaw_rad):
        return np.zeros((0, 4))
    w, x, y, z = quaternion_from_rotation(world_from_ego)
    c, _, _, s = quaternion_from_yaw(yaw_rad).T
    # the product of the two, of which the second has no x and y
    return np.stack([w * c - z * s, x * c + y * s, y * c - x * s, w * s + z * c], axis=-1)
