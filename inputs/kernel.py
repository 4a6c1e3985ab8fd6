"""How a counting function is compiled: without the GIL, without fast-math, which would change bytes; kept on disk.

Imports numba: only modules of kernels import this one, and only functions import those.
"""

from __future__ import annotations

import fcntl
import gc
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import EnumType
from functools import cache
from pathlib import Path
from time import monotonic, sleep
from types import CodeType, ModuleType
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

import numpy as np

from .compiling import say_compiling
from .first_calls import COMPILING, LOADING, Kind, first_call
from .kernel_folder import kernel_folder
from .once import once

# the compiler itself, which takes longest of all where a first frame is what imports it; and what numba imports when it
# first looks at an array, in which Python may collect all garbage: 90 ms of a first frame beside torch
with first_call([LOADING]):
    import numba
    import numpy.ma
    from numba.core.caching import CompileResultCacheImpl, FunctionCache, NullCache
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.extending import _Intrinsic

__all__ = ["inner", "kernel"]

Function = TypeVar("Function", bound=Callable[..., Any])

_numba_config: Any = numba.config
# without the door by which C finds a kernel: nobody knocks there, and making it takes time. The door for Python stays,
# also of inner functions: a call without it ends the process
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
_LONGEST_WAIT_S = 10.0
"""For another process that reads or writes what is kept: milliseconds each."""
_LONGEST_COMPILING_S = 60.0
"""For another process that compiles the same kernel: up to 20 s each on two busy cores."""


def kernel(function: Function) -> Function:
    """Compiles a counting function when it is first called: arrays and numbers in, `out` last.

    What was compiled is kept for the next process, where `kernel_folder` says; where nothing can be written, each
    process compiles for itself.
    """
    # a module of kernels may be imported by the first frame that is read
    with first_call([LOADING]):
        compiled: Any = numba.njit(**_OPTIONS)(function)
    # with NUMBA_DISABLE_JIT it is the function itself
    if hasattr(compiled, "py_func"):
        # numba's cache=True puts its FunctionCache there
        compiled._cache = kept = _Kept(function)
        # what numba calls where it has no code yet for the arguments' types
        compiled._compile_for_args = _noted(compiled._compile_for_args, kept)
        # and what that calls, and another kernel's compilation that has this one inside
        compiled.compile = _one_process_at_a_time(compiled.compile, kept)
    return cast(Function, compiled)


def _noted(find_code: Callable[..., Any], kept: _Kept) -> Callable[..., Any]:
    """Notes how long a call waits for its code: it is loaded, unless it is given to be kept meanwhile."""

    def find_noted(*args: Any, **kwargs: Any) -> Any:
        compiled, kinds = kept.compiled, list[Kind]([LOADING])
        with first_call(kinds):
            try:
                return find_code(*args, **kwargs)
            finally:
                if kept.compiled != compiled:
                    kinds.append(COMPILING)

    return find_noted


def _one_process_at_a_time(compile_for: Callable[[Any], Any], kept: _Kept) -> Callable[[Any], Any]:
    """Lets go, at the end, of the lock that `kept` takes where it finds that there is something to compile.

    Python collects no garbage meanwhile, which took a seventh of the time, and more beside a framework: the compiler
    makes objects by the million, most of which it keeps until it is done.
    """

    def compile_alone(signature: Any) -> Any:
        # numba's lock first: so one thread of a process at a time waits for others' files, a kernel before those that
        # it calls, and no circle of waiting can close; and nobody forks while one of these locks is held
        with global_compiler_lock:
            outermost, collects = kept.lock is None, gc.isenabled()
            gc.disable()
            try:
                return compile_for(signature)
            finally:
                if collects:
                    gc.enable()
                if outermost:
                    kept.let_go()

    return compile_alone


def inner(function: Function) -> Function:
    """Compiles what kernels call for every point into each of them.

    A call that is not inlined hands over dozens of values where there are arrays: gathering 160 000 points took 3.3 ms
    with one for each, 0.2 without. The compiler decides by size and by the number of callers if it is not told. And not
    cached: what numba takes from its cache is finished machine code, which cannot be inlined.
    """
    return cast(Function, numba.njit(**_OPTIONS, forceinline=True)(function))


class _Kept(NullCache):  # type: ignore[misc, unused-ignore]
    """What numba asks for a function's compiled code, and gives it to. It never fails: what cannot be kept is not.

    numba's own way, `cache=True`, raises where no folder can be written; processes that compile one function for
    different types at the same time can take each other's file for their own, and call the wrong code; and a kernel is
    not compiled again when another file's kernel or constant that went into it has changed.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.compiled = 0
        """How often it was compiled in this process, or in another that this one waited for."""
        self.lock: int | None = None
        """The open file that keeps other processes from compiling it, while this one does."""
        # for the file as it is imported: by the first call it may have been edited
        _sources[function] = _digest(function.__code__.co_filename)

    @once
    def _files(self) -> Any:
        """numba's own cache of the function; None where nothing can be kept."""
        # when it is first called: what it calls, further down in the file, is there then
        try:
            return _Files(self._function)  # type: ignore[no-untyped-call, unused-ignore]
        except (OSError, RuntimeError):
            return None

    @property
    def cache_path(self) -> str | None:
        return None if self._files is None else str(self._files.cache_path)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        found = self._load(sig, target_context)
        # it will be compiled: whoever is at it already, in another process, is waited for. A kernel that calls itself
        # with other types comes here a second time
        if found is None and self._files is not None and self.lock is None:
            self.lock = _open_lock(self._files.cache_path, self._files.lock_name)
            if self.lock is not None and _wait_for(self.lock, _LONGEST_COMPILING_S, look_every_s=0.02):
                self.compiled += 1
                found = self._load(sig, target_context)
        if found is None:
            say_compiling(self.cache_path)
        return found

    def let_go(self) -> None:
        """Lets other processes compile it."""
        lock, self.lock = self.lock, None
        if lock is not None:
            _unlock(lock)

    def _load(self, sig: Any, target_context: Any) -> Any:
        if self._files is None:
            return None
        with _locked(self._files.cache_path):
            try:
                return self._files.load_overload(sig, target_context)
            # a pickle that is cut short or damaged may raise anything
            except Exception:
                self._flush()
                return None

    def save_overload(self, sig: Any, data: Any) -> None:
        self.compiled += 1
        if self._files is not None:
            # the disk may be full, the folder gone, or what lies there damaged and not ours to replace
            with suppress(Exception), _locked(self._files.cache_path):
                self._files.save_overload(sig, data)

    def flush(self) -> None:
        if self._files is not None:
            with _locked(self._files.cache_path):
                self._flush()

    def _flush(self) -> None:
        with suppress(OSError):
            self._files.flush()


class _Place:
    """As one of numba's locators: where a function's files are kept, and what they must have been made of."""

    def __init__(self, function: Any, source: str, folder: Path) -> None:
        self._py_file = source
        self._function, self._folder = function, folder

    @classmethod
    def from_function(cls, function: Any, source: str) -> _Place | None:
        folder = kernel_folder(Path(os.path.abspath(source)).parent, str(_numba_config.CACHE_DIR or ""))
        return None if folder is None else cls(function, source, folder)

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        made_of = {_HOW, *_made_of(self._function, set())}
        return hashlib.sha256("\n".join(sorted(made_of)).encode()).hexdigest()

    def get_disambiguator(self) -> str:
        return str(self._function.__code__.co_firstlineno)

    def ensure_cache_path(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)


class _Impl(CompileResultCacheImpl):  # type: ignore[misc, unused-ignore]
    _locator_classes: list[Any] = [_Place]  # noqa: RUF012


class _Files(FunctionCache):  # type: ignore[misc, unused-ignore]
    _impl_class = _Impl

    @property
    def lock_name(self) -> str:
        return f".{self._impl.filename_base}.compiling"


def _made_of(function: Any, seen: set[Any]) -> Iterator[str]:
    """Yields the file of a kernel, its constants, and the same of all kernels that it calls: it has them inside.

    And the files of the intrinsics that it calls, functions that write its code.
    """
    if function in seen:
        return
    seen.add(function)
    yield _sources.get(function) or _digest(function.__code__.co_filename)
    names = set(_names(function.__code__))
    values = {name: function.__globals__[name] for name in names if name in function.__globals__}
    for module in [value for value in values.values() if isinstance(value, ModuleType)]:
        values |= {f"{module.__name__}.{name}": getattr(module, name) for name in names if hasattr(module, name)}
    for name, value in values.items():
        if hasattr(value, "py_func"):
            yield from _made_of(value.py_func, seen)
        elif isinstance(value, _Intrinsic):
            yield _digest(value._defn.__code__.co_filename)
        elif isinstance(value, np.ndarray):
            yield f"{name} = {value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
        elif isinstance(value, EnumType):
            yield f"{name} = {dict(value.__members__)!r}"
        elif isinstance(value, int | float | complex | str | bytes | tuple | np.generic):
            yield f"{name} = {value!r}"


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def _digest(path: str) -> str:
    """The digest of a file as it is now; for one that cannot be read, as within an archive, that of nothing."""
    try:
        status = os.stat(path)
        return _digest_then(path, status.st_mtime_ns, status.st_size)
    except OSError:
        return hashlib.sha256().hexdigest()


@cache
def _digest_then(path: str, time_ns: int, size: int) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


# a process that forks while another of its threads compiles, or loads, would leave numba's lock closed in the child for
# ever, and LLVM half way: it waits, as a thread that compiles waits
os.register_at_fork(
    before=global_compiler_lock.acquire,
    after_in_parent=global_compiler_lock.release,
    after_in_child=global_compiler_lock.release,
)

# how a kernel is compiled is said here
_HOW = _digest(__file__)
# kernel -> the digest of its file when it was imported
_sources: WeakKeyDictionary[Callable[..., Any], str] = WeakKeyDictionary()


@contextmanager
def _locked(folder: Any) -> Iterator[None]:
    """Holds off other processes while files are read or written; where the file system has no locks, it does not."""
    lock = _open_lock(folder, ".kernels.lock")
    if lock is not None:
        _wait_for(lock, _LONGEST_WAIT_S, look_every_s=0.002)
    try:
        yield
    finally:
        if lock is not None:
            _unlock(lock)


def _open_lock(folder: Any, name: str) -> int | None:
    try:
        return os.open(os.path.join(folder, name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None


def _unlock(lock: int) -> None:
    with suppress(OSError):
        # not by closing it alone: a process forked meanwhile has it open too
        fcntl.flock(lock, fcntl.LOCK_UN)
    os.close(lock)


def _wait_for(lock: int, longest_s: float, look_every_s: float) -> bool:
    """Takes the lock, and returns whether somebody else had it.

    After the longest time it goes on without: the holder may have been stopped, and others must not wait forever.
    """
    waited, until = False, monotonic() + longest_s
    while monotonic() < until:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            waited = True
            sleep(look_every_s)
        # the file system has no locks
        except OSError:
            break
    return waited
