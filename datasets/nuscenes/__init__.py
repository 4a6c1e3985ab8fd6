"""nuScenes: finds the version and the scene in a root, and opens it; source.py reads what is in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from perceptum.inputs import BadOption, NotALog, Source

from ..reading.files import subfolders

if TYPE_CHECKING:
    from ..listing import Listing
    from .cache import Cache
    from .radar import RadarFilter

__all__ = ["LOOKS_LIKE", "logs_in", "open_source", "recognises"]

Thing = TypeVar("Thing")

LOOKS_LIKE = "a root with v1.0-*/scene.json, sample.json and sample_data.json"

_NAMED = 3


def recognises(path: Path) -> bool:
    """Whether `path` is the root of a nuScenes download."""
    return bool(_versions(path))


def _versions(root: Path) -> list[Path]:
    needed = ("scene.json", "sample.json", "sample_data.json")
    folders = [folder for folder in subfolders(root) if folder.name.startswith("v1.0-")]
    return [folder for folder in folders if all(os.path.exists(folder / name) for name in needed)]


def open_source(
    path: Path,
    version: str | None = None,
    scene: str | None = None,
    frames: Literal["keyframes", "sweeps"] = "keyframes",
    radar_filter: RadarFilter = "none",
    cache: Cache = None,
) -> Source:
    """Opens one scene; version and scene need not be named where there is only one.

    frames: at the lidar's keyframes (2 Hz, labelled), or at each of its sweeps (20 Hz).
    radar_filter: none, or the states that nuScenes' devkit or CRN keep.
    cache: the folder for the index of the tables; None: the usual one; False: nothing is kept.
    """
    from .cache import open_index
    from .radar import check_filter
    from .source import NuScenes

    check_filter(radar_filter)
    if frames not in ("keyframes", "sweeps"):
        said = f"nuscenes: frames is {frames!r}, wanted 'keyframes' or 'sweeps'"
        raise BadOption(said, typed_hint="e.g. {log}:frames=sweeps")
    tables = _version_folder(path, version)
    index = open_index(tables, cache)
    number = _one(path, "scene", scene, {name: i for i, name in enumerate(index.names.scenes)})
    return NuScenes(path, tables, index, number, frames == "keyframes", radar_filter)


def logs_in(root: Path, split: str | None, options: Mapping[str, Any]) -> Listing:
    """Returns the scenes of a version: of the one that has the split, where there are several."""
    from .splits import scenes_in, version_of_split

    version = options.get("version") or version_of_split(root, split)
    return scenes_in(root, _version_folder(root, version), options)


def _version_folder(root: Path, version: str | None) -> Path:
    return _one(root, "version", version, {folder.name: folder for folder in _versions(root)})


def _one(root: Path, kind: str, name: str | None, there: Mapping[str, Thing]) -> Thing:
    """Returns the named one, or the only one there is; raises BadOption that names the first."""
    if name is None and len(there) == 1:
        return next(iter(there.values()))
    if name is not None and name in there:
        return there[name]
    if not there:
        raise NotALog(f"{root}: holds no {kind} of nuScenes; wanted {LOOKS_LIKE}")
    near = get_close_matches(str(name), there, n=1)
    listed = ", ".join([*list(there)[:_NAMED], *(["..."] if len(there) > _NAMED else [])])
    if name is None:
        said = f"{root}: holds {len(there)} {kind}s ({listed})"
        raise BadOption.of(said, "say which with", kind, next(iter(there)))
    said = f"{root}: no {kind} '{name}' among {len(there)} ({listed})"
    if near:
        raise BadOption(said, f"did you mean '{near[0]}'?", f"did you mean {{log}}:{kind}={near[0]}?")
    raise BadOption(said)
