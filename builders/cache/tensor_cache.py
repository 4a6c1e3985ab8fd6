"""TensorCache: tensors that were built once, found again for as long as nothing that they came from changes."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from perceptum.features import SpecError
from perceptum.inputs import Frame, Log, LogError
from perceptum.plural import a_or_an
from perceptum.spelling import names_keywords

from .answers import Answers, Files, answers_of
from .asked import Ask
from .bundle import Answer, BrokenBundle, Head, Mapped, Tensor, checksum_of, placed, write_bundle
from .checked import Check, Checked
from .content import NotPlain
from .counts import CacheStats, Counts
from .folder import CacheFolder, default_folder, remove
from .pictures import KeptPictures
from .troubles import Troubles

__all__ = ["Found", "Made", "TensorCache"]

_SHRUNK_TO = 0.9
_LOOKED_EVERY = 0.05
"""The folder is measured again after this share of its limit was written by this process."""


@dataclass(frozen=True, eq=False)
class Found:
    """A tensor as it was kept."""

    array: NDArray[Any]
    """In private memory of this process, 64-byte aligned."""
    sizes: Mapping[str, int]
    dropped: Mapping[str, int]
    copy_into: Callable[[NDArray[Any]], None]
    """Copies it into an array of its shape."""


@dataclass(frozen=True, eq=False)
class Made:
    """A tensor that was just built, and what it depends on."""

    key: str
    feature: str
    code: str
    classes: tuple[str, ...]
    array: NDArray[Any]
    asks: tuple[Ask, ...]
    sizes: Mapping[str, int]
    dropped: Mapping[str, int]


@dataclass(frozen=True, init=False)
class TensorCache:
    """A folder of tensors, for any number of builders, processes and machines: InputBuilder(..., cache=TensorCache()).

    A tensor is found again where all that decides its bytes is as it was: what its stages read of the log, its
    feature's definition and parameters, and the code that made it. It changes no byte. Pickled, it is the same folder.

    Args:
        folder: where to keep them; None: tensors in $PERCEPTUM_CACHE, else in ~/.cache/perceptum.
        most_bytes: how large the folder may grow, roughly; what was not used for longest goes. None: no limit.
        check: whether checksums are compared each time, when a process first uses a tensor, or never.
        pictures: whether the pictures of augmented samples are kept too, whole and as they are decoded, where a draw
            decides what is shown of them: height x width x 3 bytes each, 4.3 MB of nuScenes. It pays where reading that
            takes less time than decoding: from memory, or from a fast disk.
    """

    folder: Path
    most_bytes: int | None
    check: Check
    pictures: bool

    @names_keywords
    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        most_bytes: int | None = None,
        check: Check = "first",
        pictures: bool = False,
    ) -> None:
        if folder is not None and not isinstance(folder, (str, os.PathLike)):
            raise SpecError(f"a cache's folder must be a path, got {folder!r}")
        if most_bytes is not None and (isinstance(most_bytes, bool) or not isinstance(most_bytes, int)):
            raise SpecError(f"a cache's most_bytes must be a number of bytes, got {most_bytes!r}")
        if most_bytes is not None and most_bytes < 0:
            raise SpecError(f"a cache's most_bytes must be 0 or more, got {most_bytes}")
        if check not in get_args(Check):
            raise SpecError(f"a cache's check must be {', '.join(get_args(Check))}, got {check!r}")
        if not isinstance(pictures, bool):
            raise SpecError(f"a cache's pictures must be True or False, got {pictures!r}")
        place = default_folder() if folder is None else Path(os.path.abspath(os.path.expanduser(folder)))
        object.__setattr__(self, "folder", place)
        object.__setattr__(self, "most_bytes", most_bytes)
        object.__setattr__(self, "check", check)
        object.__setattr__(self, "pictures", pictures)

    @classmethod
    def of(cls, cache: object) -> TensorCache | None:
        """Returns what `cache=` means: a cache, a path, or None. Raises SpecError."""
        if cache is None or isinstance(cache, TensorCache):
            return cache
        if isinstance(cache, (str, os.PathLike)):
            return cls(cache)
        raise SpecError(f"cache must be a TensorCache or a path, got {a_or_an(type(cache).__name__)}")

    def stats(self) -> CacheStats:
        """Returns what all builders on this folder found and missed in this process."""
        return self._keeper.counts.stats

    @property
    def counts(self) -> Counts:
        return self._keeper.counts

    @property
    def _keeper(self) -> _Keeper:
        return _keeper_of(self.folder)

    def look_up(self, frame: Frame, keys: Iterable[str], drawn: bool) -> dict[str, Found]:
        """Returns key -> tensor, of those that are kept for the frame and still what would be built."""
        return self._keeper.look_up(frame, set(keys), drawn, self.check)

    def keep(self, frame: Frame, tensors: Iterable[Made], drawn: bool) -> set[str]:
        """Keeps tensors of a frame, where that can be done; returns the keys of those that were."""
        return self._keeper.keep(frame, list(tensors), drawn, self.most_bytes)

    def find_picture(self, encoded: bytes, reduce: int, rows: tuple[int, int]) -> NDArray[np.uint8] | None:
        """Returns a whole picture as it was decoded, `reduce` times smaller, (H, W, 3) uint8 RGB; None where it is not
        kept. rows: those that are looked at, half-open."""
        return self._keeper.pictures.find(encoded, reduce, rows, self.check)

    def has_room_for_picture(self, nbytes: int) -> bool:
        return self._keeper.pictures.has_room(nbytes, self.most_bytes)

    def keep_picture(self, encoded: bytes, reduce: int, pixels: NDArray[np.uint8]) -> None:
        """Keeps a whole picture as it was decoded, (H, W, 3) uint8 RGB, C-contiguous, where that can be done."""
        self._keeper.pictures.keep(encoded, reduce, pixels)


class _Keeper:
    """A folder as one process uses it."""

    def __init__(self, folder: Path) -> None:
        self.files = CacheFolder(folder)
        self.counts = Counts(self.files.counts)
        self._checked = Checked()
        self._troubles = Troubles(folder)
        self.pictures = KeptPictures(self.files, self.counts, self._troubles)
        self._written = 0
        self._measured = False
        weakref.finalize(self, Counts.save, self.counts, True)

    def look_up(self, frame: Frame, keys: set[str], drawn: bool, check: Check) -> dict[str, Found]:
        found: dict[str, Found] = {}
        log = _log_of(frame)
        if log is None or not keys:
            return found
        answers = answers_of(log)
        place = self.files.of_log(log.source.dataset, log.source.name)
        for path in self.files.of_frame(place, frame.index):
            if len(found) == len(keys):
                break
            try:
                found |= self._in_bundle(path, frame, keys - found.keys(), drawn, check, answers)
            except BrokenBundle as error:
                self._troubles.say(str(error), "%s; it is removed, and built again", error)
                self.counts.broke()
                remove(path)
            except OSError:
                # another process has removed it
                continue
        self.counts.save()
        return found

    def _in_bundle(
        self, path: str, frame: Frame, keys: set[str], drawn: bool, check: Check, answers: Answers
    ) -> dict[str, Found]:
        bundle = Mapped(path)
        head = bundle.head
        if (head.time_ns, head.index) != (frame.time_ns, frame.index):
            return {}
        wanted = [tensor for tensor in head.tensors if tensor.key in keys]
        if not wanted:
            return {}
        holds = _Holds(head, frame, drawn, answers)
        found: dict[str, Found] = {}
        for tensor in wanted:
            if all(map(holds, tensor.answers)):
                mark = hash((path, tensor.key))
                array = bundle.array(tensor, self._checked.wants(check, mark))
                self._checked.note(check, mark)
                found[tensor.key] = Found(array, tensor.sizes, tensor.dropped, partial(bundle.read_into, tensor))
        if found:
            self.files.used(path, bundle.status)
            if holds.renewed:
                self._renew(path, bundle, found, frame, answers, holds)
        return found

    def _renew(
        self,
        path: str,
        bundle: Mapped,
        found: Mapping[str, Found],
        frame: Frame,
        answers: Answers,
        holds: _Holds,
    ) -> None:
        """Writes what was found again, with the files that say the same now: the next time nothing is read."""
        tensors = [tensor for tensor in bundle.head.tensors if tensor.key in found]
        numbers = {number for tensor in tensors for number in tensor.answers}
        asked = {
            one.ask: Answer(one.ask, one.digest, holds.files[one.ask])
            for one in map(bundle.head.answers.__getitem__, sorted(numbers))
        }
        made = [
            Made(
                tensor.key,
                tensor.feature,
                tensor.code,
                bundle.head.codes.get(tensor.code, ()),
                found[tensor.key].array,
                tuple(bundle.head.answers[number].ask for number in tensor.answers),
                tensor.sizes,
                tensor.dropped,
            )
            for tensor in tensors
        ]
        written = self._write(frame, made, answers, asked, holds.shared)
        if written and len(tensors) == len(bundle.head.tensors):
            remove(path)

    def keep(self, frame: Frame, tensors: list[Made], drawn: bool, most_bytes: int | None) -> set[str]:
        log = _log_of(frame)
        if log is None or not tensors or not self._troubles.may_write:
            return set()
        answers = answers_of(log)
        known_answers: dict[Ask, Answer] = {}
        unknown: set[Ask] = set()
        for ask in {ask: None for tensor in tensors for ask in tensor.asks}:
            try:
                digest = answers.digest(ask, frame, drawn)
                known_answers[ask] = Answer(ask, digest, answers.files(ask))
            except NotPlain as error:
                unknown.add(ask)
                self._troubles.say(
                    f"plain {ask[0]}",
                    "%s: tensors that depend on '%s' are not kept: nothing stands for a %s",
                    log.source.location,
                    "/".join(map(str, ask)),
                    error,
                )
            except LogError:
                unknown.add(ask)
        known = [tensor for tensor in tensors if unknown.isdisjoint(tensor.asks)]
        if not known or not self._write(frame, known, answers, known_answers, answers.shared()):
            return set()
        self._fit(most_bytes)
        return {tensor.key for tensor in known}

    def _write(
        self,
        frame: Frame,
        tensors: list[Made],
        answers: Answers,
        answered: Mapping[Ask, Answer],
        shared: Files | None,
    ) -> bool:
        log = answers.log
        asks = {ask: number for number, ask in enumerate({ask: None for one in tensors for ask in one.asks})}
        arrays = [np.ascontiguousarray(one.array) for one in tensors]
        places = placed({one.key: array.nbytes for one, array in zip(tensors, arrays, strict=True)})
        head = Head(
            log=log.source.location,
            time_ns=frame.time_ns,
            index=frame.index,
            opening=log.opening,
            reader=answers.reader,
            streams=answers.streams,
            shared=shared,
            answers=tuple(answered[ask] for ask in asks),
            tensors=tuple(
                Tensor(
                    key=one.key,
                    feature=one.feature,
                    code=one.code,
                    dtype=array.dtype.str,
                    shape=one.array.shape,
                    offset=places[one.key],
                    checksum=checksum_of(array),
                    answers=tuple(asks[ask] for ask in one.asks),
                    sizes=dict(one.sizes),
                    dropped=dict(one.dropped),
                )
                for one, array in zip(tensors, arrays, strict=True)
            ),
            codes={one.code: one.classes for one in tensors},
        )
        place = self.files.of_log(log.source.dataset, log.source.name)
        try:
            self.files.name_log(place, log.source.dataset, log.source.name)
            self._written += write_bundle(self.files.new_bundle(place, frame.index), head, arrays)
        except OSError as error:
            self._troubles.cannot_write(error)
            return False
        return True

    def _fit(self, most_bytes: int | None) -> None:
        if most_bytes is None or (self._measured and self._written < most_bytes * _LOOKED_EVERY):
            return
        self._measured, self._written = True, 0
        if self.files.nbytes > most_bytes:
            self.files.shrink(int(most_bytes * _SHRUNK_TO))


class _Holds:
    """Whether the answers of a bundle are still what they were, each looked at once."""

    def __init__(self, head: Head, frame: Frame, drawn: bool, answers: Answers) -> None:
        self._head, self._frame, self._drawn, self._answers = head, frame, drawn, answers
        self._same_reader = answers.same_reader(head)
        self._known: dict[int, bool] = {}
        self.files: dict[Ask, Files | None] = {}
        """Of each answer, in the state in which they say it."""
        self.renewed = False
        """Whether something was read to see that it is the same, which need not be read the next time."""

    @property
    def shared(self) -> Files | None:
        """Files that the answers need besides."""
        now = self._answers.shared()
        if now is None or not self._same_reader:
            # all was read again, and with it whatever that needs
            return now
        files = {one[0]: one for one in self._head.shared or ()}
        return tuple({**files, **{one[0]: one for one in now}}.values())

    def __call__(self, number: int) -> bool:
        known = self._known.get(number)
        return self._look(number) if known is None else known

    def _look(self, number: int) -> bool:
        answer, answers = self._head.answers[number], self._answers
        try:
            if not answers.may_hold(answer, self._frame):
                known = False
            elif answers.by_files(answer, self._frame, self._same_reader):
                known = True
                self.files[answer.ask] = answer.files
            else:
                known = answers.is_same(answer, self._frame, self._drawn)
                self.files[answer.ask] = answers.files(answer.ask)
                self.renewed |= known and answers.can_be_known(answer)
        except (NotPlain, LogError):
            known = False
        self._known[number] = known
        return known


def _log_of(frame: Frame) -> Log | None:
    """Returns the log of a frame of ours; a stranger's frames and logs can answer anything."""
    return frame.log if isinstance(frame, Frame) and type(frame.log) is Log else None


_keepers: dict[Path, _Keeper] = {}


def _keeper_of(folder: Path) -> _Keeper:
    found = _keepers.get(folder)
    return _keepers.setdefault(folder, _Keeper(folder)) if found is None else found
