"""The build hook: a wheel takes the five folders at the repository's top as perceptum's own.

A checkout reaches them by links under src/perceptum; a wheel, and an archive without links, must not.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDERS = ("features", "inputs", "datasets", "builders", "neuropod")


class FoldersHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the folders to a wheel, and nothing to an editable install, which goes through the links."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard" and self.target_name == "wheel":
            for folder in FOLDERS:
                build_data["force_include"][folder] = f"perceptum/{folder}"
