"""What can be wrong with a package, an input or a model's answer: one class, as both of Uber's were expected."""

__all__ = ["MoreThanData", "NeuropodError", "first_line"]


class NeuropodError(ValueError, RuntimeError):
    """A package, an input, an output or a model's own code is at fault; the message names it.

    Uber's Python code raised ValueError, its native code RuntimeError: who catches either catches this.
    """


class MoreThanData(NeuropodError):
    """A model of a platform that is data would do more than compute: it is code, for those who trust it."""


def first_line(error: BaseException) -> str:
    """Returns an error's kind and the first line of its text: frameworks write pages."""
    kind = type(error).__name__
    text = str(error)
    if text.startswith("The following operation failed in the TorchScript interpreter"):
        text = text.rpartition("<--- HERE\n")[2]  # where comes first, then what
    lines = text.strip().splitlines()
    return f"{kind}: {lines[0].removeprefix(f'{kind}: ')}" if lines else kind
