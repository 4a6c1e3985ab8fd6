"""The frame of reference of a sample: the one place where it is decided."""

from __future__ import annotations

import logging
import weakref
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from perceptum.features import InputFrame, ReferenceParams
from perceptum.inputs import Frame, Ground, MissingRecord, RadarSweep, ground_of
from perceptum.inputs.ground import without_ground
from perceptum.inputs.poses import inverse, moved_boxes
from perceptum.inputs.source import ground_z_of

from .augment import Drawn
from .sample import Sample
from .stage import Stage, Stages

__all__ = ["RadarReference", "Reference", "inverse_of_similarity"]

_log = logging.getLogger(__name__)

_LEAST_SHARE = 2 / 3
"""See Ground.share: where the plane was 1.7 m off it was 0.24 to 0.59 (KITTI)."""

NewestCycle = Literal["before", "nearest"]
"""As the radars' parameter `newest`."""


class Reference(Stage):
    """Yields ref_from_ego: from the ego frame at the reference time to the axes that tensors are in, in training with
    what the sample's draw does to them.

    ego: the identity. lidar, radar: the own axes of the primary lidar or radar, by its mounting in this frame's record;
    of a radar that fell silent by that of the last one before, in a log whose frames belong together. A frame without
    one is an error only for what asks. ego_ground: the identity, and z is to be counted from `ground`.
    """

    radar: str | None = None
    """The radar whose axes frame "radar" means; None: the log's first."""
    newest: NewestCycle = "before"
    """Which of its cycles says how it is mounted."""

    def __init__(self, params: ReferenceParams | InputFrame, stages: Stages) -> None:
        """params: or only the word of its `frame`."""
        super().__init__()
        self.params = params = ReferenceParams(frame=params) if isinstance(params, str) else params
        self._stages = stages
        self.title = f"frame of reference ({params.frame})"
        self._drawn = None if stages.augment is None or not stages.augment.moves else stages.share(Drawn)
        self._is_ego = params.frame in ("ego", "ego_ground")
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
    def change(self) -> NDArray[np.float64] | None:
        """(4, 4) float64, a similarity: what the draw does to places in these axes; None: nothing."""
        return None if self._drawn is None else self._drawn.change

    @property
    def scale(self) -> float:
        """By which lengths are multiplied: not 1 only where `change` says so."""
        return 1.0 if self._drawn is None else self._drawn.scale

    @property
    def mirrors(self) -> bool:
        """Whether left and right are exchanged."""
        return self._drawn is not None and self._drawn.mirrors

    @property
    def is_ego(self) -> bool:
        """Whether ref_from_ego is the identity, to the last bit."""
        return self._is_ego and self.change is None

    @property
    def ref_from_ego(self) -> NDArray[np.float64]:
        """(4, 4) float64, a similarity: a rotation and translation, unless `change` mirrors or scales.

        Of the frame ego_ground z is still that of the ego frame; `places` counts it from the ground. Raises
        MissingRecord where the frame has no record of the sensor whose axes are wanted.
        """
        if self._ref_from_ego is None:
            plain, change = self.plain_from_ego, self.change
            self._ref_from_ego = plain if change is None else change @ plain
        return self._ref_from_ego

    @property
    def plain_from_ego(self) -> NDArray[np.float64]:
        """(4, 4) float64: `ref_from_ego` before what the draw does. Raises as that."""
        return np.eye(4) if self._is_ego else self._sensor_from_ego(self._now())

    @property
    def ego_from_ref(self) -> NDArray[np.float64]:
        """(4, 4) float64, the inverse of `ref_from_ego`."""
        change, ego_from_plain = self.change, inverse(self.plain_from_ego)
        return ego_from_plain if change is None else ego_from_plain @ inverse_of_similarity(change, self.scale)

    def places(self, xyz: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns places (..., 3) of the ego frame in these axes, float64, z from the ground where that is asked."""
        moved = xyz @ self.ref_from_ego[:3, :3].T + self.ref_from_ego[:3, 3]
        if self.on_ground:
            moved[..., 2] = self._from_ground(self.ground.above(xyz))
        return moved

    def directions(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns vectors (..., 3) of the ego frame in these axes, such as velocities, which are scaled too."""
        return vectors @ self.ref_from_ego[:3, :3].T

    def boxes(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns boxes (N, 7) of the ego frame, x y z length width height yaw, in these axes: upright in them."""
        moved = moved_boxes(boxes, self.ref_from_ego)
        moved[:, 3:6] *= self.scale
        if self.on_ground:
            moved[:, 2] = self._from_ground(self.ground.above(boxes[:, :3]))
        return moved

    def _from_ground(self, heights: NDArray[np.float64]) -> NDArray[np.float64]:
        change = self.change
        return heights if change is None else heights * self.scale + change[2, 3]

    def ref_from_mount(self, ego_from_sensor: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns (4, 4) float64, from a sensor's axes to these: for those of that sensor itself the identity, to the
        last bit. Raises as `ref_from_ego`."""
        ref_from_ego, change = self.ref_from_ego, self.change
        if self.is_ego:
            return ego_from_sensor
        if not self._is_ego and ego_from_sensor.tobytes() == self._mount:
            return np.eye(4) if change is None else change
        return ref_from_ego @ ego_from_sensor

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
        if self._stages.first_time((Reference, "no map", self.params.ground, self.params.ground_z)):
            _log.warning(
                '%s: the log has %s; the ground is taken from %s (reported once; the param ground "map" makes it an '
                "error)",
                frame.log.source.location,
                without_ground(frame),
                "the lidar's lowest points" if ground.by == "lidar" else f"the plane z = {ground.plane_z:g} m",
            )

    def _report_far(self, frame: Frame, ground: Ground) -> None:
        if self._stages.first_time((Reference, "far", self.params.ground, self.params.ground_z)):
            _log.warning(
                "%s: %s: near the vehicle only %d of 100 places have their lowest point within 1.5 m of z = %g m, so "
                "heights above the ground may be wrong (reported once; the param ground_z is the road's z in the ego "
                "frame)",
                frame.log.source.location,
                frame,
                int(100 * ground.share),
                ground.plane_z,
            )

    @property
    def level_z(self) -> float:
        """The ego frame's z of level ground, metres: `ground_z`, else what the log's dataset says."""
        given = self.params.ground_z
        return ground_z_of(self._now().log.source) if given is None else given

    def write_above(
        self, x: NDArray[np.float32], y: NDArray[np.float32], z: NDArray[np.float32], out: NDArray[np.float32]
    ) -> None:
        """Writes the heights above the ground of points whose places `ref_from_ego` gave; `out` may be `z`. They are
        scaled as lengths are; of the frame ego_ground they are z, which a draw may shift."""
        self.ground.write_above(x, y, z, self.ego_from_ref, out)
        change = self.change
        if change is not None:
            out *= np.float32(self.scale)
            if self.on_ground:
                out += np.float32(change[2, 3])

    def _now(self) -> Frame:
        frame = None if self._frame is None else self._frame()
        assert frame is not None, "asked outside of a build"
        return frame

    def _sensor_from_ego(self, frame: Frame) -> NDArray[np.float64]:
        mount = _mount(frame, self.params.frame, self.radar, self.newest)
        # the same in every frame of most logs
        if mount.tobytes() != self._mount:
            found = inverse(mount)
            found.flags.writeable = False
            # in this order: stages that run side by side ask for it
            self._inverse = found
            self._mount = mount.tobytes()
        return self._inverse


class RadarReference(Reference):
    """The same, with the axes of a radar by its name, or by the cycle that is nearest to the reference time."""

    def __init__(self, params: ReferenceParams, radar: str | None, newest: NewestCycle, stages: Stages) -> None:
        super().__init__(params, stages)
        self.radar, self.newest = radar, newest
        if radar is not None:
            self.title = f"frame of reference (radar '{radar}')"


def inverse_of_similarity(change: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    back = np.eye(4)
    back[:3, :3] = change[:3, :3].T / scale**2
    back[:3, 3] = -(back[:3, :3] @ change[:3, 3])
    return back


def _mount(frame: Frame, kind: InputFrame, radar: str | None, newest: NewestCycle) -> NDArray[np.float64]:
    """Returns ego_from_sensor of the primary lidar, or of a radar; None: of the primary one."""
    name = radar or next(iter(frame.log.source.radars), "")
    record = frame.lidar if kind == "lidar" else _cycle(frame, name, newest)
    if record is None:
        whose = f"the primary {kind}" if radar is None else f"radar '{radar}'"
        raise MissingRecord(
            f"{frame.log.source.location}: {frame} has no {'sweep' if kind == 'lidar' else 'cycle'} of {whose}, which "
            f'frame "{kind}" needs; take frame "ego"'
        )
    return record.ego_from_sensor


def _cycle(frame: Frame, radar: str, newest: NewestCycle) -> RadarSweep | None:
    """Returns the frame's cycle of a radar, or the last that there was before: one that falls silent stays where it is
    mounted."""
    source = frame.log.source
    if radar not in source.radars:
        return None
    if own := frame.ranked_radar_sweeps(1, radar, newest=newest):
        return own[0][1]
    # unrelated frames may be of other vehicles
    before = np.searchsorted(source.radars[radar], frame.time_ns, side="right") if source.sequential else 0
    cycles = (frame.log.radar(radar, index) for index in range(int(before) - 1, -1, -1))
    return next((cycle for cycle in cycles if cycle is not None), None)
