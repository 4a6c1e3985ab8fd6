"""What can be wrong with a package, an input or a model's answer: one class, as both of Uber's were expected."""

__all__ = ["NeuropodError", "first_line"]


class NeuropodError(ValueError, RuntimeError):
    """A package, an input, an output or a model's own code is at fault; the message names it.

    Uber's Python code raised ValueError, its native code RuntimeError: who catches either catches this.
    """


def first_line(error: BaseException) -> str:
    """Returns an error's kind and the first line of its text: frameworks write pages."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
