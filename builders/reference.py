"""The frame of reference of a sample: the one place where it is decided."""

from __future__ import annotations

import logging
import weakref

import numpy as np
from numpy.typing import NDArray

from perceptum.features import InputFrame, ReferenceParams
from perceptum.inputs import Frame, Ground, MissingRecord, ground_of
from perceptum.inputs.ground import without_ground
from perceptum.inputs.poses import inverse
from perceptum.inputs.source import ground_z_of

from .sample import Sample
from .stage import Stage, Stages

__all__ = ["Reference"]

_log = logging.getLogger(__name__)

_LEAST_SHARE = 2 / 3
"""See Ground.share: where the plane was 1.7 m off it was 0.24 to 0.59 (KITTI)."""


class Reference(Stage):
    """Yields ref_from_ego: from the ego frame at the reference time to the axes that tensors are in.

    ego: the identity. lidar, radar: the own axes of the primary lidar or radar, by its mounting in this frame's record;
    a frame without one is an error only for what asks. ego_ground: the identity, and z is to be counted from `ground`.
    """

    def __init__(self, params: ReferenceParams | InputFrame, stages: Stages) -> None:
        """params: or only the word of its `frame`."""
        super().__init__()
        self.params = params = ReferenceParams(frame=params) if isinstance(params, str) else params
        self._stages = stages
        self.title = f"frame of reference ({params.frame})"
        self.is_ego = params.frame in ("ego", "ego_ground")
        """Whether ref_from_ego is the identity, to the last bit."""
        self.on_ground = params.frame == "ego_ground"
        """Whether a point's z is its height above the ground."""
        # weak: a lane that waits for its next frame must not keep the last one's records
        self._frame: weakref.ref[Frame] | None = None
        self._ref_from_ego: NDArray[np.float64] | None = None
        self._ground: Ground | None = None
        self._mount = b""
        self._inverse = np.eye(4)

    def run(self, sample: Sample) -> None:
        self._frame, self._ref_from_ego, self._ground = weakref.ref(sample.frame), None, None

    @property
    def ref_from_ego(self) -> NDArray[np.float64]:
        """(4, 4) float64; raises MissingRecord where the frame has no sweep of the primary lidar and wants its axes."""
        if self._ref_from_ego is None:
            self._ref_from_ego = np.eye(4) if self.is_ego else self._sensor_from_ego(self._now())
        return self._ref_from_ego

    @property
    def ground(self) -> Ground:
        """The ground under this frame; raises MissingRecord where the log has nothing that says where it is."""
        if self._ground is None:
            frame = self._now()
            self._ground = ground_of(frame, self.params.ground, self.params.ground_z)
            if self.params.ground.startswith("map_or") and self._ground.by != "map":
                self._report_no_map(frame, self._ground)
            if self._ground.share < _LEAST_SHARE:
                self._report_far(frame, self._ground)
        return self._ground

    def _report_no_map(self, frame: Frame, ground: Ground) -> None:
        if self._stages.first_time((Reference, self.params)):
            z = self._plane_z(frame)
            _log.warning(
                '%s: the log has %s; the ground is taken from %s (reported once; the param ground "map" makes it an '
                "error)",
                frame.log.source.location,
                without_ground(frame),
                "the lidar's lowest points" if ground.by == "lidar" else f"the plane z = {z:g} m",
            )

    def _report_far(self, frame: Frame, ground: Ground) -> None:
        if self._stages.first_time((Reference, "far", self.params)):
            _log.warning(
                "%s: %s: near the vehicle only %d of 100 places have their lowest point within 1.5 m of z = %g m, so "
                "heights above the ground may be wrong (reported once; the param ground_z is the road's z in the ego "
                "frame)",
                frame.log.source.location,
                frame,
                int(100 * ground.share),
                self._plane_z(frame),
            )

    def _plane_z(self, frame: Frame) -> float:
        given = self.params.ground_z
        return ground_z_of(frame.log.source) if given is None else given

    def write_above(
        self, x: NDArray[np.float32], y: NDArray[np.float32], z: NDArray[np.float32], out: NDArray[np.float32]
    ) -> None:
        """Writes the heights above the ground of points in the frame of reference; `out` may be `z`."""
        self.ground.write_above(x, y, z, inverse(self.ref_from_ego), out)

    def _now(self) -> Frame:
        frame = None if self._frame is None else self._frame()
        assert frame is not None, "asked outside of a build"
        return frame

    def _sensor_from_ego(self, frame: Frame) -> NDArray[np.float64]:
        mount = _mount(frame, self.params.frame)
        # the same in every frame of most logs
        if mount.tobytes() != self._mount:
            self._mount, self._inverse = mount.tobytes(), inverse(mount)
            self._inverse.flags.writeable = False
        return self._inverse


def _mount(frame: Frame, kind: InputFrame) -> NDArray[np.float64]:
    """Returns ego_from_sensor of the primary lidar or radar."""
    if kind == "lidar":
        found = [] if frame.lidar is None else [frame.lidar.ego_from_sensor]
    else:
        primary = next(iter(frame.log.source.radars), None)
        found = [cycle.ego_from_sensor for cycle in ([] if primary is None else frame.radar_sweeps(1, primary))]
    if not found:
        raise MissingRecord(
            f"{frame.log.source.location}: {frame} has no {'sweep' if kind == 'lidar' else 'cycle'} of the primary "
            f'{kind}, which frame "{kind}" needs; take frame "ego"'
        )
    return found[0]
