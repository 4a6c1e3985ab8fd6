"""A rosbag2 folder: metadata.yaml and the files it names, .db3 or .mcap, as one recording."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from perceptum.inputs import BrokenRecord, LogError

from ..files import read_text
from .recording import Found, Place, Recording, Topic
from .rosbag_sqlite import SqliteBag

__all__ = ["Ros2Bag"]

METADATA = "metadata.yaml"
_MOST_FILES = 100_000


class Ros2Bag:
    """Answers as a `Recording`; a place begins with the number of the file."""

    def __init__(self, folder: Path, *, skip_damaged: bool = False) -> None:
        self.location = str(folder)
        self._files: list[Recording] = [
            open_file(path, number) for number, (path, open_file) in enumerate(_files(folder, skip_damaged))
        ]
        self.topics: Mapping[str, Topic] = _merged(self.location, self._files)

    def scan(self, topics: Collection[str], most: int) -> Iterator[Found]:
        for file in self._files:
            yield from file.scan(topics, most)

    def payload(self, topic: str, place: Place) -> bytes:
        return self._files[place[0]].payload(topic, place)


def _merged(where: str, files: list[Recording]) -> dict[str, Topic]:
    found: dict[str, Topic] = {}
    for topic in (topic for file in files for topic in file.topics.values()):
        known = found.setdefault(topic.name, replace(topic, count=0))
        if known.type != topic.type:
            raise BrokenRecord(f"{where}: topic {topic.name} has messages of {known.type} and of {topic.type}")
        count = -1 if -1 in (known.count, topic.count) else known.count + topic.count
        found[topic.name] = replace(known, count=count)
    return found


def _files(folder: Path, skip_damaged: bool) -> Iterator[tuple[Path, Callable[[Path, int], Recording]]]:
    metadata = _metadata(folder / METADATA)
    per_message = _compression(folder / METADATA, metadata)
    kind = metadata.get("storage_identifier")
    if kind not in ("sqlite3", "mcap"):
        raise BrokenRecord(f"{folder / METADATA}: storage_identifier is {kind!r}, wanted sqlite3 or mcap")
    for name in _names(folder / METADATA, metadata):
        # only the last part: a bag that was moved names its old folder, a broken one may name any
        path = folder / PurePosixPath(name).name
        if kind == "mcap":
            from .mcap_file import McapFile

            yield path, lambda path, number: McapFile(path, number, skip_damaged=skip_damaged)
        else:
            yield path, lambda path, number: SqliteBag(path, number, compressed=per_message)


def _names(path: Path, metadata: Mapping[str, Any]) -> list[str]:
    names = metadata.get("relative_file_paths")
    if not isinstance(names, list) or not 0 < len(names) <= _MOST_FILES or not all(isinstance(n, str) for n in names):
        raise BrokenRecord(f"{path}: relative_file_paths is {str(names)[:60]}, wanted a list of file names")
    return names


def _compression(path: Path, metadata: Mapping[str, Any]) -> bool:
    """Whether each message is compressed by itself; raises BrokenRecord for whole files and other forms."""
    mode = str(metadata.get("compression_mode") or "none").lower()
    form = metadata.get("compression_format")
    if mode == "file":
        raise BrokenRecord(f"{path}: its files are compressed as a whole; unpack them with `ros2 bag convert`")
    if mode not in ("none", "message", "storage") or (mode == "message" and form != "zstd"):
        raise BrokenRecord(f"{path}: compression {mode} by {form!r}, wanted none, or messages by zstd")
    return mode == "message"


def _metadata(path: Path) -> Mapping[str, Any]:
    try:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError
    except ImportError as error:
        raise LogError("reading bags needs rosbags: pip install 'perceptum[mcap]'") from error
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
        raise BrokenRecord(f"{path}: has no rosbag2_bagfile_information; it is not the metadata of a rosbag2")
    return inner
