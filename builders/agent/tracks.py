"""Labelled boxes at steps of time, all in the ego frame at the reference time: what tensors of agents begin with."""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perceptum.features.agent import TracksParams
from perceptum.features.classes import class_of, said_of_no_class
from perceptum.inputs import Frame, Matrix, MissingRecord, PoseUnknown
from perceptum.plural import counted

from ..kernels.agents import move_rows
from ..sample import Sample
from ..stage import Stage, Stages
from .moments import Moment, labelled_near

__all__ = ["EGO", "Tracks"]

_log = logging.getLogger(__name__)

EGO = -(2**62) - 1
"""The track of the vehicle itself."""

_CLASS = np.int64(0x9E3779B97F4A7C15 - 2**64)
"""By which a class tells two agents of one track id apart."""
_FIRST_NS, _LAST_NS = -(2**62), 2**62
_NO_TURN, _NO_SHIFT = np.eye(3)[None], np.zeros((1, 3))
_NO_NAMES = np.zeros(0, np.str_)
_MOST_KNOWN = 256
"""Sets of categories whose classes are remembered."""


class _Rows(NamedTuple):
    """What is added for one step."""

    vectors: Matrix
    size: Matrix
    track: NDArray[np.int64]
    kind: NDArray[np.int32]
    label: NDArray[np.int32]
    names: NDArray[np.str_]


class Tracks(Stage):
    """Yields the boxes at each step, a row each: those of one step follow each other by track id, of an agent that is
    labelled twice the first, and the rows of the vehicle itself come after all others.

    Of the past the steps are those of `params`, the last one now; with `ahead` they are that many after now instead.
    A label that is later than the reference time is never of the past, and none of the future is earlier.
    """

    def __init__(self, params: TracksParams, ahead: int, dt_s: float, stages: Stages) -> None:
        super().__init__()
        self.title = f"agents at {ahead} steps to come" if ahead else f"agents at {params.num_steps} steps"
        self.params, self.ahead = params, ahead
        self._stages = stages
        self._with_ego = False
        tolerance_s = params.tolerance_s if not ahead or params.tolerance is not None else dt_s / 2
        self._tolerance_ns = round(tolerance_s * 1e9)
        steps = np.arange(1, ahead + 1) if ahead else np.arange(1 - params.num_steps, 1)
        self._offsets_ns = np.round(steps * (dt_s * 1e9)).astype(np.int64)
        self._whole_classes = params.whole_classes()
        self._ego_class = params.ego_class
        self._classes: dict[tuple[str, ...], NDArray[np.int32]] = {}
        self._names: list[NDArray[np.str_]] = []
        self.labelled: list[bool] = []
        """Which steps have labels, be it without boxes."""
        self.starts: NDArray[np.int64] = np.zeros(1, np.int64)
        """(steps + 1,) where the rows of each step begin, those of the vehicle itself apart."""
        self.times_s: NDArray[np.float64] = np.zeros(0)
        """(steps,) float64: when each step's labels are, after the reference time; the step's own where it has none."""
        self.vectors: NDArray[np.float64] = np.zeros((0, 3, 3))
        """(n, 3, 3): middle, unit vector along the length, and velocity, NaN where it is not known, in the ego frame at
        the reference time."""
        self.size: NDArray[np.float64] = np.zeros((0, 3))
        """(n, 3) length, width, height, m."""
        self.key: NDArray[np.int64] = np.zeros(0, np.int64)
        """(n,) which agent a row is of: a track id in one class; EGO."""
        self.kind: NDArray[np.int32] = np.zeros(0, np.int32)
        """(n,) the number of the class; -1 of what is not an agent."""
        self.step: NDArray[np.int32] = np.zeros(0, np.int32)
        """(n,) of which step."""
        self.label: NDArray[np.int32] = np.zeros(0, np.int32)
        """(n,) which box of its moment's labels; -1 of the vehicle and between two moments."""

    def want_ego(self) -> None:
        """Said when a lane is made: the vehicle itself has rows too."""
        self._with_ego = True

    @property
    def n(self) -> int:
        """How many rows there are."""
        return len(self.key)

    @property
    def steps(self) -> int:
        return len(self._offsets_ns)

    def name(self, row: int) -> str:
        """Returns the track id of a row; empty for the vehicle."""
        if row >= self.starts[-1]:
            return ""
        step = int(self.step[row])
        return str(self._names[step][row - int(self.starts[step])])

    def run(self, sample: Sample) -> None:
        frame = sample.frame
        wanted_ns = (self._offsets_ns + frame.time_ns).tolist()
        found = self._labelled(frame)
        self.labelled = [one is not None for one, _ in found]
        looked_at = {moment.time_ns: moment for pair in found for moment in pair if moment is not None}
        self.dropped = {"agents' boxes with broken numbers": sum(own.broken for own in looked_at.values())}
        moments = [one if other is None else None for one, other in found]
        at_ns = [at if one is None else one.time_ns for at, one in zip(wanted_ns, moments, strict=True)]
        self.times_s = (np.array(at_ns) - frame.time_ns) * 1e-9
        turns, shifts, known = self._now_from(frame, moments, at_ns)
        rows: list[_Rows] = []
        counts = np.zeros(self.steps, np.int64)
        self._names = [_NO_NAMES] * self.steps
        for step, (one, other) in enumerate(found):
            if one is None or not (known[step] or other is not None):
                continue
            if other is None:
                added = _Rows(one.vectors, one.size, one.track, self._classes_of(one), one.row, one.names)
                added = _once(added) if one.twice else added
            else:
                added = self._between(frame, one, other, wanted_ns[step])
            rows.append(added)
            counts[step], self._names[step] = len(added.size), added.names
        self.starts = np.append(0, np.cumsum(counts))
        egos = np.flatnonzero(known) if self._with_ego else np.zeros(0, np.int64)
        self._list(rows, counts, egos)
        # what lies between two moments is where it belongs
        turn_of = np.where([other is not None for _, other in found], self.steps, np.arange(self.steps))
        which = np.append(np.repeat(turn_of, counts), egos)
        move_rows(which, np.append(turns, _NO_TURN, axis=0), np.append(shifts, _NO_SHIFT, axis=0), self.vectors)

    def _list(self, rows: list[_Rows], counts: NDArray[np.int64], egos: NDArray[np.int64]) -> None:
        """Lists the rows, and then those of the vehicle at the steps `egos`, each in the ego frame at its own time."""
        params, many = self.params, len(egos)
        own = np.zeros((many, 3, 3))
        own[:, 0], own[:, 1, 0], own[:, 2] = params.ego_middle, 1.0, np.nan
        self.vectors = np.concatenate([*(one.vectors for one in rows), own])
        self.size = np.concatenate([*(one.size for one in rows), np.full((many, 3), params.ego_size)])
        self.kind = np.concatenate([*(one.kind for one in rows), np.full(many, self._ego_class, np.int32)])
        self.label = np.concatenate([*(one.label for one in rows), np.full(many, -1, np.int32)])
        self.step = np.append(np.repeat(np.arange(self.steps), counts), egos).astype(np.int32)
        track = np.concatenate([*(one.track for one in rows), np.full(many, EGO)])
        self.key = _keys(track, self.kind)
        self.key[len(track) - many :] = EGO

    def _labelled(self, frame: Frame) -> list[tuple[Moment | None, Moment | None]]:
        """Returns for each step its labels and None, or those before and after it."""
        at, near_ns = self._offsets_ns + frame.time_ns, self._tolerance_ns
        first, last = (frame.time_ns + 1, _LAST_NS) if self.ahead else (_FIRST_NS, frame.time_ns)
        high = np.minimum(at + near_ns, last)
        if self.params.between == "nearest":
            return [(moment, None) for moment in labelled_near(frame, np.maximum(at - near_ns, first), high, at)]
        # of the future too the label before may be that of now
        befores = labelled_near(frame, at - near_ns, np.minimum(at, last), at)
        afters = labelled_near(frame, at, high, at)
        found: list[tuple[Moment | None, Moment | None]] = []
        for before, after in zip(befores, afters, strict=True):
            if before is None or after is None:
                found.append((None, None))
            elif before.time_ns == after.time_ns:
                # both at once: a label at the very time. A log that keeps nothing makes it twice
                found.append((before, None))
            else:
                found.append((before, after))
        return found

    def _between(self, frame: Frame, one: Moment, other: Moment, at_ns: int) -> _Rows:
        """Returns what lies between two moments, of agents that are in both, in the ego frame at the reference time."""
        turns, shifts, known = self._now_from(frame, [one, other], [one.time_ns, other.time_ns])
        kinds = self._classes_of(one), self._classes_of(other)
        _, a, b = np.intersect1d(_keys(one.track, kinds[0]), _keys(other.track, kinds[1]), return_indices=True)
        # by track id, as the rows of one moment are; none where a pose is broken
        order = np.argsort(a, kind="stable") if known.all() else np.zeros(0, np.intp)
        a, b = a[order], b[order]
        share = (at_ns - one.time_ns) / (other.time_ns - one.time_ns)
        first, last = one.vectors[a], other.vectors[b]
        for vectors, place in ((first, 0), (last, 1)):
            move_rows(np.full(len(a), place), turns, shifts, vectors)
        vectors = (1 - share) * first + share * last
        vectors[:, 1] = _turned_between(first[:, 1], last[:, 1], share)
        size = (1 - share) * one.size[a] + share * other.size[b]
        none = np.full(len(a), -1, np.int32)
        return _Rows(vectors, size, one.track[a], kinds[0][a], none, np.asarray(one.names[a]))

    def _classes_of(self, moment: Moment) -> NDArray[np.int32]:
        """Returns (N,) int32, the class of each box."""
        numbers = self._classes.get(moment.categories)
        if numbers is None:
            if len(self._classes) >= _MOST_KNOWN:
                self._classes.clear()
            numbers = np.array([class_of(name, self._whole_classes) for name in moment.categories], dtype=np.int32)
            self._classes[moment.categories] = numbers
        return numbers[moment.category]

    def _now_from(
        self, frame: Frame, moments: list[Moment | None], at_ns: list[int]
    ) -> tuple[Matrix, Matrix, NDArray[np.bool_]]:
        """Returns (S, 3, 3) and (S, 3), the turn and the shift from the ego frame at each time to that of the reference
        time; and (S,) which are known.

        Not known: without labels, of which only the vehicle itself asks, before the first pose, after the last and in a
        gap; and where a pose is broken and the log skips those. Worlds are as large as they like: what is moved is the
        difference of two places.
        """
        turns, shifts = np.tile(np.eye(3), (len(at_ns), 1, 1)), np.zeros((len(at_ns), 3))
        known = np.array([time_ns == frame.time_ns for time_ns in at_ns], dtype=np.bool_)
        then = {
            step: pose
            for step, (moment, time_ns) in enumerate(zip(moments, at_ns, strict=True))
            if not known[step] and (pose := self._pose(frame, moment, time_ns)) is not None
        }
        if then:
            steps = np.array(list(then))
            poses, now = np.array(list(then.values())), frame.world_from_ego
            turns[steps] = now[:3, :3].T @ poses[:, :3, :3]
            shifts[steps] = (poses[:, :3, 3] - now[:3, 3]) @ now[:3, :3]
            known[steps] = True
        return turns, shifts, known

    def _pose(self, frame: Frame, moment: Moment | None, time_ns: int) -> Matrix | None:
        log = frame.log
        if moment is None:
            if not self._with_ego or not log.source.sequential:
                return None
            try:
                return log.world_from_ego(time_ns)
            except PoseUnknown:
                return None
        if moment.world_from_ego is not None:
            return moment.world_from_ego
        return log.or_skip(f"agents at {time_ns} ns", lambda: log.world_from_ego(time_ns))

    def report_no_labels(self, frame: Frame, required: bool) -> None:
        """Raises MissingRecord where labels are required, and the reference time has none; else reports it once."""
        if self.labelled[-1]:
            self._report_no_class(frame)
            return
        said = f"{frame.log.source.location}: {frame} has no labels"
        if required:
            raise MissingRecord(f'{said}, and the spec requires them (the param "required")')
        if self._stages.first_time((Tracks, "no labels")):
            _log.warning(
                '%s: it has no agents, and their masks are 0 (reported once; the param "required" makes it an error)',
                said,
            )

    def _report_no_class(self, frame: Frame) -> None:
        kinds = self.kind[self.starts[-2] : self.starts[-1]]
        if not len(kinds) or (kinds >= 0).any():
            return
        if self._stages.first_time((Tracks, "no class", self._whole_classes)):
            labels = frame.labels
            said = said_of_no_class([] if labels is None else labels.category.tolist(), self._whole_classes)
            _log.warning("%s: %s has %s, and %s", frame.log.source.location, frame, counted(len(kinds), "box"), said)


def _once(rows: _Rows) -> _Rows:
    """Returns the rows of agents that none before is of."""
    _, first = np.unique(_keys(rows.track, rows.kind), return_index=True)
    kept = np.sort(first)
    vectors, size, track, kind, label, names = rows
    return _Rows(vectors[kept], size[kept], track[kept], kind[kept], label[kept], np.asarray(names[kept]))


def _keys(track: NDArray[np.int64], kind: NDArray[np.int32]) -> NDArray[np.int64]:
    """Returns (N,) int64, which agent each is: a track id in one class."""
    with np.errstate(over="ignore"):
        return track ^ (kind * _CLASS)


def _turned_between(one: Matrix, other: Matrix, share: float) -> Matrix:
    """Returns (N, 3) unit vectors: turned about z by a share of the shorter way from one to the other."""
    begin = np.arctan2(one[:, 1], one[:, 0])
    way = np.arctan2(other[:, 1], other[:, 0]) - begin
    angle = begin + share * (np.remainder(way + np.pi, 2 * np.pi) - np.pi)
    return np.column_stack([np.cos(angle), np.sin(angle), np.zeros(len(angle))])
