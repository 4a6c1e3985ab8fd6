"""CRC-32C (Castagnoli) of bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

__all__ = ["TABLE", "crc32c"]


def _table() -> Any:
    entries = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        entries = (entries >> np.uint32(1)) ^ (np.uint32(0x82F63B78) * (entries & np.uint32(1)))
    return entries


TABLE = _table()


@kernel
def crc32c(data: Any) -> Any:
    """Returns the checksum of (N,) uint8."""
    crc = np.uint32(0xFFFFFFFF)
    for byte in data:
        crc = TABLE[(crc ^ byte) & np.uint32(0xFF)] ^ (crc >> np.uint32(8))
    return crc ^ np.uint32(0xFFFFFFFF)
