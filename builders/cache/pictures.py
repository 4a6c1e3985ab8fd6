"""Pictures as they are decoded, kept for samples of which a draw decides what is shown of them.

Each is known by its content, so that frames, logs and data sets share it: by its encoded bytes, how many times smaller
it was decoded, and the code that decodes.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from perceptum.inputs import decode_image

from .bundle import BrokenBundle, Head, Mapped, Tensor, checksum_of, write_bundle
from .checked import Check, Checked
from .code import UnknownCode, code_of, names_of
from .counts import PICTURE, Counts
from .folder import CacheFolder, remove
from .troubles import Troubles

__all__ = ["KeptPictures"]

Pixels = NDArray[np.uint8]

_FORMAT = 1
"""Of keys: it goes up where what they cover changes."""
_FILLED_TO, _SHRUNK_TO = 0.95, 0.9
"""Of the folder's limit: pictures are kept up to the first, and none beyond."""
_MEASURED_EVERY = 0.05
_IDLE_S = 24 * 3600.0
"""A picture takes the place of what was not used for so long, and of nothing else: where all do not fit, each epoch
would otherwise write all of them again, and find few."""
_WAIT_WHERE_FULL_S = 600.0


class KeptPictures:
    """The decoded pictures of a folder, as one process uses them."""

    def __init__(self, files: CacheFolder, counts: Counts, troubles: Troubles) -> None:
        self._files, self._counts, self._troubles = files, counts, troubles
        self._checked = Checked()
        self._left = 0.0
        """Bytes that may be written before the folder is measured again."""
        self._full_until_s = 0.0

    def __repr__(self) -> str:
        return f"<KeptPictures of {self._files.folder}>"

    def find(self, encoded: bytes, reduce: int, rows: tuple[int, int], check: Check) -> Pixels | None:
        """Returns the whole picture, (H, W, 3) uint8 RGB, in private memory of this process: mapped, not read. None
        where it is not kept. rows: those that are looked at."""
        path = self._path(encoded, reduce)
        pixels = None if path is None else self._mapped(path, rows, check)
        if pixels is None:
            self._counts.picture_missed()
        else:
            self._counts.picture_found(pixels.nbytes)
        self._counts.save()
        return pixels

    def _mapped(self, path: Path, rows: tuple[int, int], check: Check) -> Pixels | None:
        mark = hash(path)
        try:
            bundle = Mapped(str(path))
            tensor, checks = bundle.head.tensors[0], self._checked.wants(check, mark)
            per_row = tensor.nbytes // tensor.shape[0]
            first, last = (0, tensor.shape[0]) if checks else rows
            bundle.fetch(tensor, first * per_row, (last - first) * per_row)
            pixels = bundle.array(tensor, checks)
        except BrokenBundle as error:
            self._troubles.say(str(error), "%s; it is removed, and decoded again", error)
            self._counts.broke()
            remove(str(path))
            return None
        except OSError:
            return None
        self._checked.note(check, mark)
        self._files.used(str(path), bundle.status)
        return pixels

    def has_room(self, nbytes: int, most_bytes: int | None) -> bool:
        """Whether a picture of so many bytes may be kept; measures the folder now and then, and removes what was not
        used for long."""
        if not self._troubles.may_write or _code() is None:
            return False
        if most_bytes is None or self._left >= nbytes:
            return True
        if time.monotonic() < self._full_until_s:
            return False
        total = self._files.nbytes
        if total > most_bytes * _SHRUNK_TO:
            total -= self._files.shrink(int(most_bytes * _SHRUNK_TO), idle_s=_IDLE_S)[1]
        left = most_bytes * _FILLED_TO - total
        if left < nbytes:
            self._left, self._full_until_s = 0.0, time.monotonic() + _WAIT_WHERE_FULL_S
            return False
        # others write too
        self._left = min(left, max(most_bytes * _MEASURED_EVERY, nbytes))
        return True

    def keep(self, encoded: bytes, reduce: int, pixels: Pixels) -> None:
        """pixels: the whole picture, (H, W, 3) uint8 RGB, C-contiguous."""
        path, code = self._path(encoded, reduce), _code()
        if path is None or code is None:
            return
        tensor = Tensor(
            key=path.stem,
            feature=PICTURE,
            code=code,
            dtype=pixels.dtype.str,
            shape=pixels.shape,
            offset=0,
            checksum=checksum_of(pixels),
            answers=(),
            sizes={},
            dropped={},
        )
        head = Head(
            log="",
            time_ns=0,
            index=0,
            opening=None,
            reader="",
            streams="",
            shared=None,
            answers=(),
            tensors=(tensor,),
            codes={code: names_of((decode_image,))},
        )
        try:
            self._files.name_pictures()
            self._left -= write_bundle(path, head, [pixels])
        except OSError as error:
            self._troubles.cannot_write(error)
        else:
            self._counts.picture_kept(pixels.nbytes)

    def _path(self, encoded: bytes, reduce: int) -> Path | None:
        code = _code()
        if code is None:
            return None
        told = [_FORMAT, xxhash.xxh3_128_hexdigest(encoded), reduce, code]
        return self._files.of_picture(xxhash.xxh3_128_hexdigest(repr(told).encode()))


def _code() -> str | None:
    """Returns what stands for the code that decodes; None where that is not known."""
    try:
        return code_of((decode_image,)).digest
    except UnknownCode:
        return None
