"""Objects of other frames, pasted into training samples."""

from .option import Paste

__all__ = ["Paste"]
