"""What becomes of a frame without a sweep: an error where the spec requires one, else empty tensors and a word."""

from __future__ import annotations

import logging

from perceptum.inputs import Frame, MissingRecord

__all__ = ["Absence"]

_log = logging.getLogger(__name__)


class Absence:
    """Tells of it once per stage, since a log without a lidar has it in every frame."""

    def __init__(self, required: bool) -> None:
        self._required = required
        self._told = False

    def tell(self, frame: Frame, sensor: str) -> None:
        """Called for a frame that has no sweep of `sensor`; raises MissingRecord where one is required."""
        what = f"{frame.log.source.location}: {frame} has no sweep of {sensor}"
        if self._required:
            raise MissingRecord(f"{what}, and the spec requires one")
        if not self._told:
            self._told = True
            _log.warning('%s: its lidar tensors are empty (said once; the param "required" makes it an error)', what)
