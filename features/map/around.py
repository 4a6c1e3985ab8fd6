"""What all map features share: where they are, and what a log without a map comes to."""

from __future__ import annotations

from typing import Annotated

from ..parameter import About
from ..reference import ReferenceParams

__all__ = ["MapParams"]


class MapParams(ReferenceParams, frozen=True, kw_only=True):
    """In which axes, and whether there must be a map."""

    required: Annotated[
        bool,
        About("true: a log without what this is made of is an error; false: it is empty, its mask 0, reported once."),
    ] = False
