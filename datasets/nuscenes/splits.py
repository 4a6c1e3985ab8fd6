"""nuScenes' splits, by the numbers of their scenes, and the scenes of a root by split."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BadOption

from ..listing import NOT_COUNTED, Listing, Split
from ..reading.files import subfolders
from .index import Index

__all__ = ["SPLITS", "VERSIONS", "scenes_in", "version_of_split"]


def _scenes(ranges: str) -> tuple[str, ...]:
    ends = [[int(end) for end in one.split("-")] for one in ranges.split()]
    return tuple(f"scene-{number:04}" for end in ends for number in range(end[0], end[-1] + 1))


SPLITS: Mapping[str, tuple[str, ...]] = {
    "train": _scenes(
        "1-2 4-11 19-34 41-76 120-135 138-139 149-152 154-155 157-168 170-185 187-188 190-196 199-200 202-204 206-214 "
        "218-220 222 224-264 283-306 315-318 321 323-324 328 347-386 388-403 405-408 410-459 461-465 467-469 471-472 "
        "474-480 499-502 504-515 517-518 525-539 541-546 566 568 570-578 580 582-600 639-679 681 683-689 695-698 "
        "700-701 703-719 726-728 730-731 733-741 744 746-747 749-752 757-765 767-769 786-787 789-792 803-806 808-813 "
        "815-817 819-822 847-856 858 860-866 868-873 875-878 880 882-903 945 947 949 952-953 955-961 975-984 988-992 "
        "994-1025 1044-1058 1074-1102 1104-1110"
    ),
    "val": _scenes(
        "3 12-18 35-36 38-39 92-110 221 268-278 329-332 344-346 519-524 552-565 625-627 629-630 632-638 770-771 775 "
        "777-778 780-784 794-800 802 904-917 919-931 962-963 966-969 971-972 1059-1073"
    ),
    "test": _scenes(
        "77-91 111-119 140 142-148 265-266 279-282 307-314 333-343 481-498 547-551 601-604 606-624 827-831 833-842 "
        "844-846 932-933 935-943 1026-1043"
    ),
    "mini_train": _scenes("61 553 655 757 796 1077 1094 1100"),
    "mini_val": _scenes("103 916"),
}
"""As `nuscenes.utils.splits` of the devkit has them."""

VERSIONS: Mapping[str, tuple[str, ...]] = {
    "v1.0-trainval": ("train", "val"),
    "v1.0-test": ("test",),
    "v1.0-mini": ("mini_train", "mini_val", "train", "val"),
}
"""The published versions -> their splits; the scenes of mini are of train or val as well."""


def version_of_split(root: Path, split: str | None) -> str | None:
    """Returns the version of a root that a split is of, where only one of those there are has it whole."""
    there = [folder.name for folder in subfolders(root) if folder.name in VERSIONS]
    fits = [version for version in VERSIONS if version in there and split in VERSIONS[version]]
    return fits[0] if fits else None


def scenes_in(root: Path, tables: Path, options: Mapping[str, Any]) -> Listing:
    """Returns the scenes of the version whose tables these are, in its own order."""
    from .cache import open_index

    frames_at = options.get("frames", "keyframes")
    if frames_at not in ("keyframes", "sweeps"):
        said = f"nuscenes: frames is {frames_at!r}, wanted 'keyframes' or 'sweeps'"
        raise BadOption(said, typed_hint="e.g. {log}:frames=sweeps")
    index = open_index(tables, options.get("cache"))
    names = index.names.scenes
    number_of = {name: number for number, name in enumerate(names)}
    # those of the version first: a scene is called after the first that it is of
    order = dict.fromkeys([*VERSIONS.get(tables.name, ()), *SPLITS])
    splits = {
        one: Split(
            np.array([number_of[name] for name in SPLITS[one] if name in number_of], dtype=np.intp), len(SPLITS[one])
        )
        for one in order
    }
    frames, duration_s = _frames(root, index, frames_at == "keyframes")
    return Listing.of(
        names,
        frames=frames,
        duration_s=duration_s,
        option="scene",
        common={"version": tables.name},
        descriptions=tuple(index.names.descriptions),
        categories=tuple(index.names.categories),
        splits=splits,
    )


def _frames(root: Path, index: Index, keyframes: bool) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Returns how many frames each scene has, and how long it is, seconds; where it is not certain that opening the
    scene would give the same, it is not said."""
    count = len(index.names.scenes)
    columns = {name: np.asarray(column) for name, column in index.columns.items()}
    lidars = [i for i, modality in enumerate(index.names.modalities) if modality == "lidar"]
    if keyframes:
        rows = columns["key_record"]
    else:
        sensors = columns["calibration_sensor"][columns["record_calibration"]]
        rows = np.flatnonzero(np.isin(sensors, lidars))
    ends = np.searchsorted(rows, columns["record_start"])
    if len(lidars) != 1 or not len(rows):
        return np.full(count, NOT_COUNTED, dtype=np.int64), np.full(count, np.nan)
    times_us = columns["record_time_us"][rows]
    # in a folder that is not here, or two at one time: only opening the scene says what it then has
    doubtful = ~_there(root, index.names.channels[lidars[0]], columns, rows) | (times_us == 0)
    doubtful[1:] |= (np.diff(times_us) <= 0) & ~np.isin(np.arange(1, len(rows)), ends)
    sure = (np.diff(ends) > 0) & (np.diff(np.concatenate([[0], np.cumsum(doubtful)])[ends]) == 0)
    first, last = times_us[np.minimum(ends[:-1], len(rows) - 1)], times_us[ends[1:] - 1]
    return np.where(sure, np.diff(ends), NOT_COUNTED), np.where(sure, (last - first) * 1e-6, np.nan)


def _there(root: Path, channel: str, columns: Mapping[str, NDArray[Any]], rows: NDArray[Any]) -> NDArray[np.bool_]:
    """(n,) whether a record's file is named as published, samples/CHANNEL/FILE, and its folder is here."""
    starts, names, found = columns["record_name_start"][rows], columns["names"], np.zeros(len(rows), dtype=np.bool_)
    for folder in (f"{kind}/{channel}/" for kind in ("samples", "sweeps") if os.path.isdir(root / kind / channel)):
        prefix = np.frombuffer(folder.encode(), dtype=np.uint8)
        at = starts[:, None] + np.arange(len(prefix))
        own = (names[np.minimum(at, len(names) - 1)] == prefix).all(axis=1)
        found |= own
    return found
