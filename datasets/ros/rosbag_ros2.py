"""A rosbag2 folder: metadata.yaml and the files it names, .db3 or .mcap, as one recording."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from perceptum.inputs import BrokenRecord, LogError, MissingRecord
from perceptum.install import install_command

from ..reading.files import read_text
from .loose_files import METADATA, recordings_in
from .recording import Recording
from .rosbag_sqlite import SqliteBag
from .several import SeveralFiles

__all__ = ["rosbag2"]

_SUFFIXES = {"sqlite3": ".db3", "mcap": ".mcap"}
_MOST_FILES = 100_000


def rosbag2(folder: Path, skip_damaged: bool = False) -> Recording:
    """Returns the files that the folder's metadata names as one recording; raises LogErrors.

    Its counts of messages are not looked at: a recorder that was killed never wrote them. A file that it leaves out
    is a warning.
    """
    metadata = _metadata(folder / METADATA)
    per_message = _compression(folder / METADATA, metadata)
    kind = metadata.get("storage_identifier")
    if kind not in _SUFFIXES:
        raise BrokenRecord(f"{folder / METADATA}: storage_identifier is {kind!r}, wanted sqlite3 or mcap")
    # only the last part: a bag that was moved names its old folder, a broken one may name any
    names = [PurePosixPath(name).name for name in _names(folder / METADATA, metadata)]
    others = [name for name in recordings_in(folder, (_SUFFIXES[kind],)) if name not in names]
    lost = [name for name in names if not os.path.lexists(folder / name)]
    if len(lost) == len(names) and others:
        raise MissingRecord(
            f"{folder / lost[0]}: no such file; beside it is {others[0]}, which {METADATA} does not name; open that "
            f"itself, or write the metadata again with `ros2 bag reindex {folder}`"
        )
    if others:
        warnings.warn(f"{folder}: {', '.join(others[:5])} not read, since {METADATA} does not name it", stacklevel=2)
    parts = [
        partial(_opened, folder / name, number, kind, per_message, skip_damaged) for number, name in enumerate(names)
    ]
    return SeveralFiles(folder, parts, skip_damaged)


def _opened(path: Path, number: int, kind: str, per_message: bool | None, skip_damaged: bool) -> Recording:
    if kind == "mcap":
        from .mcap_file import McapFile

        return McapFile(path, number, skip_damaged=skip_damaged)
    return SqliteBag(path, number, compressed=per_message, skip_damaged=skip_damaged)


def _names(path: Path, metadata: Mapping[str, Any]) -> list[str]:
    names = metadata.get("relative_file_paths")
    if not isinstance(names, list) or not 0 < len(names) <= _MOST_FILES or not all(isinstance(n, str) for n in names):
        raise BrokenRecord(f"{path}: relative_file_paths is {str(names)[:60]}, wanted a list of file names")
    return names


def _compression(path: Path, metadata: Mapping[str, Any]) -> bool | None:
    """Whether each message is compressed by itself, None where that is not said.

    Raises BrokenRecord for whole files and other forms.
    """
    said = metadata.get("compression_mode")
    mode, form = str(said or "none").lower(), metadata.get("compression_format")
    if mode == "file":
        raise BrokenRecord(f"{path}: its files are compressed as a whole; unpack them with `ros2 bag convert`")
    if mode not in ("none", "message", "storage") or (mode == "message" and form != "zstd"):
        raise BrokenRecord(f"{path}: compression {mode} by {form!r}, wanted none, or messages by zstd")
    return True if mode == "message" else None


def _metadata(path: Path) -> Mapping[str, Any]:
    try:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError
    except ImportError as error:
        raise LogError(f"reading bags needs rosbags: {install_command('mcap')}") from error
    if os.path.exists(path) and os.stat(path).st_size > 1 << 26:
        raise BrokenRecord(f"{path}: {os.stat(path).st_size} bytes, wanted the metadata of one bag")
    try:
        content = YAML(typ="safe", pure=True).load(read_text(path, "the bag's files are not known"))
    except (YAMLError, ValueError, RecursionError, AttributeError) as error:
        if isinstance(error, LogError):
            raise
        raise BrokenRecord(f"{path}: not YAML ({' '.join(str(error).split())[:120]})") from error
    inner = content.get("rosbag2_bagfile_information") if isinstance(content, dict) else None
    if not isinstance(inner, dict):
        names = recordings_in(path.parent, (".db3", ".mcap"))
        instead = f", or open {path.parent / names[0]} itself" if names else ""
        raise BrokenRecord(
            f"{path}: has no rosbag2_bagfile_information; it is not the metadata of a rosbag2; write it again with "
            f"`ros2 bag reindex {path.parent}`{instead}"
        )
    return inner
