"""A preset: named parameters of a group, such as a published model's."""

from __future__ import annotations

from typing import Any

import msgspec

from .params import merge

__all__ = ["Preset"]


class Preset(msgspec.Struct, frozen=True):
    """Parameters that differ from the schema's own, as a model is tested and run with, and what differs in training."""

    params: dict[str, Any]
    training: dict[str, Any] = {}
    """What a training run has instead: {"max_voxels": 16000}. Taken where the caller says that it trains."""
    follows: str = ""
    """The public configuration that has these values: repository and path."""

    def values(self, *, training: bool = False) -> dict[str, Any]:
        """Returns the parameters that differ from the schema's own, in testing or in training."""
        return merge(self.params, self.training) if training else dict(self.params)
