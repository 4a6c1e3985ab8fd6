"""What can be wrong with a log. All are ValueErrors; `LogError` catches them all."""

__all__ = ["BrokenRecord", "LogError", "MissingRecord", "NotALog", "PoseUnknown"]


class LogError(ValueError):
    """Something about a log is wrong; the message names the file or record."""


class NotALog(LogError):
    """The path is no log of a format we know."""


class BrokenRecord(LogError):
    """A record is there but cannot be read: cut short, wrong magic, impossible values."""


class MissingRecord(LogError):
    """A record that was asked for is not in the log."""


class PoseUnknown(LogError):
    """A pose was asked for at a time outside the recorded span, or inside a gap."""
