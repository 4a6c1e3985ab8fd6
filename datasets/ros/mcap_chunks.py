"""What is in a chunk of an MCAP file: unpacked through the `mcap` library, sizes and checksum checked before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from perceptum.inputs import BrokenRecord
from perceptum.plural import a_or_an

from .mcap_records import LARGEST, MESSAGE, MESSAGE_HEAD, RECORD, library, said

__all__ = ["chunk_data", "messages_of"]


def chunk_data(where: str, chunk: Any) -> bytes:
    """Returns the unpacked records of a chunk, its checksum checked where it has one; raises BrokenRecord."""
    if type(chunk).__name__ != "Chunk":
        raise BrokenRecord(f"{where}: found {a_or_an(type(chunk).__name__)}, wanted a chunk; the index is damaged")
    if chunk.compression not in ("", "zstd", "lz4"):
        raise BrokenRecord(f"{where}: compression {chunk.compression!r}, wanted zstd, lz4 or none")
    _check_size(where, chunk)
    import zstandard

    try:
        stream, length = library().get_chunk_data_stream(chunk, validate_crc=True)
        data: bytes = stream.read(length)
    # lz4 says RuntimeError, a wrong checksum is a ValueError
    except (zstandard.ZstdError, RuntimeError, ValueError, MemoryError) as error:
        raise BrokenRecord(f"{where}: cannot be unpacked ({said(error)})") from error
    if len(data) != chunk.uncompressed_size:
        raise BrokenRecord(f"{where}: unpacks to {len(data)} bytes, wanted {chunk.uncompressed_size}")
    return data


def _check_size(where: str, chunk: Any) -> None:
    """Raises BrokenRecord where unpacking would take more memory than the chunk says, or than we allow."""
    promised = _promised(chunk)
    if chunk.uncompressed_size > LARGEST or promised not in (None, chunk.uncompressed_size):
        raise BrokenRecord(
            f"{where}: says it unpacks to {chunk.uncompressed_size} bytes and holds {promised}; "
            f"wanted the same, at most {LARGEST}"
        )


def _promised(chunk: Any) -> int | None:
    """The size that the compressed data itself promises; None where it promises none."""
    if chunk.compression == "zstd":
        import zstandard

        try:
            size = int(zstandard.frame_content_size(chunk.data))
        except zstandard.ZstdError:
            return -1
        return None if size < 0 else size
    if chunk.compression == "lz4":
        import lz4.frame

        try:
            return int(lz4.frame.get_frame_info(chunk.data)["content_size"]) or None
        except RuntimeError:
            return -1
    return len(chunk.data)


def messages_of(where: str, data: bytes) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Yields channel, log_ns, publish_ns, where it begins, and from where to where its payload goes, in order."""
    at = 0
    while at + RECORD.size <= len(data):
        opcode, length = RECORD.unpack_from(data, at)
        end = at + RECORD.size + length
        if end > len(data) or (opcode == MESSAGE and length < MESSAGE_HEAD.size):
            raise BrokenRecord(f"{where}: its record at byte {at} wants {length} bytes of {len(data)}; it is damaged")
        if opcode == MESSAGE:
            channel, _, log_ns, publish_ns = MESSAGE_HEAD.unpack_from(data, at + RECORD.size)
            yield channel, log_ns, publish_ns, at, at + RECORD.size + MESSAGE_HEAD.size, end
        at = end
