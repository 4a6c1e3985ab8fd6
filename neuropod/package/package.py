"""A package on disk, in Uber's layout: opened and checked here, and written completely or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from perceptum.exchange import exchanged
from perceptum.plural import a_or_an

from ..errors import MoreThanData, NeuropodError, NotAPackage
from . import manifest, metadata
from .archive import Files, FolderFiles, ZipFiles, read_start, write_zip
from .config import MOST_JSON_BYTES, Config, parse_object
from .metadata import Metadata
from .trust import Trust, check_trust

__all__ = [
    "CODE",
    "CONFIG",
    "DATA",
    "MODEL_CONFIG",
    "OPS",
    "Package",
    "open_package",
    "refuse_existing",
    "write_package",
]

T = TypeVar("T")

CONFIG = "config.json"
MODEL_CONFIG = "0/config.json"
DATA = "0/data"
CODE = "0/code"
OPS = "0/ops"


@dataclass(frozen=True)
class Package:
    """An opened package: its manifest holds, its config makes sense."""

    path: Path
    files: Files
    config: Config
    """Rows carry their params, where the package stores any."""
    metadata: Metadata
    trust: Trust = Trust.NOT_GIVEN
    why_code: list[str] = field(default_factory=list)
    """What makes the package code, as far as it has been looked at: all, once it is loaded."""

    def __repr__(self) -> str:
        return f"<Package '{self.config.name}' ({self.config.platform}) at {self.path}>"

    def require_trust(self, why: str) -> None:
        """Notes what makes the package code; raises NotTrusted unless it may run here."""
        self.why_code.append(why)
        check_trust(why, self.trust)

    def require_data(self, name: str, check: Callable[[], None]) -> None:
        """Runs a check of the file `name`, which raises MoreThanData for what only a trusted package may do."""
        try:
            check()
        except MoreThanData as found:
            self.require_trust(f"{name}: {found}")
        except NeuropodError as error:
            raise NeuropodError(f"{name}: {error}") from error.__cause__

    def has(self, name: str) -> bool:
        return name in self.files.names

    def read(self, name: str) -> bytes:
        """Returns the bytes of a file; raises NeuropodError where the package does not have it."""
        self._require(name)
        return self.files.read(name)

    def read_object(self, name: str) -> dict[str, Any]:
        """Returns the JSON object in a file; raises NeuropodError that names the file."""
        self._require(name)
        return _parse(self.files, name, parse_object)

    def size_bytes(self, name: str) -> int:
        """Returns a file's size; raises NeuropodError where the package does not have it."""
        self._require(name)
        return self.files.size_bytes(name)

    def _require(self, name: str) -> None:
        if not self.has(name):
            raise NeuropodError(f"the file {name} is missing; {a_or_an(self.config.platform)} package needs it")

    def under(self, folder: str) -> list[str]:
        """Returns the names of all files in a folder of the package, sorted."""
        return sorted(name for name in self.files.names if name.startswith(f"{folder}/"))


def open_package(path: str | os.PathLike[str], trust: Trust = Trust.NOT_GIVEN) -> Package:
    """Opens a folder or a zip file and checks it; raises NeuropodError that names the package."""
    path = Path(path)
    try:
        return _read(path, _files(path), trust)
    except OSError as error:
        raise NeuropodError(f"{path}: cannot be read: {error}") from error


def _read(path: Path, files: Files, trust: Trust) -> Package:
    try:
        manifest.verify(files)
        meta = (
            _parse(files, metadata.FILE_NAME, Metadata.from_json) if metadata.FILE_NAME in files.names else Metadata()
        )
        config = meta.apply(_parse(files, CONFIG, Config.from_json))
    except NeuropodError as error:
        files.close()
        raise NeuropodError(f"{path}: {error}") from error
    return Package(path, files, config, meta, trust)


def _files(path: Path) -> Files:
    if path.is_dir():
        _require_config((path / CONFIG).is_file(), path)  # before all of some other folder is looked through
        files = _opened(FolderFiles, path)
    elif not path.exists():
        raise NotAPackage(f"Error loading Neuropod. No file or directory at '{path}'")
    elif not path.is_file():  # a pipe would be waited for, a device read without end
        raise NotAPackage(f"{path}: is neither a file nor a folder; a package is one of them")
    elif not zipfile.is_zipfile(path):
        raise NotAPackage(f"{path}: a package is a folder or a zip file, this is neither; get it again")
    else:
        files = _opened(ZipFiles, path)
    _require_config(CONFIG in files.names, path)
    return files


def _opened(kind: Callable[[Path], Files], path: Path) -> Files:
    try:
        return kind(path)
    except NeuropodError as error:
        raise NeuropodError(f"{path}: {error}") from error


def _require_config(is_there: bool, path: Path) -> None:
    if not is_there:
        raise NotAPackage(f"{path}: no {CONFIG}, so this is not a package; a package holds it at its root")


def _parse(files: Files, name: str, parse: Callable[[bytes], T]) -> T:
    try:
        return parse(read_start(files, name, MOST_JSON_BYTES + 1))
    except NeuropodError as error:
        raise NeuropodError(f"{name}: {error}") from error


def write_package(
    path: Path,
    fill: Callable[[Path], None],
    test: Callable[[Path], Mapping[str, bytes]],
    as_zip: bool,
    compression: int,
    overwrite: bool = False,
) -> None:
    """Makes a package of what `fill` writes into the folder it is given; the path holds all of it, tested, or what was
    there before.

    It is written beside its place under another name, tested by `test`, which returns what more is to be written into
    it, file by file, then renamed; where anything fails it is deleted. If the process is killed on the way, the path
    stays as it was; where a folder takes the place of another, and the file system cannot exchange the two, there is a
    moment in which the old one is in the folder beside.
    """
    refuse_existing(path, overwrite)
    work = path.parent / f".{path.name}.{uuid.uuid4().hex[:12]}.partial"
    try:
        whole = _write(work, fill, as_zip, compression)
        more = _tested(whole, path, test)
        if more:
            whole = _with_files(work, more, as_zip, compression)
        refuse_existing(path, overwrite)
        _put(whole, path, work)
    except OSError as error:
        raise _about(path, work, error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _put(whole: Path, path: Path, work: Path) -> None:
    """Renames a package to its place; what is there goes into the folder `work`, which is deleted."""
    if not os.path.lexists(path) or (whole.is_file() and path.is_file()):
        whole.replace(path)
        return
    if exchanged(whole, path):
        return
    # a folder takes no other's place: for a moment, between two renames, nothing is there
    before = work / "before"
    try:
        path.rename(before)
        whole.rename(path)
    except BaseException:
        if os.path.lexists(before) and not os.path.lexists(path):
            before.rename(path)
        raise


def _tested(whole: Path, path: Path, test: Callable[[Path], Mapping[str, bytes]]) -> Mapping[str, bytes]:
    try:
        return test(whole)
    except NeuropodError as error:  # which names the package where it is now
        raise type(error)(str(error).replace(str(whole), str(path))) from error.__cause__
    except OSError as error:  # of the process, or of the folder where it answers, which may lie on another disk
        raise NeuropodError(f"{path}: cannot be tested: {error}") from error


def _about(path: Path, work: Path, error: OSError) -> OSError:
    """Returns the error with the package's path, unless it is that of a file to pack.

    For a full disk Python names the file that was copied; for a copied folder it gives one reason per file.
    """
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):
        return OSError(f"{path}: cannot be written: {error.args[0][0][-1]}")
    ours = error.filename is None or str(error.filename).startswith(str(work)) or error.errno == errno.ENOSPC
    return OSError(error.errno, error.strerror, str(path)) if ours and error.errno is not None else error


def _write(work: Path, fill: Callable[[Path], None], as_zip: bool, compression: int) -> Path:
    folder = work / "package"
    folder.mkdir(parents=True)
    fill(folder)
    return _closed(work, manifest.write(FolderFiles(folder)), as_zip, compression)


def _with_files(work: Path, more: Mapping[str, bytes], as_zip: bool, compression: int) -> Path:
    """Adds files to a package and to its manifest. What running it left beside it, such as byte code, is not listed."""
    folder = work / "package"
    for name, data in more.items():
        (folder / name).write_bytes(data)
    (work / "package.zip").unlink(missing_ok=True)
    text = manifest.with_files((folder / manifest.FILE_NAME).read_bytes(), FolderFiles(folder), more)
    return _closed(work, text, as_zip, compression)


def _closed(work: Path, text: str, as_zip: bool, compression: int) -> Path:
    folder = work / "package"
    (folder / manifest.FILE_NAME).write_text(text, encoding="utf-8")
    if not as_zip:
        return folder
    write_zip(folder, work / "package.zip", compression)
    return work / "package.zip"


def refuse_existing(path: Path, overwrite: bool = False) -> None:
    """Raises NeuropodError where something exists already; with `overwrite`, where that is not a package."""
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise NeuropodError(
            f"The specified neuropod path ({path}) already exists! Aborting... overwrite=True (--overwrite) replaces it"
        )
    if not _looks_like_a_package(path):
        raise NeuropodError(f"{path}: exists and is not a package, so it is not overwritten; name another path")


def _looks_like_a_package(path: Path) -> bool:
    """Returns whether it is a package by its config.json and its files; others have a config.json at their root too.

    A link is not looked through, as it would be replaced.
    """
    if path.is_symlink():
        return False
    try:
        files = _files(path)
    except (NeuropodError, OSError):
        return False
    try:
        _parse(files, CONFIG, Config.from_json)
        return manifest.FILE_NAME in files.names or any(name.startswith("0/") for name in files.names)
    except (NeuropodError, OSError):
        return False
    finally:
        files.close()
