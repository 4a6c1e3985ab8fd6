"""What judges detected boxes: one file a metric, all behind one interface, `DetectionMetric`."""

from __future__ import annotations

from .detection_metric import DetectionMetric, FoundBoxes, LabelledBoxes

__all__ = ["DETECTION_METRICS", "DetectionMetric", "FoundBoxes", "LabelledBoxes"]

DETECTION_METRICS: dict[str, str] = {
    "argoverse2": "perceptum.problems.metrics.argoverse2_detection:Argoverse2Detection",
    "centres": "perceptum.problems.metrics.centres:Centres",
    "kitti": "perceptum.problems.metrics.kitti_detection:KittiDetection",
    "nuscenes": "perceptum.problems.metrics.nuscenes_detection:NuscenesDetection",
}
"""Name, as `Detection3d(metric=...)` takes it -> where its class is: `module:class`. One line a metric."""
