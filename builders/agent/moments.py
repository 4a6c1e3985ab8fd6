"""What was labelled at one moment, prepared for tracking through time: once per log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import Frame, Labels, LogError, Matrix
from perceptum.inputs.frame import Records

__all__ = ["Moment", "labelled_near"]

_TOGETHER = 128
"""Frames whose poses are worked out at once."""
_MOST = 1e9
"""Metres, or metres per second, beyond this are a slip, as they are of a pose: their changes over time would be beyond
what float32 holds."""


@dataclass(frozen=True, eq=False)
class Moment:
    """The boxes of one moment, by track id, which may come twice."""

    time_ns: int
    track: NDArray[np.int64]
    """(N,) one number for each track id: 64 bits of its text's hash, the same throughout this process."""
    names: NDArray[np.str_]
    """(N,) the track ids, ascending."""
    categories: tuple[str, ...]
    category: NDArray[np.intp]
    """(N,) which of `categories`."""
    vectors: Matrix
    """(N, 3, 3) float64 in the ego frame at this moment: the middle, m; where the length points, a unit vector; the
    velocity over ground, m/s, NaN where unknown."""
    size: Matrix
    """(N, 3) length, width, height, m."""
    row: NDArray[np.int32]
    """(N,) which box of the log's labels it is."""
    twice: bool
    """Whether a track id does."""
    broken: int
    """How many boxes were left out, since a number of theirs is not finite, or is beyond _MOST."""
    world_from_ego: Matrix | None
    """(4, 4) float64 at this moment; None where it is not known, and of unrelated frames: the log says why."""


def _moment_at(frame: Frame, time_ns: int) -> Moment | None:
    """Returns what the frame's log has labelled at a time; None where it has no labels then. Raises BrokenRecord."""
    log = frame.log
    return log.cache.get(("agents at", time_ns), lambda: _prepared(log, log.labels(time_ns)))


def _prepared(log: Records, labels: Labels | None) -> Moment | None:
    if labels is None:
        return None
    n = len(labels)
    names = np.asarray(labels.track_id, dtype=np.str_)
    # by id, so that agents equally far away keep this order
    order = np.argsort(names, kind="stable")
    finite = (np.abs(labels.boxes[order]) <= _MOST).all(axis=1)
    order = order[finite]
    categories, category = np.unique(np.asarray(labels.category, dtype=np.str_)[order], return_inverse=True)
    boxes = np.asarray(labels.boxes, dtype=np.float64)[order]
    vectors = np.zeros((len(order), 3, 3))
    vectors[:, 0], vectors[:, 1, 0], vectors[:, 1, 1] = boxes[:, :3], np.cos(boxes[:, 6]), np.sin(boxes[:, 6])
    if labels.velocity is None:
        vectors[:, 2] = np.nan
    else:
        vectors[:, 2, :2] = labels.velocity[order]
        vectors[~(np.abs(vectors[:, 2]) <= _MOST).all(axis=1), 2] = np.nan
    # a box without an id is an agent of its own, seen once
    named = [(name or (labels.time_ns, row)) for name, row in zip(names[order].tolist(), order.tolist(), strict=True)]
    return Moment(
        time_ns=labels.time_ns,
        track=np.fromiter(map(hash, named), np.int64, len(order)),
        names=names[order],
        categories=tuple(categories.tolist()),
        category=category.reshape(-1),
        vectors=vectors,
        size=boxes[:, 3:6],
        row=np.arange(n, dtype=np.int32)[order],
        twice=len(set(named)) < len(named),
        broken=n - len(order),
        world_from_ego=_pose(log, labels.time_ns) if log.source.sequential else None,
    )


def _pose(log: Records, time_ns: int) -> Matrix | None:
    """Returns world_from_ego at a frame's time; None where it is not known: of the frame's own moment nobody needs it.

    Of many frames at once: one by one the poses take as long as all else of a scenario that is read once.
    """
    times = log.source.times_ns
    at = int(times.searchsorted(time_ns))
    if at == len(times) or times[at] != time_ns:
        return _or_none(lambda: log.world_from_ego(time_ns))
    block = at // _TOGETHER
    own = times[block * _TOGETHER : (block + 1) * _TOGETHER]
    together = partial(_or_none, lambda: log.poses.at_many(own))
    poses = log.cache.get(("world_from_ego of frames", block), together)
    # a pose of another frame may be the one that is broken
    return _or_none(lambda: log.world_from_ego(time_ns)) if poses is None else np.array(poses[at % _TOGETHER])


def _or_none(ask: Callable[[], Matrix]) -> Matrix | None:
    try:
        return ask()
    except LogError:
        return None


def labelled_near(
    frame: Frame, low_ns: NDArray[np.int64], high_ns: NDArray[np.int64], wanted_ns: NDArray[np.int64]
) -> list[Moment | None]:
    """Returns for each of the times wanted the labelled moment nearest to it, of two the earlier, from its `low_ns` to
    its `high_ns`, both included; None where there is none. Of unrelated frames only the frame's own moment is.

    Raises BrokenRecord.
    """
    source = frame.log.source
    times = source.times_ns if source.sequential else np.array([frame.time_ns], dtype=np.int64)
    firsts, ends = times.searchsorted(low_ns).tolist(), times.searchsorted(high_ns, side="right").tolist()
    near: dict[int, Moment | None] = {}
    found: list[Moment | None] = []
    for first, end, wanted in zip(firsts, ends, wanted_ns.tolist(), strict=True):
        own: list[int] = times[first:end].tolist()
        if len(own) > 1:
            own.sort(key=partial(_apart, wanted))
        moment = None
        for time_ns in own:
            if time_ns not in near:
                near[time_ns] = _moment_at(frame, time_ns)
            moment = near[time_ns]
            if moment is not None:
                break
        found.append(moment)
    return found


def _apart(one_ns: int, other_ns: int) -> int:
    return abs(one_ns - other_ns)
