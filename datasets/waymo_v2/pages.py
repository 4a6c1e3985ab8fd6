"""The pages of one Parquet column of float lists: their headers, and the bytes behind them.

After Apache Parquet's format (parquet.thrift, Thrift's compact protocol). Only what published files hold: data pages of
version 1, plain or by dictionary. Anything else raises Unlike, and Arrow reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["DICTIONARY", "PLAIN", "Page", "Unlike", "pages"]

PLAIN, DICTIONARY = 0, 8
_DATA_PAGE, _DICTIONARY_PAGE = 0, 2
_OLD_DICTIONARY, _RLE = 2, 3
_CODECS: dict[str, Any] = {"SNAPPY": "snappy", "BROTLI": "brotli", "ZSTD": "zstd", "GZIP": "gzip", "UNCOMPRESSED": None}
_HEADER_BYTES = 1 << 12
# a few bytes may say that they unpack to two billion numbers
_MOST_BYTES = _MOST_VALUES = 1 << 24

ReadAt = Callable[[int, int], bytes]
"""(bytes, offset) -> at most so many bytes."""


class Unlike(ValueError):
    """A page is not as expected here; it may be well formed all the same."""


@dataclass(frozen=True, eq=False)
class Page:
    is_dictionary: bool
    encoding: int
    """PLAIN or DICTIONARY."""
    num_values: int
    """Its entries, nulls too."""
    content: Any
    """A buffer, decompressed: levels and values, or the dictionary."""


def pages(chunk: Any, read_at: ReadAt) -> Iterator[Page]:
    """Yields the pages of a column chunk (a pyarrow ColumnChunkMetaData), the dictionary first if there is one."""
    import pyarrow as pa

    if chunk.compression not in _CODECS:
        raise Unlike(f"compressed by {chunk.compression}")
    name = _CODECS[chunk.compression]
    codec = pa.Codec(name) if name else None
    at = chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset
    end, left = at + chunk.total_compressed_size, chunk.num_values
    while left > 0:
        header, size = _struct(read_at(_HEADER_BYTES, at), 0)
        unpacked, packed = (_whole(header.get(field), 0, _MOST_BYTES) for field in (2, 3))
        page = _described(header)
        at += size
        content = read_at(packed, at)
        at += packed
        if at > end or len(content) != packed or (codec is None and packed != unpacked):
            raise Unlike("cut short")
        left -= 0 if page.is_dictionary else page.num_values
        unpacked_content = codec.decompress(content, unpacked) if codec else content
        yield Page(page.is_dictionary, page.encoding, page.num_values, unpacked_content)
    if left:
        raise Unlike("more values than announced")


def _described(header: dict[int, Any]) -> Page:
    kind = header.get(1)
    if kind not in (_DATA_PAGE, _DICTIONARY_PAGE):
        raise Unlike(f"a page of type {kind}")
    own = header.get(5 if kind == _DATA_PAGE else 7)
    if not isinstance(own, dict) or (kind == _DATA_PAGE and (own.get(3), own.get(4)) != (_RLE, _RLE)):
        raise Unlike("levels of an old encoding")
    encoding = DICTIONARY if own.get(2) == _OLD_DICTIONARY else own.get(2)
    if kind == _DICTIONARY_PAGE and encoding == DICTIONARY:
        encoding = PLAIN  # what old writers called a plain dictionary
    if encoding not in (PLAIN, DICTIONARY):
        raise Unlike(f"encoding {encoding}")
    return Page(kind == _DICTIONARY_PAGE, encoding, _whole(own.get(1), 1, _MOST_VALUES), b"")


def _whole(value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise Unlike(f"a size of {value}")
    return value


def _struct(data: bytes, at: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """Returns field number -> value of a Thrift struct at `at`, and where it ends; IndexError where it does not."""
    found: dict[int, Any] = {}
    field = 0
    while data[at]:
        kind, step = data[at] & 15, data[at] >> 4
        at += 1
        if step:
            field += step
        else:
            field, at = _integer(data, at)
        if kind in (1, 2):
            found[field] = kind == 1
        elif kind in (4, 5, 6):
            found[field], at = _integer(data, at)
        elif kind == 8:  # bytes: only a statistic, passed over
            size, at = _varint(data, at)
            at += size
        elif kind == 12 and depth < 3:
            found[field], at = _struct(data, at, depth + 1)
        else:
            raise Unlike(f"a field of type {kind}")
    return found, at + 1


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """A zigzag varint."""
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        value |= (data[at + shift // 7] & 127) << shift
        if data[at + shift // 7] < 128:
            return value, at + shift // 7 + 1
    raise Unlike("a number without an end")
