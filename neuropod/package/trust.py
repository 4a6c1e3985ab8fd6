"""Whether a package that is code may run here. PERCEPTUM_TRUST decides for the whole process, or leaves it to the door.

| PERCEPTUM_TRUST | the front door | the old-style door |
|---|---|---|
| not set | asks: trust=True | trusts, as Uber's library did |
| never | refuses | refuses |
| ask | asks: trust=True | refuses, for it cannot be asked |
| always | trusts | trusts |
"""

from __future__ import annotations

import os
from enum import StrEnum

from ..errors import NeuropodError, NotTrusted

__all__ = ["SETTING", "Trust", "check_trust"]

SETTING = "PERCEPTUM_TRUST"
_LEVELS = ("never", "ask", "always")


class Trust(StrEnum):
    """What the caller said."""

    GIVEN = "given"
    """trust=True."""
    NOT_GIVEN = "not given"
    IMPLIED = "implied"
    """By the old-style door, which has no such keyword."""


def check_trust(what: str, trust: Trust) -> None:
    """Raises NotTrusted unless code may run; `what` says why the package is code."""
    level = _level()
    if level == "always":
        return
    code = f"this package is code ({what}) and can do anything that you can; "
    if level == "never":
        raise NotTrusted(f"{code}{SETTING}=never forbids such packages in this process")
    if trust is Trust.NOT_GIVEN:
        raise NotTrusted(
            f"{code}if you trust who made it, load it with trust=True (on the command line: --trust); "
            "if not, with isolate='sandbox' (perceptum infer --sandbox)"
        )
    if trust is Trust.IMPLIED and level == "ask":
        raise NotTrusted(
            f"{code}{SETTING}=ask: if you trust who made it, load it with perceptum.load_neuropod(path, trust=True)"
        )


def _level() -> str | None:
    level = os.environ.get(SETTING, "").strip().lower()
    if level and level not in _LEVELS:
        raise NeuropodError(f"{SETTING} must be {', '.join(_LEVELS[:-1])} or {_LEVELS[-1]}, got '{level}'")
    return level or None
