"""Small Arrow files of one batch, read whole."""

from __future__ import annotations

from typing import Any

from ..errors import BrokenRecord, LogError
from .files import Files
from .layout import Compression
from .target import Target

__all__ = ["read_table", "table_bytes", "write_table"]


def table_bytes(batch: Any, compression: Compression = "none") -> bytes:
    """Returns the batch as an Arrow file."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=None if compression == "none" else compression)
    with pa.ipc.new_file(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    encoded: bytes = sink.getvalue().to_pybytes()
    return encoded


def write_table(target: Target, path: str, batch: Any) -> None:
    with target.writing(path) as file:
        file.write(table_bytes(batch))


def read_table(files: Files, path: str) -> Any:
    """Returns the only batch of the file, checked in full; raises BrokenRecord or MissingRecord."""
    import pyarrow as pa

    where = f"{files.location}/{path}"
    try:
        reader = pa.ipc.open_file(files.whole(path))
        if reader.num_record_batches != 1:
            raise BrokenRecord(f"{where}: {reader.num_record_batches} record batches, wanted 1; convert again")
        batch = reader.get_batch(0)
        batch.validate(full=True)
    except LogError:
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        reason = " ".join(str(error).split())[:120]
        raise BrokenRecord(f"{where}: not a complete Arrow file ({reason}); convert again") from error
    return batch
