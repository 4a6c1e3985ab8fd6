"""What can be wrong with a package, an input or a model's answer: one class, as both of Uber's were expected."""

from __future__ import annotations

__all__ = ["MoreThanData", "NeuropodError", "NotAPackage", "NotTrusted", "WorkerError"]


class NeuropodError(ValueError, RuntimeError):
    """A package, an input, an output or a model's own code is at fault; the message names it.

    Uber's Python code raised ValueError, its native code RuntimeError: who catches either catches this.
    """


class MoreThanData(NeuropodError):
    """A model of a platform that is data would do more than compute: it is code, for those who trust it."""


class NotAPackage(NeuropodError):
    """The path is not a package: nothing is there, or a file or folder of another kind."""


class NotTrusted(NeuropodError):
    """A package is code, and may not run here."""


class WorkerError(NeuropodError):
    """A model's worker process did not answer: it could not start, it ended, or it took too long.

    What the caller gave is untouched, and so are the outputs of earlier calls.
    """

    reason: str
    """"start", "died", "timeout" or "garbage"."""
    exit_status: int | None
    """Of the process, negative for a signal; None where it did not end by itself, or where nobody can know: this
    program waits for all its children, or ignores SIGCHLD."""
    exit_signal: str | None
    """The name of the signal that ended it, "SIGSEGV"."""
    stderr: tuple[str, ...]
    """The last lines that it wrote."""

    was_taken: bool = True
    """Whether the worker may have begun with the call; False: it had ended before."""

    def __init__(
        self,
        message: str,
        reason: str = "died",
        exit_status: int | None = None,
        exit_signal: str | None = None,
        stderr: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.exit_status = exit_status
        self.exit_signal = exit_signal
        self.stderr = stderr

    def reworded(self, message: str) -> WorkerError:
        """Returns the same in other words: several calls may be told of one worker, and each adds its own."""
        error = WorkerError(message, self.reason, self.exit_status, self.exit_signal, self.stderr)
        error.was_taken = self.was_taken
        return error
