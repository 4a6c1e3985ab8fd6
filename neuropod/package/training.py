"""What training saw, as a package records it: the spec that samples were built from, and what a few frames came to.

A later version of the library, or another machine, is compared with this and not with itself.
"""

from __future__ import annotations

from typing import Any

import msgspec

from perceptum.features import Spec, SpecError

from ..errors import NeuropodError

__all__ = ["SeenFrame", "SeenTensor", "Training"]


class SeenTensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a tensor was: enough to know it again without keeping it."""

    dtype: str
    """As numpy's `dtype.str` has it: "<f4"."""
    shape: tuple[int, ...]
    digest: str
    """XXH3 (128 bits) over its bytes in C order, 32 hex digits."""


class SeenFrame(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A frame that training saw, built without a draw."""

    dataset: str
    log: str
    """The log's own name, whatever folder it lies in."""
    frame_id: str
    time_ns: int
    tensors: dict[str, SeenTensor]
    """By the input's name."""
    records: dict[str, str] = {}
    """Digests of the frame's own records by sensor, such as lidar/LIDAR_TOP: they tell another recording from another
    way of building."""

    @property
    def key(self) -> tuple[str, str, int]:
        """By which the frame is found in a log, also in one that was converted since."""
        return self.log, self.frame_id, self.time_ns


class Training(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The record. It is kept in perceptum.json, where old readers do not look."""

    rows: list[dict[str, Any]]
    """Of the inputs, in Neuropod's form, with the values that training had."""
    fingerprint: str
    """Over what is built of these rows, as `Schema.fingerprint_of` gives it."""
    perceptum: str
    """The version that built the frames."""
    frames: tuple[SeenFrame, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    @classmethod
    def from_plain(cls, plain: object) -> Training:
        """Raises NeuropodError that says what is wrong."""
        try:
            found = msgspec.convert(plain, cls)
            Spec.of(found.rows)
            return found
        except (msgspec.ValidationError, SpecError) as error:
            raise NeuropodError(f"training: {error}; pack the model again") from None
