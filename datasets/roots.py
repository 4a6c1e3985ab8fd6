"""Finds the logs of a root: those that its dataset lists, or those that lie in it, however deep.

Beside what `detect` asks of it, a dataset's module may have
    logs_in(place, split, options) -> Listing    what a place that it recognises holds, where that is not just one log
    count_frames(path, options) -> int | None    how many frames a log has, where that takes less than opening it
    SPLITS                                       split -> the names of its logs, where a dataset's splits are a list
A log that lies in a folder such as train, val or testing is of that split.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from perceptum.inputs import NotALog
from perceptum.plural import counted

from .detect import FILES, ON_DISK, format_named, module_of, place_of, recognised, usable_others, why_not
from .listing import NOT_COUNTED, Listing, Split, split_of_folder
from .ros.loose_files import PACKED

__all__ = ["Root", "counted_without_opening", "root_at"]

_DEPTH = 4
"""How deep in a root a log may lie: KITTI's dataset/sequences/00, aiMotive's train/night/LOG."""
_FOLDERS_IN_VAIN = 3000
"""How many folders are looked at while none is a log."""
_ALIKE = 32
"""So many logs of one format, one after the other: the others of the root are looked for as that alone."""


class Root:
    """A folder with logs of one format, or one log: where they lie."""

    def __init__(self, folder: Path, format: str, places: Sequence[Path]) -> None:
        self.folder = folder
        self.format = format
        self.places = places

    def listing(self, split: str | None, options: Mapping[str, Any]) -> Listing:
        """Returns the logs that lie there, in the order of their names; not all are counted. split: which one will be
        asked for, for a dataset whose splits lie in files of their own."""
        module: Any = module_of(self.format)
        if not hasattr(module, "logs_in"):
            found = _each_a_log(self.folder, self.places)
        elif self.places == [self.folder]:
            found = module.logs_in(self.folder, split, options)
        else:
            found = _joined(self.folder, self.places, [module.logs_in(place, split, options) for place in self.places])
        published: Mapping[str, Sequence[str]] = getattr(module, "SPLITS", {})
        if published:
            numbers = {name: np.flatnonzero(np.isin(found.names, own)) for name, own in published.items()}
            splits = {name: Split(numbers[name], len(own)) for name, own in published.items()}
            found = replace(found, splits=splits | dict(found.splits))
        return found


def root_at(path: str | os.PathLike[str], format: str | None) -> Root:
    """Returns what lies at a path; raises NotALog where it holds no logs, or logs of several formats."""
    folder = place_of(path)
    names = None if format is None else [format_named(format)]
    own = recognised(folder, names or ON_DISK) or recognised(folder, names or usable_others())
    if len(own) > 1:
        raise NotALog(f"{folder}: looks like {' and like '.join(own)}; say which with format='{own[0]}'")
    if own:
        return Root(folder, own[0], [folder])
    packed: list[Path] = []
    found = list(_places_below(folder, names or [*ON_DISK, *usable_others()], packed))
    if packed:
        warnings.warn(
            f"{folder}: not read: {counted(len(packed), 'packed recording')}, e.g. {packed[0].relative_to(folder)}; "
            "unpack them with `zstd -d`",
            stacklevel=3,
        )
    kinds = Counter(name for name, _ in found)
    if len(kinds) > 1:
        listed = ", ".join(f"{count} of {name}" for name, count in kinds.most_common())
        first = kinds.most_common(1)[0][0]
        raise NotALog(f"{folder}: holds logs of several formats ({listed}); say which with format='{first}'")
    if not found:
        raise NotALog(why_not(folder))
    return Root(folder, found[0][0], [place for _, place in found])


def _name(place: Path) -> str:
    return os.path.basename(os.path.abspath(place))


def _places_below(folder: Path, names: Sequence[str], packed: list[Path]) -> Iterator[tuple[str, Path]]:
    """Yields (format, place) of what lies below, by name; what one of them holds is its own affair.

    `packed` gets the recordings that are compressed as a whole, which are not read.
    """
    looked, alike, inside, followed = 0, Counter[str](), os.path.join(os.path.realpath(folder), ""), set[str]()

    def within(parent: Path, depth: int) -> Iterator[tuple[str, Path]]:
        nonlocal looked, names
        for path, is_folder, is_link in _entries(parent):
            looked += is_folder
            if looked > _FOLDERS_IN_VAIN and not alike:
                return
            if is_folder and is_link:
                # what it leads to is looked at once: by itself, where it lies within
                place = os.path.join(os.path.realpath(path), "")
                if place in followed or place.startswith(inside) or inside.startswith(place):
                    continue
                followed.add(place)
            found = recognised(path, names)
            if found:
                alike[found[0]] += 1
                if len(alike) == 1 and alike[found[0]] == _ALIKE:
                    names = [found[0]]
                yield found[0], path
            elif is_folder and depth > 1:
                yield from within(path, depth - 1)
            elif path.name.endswith(PACKED):
                packed.append(path)

    yield from within(folder, _DEPTH)


def _entries(folder: Path) -> list[tuple[Path, bool, bool]]:
    """Returns the folders in a folder, and the files that may be a log, by name: whether each is a folder, and a
    link."""
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, _is_folder(entry), entry.is_symlink()) for entry in entries]
    except OSError:
        return []
    kept = [entry for entry in found if entry[1] or any(kind in entry[0] for kind in FILES)]
    return [(folder / name, is_folder, is_link) for name, is_folder, is_link in sorted(kept)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # a link that leads to itself
        return False


def _each_a_log(folder: Path, places: Sequence[Path]) -> Listing:
    """Returns places that are one log each, with the splits that the folders between say."""
    if places == [folder]:
        return Listing.of([_name(folder)])
    between = [place.relative_to(folder).parts for place in places]
    of_split: dict[str, list[int]] = {}
    for number, parts in enumerate(between):
        split = split_of_folder(parts[:-1])
        if split is not None:
            of_split.setdefault(split, []).append(number)
    names, paths = [parts[-1] for parts in between], [os.path.join(*parts) for parts in between]
    splits = {name: Split(np.array(numbers, dtype=np.intp)) for name, numbers in of_split.items()}
    return Listing.of(_told_apart(names, paths), paths, splits=splits)


def _joined(folder: Path, places: Sequence[Path], each: Sequence[Listing]) -> Listing:
    """Returns the logs of several places as those of one root, with the splits that the folders between say."""
    befores = np.cumsum([0, *(len(one) for one in each)]).tolist()
    between = [os.path.join(*place.relative_to(folder).parts) for place in places]
    splits: dict[str, list[Split]] = {}
    for before, one, path in zip(befores, each, between, strict=False):
        own = split_of_folder(tuple(path.split(os.sep)))
        if own is not None:
            splits.setdefault(own, []).append(Split(np.arange(before, before + len(one), dtype=np.intp)))
        for name, split in one.splits.items():
            splits.setdefault(name, []).append(replace(split, logs=split.logs + before))
    paths = [
        os.path.join(path, str(within)) if within else path
        for path, one in zip(between, each, strict=True)
        for within in one.paths.tolist()
    ]
    first = each[0]
    names = [str(name) for one in each for name in one.names.tolist()]
    described = all(one.descriptions is not None for one in each)
    return Listing.of(
        _told_apart(names, paths),
        paths,
        frames=np.concatenate([one.frames for one in each]),
        duration_s=np.concatenate([one.duration_s for one in each]),
        option=first.option,
        values=None if first.option is None else [one.value_of(i) for one in each for i in range(len(one))],
        common=first.common,
        descriptions=tuple(text for one in each for text in one.descriptions or ()) if described else None,
        categories=first.categories,
        splits={name: _together(own) for name, own in splits.items()},
    )


def _told_apart(names: Sequence[str], paths: Sequence[str]) -> Sequence[str]:
    """Returns names that are all different: those that are not become their paths, and a name within a path."""
    times = Counter(names)
    if len(times) == len(names):
        return names
    return [
        name if times[name] == 1 else path if os.path.basename(path) == name else f"{path}/{name}"
        for name, path in zip(names, paths, strict=True)
    ]


def _together(splits: Sequence[Split]) -> Split:
    if len(splits) == 1:
        return splits[0]
    known = all(split.published is not None for split in splits)
    return Split(
        np.concatenate([split.logs for split in splits]),
        max(split.published or 0 for split in splits) if known else None,
    )


def counted_without_opening(format: str, root: str, listing: Listing, options: Mapping[str, Any]) -> Listing:
    """Returns it with the frames of those logs whose dataset can count them without opening them."""
    count = getattr(module_of(format), "count_frames", None)
    if count is None:
        return listing
    frames = np.array(listing.frames)
    for number in np.flatnonzero(frames == NOT_COUNTED).tolist():
        found = count(Path(root, str(listing.paths[number])), options)
        if found is not None:
            frames[number] = found
    return replace(listing, frames=frames)
