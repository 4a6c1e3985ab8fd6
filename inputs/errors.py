"""What can be wrong with a log. All are ValueErrors; `LogError` catches them all."""

from __future__ import annotations

__all__ = ["BadOption", "BrokenRecord", "LogError", "MissingRecord", "NotALog", "PoseUnknown"]


class LogError(ValueError):
    """Something about a log is wrong; the message names the file or record, on one line.

    Names out of broken files may hold anything: what is not printable is escaped, here for all of them.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message if message.isprintable() else "".join(map(_printable, message)))


class NotALog(LogError):
    """The path is not a log of a format we know."""


class BadOption(NotALog):
    """An option of a dataset is not one, has a value that cannot be, or is missing."""

    def __init__(self, said: str, hint: str = "", typed_hint: str = "") -> None:
        """`hint` is spelled as in Python; `typed_hint` as on the command line, where {log} stands for the log."""
        super().__init__(f"{said}; {hint}" if hint else said)
        self.said = said
        self.typed_hint = typed_hint

    @classmethod
    def of(cls, said: str, does: str, option: str, value: str) -> BadOption:
        """`does` with an option of that value: "say which with" scene='scene-0061'."""
        return cls(said, f"{does} {option}='{value}'", f"{does} {{log}}:{option}={value}")

    def typed(self, log: str) -> str:
        """Returns the message for who typed the log's path on a command line."""
        return f"{self.said}; {self.typed_hint.replace('{log}', log)}" if self.typed_hint else str(self)

    def __reduce__(self) -> tuple[object, ...]:
        # made again from three parts, where an error is from its text alone
        return _again, (str(self), self.said, self.typed_hint)


def _again(text: str, said: str, typed_hint: str) -> BadOption:
    error = BadOption(text)
    error.said, error.typed_hint = said, typed_hint
    return error


class BrokenRecord(LogError):
    """A record is there but cannot be read: cut short, wrong magic, impossible values."""


class MissingRecord(LogError):
    """A record that was asked for is not in the log."""


class PoseUnknown(LogError):
    """A pose was asked for at a time outside the recorded span, or inside a gap."""


def _printable(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
