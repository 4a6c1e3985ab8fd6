"""What names make a TorchScript archive code: TorchScript only computes, but for a few functions for files."""

from __future__ import annotations

import io
import re
import zipfile
from contextlib import nullcontext

from perceptum.foreign import said

from ...errors import MoreThanData, NeuropodError
from ...frameworks.torch.runner import import_torch
from ...package.archive import check_growth

__all__ = ["check_archive", "differentiates"]

# torch.save, torch.from_file, which maps a file and can write it, what Inductor's debugger loads, and torchvision's two
_FILES = re.compile(rb"(?<![\w])(save|from_file|load_tensor|read_file|write_file)(?!\w)")
# by getattr a text is a name; the rest could make a piece of code look like a text to us
_ODD_TEXTS = re.compile(rb"getattr|[\\']|\"\"\"")
_GRADIENTS = re.compile(rb"(?<!\w)autograd\.(grad|backward)\(")
_ZIP = b"PK\x03\x04"


def check_archive(source: io.BytesIO | str) -> None:
    """Raises MoreThanData where the archive's code names what reads or writes files; NeuropodError where it is broken.

    source: the archive's bytes, or its path; bytes are read again from their start. Code is run when a model is loaded
    too, not only when it is called.
    """
    try:
        _check_zip(source)
        code = _code(source)
    except (zipfile.BadZipFile, RuntimeError) as error:
        if isinstance(error, NeuropodError):
            raise
        raise NeuropodError(f"torch cannot load it: {said(error)}") from error
    for name, text in code.items():
        found = _FILES.search(_without_texts(text))
        if found is not None:
            raise MoreThanData(f"its code in {name} names '{found[1].decode()}', which is for files")


def differentiates(source: io.BytesIO | str) -> bool:
    """Returns whether the archive's code asks for gradients of its own; bytes are read again from their start."""
    return any(_GRADIENTS.search(text) for text in _code(source).values())


def _without_texts(code: bytes) -> bytes:
    """Returns the code without the texts of errors and the like, where those are of the simplest kind."""
    if _ODD_TEXTS.search(code) or any(line.count(b'"') % 2 for line in code.splitlines()):
        return code
    return re.sub(rb'"[^"\n]*"', b'""', code)


def _check_zip(source: io.BytesIO | str) -> None:
    with open(source, "rb") if isinstance(source, str) else nullcontext(source) as stream:
        # torch would take it for another of its formats, in which code looks different
        if stream.read(len(_ZIP)) != _ZIP:
            raise NeuropodError("torch cannot load it: it is not a zip archive, as torch.jit.save writes them")
        with zipfile.ZipFile(stream) as files:
            check_growth(files.infolist(), stream.seek(0, io.SEEK_END))
        stream.seek(0)


def _code(source: io.BytesIO | str) -> dict[str, bytes]:
    """Returns the sources by name. torch's own reader finds them: Python's might find others in a hostile archive.

    It finds a file by its name in any case, and lists a name of more than 511 characters as the first of these.
    """
    if isinstance(source, io.BytesIO):
        source.seek(0)
    reader = import_torch()._C.PyTorchFileReader(source)
    names = reader.get_all_records()
    if len(set(names)) != len(names) or not all(map(reader.has_record, names)):
        raise NeuropodError("the names of its files are too long, or appear twice; save the model again")
    code = {name: reader.get_record(name) for name in names if name.lower().endswith(".py")}
    if isinstance(source, io.BytesIO):
        source.seek(0)
    return code
