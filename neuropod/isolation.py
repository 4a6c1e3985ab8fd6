"""Whether models run in processes of their own where nobody says: PERCEPTUM_ISOLATE decides, at every door.

| PERCEPTUM_ISOLATE | a door that is not told |
|---|---|
| not set, 0 | in this process |
| 1 | in a worker, as with isolate=True |
| sandbox | as with isolate="sandbox" |
"""

from __future__ import annotations

import os

from .errors import NeuropodError

__all__ = ["SETTING", "default_isolation"]

SETTING = "PERCEPTUM_ISOLATE"
_VALUES: dict[str, bool | str] = {"": False, "0": False, "1": True, "sandbox": "sandbox"}


def default_isolation() -> bool | str:
    """Returns what `isolate` is where it is not given. Raises NeuropodError for a value that means nothing."""
    value = os.environ.get(SETTING, "").strip().lower()
    if value not in _VALUES:
        raise NeuropodError(f"{SETTING} must be 0, 1 or sandbox, got '{value}'")
    return _VALUES[value]
