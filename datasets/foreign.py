"""Datasets of others: what their code raises, SystemExit too, leaves as our error with theirs as its cause."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, cast

from perceptum.foreign import foreign
from perceptum.inputs import BrokenRecord, LogError, Source

__all__ = ["ForeignDataset", "ForeignSource"]

_log = logging.getLogger(__name__)


_AT_ONCE = sorted({*Source.__annotations__} - {"dataset"})
"""What a source must have when it is opened; its dataset is otherwise the name that it is installed under."""
_WANTED = {*_AT_ONCE, *(name for name in vars(Source) if not name.startswith("_"))}


class ForeignDataset:
    """A dataset's module behind the door; what else it has is reached as it is."""

    def __init__(self, module: Any, name: str) -> None:
        self._module = module
        self._name = name
        self.LOOKS_LIKE: str = module.LOOKS_LIKE

        @wraps(module.open_source)
        def open_source(path: Path, **options: Any) -> Source:
            with foreign(f"{path}: dataset '{name}' cannot open it", LogError):
                source = ForeignSource(module.open_source(path, **options), name)
                for wanted in _AT_ONCE:
                    getattr(source, wanted)
                return cast(Source, source)

        self.open_source: Callable[..., Source] = open_source

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        return self._listing(name, found) if name in ("logs_in", "count_frames") else found

    def _listing(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def called(path: Path, *args: Any) -> Any:
            with foreign(f"{path}: dataset '{self._name}' fails in {name}", LogError):
                return call(path, *args)

        return called

    def recognises(self, path: Path) -> bool:
        """Returns what the module says; one that fails over a folder does not know it, which is a warning."""
        try:
            with foreign(f"dataset '{self._name}' fails over {path}", LogError):
                return bool(self._module.recognises(path))
        except LogError as error:
            _log.warning("%s; fix or uninstall it", error)
            return False


class ForeignSource:
    """A reader behind the door: a record over which it fails is a broken one."""

    def __init__(self, source: Any, name: str) -> None:
        self.source = source
        self._name = name

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.source, self._name)

    def __repr__(self) -> str:
        return f"<{self._name} {self.name}>"

    @property
    def dataset(self) -> str:
        """What the reader says, or the name that the dataset is installed under."""
        try:
            return str(self.__getattr__("dataset"))
        except AttributeError:
            return self._name

    def __getattr__(self, name: str) -> Any:
        try:
            with foreign(f"dataset '{self._name}' cannot say its {name}", _Absent, LogError):
                found = getattr(self.source, name)
        except _Absent as error:
            # an error within a property of theirs is not "there is no such attribute"
            if isinstance(error.__cause__, AttributeError) and not hasattr(type(self.source), name):
                if name in _WANTED:
                    raise self._without(name) from None
                raise error.__cause__ from None
            raise LogError(str(error)) from error.__cause__
        # a class made of the protocol has its property, which says nothing
        if found is None and name in _WANTED:
            raise self._without(name)
        return self._reader(name, found) if name.startswith("read_") else found

    def _without(self, name: str) -> LogError:
        return LogError(
            f"dataset '{self._name}': its {type(self.source).__name__} has no `{name}`, which every source answers, "
            "see help(perceptum.inputs.Source); a perceptum.datasets.Reader answers for what a log does not have"
        )

    def _reader(self, name: str, read: Callable[..., Any]) -> Callable[..., Any]:
        what = name.removeprefix("read_")

        @wraps(read)
        def call(*args: Any) -> Any:
            which = " ".join(map(str, (what, *args)))
            with foreign(f"{self.source.location}: dataset '{self._name}' cannot read {which}", BrokenRecord, LogError):
                return read(*args)

        return call


class _Absent(LogError):
    """For an attribute, before it is known whether it is just not there."""
