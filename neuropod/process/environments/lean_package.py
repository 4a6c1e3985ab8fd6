"""A package as a lean runner wants it: with its TorchScript archive in a form that its torch reads."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

from ...backends.torchscript import MODEL
from ...backends.torchscript.archive import is_old, rewrite
from ...package.archive import FolderFiles
from ...package.package import Package
from ...package.tied_folder import TiedFolder

__all__ = ["lean_package"]

# torch from here on refuses the archives of before 1.3, which it could read until then
_REFUSED_FROM = (1, 11)


class _Copied(FolderFiles):
    """A copy of a package that is deleted when it is closed."""

    is_temporary = True

    def __init__(self, copy: TiedFolder) -> None:
        super().__init__(copy.path)
        self._copy = copy

    def close(self) -> None:
        self._copy.close()


def lean_package(package: Package, torch_version: str | None) -> Package:
    """Returns the package itself, or one whose files are a copy with another archive; the first is closed then.

    torch_version: that of the worker's environment, None where it has none. Raises NeuropodError for an old archive
    that cannot be written in today's form.
    """
    if package.config.platform != "torchscript" or not package.has(MODEL) or not _refuses_old(torch_version):
        return package
    folder = package.files.folder("")
    if not is_old(folder / MODEL):
        return package
    copy = TiedFolder()
    try:
        for name in package.files.names:
            target = copy.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if name == MODEL:
                target.write_bytes(rewrite(package.read(name)))
            else:
                shutil.copyfile(folder / name, target)
        copied = replace(package, files=_Copied(copy))
    except BaseException:
        copy.close()
        raise
    package.files.close()
    return copied


def _refuses_old(torch_version: str | None) -> bool:
    found = re.match(r"(\d+)\.(\d+)", torch_version or "")
    return found is not None and (int(found[1]), int(found[2])) >= _REFUSED_FROM
