"""Frames of several logs, as one sequence: what a training run or an evaluation goes through."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perceptum.plural import a_or_an, counted

from .errors import LogError
from .frame import Frame
from .lazy_logs import JoinedLogs, LazyLogs, LogAbout
from .log import Log
from .mix import Mix

__all__ = ["Dataset"]

Numbers = NDArray[np.int64]


_NOT_OPEN = "; what lies at a path is opened first, by open_log or open_dataset"


class Dataset:
    """`len(dataset)`, `dataset[12]`, `dataset[100:200]`: the frames of its logs, one log after the other.

    It pickles as its logs do: one that `open_dataset` opened as its path and options, and each process opens for
    itself what it reads.
    """

    def __init__(self, logs: Iterable[Log], *, name: str = "") -> None:
        self.logs: Sequence[Log] = logs if isinstance(logs, LazyLogs | JoinedLogs) else tuple(logs)
        """All that it was made of, also where only some of their frames are chosen."""
        if isinstance(self.logs, tuple):
            for log in self.logs:
                if not isinstance(log, Log):
                    hint = _NOT_OPEN if isinstance(log, str | os.PathLike) else ""
                    raise TypeError(f"a dataset is made of logs, got {a_or_an(type(log).__name__)}{hint}")
        if not self.logs:
            raise LogError("a dataset needs at least one log")
        self.name = name or _name_of(self.logs)
        """As messages and tables call it."""
        self.left_out: tuple[str, ...] = ()
        """The logs that could not be opened, a line each, where it was opened with `on_error="skip"`."""
        self.published_logs: int | None = None
        """How many logs its split has as published, where that is known: not all may be here."""
        self.published_frames: int | None = None
        """The same of a split that is a list of frames, as of KITTI object."""
        self._stops: Numbers = np.cumsum(_frames_of(self.logs), dtype=np.int64)
        # the numbers of its frames among those of all logs; None: all of them
        self._chosen: Numbers | None = None
        self._mix = Mix.plain(len(self))

    @classmethod
    def of(cls, logs: Dataset | Log | Iterable[Dataset | Log]) -> Dataset:
        """Returns all of these as one dataset: the frames of the logs in the order in which they come."""
        if isinstance(logs, Dataset):
            return logs
        if isinstance(logs, Log | str | os.PathLike):
            return cls([logs])
        parts = list(logs)
        if all(isinstance(part, Log) for part in parts):
            return cls([part for part in parts if isinstance(part, Log)])
        return cls.concat(parts)

    @classmethod
    def concat(
        cls, parts: Iterable[Dataset | Log], *, weights: Sequence[float] | None = None, name: str = ""
    ) -> Dataset:
        """Returns the frames of several datasets, one after the other.

        weights: the share of an epoch that each is drawn for, in relation to each other: (0.7, 0.3) draws seven frames
        of the first for three of the second, however many each has; an epoch is as long as it would be without. None:
        each frame once. A part that has weights of its own then has its share divided by those. Raises LogError.
        """
        each = [part if isinstance(part, Dataset) else cls([part]) for part in parts]
        if not each:
            raise LogError("a dataset needs at least one log")
        if len(each) == 1 and weights is None:
            return each[0]
        mix = Mix.joined([one._mix for one in each], weights, [one.name for one in each])
        logs = JoinedLogs([one.logs for one in each])
        joined = cls(logs, name=name or " + ".join(dict.fromkeys(one.name for one in each)))
        joined.left_out = tuple(line for one in each for line in one.left_out)
        if any(one._chosen is not None for one in each):
            befores = np.cumsum([0, *(int(one._stops[-1]) for one in each)])
            joined._chosen = np.concatenate(
                [
                    before + (np.arange(len(one), dtype=np.int64) if one._chosen is None else one._chosen)
                    for before, one in zip(befores.tolist(), each, strict=False)
                ]
            )
        joined._mix = mix
        return joined

    def __repr__(self) -> str:
        whole = self.published_frames or int(self._stops[-1])
        frames = f"{len(self)} of {counted(whole, 'frame')}" if len(self) != whole else counted(whole, "frame")
        all_logs = self.published_logs or len(self.logs)
        logs = counted(all_logs, "log") if all_logs == len(self.logs) else f"{len(self.logs)} of {all_logs} logs"
        mixed = f", mixed {' : '.join(f'{share:.3g}' for share in self._mix.shares)}" if self.weighted else ""
        left_out = f", {counted(len(self.left_out), 'log')} left out" if self.left_out else ""
        return f"<Dataset {self.name}: {logs}, {frames}{mixed}{left_out}>"

    def __len__(self) -> int:
        return int(self._stops[-1]) if self._chosen is None else len(self._chosen)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    def __getitem__(self, index: int | slice) -> Frame | Dataset:
        given: object = index
        if isinstance(given, str):
            raise TypeError(f"a dataset gives a frame by its number, got {given!r}; of an id that is find({given!r})")
        if isinstance(index, slice):
            return self.subset(range(len(self))[index])
        log, number = self.place(index)
        return self.logs[log][number]

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(self, start: int | None = None, stop: int | None = None, step: int | None = None) -> Iterator[Frame]:
        """Yields the frames of dataset[start:stop:step], each lazy."""
        for index in range(len(self))[start:stop:step]:
            log, number = self.place(index)
            yield self.logs[log][number]

    def place(self, index: int) -> tuple[int, int]:
        """Returns (the log's number, the frame's number in that log). Raises IndexError."""
        count = len(self)
        if not -count <= operator.index(index) < count:
            raise IndexError(f"no frame {index}, {self.name} has {count}")
        number = operator.index(index) % count
        if self._chosen is not None:
            number = int(self._chosen[number])
        log = int(np.searchsorted(self._stops, number, side="right"))
        return log, number - (int(self._stops[log - 1]) if log else 0)

    def places(self, indices: ArrayLike | None = None) -> tuple[Numbers, Numbers]:
        """Returns `place` of many, two of (n,) int64; of all frames, if none are named."""
        numbers = (
            np.arange(len(self), dtype=np.int64) if indices is None else _checked_numbers(indices, len(self), self)
        )
        if self._chosen is not None:
            numbers = self._chosen[numbers]
        logs = np.searchsorted(self._stops, numbers, side="right").astype(np.int64)
        return logs, numbers - np.concatenate([[0], self._stops])[logs]

    def about(self, log: int) -> LogAbout:
        """Returns what is known of a log, by its number: name, frames, split; opens it only if it is not lazy."""
        return _about(self.logs, log)

    def find(self, id: str, log: str | None = None) -> int:
        """Returns the number of the frame with that id, in the log of that name or in any; opens those it looks in.

        Raises LogError where there is none, or where several logs have one and `log` does not say which.
        """
        found, looked = [], 0
        chosen = None if self._chosen is None else {int(number): at for at, number in enumerate(self._chosen)}
        for number in range(len(self.logs)):
            if log is not None and _about(self.logs, number).name != log:
                continue
            looked += 1
            ids = self.logs[number].ids
            if id in ids:
                at: int | None = ids.index(id) + (int(self._stops[number - 1]) if number else 0)
                at = at if chosen is None or at is None else chosen.get(at)
                if at is not None:
                    found.append((at, number))
        if log is not None and not looked:
            raise LogError(f"{self.name}: no log '{log}'; {_some_names(self.logs)}")
        if not found:
            raise LogError(f"{self.name}: no frame with the id '{id}'{f' in log {log}' if log is not None else ''}")
        if len(found) > 1:
            names = [_about(self.logs, number).name for _, number in found]
            raise LogError(
                f"{self.name}: {len(found)} logs have a frame '{id}' ({', '.join(names[:3])}"
                f"{', ...' if names[3:] else ''}); say which with log='{names[0]}'"
            )
        return found[0][0]

    def subset(
        self,
        indices: ArrayLike | None = None,
        *,
        every: int | None = None,
        first: int | None = None,
        of_each: int | slice | None = None,
    ) -> Dataset:
        """Returns a dataset of some of the frames; several of these choose one after the other, in this order.

        indices: (n,) numbers of frames, or (F,) bool, one for each; in any order, and a frame may come twice. every:
        each so many-th. first: only so many. of_each: of each log the frame of that number, as 49 for a forecast's
        present, or those of a slice; logs that are too short have none. An empty one is allowed.
        """
        numbers = np.arange(len(self), dtype=np.int64)
        if indices is not None:
            numbers = _checked_numbers(indices, len(self), self)
        if every is not None:
            numbers = numbers[:: _positive("every", every)]
        if first is not None:
            numbers = numbers[: _positive("first", first)]
        if of_each is not None:
            numbers = numbers[self._of_each(numbers, of_each)]
        chosen = Dataset.__new__(Dataset)
        chosen.__dict__.update(self.__dict__)
        chosen._chosen = numbers if self._chosen is None else self._chosen[numbers]
        chosen._mix = self._mix.chosen(numbers, self.name)
        return chosen

    def _of_each(self, numbers: Numbers, of_each: int | slice) -> NDArray[np.bool_]:
        logs, within = self.places(numbers)
        frames = np.diff(self._stops, prepend=0)
        wanted = np.zeros(len(numbers), dtype=np.bool_)
        if isinstance(of_each, slice):
            for log in np.unique(logs).tolist():
                rows = np.flatnonzero(logs == log)
                wanted[rows] = np.isin(within[rows], np.arange(int(frames[log]))[of_each])
            return wanted
        number = operator.index(of_each)
        return np.asarray(within == (number if number >= 0 else frames[logs] + number))

    @property
    def weighted(self) -> bool:
        """Whether some frames are drawn more often than others."""
        return self._mix.weighted

    @property
    def weights(self) -> NDArray[np.float64]:
        """(parts, 3): where each mixed part begins and ends, and how often a frame of it is drawn in an epoch, on
        average. One row with 1 where nothing is mixed."""
        return self._mix.weights

    def drawn(self, places: ArrayLike, epoch: int = 0) -> Numbers:
        """Returns which frames an epoch draws, by their places in it: (n,) int64 of (n,) numbers from 0 to len - 1.

        Without weights place i is frame i. With weights each part has a run of places as long as its share; the frames
        of a part take turns, so that over the epochs each comes as often as every other, and an epoch that has room for
        some of them takes those from all over the part. It is a pure function of the place and the epoch, and takes no
        memory. A loader shuffles the places.
        """
        return self._mix.drawn(_checked_numbers(places, len(self), self), epoch)

    def info(self, *, sensors: bool = False) -> dict[str, Any]:
        """Returns what it holds, as plain data: frames, and of each log name, frames, duration, split,
        description, and the place by which it is opened alone.

        Frames are those of the dataset: of a subset, those that are chosen. A log is opened where only that gives its
        duration; with `sensors`, all are, and each lists its sensors.
        """
        frames = np.bincount(self.places()[0], minlength=len(self.logs))
        logs = [self._row(number, sensors) | {"frames": int(frames[number])} for number in range(len(self.logs))]
        return {
            "name": self.name,
            "frames": len(self),
            "logs": logs,
            "published_logs": self.published_logs,
            "published_frames": self.published_frames,
            "left_out": list(self.left_out),
        }

    def _row(self, number: int, sensors: bool) -> dict[str, Any]:
        about = _about(self.logs, number)
        row: dict[str, Any] = about._asdict()
        if about.duration_s is None or sensors:
            info = self.logs[number].info()
            row["duration_s"] = info["duration_s"]
            if sensors:
                row |= {kind: list(info[kind]) for kind in ("lidars", "radars", "cameras")}
        return row

    @property
    def skipped(self) -> list[str]:
        """What was left out so far of the logs that are open, a line each, after the log's name."""
        return [f"{log.source.name}: {line}" for log in _open(self.logs) for line in log.skipped]


def _frames_of(logs: Sequence[Log]) -> list[int]:
    if isinstance(logs, LazyLogs):
        counts: list[int] = logs.frames.tolist()
        return counts
    if isinstance(logs, JoinedLogs):
        return [count for part in logs.parts for count in _frames_of(part)]
    return [len(log) for log in logs]


def _open(logs: Sequence[Log]) -> Iterator[Log]:
    if isinstance(logs, LazyLogs):
        yield from logs.open_now()
    elif isinstance(logs, JoinedLogs):
        for part in logs.parts:
            yield from _open(part)
    else:
        yield from logs


def _about(logs: Sequence[Log], number: int) -> LogAbout:
    if isinstance(logs, LazyLogs):
        return logs.about(number)
    if isinstance(logs, JoinedLogs):
        return _about(*logs.place(number))
    log = logs[number]
    times = log.source.times_ns
    return LogAbout(log.source.name, len(log), float(times[-1] - times[0]) * 1e-9)


def _some_names(logs: Sequence[Log]) -> str:
    names = [_about(logs, number).name for number in range(min(len(logs), 3))]
    return f"there are {', '.join(names)}{', ...' if len(logs) > 3 else ''}"


def _name_of(logs: Sequence[Log]) -> str:
    return logs[0].source.dataset


def _checked_numbers(indices: ArrayLike, count: int, of: Dataset) -> Numbers:
    given = np.asarray(indices)
    if given.dtype == np.bool_ and given.shape == (count,):
        return np.flatnonzero(given).astype(np.int64)
    if given.size == 0:
        return np.zeros(0, dtype=np.int64)
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise TypeError(f"frames are chosen by (n,) whole numbers or ({count},) bool, got {given.dtype} {given.shape}")
    outside = (given < -count) | (given >= count)
    if outside.any():
        raise IndexError(f"no frame {given[outside][0]}, {of.name} has {count}")
    return np.asarray(np.where(given < 0, given + count, given), dtype=np.int64)


def _positive(name: str, value: int) -> int:
    if operator.index(value) < 1:
        raise ValueError(f"{name} must be 1 or more, got {value}")
    return value
