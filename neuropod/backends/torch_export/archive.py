"""What a .pt2 archive may hold so that reading it runs no code.

torch.export.load unpickles weights, constants and sample inputs that ask for it, runs compiled libraries that lie in
the archive, and evaluates strings of the program as Python. A program of numbers needs none of the first three; what
its strings may say is checked in torch_export_program. Whatever is not known to be data is refused here.
"""

from __future__ import annotations

import io
import re
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

from perceptum.foreign import said

from ...errors import NeuropodError
from ...package.config import parse_object
from .program import check_program, is_path

__all__ = ["checked_archive"]

_MODEL = "models/model.json"
_SAMPLES = "data/sample_inputs/model.pt"
_TABLES = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_PLAIN = re.compile(
    r"archive_format|archive_version|byteorder|\.data/\w+|version|extra/.*|"
    r"\.format_version|\.storage_alignment|data/weights/weight_\d+|data/constants/tensor_\d+"
)
_MOST_PROGRAM_BYTES = 1 << 30
_AGAIN = "export the program again with plain tensors, or pack its code with create_pytorch_neuropod"


def checked_archive(data: bytes, own_ops: bool) -> io.BytesIO:
    """Returns the archive rewritten; raises NeuropodError where reading it could run code.

    Rewritten, since torch's own zip reader might find other files in a hostile archive than Python's does.
    `own_ops`: the program may call operators that the package brings.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_sizes(archive, len(data))
            names = _names(archive)
            files = {name: archive.read(names[name]) for name in (_MODEL, *_TABLES, _SAMPLES) if name in names}
            _check_files(files, own_ops)
            samples = _plain_samples(files.get(_SAMPLES, b""))
            return _copied(archive, names, {_SAMPLES: samples} if samples else {})
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, RuntimeError) as error:
        if isinstance(error, NeuropodError):
            raise
        raise NeuropodError(f"not a complete .pt2 archive ({error}); get it again") from error


def _check_files(files: Mapping[str, bytes], own_ops: bool) -> None:
    for name in (_MODEL, *_TABLES):
        if name not in files:
            raise NeuropodError(f"the archive has no {name}; {_AGAIN}, with torch 2.9 or newer")
    for name in _TABLES:
        _check_table(name, _object(name, files[name]))
    check_program(_object(_MODEL, files[_MODEL]), own_ops)


def _object(name: str, text: bytes) -> dict[str, Any]:
    try:
        return parse_object(text, _MOST_PROGRAM_BYTES)
    except NeuropodError as error:
        raise NeuropodError(f"{name}: {error}") from error


def _check_sizes(archive: zipfile.ZipFile, size_bytes: int) -> None:
    """torch stores files as they are: what is compressed, or larger than the archive, is there to fill the memory."""
    entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise NeuropodError(f"the archive's files are compressed, which torch does not do; {_AGAIN}")
    if sum(entry.file_size for entry in entries) > size_bytes:
        raise NeuropodError(f"the archive of {size_bytes} bytes says that it holds more than that; {_AGAIN}")


def _copied(archive: zipfile.ZipFile, names: Mapping[str, str], instead: Mapping[str, bytes]) -> io.BytesIO:
    """`names`: below the top folder -> full; `instead`: what is written for some of the former."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as copy:
        for name, full in names.items():
            if name in instead:
                copy.writestr(full, instead[name])
                continue
            info = zipfile.ZipInfo(full)
            info.file_size = archive.getinfo(full).file_size  # lets zipfile choose zip64 where it must
            with archive.open(full) as source, copy.open(info, "w") as target:
                shutil.copyfileobj(source, target, 1 << 20)  # one tensor may be nearly all of the archive
    out.seek(0)
    return out


def _names(archive: zipfile.ZipFile) -> dict[str, str]:
    """Returns the names below the archive's one top folder -> their full names."""
    entries = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    tops = {name.partition("/")[0] for name in entries}
    names = {name.partition("/")[2]: name for name in entries}
    if len(tops) != 1 or len(names) != len(entries):  # torch would read what is at the root in an older way
        raise NeuropodError("the archive must hold one folder, and each file once; export it again")
    for name in names:
        if name not in (_MODEL, _SAMPLES, *_TABLES) and not _PLAIN.fullmatch(name):
            raise NeuropodError(f"the archive holds '{name}', which is not known to be data; {_AGAIN}")
    return names


def _check_table(name: str, table: dict[str, Any]) -> None:
    """Weights and constants are in the archive as plain bytes, or pickled."""
    rows = table.get("config")
    if not isinstance(rows, dict):
        raise NeuropodError(f"{name}: 'config' must be an object; export it again")
    for key, row in rows.items():
        plain = isinstance(row, dict) and row.get("use_pickle") is False
        if not plain or not is_path(key) or not re.fullmatch(r"(weight|tensor)_\d+", str(row.get("path_name"))):
            raise NeuropodError(f"{name}: '{key}' is not a plain tensor and would be unpickled; {_AGAIN}")


def _plain_samples(data: bytes) -> bytes:
    """Returns the sample inputs rewritten: torch reads them the safe way, and where that fails unpickles them."""
    import torch

    if not data:
        return data
    try:
        samples = torch.load(io.BytesIO(data), weights_only=True)
    except Exception as error:  # its unpickler raises all kinds of errors
        raise NeuropodError(f"{_SAMPLES} holds more than tensors ({said(error)}); {_AGAIN}") from error
    out = io.BytesIO()
    torch.save(samples, out)
    return out.getvalue()
