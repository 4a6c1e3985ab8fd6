"""What a log answers now: whether it is what it answered when a tensor was built."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from perceptum.inputs import Frame, Log
from perceptum.inputs.opened import UNKNOWN, State, same
from perceptum.inputs.source import opens_noted

from .asked import Ask
from .bundle import Answer, Head
from .code import UnknownCode, code_of
from .content import NotPlain, digest_of

__all__ = ["Answers", "Files", "answers_of"]

Files = tuple[tuple[str, int, int, int, int], ...]

_IN_MEMORY = ("source", "option", "ids", "draw")
"""Answers that no file is read for any more once the log is open."""
_OF_LOG = ("poses", "map", "signal", "ids", "source")
"""Answers that stay what they are for as long as the log is open."""
_PASTED = ("lidar", "labels", "point labels")
"""Into which augmentation pastes objects."""
_NOTHING = digest_of(None)
_DRAWN = "drawn"
_MOST_KNOWN = 65536


class Answers:
    """The answers of one log, remembered for as long as its files stay as they are."""

    def __init__(self, log: Log) -> None:
        # not the log itself: this is kept for as long as the log is there
        self._log = weakref.ref(log)
        log.opened.by_record = True
        self._of_log: dict[Ask, str] = {}
        self._known: OrderedDict[Ask, tuple[Files, str]] = OrderedDict()
        self.noted = log.opening is not None and opens_noted(log.source)
        """Whether files say all about the log."""
        self.reader = ""
        source: Any = log.source
        with log.opened.reading("source"):
            self.streams = digest_of([source.times_ns, source.lidars, source.radars, source.cameras])
        try:
            kinds = {type(source), Log, Frame}
            while hasattr(source, "source"):
                source = source.source
                kinds.add(type(source))
            self.reader = code_of(kinds).digest
        except UnknownCode:
            self.noted = False

    @property
    def log(self) -> Log:
        log = self._log()
        assert log is not None
        return log

    def digest(self, ask: Ask, frame: Frame, drawn: bool) -> str:
        """Returns what stands for the answer; reads it if need be. Raises what reading raises, and NotPlain."""
        kind = ask[0]
        if kind == "draw":
            return _DRAWN if drawn else _NOTHING
        if kind in _OF_LOG:
            found = self._of_log.get(ask)
            if found is None:
                found = self._of_log[ask] = digest_of(self._answer(ask, frame))
            return found
        if kind == "option":
            return digest_of(getattr(self.log, str(ask[1])))
        files = self.files(ask) if kind != "labels" else None
        known = self._known.get(ask)
        if known is not None and known[0] == files and files is not None and _as_they_were(files):
            return known[1]
        digest = digest_of(self._answer(ask, frame))
        files = self.files(ask)
        if files is not None:
            self._known[ask] = files, digest
            while len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        return digest

    def _answer(self, ask: Ask, frame: Frame) -> Any:
        log, (kind, *rest) = self.log, ask
        which: Any = tuple(rest)
        match kind:
            case "lidar":
                return plain_sweep(frame, *which)
            case "point labels":
                sweep = plain_sweep(frame, *which)
                return None if sweep is None or sweep.point_labels is None else sweep.point_labels.stored
            case "radar":
                return frame._radar_sweep(*which)
            case "camera":
                return frame._picture(*which)
            case "picture":
                picture = frame._picture(*which)
                return None if picture is None else picture.encoded
            case "labels":
                return log.labels(*which)
            case "signal":
                return log.signal(*which) if which[0] in log.signals else None
            case "poses" | "map" | "ids":
                return getattr(log, str(kind))
            case "source":
                return getattr(log.source, which[0], None)
        raise NotPlain(f"an answer to {ask}")

    def files(self, ask: Ask) -> Files | None:
        """Returns the files that an answer was read from, in their state then; None where they do not say all."""
        kind = ask[0]
        if not self.noted or kind in _IN_MEMORY:
            return None
        own = self.log.opened.of(ask if len(ask) > 1 else str(kind))
        return None if own is None else plain_files(own)

    def shared(self) -> Files | None:
        """Returns the files of what the log keeps for all its records."""
        return plain_files(self.log.opened.of_all(self.log.source.location)) if self.noted else None

    def same_reader(self, head: Head) -> bool:
        """Whether records of the same files are the same records."""
        here = (self.log.opening, self.reader, self.streams)
        if not self.noted or head.shared is None or (head.opening, head.reader, head.streams) != here:
            return False
        own = self.log.opened.shared
        # what the log has read already it has as it was then, whatever became of the file
        return all(
            own[path] == State(*state) != UNKNOWN if path in own else same(path, State(*state))
            for path, *state in head.shared
        )

    def may_hold(self, answer: Answer, frame: Frame) -> bool:
        """Whether an answer can be what it was for this frame: not where objects are pasted into what it says."""
        return type(frame) is Frame or answer.ask[0] not in _PASTED

    def by_files(self, answer: Answer, frame: Frame, same_reader: bool) -> bool:
        """Whether an answer is known to be what it was by the files alone, without reading them.

        That there is nothing says no file: it is looked for again.
        """
        if not same_reader or answer.files is None or answer.digest == _NOTHING:
            return False
        if self._has(answer.ask, frame):
            # it is as the file was then, whatever became of that
            return self.files(answer.ask) == answer.files
        return _as_they_were(answer.files)

    def _has(self, ask: Ask, frame: Frame) -> bool:
        """Whether the log, or the frame, has what is asked in memory."""
        kind, log = ask[0], self.log
        if kind in ("map", "poses"):
            return kind in vars(log)
        record = ("camera", *ask[1:]) if kind == "picture" else ("lidar", *ask[1:]) if kind == "point labels" else ask
        return record in frame._read or record in log.cache

    def is_same(self, answer: Answer, frame: Frame, drawn: bool) -> bool:
        """Whether an answer is what it was; reads it if need be. Raises what reading raises, and NotPlain."""
        return self.digest(answer.ask, frame, drawn) == answer.digest

    def can_be_known(self, answer: Answer) -> bool:
        """Whether files would say the next time that an answer is the same."""
        return answer.digest != _NOTHING and self.files(answer.ask) is not None and self.shared() is not None


def plain_sweep(frame: Frame, sensor: str, index: int) -> Any:
    """Returns a sweep as it was recorded, whatever is pasted into the frame."""
    return Frame._sweep(frame, sensor, index)


def plain_files(states: Mapping[str, State]) -> Files | None:
    if UNKNOWN in states.values():
        return None
    return tuple((path, *state) for path, state in states.items())


def _as_they_were(files: Files) -> bool:
    return all(same(path, State(*state)) for path, *state in files)


_answers: weakref.WeakKeyDictionary[Log, Answers] = weakref.WeakKeyDictionary()


def answers_of(log: Log) -> Answers:
    """Returns the answers of a log, the same for all who ask."""
    found = _answers.get(log)
    return _answers.setdefault(log, Answers(log)) if found is None else found
