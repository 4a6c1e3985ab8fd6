"""manifest.json: the SHA-256 of every file of a package, written when packing and verified when loading."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

from ..errors import NeuropodError
from .archive import Files, read_start
from .config import MOST_JSON_BYTES, parse_object

__all__ = ["FILE_NAME", "digest", "sha256", "verify", "with_files", "write"]

FILE_NAME = "manifest.json"
_CHUNK_BYTES = 1 << 20


def write(files: Files) -> str:
    """Returns the text of the manifest of all files, itself excepted, as Uber's packager wrote it."""
    hashes = {name: sha256(files, name) for name in sorted(files.names) if name != FILE_NAME}
    return _text(hashes)


def with_files(text: bytes, files: Files, names: Iterable[str]) -> str:
    """Returns the text of a manifest that also lists these files, as they are now."""
    return _text({**_listed(text), **{name: sha256(files, name) for name in names}})


def verify(files: Files) -> None:
    """Raises NeuropodError where the files are not those of the manifest; without a manifest there is nothing to say.

    Python's own byte code may lie beside code that was run in place: it is never read here, so it may be there.
    """
    if FILE_NAME not in files.names:
        return
    listed = _listed(read_start(files, FILE_NAME, MOST_JSON_BYTES + 1))
    there = {name for name in files.names if name != FILE_NAME and not _is_bytecode(name)}
    for name in sorted(there ^ listed.keys()):
        what = "is in the package but not in its manifest" if name in there else "is missing"
        raise NeuropodError(f"{name}: {what}; the package was changed after it was made, get it again")
    for name, wanted in listed.items():
        found = sha256(files, name)
        if found != wanted:
            raise NeuropodError(
                f"{name}: its sha256 is {found[:16]}..., the manifest says {str(wanted)[:16]}...; "
                "the package was changed after it was made, get it again"
            )


def digest(files: Files) -> str:
    """Returns a SHA-256 over the names and contents of a package's files: the same for a folder and its zip file."""
    own = sorted(name for name in files.names if name != FILE_NAME and not _is_bytecode(name))
    return hashlib.sha256("".join(f"{sha256(files, name)} {name}\n" for name in own).encode()).hexdigest()


def sha256(files: Files, name: str) -> str:
    digest = hashlib.sha256()
    with files.open(name) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _text(hashes: Mapping[str, str]) -> str:
    return json.dumps({"files": hashes, "manifest_version": 1}, indent=4, sort_keys=True)


def _listed(text: bytes) -> dict[str, str]:
    try:
        plain = parse_object(text)
    except NeuropodError as error:
        raise NeuropodError(f"{FILE_NAME}: {error}") from None
    files = plain.get("files")
    if plain.get("manifest_version") != 1 or not isinstance(files, dict):
        raise NeuropodError(f"{FILE_NAME}: manifest_version 1 with an object 'files' is what can be read")
    return files


def _is_bytecode(name: str) -> bool:
    return name.endswith(".pyc") and "__pycache__/" in name
