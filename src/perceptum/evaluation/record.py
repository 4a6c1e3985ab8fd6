"""What is known of a frame once all models have answered it: a record, which a journal keeps and scores are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import msgspec
import numpy as np

from perceptum.problems import Observation

__all__ = ["SCORE", "STATUSES", "FrameRecord", "ModelRecord", "Status", "decode", "encode"]

SCORE = "score_"
"""Before the names of `frame_scores`, as columns of the table of frames."""
Status = Literal["judged", "failed", "not built", "not judged"]
"""failed: the model died, raised, or answered what breaks the problem's spec. not built: its inputs could not be built.
not judged: the frame has no labels, or they cannot be read; no model is then run on it."""
STATUSES: tuple[Status, ...] = get_args(Status)


class ModelRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one frame."""

    status: Status
    error: str = ""
    """One line; empty where the frame was judged."""
    build_ms: float | None = None
    """What of the build this model needs, without what only first builds take; None where nothing was built."""
    infer_ms: float | None = None
    scores: Mapping[str, float] = {}
    """`frame_scores` of the problem."""
    observation: Observation | None = None


class FrameRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One frame."""

    position: int
    """Its number among all frames of the logs."""
    log: str
    """The name of its log."""
    frame: int
    """Its number in that log."""
    frame_id: str
    time_ns: int
    models: Mapping[str, ModelRecord]


class _Array(msgspec.Struct, array_like=True):
    dtype: str
    shape: tuple[int, ...]
    data: bytes


def encode(record: FrameRecord) -> bytes:
    """Returns a record as MessagePack; arrays as their dtype, shape and bytes."""
    return msgspec.msgpack.encode(record, enc_hook=_packed)


def decode(data: bytes | memoryview) -> FrameRecord:
    """Reads what `encode` wrote; raises msgspec.MsgspecError. Arrays are read-only."""
    return msgspec.msgpack.decode(data, type=FrameRecord, dec_hook=_unpacked)


def _packed(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _Array(value.dtype.str, value.shape, value.tobytes())
    raise NotImplementedError(f"a record holds {type(value).__name__}")


def _unpacked(kind: type, value: Any) -> Any:
    array = msgspec.convert(value, _Array)
    dtype = np.dtype(array.dtype)
    if dtype.hasobject:
        raise ValueError(f"an array of {dtype}")
    return np.frombuffer(array.data, dtype).reshape(array.shape)
