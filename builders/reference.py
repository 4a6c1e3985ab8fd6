"""The frame of reference of a sample: the one place where it is decided."""

from __future__ import annotations

import weakref
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import Frame, MissingRecord
from perceptum.inputs.poses import inverse

from .sample import Sample
from .stage import Stage, Stages

__all__ = ["Reference"]


class Reference(Stage):
    """Yields ref_from_ego: from the ego frame at the reference time to the axes that tensors are in.

    ego: the identity. lidar: the primary lidar's own axes, by its mounting in this frame's record; a frame without
    one is an error only for what asks.
    """

    def __init__(self, frame: Literal["ego", "lidar"], stages: Stages) -> None:
        super().__init__()
        self.title = f"frame of reference ({frame})"
        self.is_ego = frame == "ego"
        """Whether ref_from_ego is the identity, to the last bit."""
        # weak: a lane that waits for its next frame must not keep the last one's records
        self._frame: weakref.ref[Frame] | None = None
        self._ref_from_ego: NDArray[np.float64] | None = None
        self._mount = b""
        self._inverse = np.eye(4)

    def run(self, sample: Sample) -> None:
        self._frame, self._ref_from_ego = weakref.ref(sample.frame), None

    @property
    def ref_from_ego(self) -> NDArray[np.float64]:
        """(4, 4) float64; raises MissingRecord where the frame has no sweep of the primary lidar and wants its axes."""
        if self._ref_from_ego is None:
            frame = None if self._frame is None else self._frame()
            assert frame is not None, "asked outside of a build"
            self._ref_from_ego = np.eye(4) if self.is_ego else self._lidar_from_ego(frame)
        return self._ref_from_ego

    def _lidar_from_ego(self, frame: Frame) -> NDArray[np.float64]:
        mount = _ego_from_lidar(frame)
        # the same in every frame of most logs
        if mount.tobytes() != self._mount:
            self._mount, self._inverse = mount.tobytes(), inverse(mount)
            self._inverse.flags.writeable = False
        return self._inverse


def _ego_from_lidar(frame: Frame) -> NDArray[np.float64]:
    lidar = frame.lidar
    if lidar is None:
        raise MissingRecord(
            f"{frame.log.source.location}: {frame} has no sweep of the primary lidar, "
            'which frame "lidar" needs; take frame "ego"'
        )
    return lidar.ego_from_sensor
