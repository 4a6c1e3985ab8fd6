"""Importing a package's modules from what its manifest vouches for: sources and extensions, never byte code."""

from __future__ import annotations

import importlib.machinery
from types import CodeType

__all__ = ["LOADERS", "SourceLoader"]


class SourceLoader(importlib.machinery.SourceFileLoader):
    """Runs the source, never byte code beside it, and writes none."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


LOADERS = (
    (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES),
    (SourceLoader, importlib.machinery.SOURCE_SUFFIXES),
)
"""What importlib.machinery.FileFinder takes."""
