"""The logs of a dataset's folder, as columns: what a collection is opened from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BadOption

__all__ = ["NOT_COUNTED", "Listing", "Split", "split_of_folder"]

NOT_COUNTED = -1
"""In place of a number of frames that only opening the log gives."""

_SAME = {"training": "train", "validation": "val", "valid": "val", "testing": "test"}
_SPLIT = re.compile(r"(?:.+[-_ ])?(train|training|val|valid|validation|test|testing|trainval)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Split:
    """Which logs, and which frames of them, are of a published split."""

    logs: NDArray[np.intp]
    """(n,) the numbers of its logs that are here."""
    published: int | None = None
    """How many logs, or ids, it has as published; None where whatever lies in the split's folder is of it."""
    ids: frozenset[str] | None = None
    """The frames of these logs that are of it, by their ids; None: all."""


@dataclass(frozen=True, eq=False)
class Listing:
    """(L,) logs in order. A log is opened as `open_source(root / path, option=value)`."""

    names: NDArray[np.str_]
    paths: NDArray[np.str_]
    """From the root; "" where the root itself is opened."""
    frames: NDArray[np.int64]
    """NOT_COUNTED where only opening the log gives it."""
    duration_s: NDArray[np.float64]
    """NaN where only opening the log gives it."""
    splits: Mapping[str, Split] = field(default_factory=dict)
    option: str | None = None
    """The dataset's option that chooses a log of a path."""
    values: NDArray[np.str_] | None = None
    """(L,) what the option is set to; None: the log's name."""
    common: Mapping[str, Any] = field(default_factory=dict)
    """Options that all logs are opened with."""
    descriptions: tuple[str, ...] | None = None
    """(L,) in the dataset's own words."""
    categories: tuple[str, ...] | None = None
    """Of all labels, where that is known without reading them."""

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        paths: Sequence[str] | str = "",
        *,
        frames: Sequence[int] | NDArray[np.int64] | int = NOT_COUNTED,
        duration_s: Sequence[float] | NDArray[np.float64] | float = np.nan,
        **others: Any,
    ) -> Listing:
        """One path, number of frames or duration holds for all."""
        count = len(names)
        values = others.pop("values", None)
        return cls(
            names=np.array(list(names), dtype=np.str_),
            paths=np.broadcast_to(np.array(paths, dtype=np.str_), (count,)),
            frames=np.broadcast_to(np.array(frames, dtype=np.int64), (count,)),
            duration_s=np.broadcast_to(np.array(duration_s, dtype=np.float64), (count,)),
            values=None if values is None else np.array(list(values), dtype=np.str_),
            **others,
        )

    def value_of(self, log: int) -> str:
        """Returns what the option is set to for a log."""
        return str((self.names if self.values is None else self.values)[log])

    def without_ids(self) -> Listing:
        """Returns this with splits that say which logs are of them and no more, for a process that opens some."""
        return replace(self, splits={name: Split(split.logs) for name, split in self.splits.items() if len(split.logs)})

    def __len__(self) -> int:
        return len(self.names)

    def take(self, logs: NDArray[np.intp]) -> Listing:
        """Returns some of the logs; the splits keep those of them."""
        at = np.full(len(self), -1, dtype=np.intp)
        at[logs] = np.arange(len(logs))
        splits = {name: replace(split, logs=at[split.logs][at[split.logs] >= 0]) for name, split in self.splits.items()}
        return replace(
            self,
            names=self.names[logs],
            paths=self.paths[logs],
            frames=self.frames[logs],
            duration_s=self.duration_s[logs],
            values=None if self.values is None else self.values[logs],
            descriptions=None if self.descriptions is None else tuple(self.descriptions[i] for i in logs.tolist()),
            splits=splits,
        )

    def splits_named(self, name: str, where: str) -> list[str]:
        """Returns the splits that a name means: the one that is called so, or all that are train, val or test in other
        words, such as training. Raises BadOption that names those there are."""
        if name in self.splits:
            return [name]
        alike = [one for one in self.splits if _word(one) == _word(name)]
        if alike:
            return alike
        if not self.splits:
            raise BadOption(f"{where}: no split '{name}'; the dataset has none, open it without")
        near = get_close_matches(name, self.splits, n=1)
        said = f"{where}: no split '{name}'; there are {', '.join(self.splits)}"
        raise (
            BadOption(said, f"did you mean '{near[0]}'?", f"did you mean {{log}}:split={near[0]}?")
            if near
            else (BadOption(said))
        )

    def of_split(self, name: str, where: str) -> tuple[Listing, Split]:
        """Returns the logs of a split, and the split within them; raises BadOption, which says what is here."""
        named = self.splits_named(name, where)
        found = [self.splits[one] for one in named]
        logs = np.unique(np.concatenate([one.logs for one in found]))
        known = [one.published for one in found if one.published is not None]
        published = sum(known) if len(known) == len(found) else None
        if not len(logs):
            wanted = "no log" if published is None else f"none of the {published} logs"
            wanted = "the one log" if published == 1 else wanted
            is_here = "is not here" if published == 1 else "is here"
            here = ", ".join([*self.names[:3].tolist(), *(["..."] if len(self) > 3 else [])]) or "no logs"
            by_split = [f"{one} {len(split.logs)}" for one, split in self.splits.items() if len(split.logs)]
            counts = f" (by split: {', '.join(by_split)})" if by_split else ""
            raise BadOption(f"{where}: {wanted} of split {name} {is_here}; here are {here}{counts}")
        kept = self.take(logs)
        kept = replace(kept, splits={one: kept.splits[one] for one in dict.fromkeys([*named, *kept.splits])})
        ids = None if found[0].ids is None else frozenset().union(*(one.ids or () for one in found))
        return kept, Split(np.arange(len(logs), dtype=np.intp), published, ids)

    def split_of(self, log: int) -> str | None:
        """Returns the first split that a log is of."""
        return next((name for name, split in self.splits.items() if (split.logs == log).any()), None)


@lru_cache(maxsize=1024)
def split_of_folder(parts: tuple[str, ...]) -> str | None:
    """Returns which of the folders that a log lies in is a split's, such as val, or nuplan_val; the outermost."""
    return next((part for part in parts if _SPLIT.fullmatch(part)), None)


def _word(name: str) -> str:
    found = _SPLIT.fullmatch(name)
    word = name if found is None else found[1].lower()
    return _SAME.get(word, word)
