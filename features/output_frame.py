"""The frame of reference of a model's outputs: what the output's row says, or what the inputs agree on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast, get_args

from .errors import SpecError
from .resolve import resolve_row
from .schema import Schema
from .spec import Row
from .vocabulary import FRAMES, InputFrame, ReferenceFrame

__all__ = ["output_frame"]


def output_frame(
    schema: Schema, inputs: Iterable[Row | Mapping[str, Any]], output: Row | Mapping[str, Any]
) -> ReferenceFrame:
    """Returns the axes in which an output's places and directions are given.

    That is what its row says as "frame". Where it says nothing, a model answers in the frame of reference that its
    inputs agree on; in the ego frame, where no input has axes. Raises SpecError where the inputs do not agree, are in a
    sensor's own axes, or count heights from the ground.
    """
    row = Row.of(output)
    if row.frame is not None:
        return row.frame
    known: dict[str, str] = {}
    for given in map(Row.of, inputs):
        if given.name.partition("__")[0] in schema:
            resolved = resolve_row(schema, given)
            frame = resolved.parts.get("frame", resolved.feature.frame)
            if frame in (*get_args(InputFrame), "sensor"):
                known.setdefault(frame, given.name)
    if len(known) > 1 or not known.keys() <= set(get_args(ReferenceFrame)):
        inputs_say = ", ".join(f"'{name}' is in {FRAMES[cast(Any, frame)]}" for frame, name in known.items())
        raise SpecError(
            f"the frame of reference of the output '{row.name}' is not known, and its inputs do not say: {inputs_say}"
            '; write "frame": "ego" or "lidar" into its row'
        )
    return cast(ReferenceFrame, next(iter(known), "ego"))
