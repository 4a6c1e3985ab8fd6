"""The folder of an evaluation: what it is of, the journal while it runs, and what it found."""

from __future__ import annotations

from pathlib import Path

import msgspec

from perceptum.errors import UsageError
from perceptum.output_file import check_folder_name

from .files import FILES, JOURNAL, SCORES, SETUP, write_json
from .journal import Journal, read_entries
from .record import FrameRecord, decode, encode
from .result import Evaluation
from .setup import Setup, differences

__all__ = ["Store", "kept_frames"]


class Store:
    """A folder that an evaluation is written into. Killed at any moment, it goes on from here."""

    def __init__(self, folder: Path, setup: Setup, *, fresh: bool) -> None:
        """Begins, or goes on with what is in the folder.

        fresh: forget what is there. Raises UsageError where the folder holds an evaluation of something else, or is not
        one of an evaluation.
        """
        check_folder_name(folder, "an evaluation is a folder")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.done: dict[int, FrameRecord] = {}
        """By the frame's number among all, what an earlier run did."""
        self._journal: Journal | None = None
        self.finished = self._looked(setup, fresh)
        """What is there already, where nothing is left to do."""
        if self.finished is not None and not (folder / JOURNAL).exists():
            return
        self._journal = Journal(folder / JOURNAL)
        try:
            self._begin(setup, fresh)
        except BaseException:
            self.close()
            raise

    def _begin(self, setup: Setup, fresh: bool) -> None:
        """With the journal, which nobody else has: before that, what is there may have been another's that was about to
        begin, or to end."""
        assert self._journal is not None
        self.finished = self._looked(setup, fresh)
        if self.finished is not None:
            # the program may have been killed before it could be taken away
            (self.folder / JOURNAL).unlink(missing_ok=True)
            return
        if fresh:
            self._forget(setup)
        elif not (self.folder / SETUP).exists():
            write_json(self.folder / SETUP, msgspec.to_builtins(setup))
        for entry in self._journal.entries:
            record = decode(entry)
            self.done[record.position] = record
        self._journal.entries.clear()

    def _looked(self, setup: Setup, fresh: bool) -> Evaluation | None:
        """Returns the evaluation, where it is there and whole. Raises UsageError where something else is there."""
        folder = self.folder
        there = {path.name for path in folder.iterdir()}
        if SETUP not in there:
            # killed before it could say what it is of, a run has left no more than this
            begun = there <= {JOURNAL, f".{SETUP}.part"}
            if not begun or kept_frames(folder):
                raise UsageError(f"{folder}: holds other files and no {SETUP}; name an empty folder, or a new one")
        elif not fresh:
            before = _setup_of(folder)
            changed = differences(before, setup)
            if changed:
                raise UsageError(
                    f"{folder}: holds an evaluation of something else ({'; '.join(changed)}); name another folder, or "
                    "start over with --fresh"
                )
            if SCORES in there:
                return Evaluation.load(folder)
        return None

    def _forget(self, setup: Setup) -> None:
        for name in FILES:
            (self.folder / name).unlink(missing_ok=True)
        assert self._journal is not None
        self._journal.clear()
        write_json(self.folder / SETUP, msgspec.to_builtins(setup))

    def add(self, record: FrameRecord) -> None:
        """Keeps a record, at once."""
        assert self._journal is not None
        self._journal.add(encode(record))

    def finish(self, evaluation: Evaluation, page: str) -> None:
        """Writes what was found; the journal has then done its work."""
        evaluation.save(self.folder, page)
        (self.folder / JOURNAL).unlink(missing_ok=True)

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()


def kept_frames(folder: Path) -> int:
    """Returns how many frames an evaluation that was interrupted has kept; 0 where nothing is there."""
    journal = folder / JOURNAL
    return sum(1 for _ in read_entries(journal)) if journal.is_file() else 0


def _setup_of(folder: Path) -> Setup:
    try:
        return msgspec.json.decode((folder / SETUP).read_bytes(), type=Setup)
    except msgspec.MsgspecError as error:
        raise UsageError(
            f"{folder / SETUP}: not what an evaluation writes ({error}); start over with --fresh"
        ) from error
