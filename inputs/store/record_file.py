"""An Arrow file of record batches that says where each batch is, and its checksum."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Protocol, Self

from .layout import Compression

__all__ = ["Hasher", "RecordFile"]

# the magic word and two bytes of padding, which an Arrow file begins with
_MAGIC_BYTES = 8


class Hasher(Protocol):
    """As the objects of xxhash and hashlib. The one that is used makes 16 bytes."""

    def update(self, data: Any, /) -> object: ...
    def digest(self) -> bytes: ...


class RecordFile:
    """Writes one file; what it is given to write to stays the caller's."""

    def __init__(
        self, path: str, sink: Any, schema: Any, compression: Compression, hasher: Callable[[], Hasher]
    ) -> None:
        import pyarrow as pa

        self.path, self.schema = path, schema
        self._hasher = hasher
        self._through = _Through(sink)
        # the schema goes before the first batch, in the same write
        self._before = _MAGIC_BYTES + schema.serialize().size
        options = pa.ipc.IpcWriteOptions(compression=None if compression == "none" else compression)
        self._open = ExitStack()
        file = self._open.enter_context(pa.PythonFile(self._through, mode="w"))
        self._writer = self._open.enter_context(pa.ipc.new_file(file, schema, options=options))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> bool | None:
        return self._open.__exit__(*error)

    @property
    def size(self) -> int:
        """Bytes written; the whole file's once it is closed."""
        return self._through.size

    def write(self, batch: Any) -> tuple[int, int, bytes]:
        """Returns offset, size and checksum of the batch's encapsulated message."""
        offset = max(self._through.size, self._before)
        hasher = self._through.hash_from(offset, self._hasher())
        self._writer.write_batch(batch)
        return offset, self._through.size - offset, hasher.digest()


class _Through(io.RawIOBase):
    """Passes on what is written, counting and hashing it."""

    def __init__(self, sink: Any) -> None:
        self._sink = sink
        self._hasher: Hasher | None = None
        self._from = 0
        self.size = 0

    def hash_from(self, offset: int, hasher: Hasher) -> Hasher:
        self._hasher, self._from = hasher, offset
        return hasher

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.size

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        self._sink.write(view)
        if self._hasher is not None:
            self._hasher.update(view[max(self._from - self.size, 0) :])
        self.size += len(view)
        return len(view)
