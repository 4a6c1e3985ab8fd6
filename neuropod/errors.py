"""What can be wrong with a package, an input or a model's answer: one class, as both of Uber's were expected."""

import re

__all__ = ["MoreThanData", "NeuropodError", "NotTrusted", "first_line"]


class NeuropodError(ValueError, RuntimeError):
    """A package, an input, an output or a model's own code is at fault; the message names it.

    Uber's Python code raised ValueError, its native code RuntimeError: who catches either catches this.
    """


class MoreThanData(NeuropodError):
    """A model of a platform that is data would do more than compute: it is code, for those who trust it."""


class NotTrusted(NeuropodError):
    """A package is code, and may not run here."""


def first_line(error: BaseException) -> str:
    """Returns an error's kind and the first line of its text: frameworks write pages."""
    kind = type(error).__name__
    lines = str(error).strip().splitlines()
    if lines and lines[0].startswith("The following operation failed in the TorchScript interpreter"):
        # where comes first, with pieces of code, then what
        what = [number for number, line in enumerate(lines) if re.match(r"[\w.]+(Error|Exception): ", line)]
        lines = lines[what[-1] if what else 0 :]
    return f"{kind}: {lines[0].removeprefix(f'{kind}: ')}" if lines else kind
