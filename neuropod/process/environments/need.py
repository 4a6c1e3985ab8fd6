"""What a package needs of the Python that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...errors import NeuropodError
from ...frameworks.versions import check_range, for_pip, plain, satisfies
from ...package.config import Config
from ...package.requirements import is_pinned, read_pins
from .installed import canonical_name

__all__ = ["Fit", "Need"]

# platform -> the distributions that bring its framework, the usual one first
_DISTRIBUTIONS = {
    "jax": ("jax",),
    "onnx": ("onnxruntime", "onnxruntime-gpu"),
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-gpu"),
    "torch_export": ("torch",),
    "torchscript": ("torch",),
}
_CODE = ("python", "pytorch")

# the first versions that work with numpy 2, of those whose wheels do not say so
_TAKES_NUMPY_2 = {"torch": "2.3.0", "onnxruntime": "1.19.0"}


@dataclass(frozen=True)
class Fit:
    """How an environment fits a need."""

    has: str
    """What of the framework it has, for messages: "torch 2.1.0", "no torch"."""
    has_framework: bool
    version: tuple[int, ...] | None
    """The framework's, or Python's; None where it does not do."""
    missing: tuple[str, ...] = ()
    """Locked packages that it does not have."""
    others: tuple[tuple[str, str, str], ...] = ()
    """Locked packages of which it has another version: name, the locked one, the one that is there."""

    @property
    def runs(self) -> bool:
        return self.version is not None and not self.missing

    @property
    def is_exact(self) -> bool:
        return self.runs and not self.others


@dataclass(frozen=True)
class Need:
    """A range of versions of a framework, or of Python, and exact versions of packages."""

    platform: str
    versions: str = "*"
    """As npm writes ranges."""
    pins: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, config: Config, lock: str | None) -> Need:
        """lock: the text of the package's requirements.lock. Raises NeuropodError where one of them makes no sense."""
        check_range(config.platform_version_semver)
        pins = read_pins(lock) if lock is not None and config.platform in _CODE else []
        return cls(config.platform, config.platform_version_semver, tuple(pins))

    def __str__(self) -> str:
        parts = [] if self.versions == "*" else [f"{self.what} '{self.versions}'"]
        parts += [f"{name} {version}" for name, version in self.pins]
        return ", ".join(parts) or self.what

    @property
    def what(self) -> str:
        """What its range is about: the name of a distribution, or "Python"."""
        return "Python" if self.platform in _CODE else _DISTRIBUTIONS.get(self.platform, (self.platform,))[0]

    def fit(self, python: str, packages: Mapping[str, str]) -> Fit:
        """Returns how an environment of that Python fits, with what is installed in it: canonical name -> version."""
        found = python if self.platform in _CODE else self._framework(packages)
        has = f"no {self.what}" if found is None else f"{self.what} {found}"
        there = {name: packages.get(canonical_name(name)) for name, _ in self.pins}
        return Fit(
            has=has,
            has_framework=found is not None,
            version=None if found is None else self._numbers(found),
            missing=tuple(f"{name} {version}" for name, version in self.pins if there[name] is None),
            others=tuple(
                (name, version, other)
                for name, version in self.pins
                if (other := there[name]) is not None and not is_pinned(other, version)
            ),
        )

    def _numbers(self, version: str) -> tuple[int, ...] | None:
        """Returns a version's numbers where it is in the range, else None. Any range takes versions of any form."""
        try:
            numbers = tuple(map(int, plain(version).split(".")))
        except NeuropodError:
            return () if self.versions == "*" else None
        return numbers if satisfies(version, self.versions) else None

    def _framework(self, packages: Mapping[str, str]) -> str | None:
        names = _DISTRIBUTIONS.get(self.platform, (self.platform,))
        return next((packages[name] for name in names if name in packages), None)

    def requirements(self) -> list[str]:
        """Returns what pip has to install for it: the pins, the framework where no pin says it, and numpy."""
        pinned = {canonical_name(name) for name, _ in self.pins}
        wanted = [f"{name}=={version}" for name, version in self.pins]
        names = _DISTRIBUTIONS.get(self.platform, ())
        if names and pinned.isdisjoint(names):
            wanted.append(f"{names[0]}{for_pip(self.versions)}")
        if "numpy" not in pinned:
            wanted.append("numpy<2" if self._is_before_numpy_2() else "numpy")
        return wanted

    def _is_before_numpy_2(self) -> bool:
        """Returns whether every version in the range is older than numpy 2, and its wheels do not say so."""
        first = _TAKES_NUMPY_2.get(self.what)
        return first is not None and _ends_before(for_pip(self.versions), first)


def _ends_before(specifiers: str, version: str) -> bool:
    """Returns whether a range of pip's, such as ">=1.4.0,<2.0.0", ends before a version."""
    limit = [int(number) for number in version.split(".")]
    for text in specifiers.split(","):
        operator = text[: len(text) - len(text.lstrip("<>="))]
        if operator in ("==", "<", "<="):
            bound = [int(number) for number in plain(text.removeprefix(operator)).split(".")]
            if bound < limit or (operator == "<" and bound == limit):
                return True
    return False
