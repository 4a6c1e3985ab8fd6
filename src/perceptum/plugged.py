"""Which plug-ins are installed: features, datasets, backends and problems of others, and whether each can be used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

__all__ = ["plug_in_rows"]


def plug_in_rows() -> list[dict[str, Any]]:
    """Returns per plug-in its name, kind, distribution, version, and why it is not used, None where it is.

    Loading runs code of others; where none is installed, nothing is imported.
    """
    return [
        {
            "plug-in": entry.name,
            "kind": kind,
            "package": entry.dist.name if entry.dist is not None else None,
            "version": entry.dist.version if entry.dist is not None else None,
            "not used": why_not(entry),
        }
        for kind, why_not in _KINDS.items()
        for entry in entry_points(group=f"perceptum.{kind}")
    ]


def _why_no_features(entry: EntryPoint) -> str | None:
    from perceptum.features import SpecError, canonical
    from perceptum.features.plug_ins import load_plug_in

    try:
        groups = load_plug_in(entry).groups
    except SpecError as error:
        return f"cannot be loaded: {error}"
    left_out = [group.name for group in groups if group not in canonical().groups]
    return f"left out, since others have its names: {', '.join(left_out)}" if left_out else None


def _why_no_dataset(entry: EntryPoint) -> str | None:
    from perceptum.datasets.detect import DATASETS, load_plug_in
    from perceptum.inputs import LogError

    return _why_not(entry, DATASETS, load_plug_in, LogError)


def _why_no_backend(entry: EntryPoint) -> str | None:
    from perceptum.neuropod import NeuropodError
    from perceptum.neuropod.backends import PLATFORMS, load_plug_in

    return _why_not(entry, PLATFORMS, load_plug_in, NeuropodError)


def _why_no_problem(entry: EntryPoint) -> str | None:
    from perceptum.errors import UsageError
    from perceptum.problems.table import PROBLEMS, load_plug_in

    return _why_not(entry, PROBLEMS, load_plug_in, UsageError)


def _why_not(
    entry: EntryPoint, ours: Mapping[str, str], load: Callable[[EntryPoint], object], kind: type[Exception]
) -> str | None:
    if entry.name in ours:
        return "left out, since one of ours has its name"
    try:
        load(entry)
    except kind as error:
        return str(error)
    return None


_KINDS: Mapping[str, Callable[[EntryPoint], str | None]] = {
    "features": _why_no_features,
    "datasets": _why_no_dataset,
    "backends": _why_no_backend,
    "problems": _why_no_problem,
}
