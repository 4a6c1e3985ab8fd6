"""The sensors that a spec names, and a log or a frame may lack."""

from __future__ import annotations

import difflib
import logging
import re
from typing import Literal

from perceptum.inputs import Frame, MissingRecord

from .stage import Stages

__all__ = ["known_sensors", "report_no_record", "report_one_record"]

_log = logging.getLogger(__name__)

_RECORDS = {"lidar": ("points", "sweep"), "radar": ("detections", "cycle"), "camera": ("pictures", "picture")}

_LETTERS = 3
"""Shorter words that differ are different sensors: L and R."""
_ALIKE = 0.75
"""left and right have 0.22 in common, FRNT and FRONT 0.89."""


def known_sensors(
    frame: Frame,
    kind: Literal["lidar", "radar", "camera"],
    sensors: tuple[str, ...] | None,
    required: bool,
    stages: Stages,
) -> tuple[str, ...]:
    """Returns those of `sensors` that the log has, or all where none are named.

    One that it lacks is reported once. It is an error where the spec requires it; where the log has others of its kind
    and none of those named, which is no drive of the same car; and where it is a misspelt name of one that the log has.
    """
    source = frame.log.source
    streams = {"lidar": source.lidars, "radar": source.radars, "camera": source.cameras}[kind]
    if sensors is None:
        return tuple(streams)
    unknown = [name for name in sensors if name not in streams]
    # a log without any of the kind is reported as such
    if unknown and streams:
        # one that is named itself is not what a misspelt name means
        others = [name for name in streams if name not in sensors]
        meant = next(((name, near) for name in unknown for near in others if _misspelt(name, near)), None)
        hint = f"did you mean '{meant[1]}'? " if meant else ""
        no = f"{source.location}: no {kind} '{', '.join(unknown)}'"
        has = f"{hint}the log has {', '.join(streams)}"
        if required:
            raise MissingRecord(f"{no}; {has}, and the spec requires it")
        if len(unknown) == len(sensors) and kind != "camera":
            frame.log.sensor_times(streams, unknown[0])
        if len(unknown) == len(sensors) or meant:
            named = "image.cameras" if kind == "camera" else "sensors"
            raise MissingRecord(f"{no}; {has}; {named} names the {kind}s to take")
        if stages.first_time((known_sensors, kind, *unknown)):
            _log.warning(
                '%s, so no %s of it; %s (reported once; the param "required" makes it an error)',
                no,
                _RECORDS[kind][0],
                has,
            )
    return tuple(name for name in sensors if name in streams)


def _misspelt(name: str, known: str) -> bool:
    """Whether a name is a slip of another, CAM_FRNT of CAM_FRONT, and not the name of another sensor, CAM_FRONT_LEFT of
    CAM_FRONT_RIGHT, image_2 of image_3, M_FISHEYE_L of M_FISHEYE_R."""
    words, others = (re.split(r"[\W_]+", one.lower()) for one in (name, known))
    if len(words) != len(others):
        return "".join(words) == "".join(others)
    return all(one == other or _slip(one, other) for one, other in zip(words, others, strict=True))


def _slip(word: str, other: str) -> bool:
    same_digits = re.findall(r"\d", word) == re.findall(r"\d", other)
    long = min(len(word), len(other)) >= _LETTERS
    return same_digits and long and difflib.SequenceMatcher(None, word, other).ratio() >= _ALIKE


def report_no_record(
    frame: Frame, kind: Literal["lidar", "radar"], sensors: tuple[str, ...], required: bool, whose: str, stages: Stages
) -> None:
    """Called for a frame that has no record of the sensors; raises MissingRecord where the spec requires one.

    whose: the title of what is empty for it. Reported once, since a log without a lidar has it in every frame.
    """
    what = f"{frame.log.source.location}: {frame} has no {_RECORDS[kind][1]} of {', '.join(sensors) or f'any {kind}'}"
    if required:
        raise MissingRecord(f"{what}, and the spec requires one")
    if stages.first_time((report_no_record, kind, whose)):
        _log.warning('%s: its %s tensors are empty (reported once; the param "required" makes it an error)', what, kind)


def report_one_record(frame: Frame, kind: Literal["lidar", "radar"], num_sweeps: int, stages: Stages) -> None:
    """Warns once where the log's frames are unrelated, and a spec wants several records of each sensor."""
    source = frame.log.source
    unrelated = not source.sequential and len(source.lidars if kind == "lidar" else source.radars) > 0
    if num_sweeps > 1 and unrelated and stages.first_time((report_one_record, kind)):
        record = _RECORDS[kind][1]
        _log.warning(
            "%s: its frames are unrelated, so that each has one %s of a %s, and not %d (reported once)",
            source.location,
            record,
            kind,
            num_sweeps,
        )
