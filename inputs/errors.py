"""What can be wrong with a log. All are ValueErrors; `LogError` catches them all."""

__all__ = ["BrokenRecord", "LogError", "MissingRecord", "NotALog", "PoseUnknown"]


class LogError(ValueError):
    """Something about a log is wrong; the message names the file or record, on one line.

    Names out of broken files may hold anything: what is not printable is escaped, here for all of them.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message if message.isprintable() else "".join(map(_printable, message)))


class NotALog(LogError):
    """The path is no log of a format we know."""


class BrokenRecord(LogError):
    """A record is there but cannot be read: cut short, wrong magic, impossible values."""


class MissingRecord(LogError):
    """A record that was asked for is not in the log."""


class PoseUnknown(LogError):
    """A pose was asked for at a time outside the recorded span, or inside a gap."""


def _printable(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
