"""What a path is that was named, a log, a package or a model that is not packed, where another was wanted."""

from __future__ import annotations

from pathlib import Path

from perceptum.errors import UsageError

__all__ = ["check_no_other", "check_there", "is_a_package"]


def check_there(package: Path) -> None:
    """Raises UsageError where there is no package of that name, but nothing, a log, or what a framework saved."""
    if not package.exists():
        raise UsageError(f"{package}: no such file or folder")
    check_no_other(package, "a package")


def check_no_other(path: Path, wanted: str) -> None:
    """Raises UsageError that says what a path is, where that is a log or a model that is not packed yet."""
    from perceptum.model_files import is_saved_model

    if not (is_saved_model(path) or path.is_dir()) or _is_package(path):
        return
    if is_saved_model(path):
        raise UsageError(
            f"{path}: this is a model as a framework saves it, wanted {wanted}; "
            f"make one first: perceptum pack {path} {path.stem}.neuropod --spec JSON"
        )
    dataset = _dataset_of(path)
    if dataset is not None:
        example = "infer LOG MODEL" if wanted == "a package" else "build LOG SPEC"
        raise UsageError(
            f"{path}: this is a log ({dataset}), wanted {wanted}; a log comes first, as in perceptum {example}"
        )


def is_a_package(log: str) -> UsageError | None:
    """Returns what to say where a package was named in place of a log; None where it is none."""
    if not _is_package(Path(log)):
        return None
    return UsageError(
        f"{log}: this is a package, wanted a log, which comes before it; "
        f"`perceptum inspect {log}` shows what is in a package"
    )


def _is_package(path: Path) -> bool:
    from perceptum.neuropod import NeuropodError
    from perceptum.neuropod.package.package import open_package

    if not path.exists():
        return False
    try:
        open_package(path).files.close()
        return True
    except NeuropodError:
        return False


def _dataset_of(path: Path) -> str | None:
    from perceptum.datasets import open_log
    from perceptum.inputs import LogError

    try:
        return open_log(path).source.dataset
    except LogError:
        return None
