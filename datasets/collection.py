"""Opens all logs of a dataset's folder as one sequence of frames, or those of a split."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BadOption, Cache, Dataset, Log, LogError, Source
from perceptum.inputs.lazy_logs import LazyLogs, LogAbout
from perceptum.plural import counted

from .detect import NEEDS_NO_FILES, module_of, open_noted, open_source
from .listing import NOT_COUNTED, Listing, Split
from .options import OF_OPEN_DATASET, check_options, options_of_text, split_options, text_of, texts_of_text
from .roots import counted_without_opening, root_at

__all__ = ["open_collection", "split_text"]

_BEHIND = re.compile(r"(?:^|(?<=,))\s*split\s*=\s*([^,]*?)\s*(?:,|$)")


@dataclass(frozen=True, eq=False)
class _Opener:
    """Opens one of the logs of a root; another process gets this, and not what it opened."""

    format: str
    root: str
    listing: Listing
    options: Mapping[str, Any]
    rules: Mapping[str, Any]
    cache: Cache
    category_of: Callable[[str], str] | None

    def __call__(self, number: int) -> Log:
        own = self._own(number)
        one = _OneLog(
            self.format,
            os.path.join(self.root, str(self.listing.paths[number])) if self.listing.paths[number] else self.root,
            {**self.listing.common, **self.options, **own},
            self.rules,
            # by name: the logs of a dataset share what is kept, and not each other's records
            self.cache.part((self.root, str(self.listing.paths[number]), *own.values())),
            self.category_of,
        )
        return one()

    def _own(self, number: int) -> dict[str, Any]:
        if self.listing.option is None:
            return {}
        value = self.listing.value_of(number)
        return {self.listing.option: int(value) if self.format == NEEDS_NO_FILES else value}

    def about(self, number: int) -> LogAbout:
        listing = self.listing
        duration_s = float(listing.duration_s[number])
        return LogAbout(
            name=str(listing.names[number]),
            frames=int(listing.frames[number]),
            duration_s=None if np.isnan(duration_s) else duration_s,
            split=listing.split_of(number),
            description=None if listing.descriptions is None else listing.descriptions[number],
            place=self._place(number),
        )

    def _place(self, number: int) -> str:
        """Returns what opens a log alone: where it lies, and the options that it is opened with."""
        path = str(self.listing.paths[number])
        options = {**self.options, **self._own(number)}
        behind = ",".join(f"{name}={text_of(value)}" for name, value in options.items())
        place = os.path.join(self.root, path) if path else self.root
        return f"{place}:{behind}" if behind else place


@dataclass(frozen=True)
class _OneLog:
    """Opens a log: what a log of a dataset pickles as."""

    format: str
    path: str
    options: Mapping[str, Any]
    rules: Mapping[str, Any]
    cache: Cache
    category_of: Callable[[str], str] | None

    def __call__(self) -> Log:
        log = Log(self._source(), cache=self.cache, category_of=self.category_of, **self.rules)
        log.opened_by = self
        return log

    def _source(self) -> Source:
        if self.format == NEEDS_NO_FILES:
            return open_source(NEEDS_NO_FILES, **self.options)
        if "://" in self.path:
            return open_source(self.path, format=self.format, **self.options)
        # the format is known and the path was looked at: not again for each of hundreds
        reader = module_of(self.format)
        place = Path(self.path)
        return open_noted(lambda: reader.open_source(place, **self.options), self.path, self.format, self.options)


def open_collection(
    path: str | os.PathLike[str],
    *,
    split: str | None = None,
    format: str | None = None,
    camera_sync: Literal["nearest", "before"] = "nearest",
    camera_tolerance_ns: int = 60_000_000,
    sweep_tolerance_ns: int | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    cache_bytes: int = 512 * 2**20,
    most_open_logs: int = 128,
    category_of: Callable[[str], str] | None = None,
    check_categories: Callable[[str, tuple[str, ...]], None] | None = None,
    **options: Any,
) -> Dataset:
    """Returns what `perceptum.open_dataset` does. category_of: what a label's category is called instead.
    check_categories: given the folder and its categories, where they are known."""
    text, split = split_text(os.fspath(path), split)
    chosen, root, listing, options = _listed(text, split, format, options)
    within: Split | None = None
    if split is not None:
        listing, within = listing.of_split(split, root)
    listing = counted_without_opening(chosen, root, listing, options)
    if check_categories is not None and listing.categories is not None:
        check_categories(root, listing.categories)
    rules = {
        "camera_sync": camera_sync,
        "camera_tolerance_ns": camera_tolerance_ns,
        "sweep_tolerance_ns": sweep_tolerance_ns,
        "on_error": on_error,
    }
    opener = _Opener(chosen, root, listing, options, rules, Cache(cache_bytes), category_of)
    logs, left_out = _opened(opener, most_open_logs, on_error == "skip", root)
    dataset = Dataset(logs, name=f"{chosen} {split}" if split is not None else chosen)
    dataset.left_out = tuple(left_out)
    if within is not None:
        if within.ids is not None:
            return _of_ids(dataset, within, root, str(split))
        dataset.published_logs = within.published
    return dataset


def split_text(text: str, split: str | None) -> tuple[str, str | None]:
    """Returns "nuscenes/:version=v1.0-mini" and "val" of "nuscenes/:split=val,version=v1.0-mini"."""
    place, behind = split_options(text)
    if text.partition(":")[0] == NEEDS_NO_FILES:
        place, _, behind = text.partition(":")
    found = _BEHIND.search(behind or "")
    if behind is None or found is None:
        return text, split
    if not found[1]:
        raise BadOption(f"{text}: option 'split' is empty", typed_hint="e.g. {log}:split=val")
    if split is not None and split != found[1]:
        raise BadOption(f"{text}: option split is given twice, {found[1]} and {split}")
    rest = (behind[: found.start()] + behind[found.end() :]).strip().rstrip(",")
    return f"{place}:{rest}" if rest else place, found[1]


def _listed(
    text: str, split: str | None, format: str | None, options: dict[str, Any]
) -> tuple[str, str, Listing, dict[str, Any]]:
    """Returns the format, the root, its logs, and the options that all of them are opened with."""
    name, colon, behind = text.partition(":")
    if name == NEEDS_NO_FILES and format in (None, NEEDS_NO_FILES):
        from .synthetic.splits import drives

        listing, options = drives(options_of_text(NEEDS_NO_FILES, behind, bool(colon)) | options)
        if split is None:
            listing, _ = listing.of_split("train", NEEDS_NO_FILES)
        return NEEDS_NO_FILES, NEEDS_NO_FILES, listing, options
    if "://" in text:
        # an object store's is one converted log
        return "store", text, Listing.of([text.rstrip("/").rpartition("/")[2]]), options
    place, given = split_options(text)
    root = root_at(place, format)
    module = module_of(root.format)
    if given is not None:
        takes = module.takes() if hasattr(module, "takes") else module.open_source
        options = texts_of_text(root.format, given, takes) | options
    check_options(root.format, module.open_source, options, given=1, also=("split",), keywords=OF_OPEN_DATASET)
    listing = root.listing(split, options)
    if listing.option is not None and options.get(listing.option) is not None:
        wanted = str(options[listing.option])
        own = [i for i in range(len(listing)) if wanted in (listing.value_of(i), listing.names[i])]
        at = np.array(own, dtype=np.intp)
        if not len(at):
            # it says which there are
            module.open_source(root.folder, **options)
        listing = listing.take(at)
    others = {name: value for name, value in options.items() if name not in (listing.option, *listing.common)}
    return root.format, os.fspath(root.folder), listing, others


def _opened(opener: _Opener, most_open: int, skips: bool, where: str) -> tuple[LazyLogs, list[str]]:
    """Returns the logs with their numbers of frames; a log is opened here only where nothing else says how many."""
    frames, left_out = np.array(opener.listing.frames), []
    held: dict[int, Log] = {}
    for number in range(len(frames)):
        # one that skips what is broken may have fewer than its index says, and must be known to open at all
        if frames[number] != NOT_COUNTED and not skips:
            continue
        try:
            log = opener(number)
        except LogError as error:
            if not skips:
                raise
            left_out.append(f"{opener.listing.names[number]}: {error}")
            frames[number] = NOT_COUNTED
            continue
        frames[number] = len(log)
        if len(held) < most_open:
            held[number] = log
    if opener.options and not held and not skips:
        # an impossible option is told now, not at the first frame
        held[0] = opener(0)
    kept = np.flatnonzero(frames != NOT_COUNTED)
    if not len(kept):
        raise LogError(f"{where}: none of its {counted(len(frames), 'log')} can be opened, the first: {left_out[0]}")
    listing = replace(opener.listing.take(kept), frames=frames[kept]).without_ids()
    opener = replace(opener, listing=listing)
    logs = LazyLogs(listing.frames, opener, opener.about, most_open)
    for at, number in enumerate(kept.tolist()):
        if number in held:
            logs.keep(at, held[number])
    return logs, left_out


def _of_ids(dataset: Dataset, split: Split, where: str, name: str) -> Dataset:
    """Returns the frames of the ids; raises BadOption where none is here."""
    wanted = np.array(sorted(split.ids or ()), dtype=np.str_)
    ids = np.concatenate([np.array(log.ids, dtype=np.str_) for log in dataset.logs])
    chosen: NDArray[np.intp] = np.flatnonzero(np.isin(ids, wanted))
    if not len(chosen):
        here = ", ".join([*ids[:3].tolist(), *(["..."] if len(ids) > 3 else [])])
        raise BadOption(f"{where}: none of the {len(wanted)} frames of split {name} is here; here are {here}")
    chosen_frames = dataset.subset(chosen)
    chosen_frames.published_frames = len(wanted)
    return chosen_frames
