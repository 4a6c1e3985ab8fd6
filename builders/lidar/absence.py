"""What becomes of a frame without a sweep: an error where the spec requires one, else empty tensors and a word."""

from __future__ import annotations

import logging

from perceptum.inputs import Frame, MissingRecord

from ..stage import Stages

__all__ = ["Absence"]

_log = logging.getLogger(__name__)


class Absence:
    """Reports it once, since a log without a lidar has it in every frame."""

    def __init__(self, required: bool, whose: str, stages: Stages) -> None:
        self._required = required
        self._whose = whose
        self._stages = stages

    def report(self, frame: Frame, sensor: str) -> None:
        """Called for a frame that has no sweep of `sensor`; raises MissingRecord where one is required."""
        what = f"{frame.log.source.location}: {frame} has no sweep of {sensor}"
        if self._required:
            raise MissingRecord(f"{what}, and the spec requires one")
        if self._stages.first_time((Absence, self._whose)):
            _log.warning(
                '%s: its lidar tensors are empty (reported once; the param "required" makes it an error)', what
            )
