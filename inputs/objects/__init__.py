"""Labelled objects that were cut out of logs, with their points, to be pasted into other frames."""

from .cut import CutObject
from .database import ObjectDatabase
from .writer import ObjectWriter

__all__ = ["CutObject", "ObjectDatabase", "ObjectWriter"]
