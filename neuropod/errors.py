"""What can be wrong with a package, an input or a model's answer: one class, as both of Uber's were expected."""

__all__ = ["MoreThanData", "NeuropodError", "NotTrusted"]


class NeuropodError(ValueError, RuntimeError):
    """A package, an input, an output or a model's own code is at fault; the message names it.

    Uber's Python code raised ValueError, its native code RuntimeError: who catches either catches this.
    """


class MoreThanData(NeuropodError):
    """A model of a platform that is data would do more than compute: it is code, for those who trust it."""


class NotTrusted(NeuropodError):
    """A package is code, and may not run here."""
