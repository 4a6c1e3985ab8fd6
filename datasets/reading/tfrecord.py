"""TFRecord files: records of bytes, each with its length before it and a checksum of both."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

from perceptum.inputs import BrokenRecord

from .files import open_file

__all__ = ["TFRecord", "read_record", "records_of"]

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_GZIP = b"\x1f\x8b"


class TFRecord(NamedTuple):
    """Where one record's bytes are in the file."""

    offset: int
    size: int


def records_of(path: Path, what: str) -> tuple[list[TFRecord], BrokenRecord | None]:
    """Returns where the records are, by their lengths alone, and what is wrong behind the last of them: where one
    begins that is not whole, those behind it are not found.

    Raises MissingRecord, and BrokenRecord where the first is not whole.
    """
    found: list[TFRecord] = []
    with open_file(path, what) as file:
        end, at = os.fstat(file.fileno()).st_size, 0
        while at < end:
            file.seek(at)
            header = file.read(_HEADER.size)
            if at == 0 and header.startswith(_GZIP):
                raise BrokenRecord(f"{path}: is compressed with gzip; unpack it first")
            try:
                size = _length(path, header, at)
                if at + _HEADER.size + size + _FOOTER.size > end:
                    raise BrokenRecord(
                        f"{path}: record {len(found)} at byte {at} has {size} bytes, but the file is cut short"
                    )
            except BrokenRecord as error:
                if not found:
                    raise
                return found, error
            found.append(TFRecord(at + _HEADER.size, size))
            at += _HEADER.size + size + _FOOTER.size
    return found, None


def _length(path: Path, header: bytes, at: int) -> int:
    if len(header) < _HEADER.size:
        raise BrokenRecord(f"{path}: {len(header)} bytes after byte {at}, wanted a record; the file is cut short")
    size, checksum = _HEADER.unpack(header)
    if _masked_crc(np.frombuffer(header, np.uint8, 8)) != checksum:
        raise BrokenRecord(
            f"{path}: the length of the record at byte {at} does not have its checksum; not a TFRecord file"
        )
    return int(size)


def read_record(path: Path, record: TFRecord, what: str) -> bytes:
    """Returns a record's bytes, which have their checksum; raises MissingRecord or BrokenRecord."""
    with open_file(path, what) as file:
        file.seek(record.offset)
        data = file.read(record.size + _FOOTER.size)
    if len(data) != record.size + _FOOTER.size:
        raise BrokenRecord(f"{path}: the record at byte {record.offset} is cut short")
    if _masked_crc(np.frombuffer(data, np.uint8, record.size)) != _FOOTER.unpack(data[record.size :])[0]:
        raise BrokenRecord(
            f"{path}: the record at byte {record.offset} does not have its checksum; the file is damaged"
        )
    return data[: record.size]


def _masked_crc(data: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> int:
    """TFRecord's: the CRC-32C turned right by 15 bits, plus a constant."""
    # numba takes long to import, and the files of most datasets do not need it
    from .crc32c_kernel import crc32c

    crc = int(crc32c(data))
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
