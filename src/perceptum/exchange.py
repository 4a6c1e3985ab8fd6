"""Two names that change places in one step, so that a reader finds one or the other at every moment; and a new folder
that takes the place of another.

It is on the ground, as `foreign` is: every floor may import it, and it imports nothing of ours.
"""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path
from uuid import uuid4

__all__ = ["exchanged", "take_place"]

# of linux/fs.h and fcntl.h
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100


def exchanged(one: Path, other: Path) -> bool:
    """Lets what lies at two paths change places; returns whether it did.

    It does not where the system or the file system cannot, or where a rename would fail: renaming one after the other
    then says why. Python has no call for it; Linux has since 3.15, glibc since 2.28.
    """
    try:
        rename = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    done: int = rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), ctypes.c_uint(_RENAME_EXCHANGE))
    return done == 0


def take_place(new: Path, folder: Path) -> None:
    """Lets a new folder take the place of what lies at a path beside it, if anything does: that is deleted.

    Of a link only the link goes; what it leads to stays. Where the two cannot be exchanged there is a moment, between
    two renames, in which the old one has a name of its own beside it. Raises OSError, with the old one where it was.
    """
    if not os.path.lexists(folder):
        new.rename(folder)
        return
    old = new
    if not exchanged(new, folder):
        old = folder.with_name(f".{folder.name}.{uuid4().hex[:12]}.old")
        folder.rename(old)
        try:
            new.rename(folder)
        except BaseException:
            old.rename(folder)
            raise
    if old.is_symlink():
        old.unlink()
    else:
        shutil.rmtree(old, ignore_errors=True)
