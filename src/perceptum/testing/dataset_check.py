"""Whether a dataset keeps to what frames, and all that is built of them, rely on."""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from perceptum.check.doppler import Doppler
from perceptum.datasets import open_log
from perceptum.datasets.detect import ENTRY_POINTS
from perceptum.foreign import let_interrupts_pass
from perceptum.inputs import Frame, Log, LogError, NotALog
from perceptum.inputs.source import signals_of

from .differences import difference
from .record_checks import check_labels, check_lidar, check_map, check_picture, check_radar, check_transform

__all__ = ["check_dataset"]

Done = TypeVar("Done")
Arrays = dict[str, NDArray[Any]]

_SWEEPS = 2
_THREADS = 8


def check_dataset(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    most_frames: int = 5,
    cut_short: Iterable[str | os.PathLike[str]] = (),
    **options: Any,
) -> None:
    """Opens a log in which nothing is broken, and reads all records of some of its frames in several ways.

    It is found by its path alone; its frames have ids and times, all different; nothing is read before it is asked for;
    records have the columns, dtypes, shapes, units and stamps that they should, poses are finite and rigid, and Doppler
    has the sign that the motion of the car gives to what stands still; the same
    bytes come when it is opened again, read backwards, read by several threads and sent to another process. Folders
    that are not a log of any dataset are left alone.

    Args:
        path: as `open_log` takes it.
        format: the dataset's name; None: as detected, which must work with and without it.
        most_frames: how many frames are read: the first, the last, and some between.
        cut_short: files below the folder `path` (or the name of the file `path`) in which missing bytes must be
            noticed. Each is cut in a copy, near its end and in the middle, a text behind the first letter of a line;
            opening and reading that must end in a LogError that has the file's name.
        options: those of the dataset.

    Raises AssertionError that says what is wrong, and in which frame and record.
    """

    def open_again(at: str | os.PathLike[str] = path, **more: Any) -> Log:
        return open_log(at, format=format, **options, **more)

    log = _read(open_again, f"{path}: opening it")
    _check_found(path, log, options)
    picked = sorted({round(k) for k in np.linspace(0, len(log) - 1, min(most_frames, len(log)))})
    _check_lazy(log)
    doppler = Doppler(_read(lambda: log.poses, f"{path}: asking for its poses"))
    for index in picked:
        _check_frame(log[index], doppler)
    for line in doppler.lines():
        raise AssertionError(f"{path}: {line}")
    _check_bytes(log, open_again, picked)
    _check_strangers(path, log.source.dataset)
    for name in cut_short:
        _check_cut(Path(path), Path(name), open_again)


def _read(do: Callable[[], Done], what: str) -> Done:
    """Returns what `do` gives; whatever it raises fails the check, in words."""
    try:
        return do()
    # a reader of others may raise anything, SystemExit too
    except BaseException as error:
        let_interrupts_pass(error)
        if isinstance(error, AssertionError):
            raise
        raise AssertionError(f"{what} raised {type(error).__name__}: {error}") from error


def _check_found(path: str | os.PathLike[str], log: Log, options: Mapping[str, Any]) -> None:
    name = log.source.dataset
    detected = _read(lambda: open_log(path, **options), f"{path}: opening it without format={name!r}")
    if detected.source.dataset != name:
        raise AssertionError(f"{path}: opened as {detected.source.dataset} without format={name!r}")
    ids = _read(lambda: list(log.ids), f"{path}: asking for the frames' ids")
    if "" in ids:
        raise AssertionError(f"{path}: frame {ids.index('')} has an empty id")
    for what, value in (("name", log.source.name), ("location", log.source.location), ("dataset", name)):
        if not isinstance(value, str) or not value:
            raise AssertionError(f"{path}: the source's {what} must be a non-empty text, got {value!r}")
    if type(log.source.sequential) is not bool:
        raise AssertionError(f"{path}: the source's `sequential` must be True or False, got {log.source.sequential!r}")


def _check_lazy(log: Log) -> None:
    for frame in log.frames():
        _ = list(frame.cameras), list(frame.radars), frame.id, frame.time_ns
    if log.reads:
        raise AssertionError(f"{log.source.location}: {dict(log.reads)} were read by listing the frames")


def _check_frame(frame: Frame, doppler: Doppler) -> None:
    log, where = frame.log, f"{frame.log.source.location}: {frame}"
    check_transform(f"{where}: world_from_ego", _read(lambda: frame.world_from_ego, f"{where}: asking for its pose"))
    source = log.source
    for name, times in source.lidars.items():
        what = f"{where}: the sweep of {name}"
        for sweep in _read(lambda name=name: frame.sweeps(_SWEEPS, name), f"{what}: reading it"):  # type: ignore[misc]
            check_lidar(what, name, times, sweep)
    for name, times in source.radars.items():
        what = f"{where}: the cycle of {name}"
        for cycle in _read(lambda name=name: frame.radar_sweeps(_SWEEPS, name), f"{what}: reading it"):  # type: ignore[misc]
            check_radar(what, name, times, cycle)
            doppler.add(f"radar {name}", cycle)
    for name in frame.cameras:
        what = f"{where}: the picture of {name}"
        picture = _read(lambda name=name: frame.cameras[name], f"{what}: reading it")  # type: ignore[misc]
        _read(lambda picture=picture: picture.encoded, f"{what}: reading its bytes")  # type: ignore[misc]
        check_picture(what, name, source.cameras[name], picture)
        shape = _read(picture.decode, f"{what}: decoding it").shape[:2]
        if picture.size not in (None, shape):
            raise AssertionError(
                f"{what}: size is {picture.size}, the picture is {shape}; height and width, in this order"
            )
    labels = _read(lambda: frame.labels, f"{where}: reading its labels")
    if labels is not None:
        check_labels(f"{where}: its labels", frame.time_ns, labels)
    for name in log.signals:
        signal = _read(lambda name=name: log.signal(name), f"{where}: reading the signal {name}")  # type: ignore[misc]
        if signal is not None and not set(signal.measures) <= set(signals_of(source)[name]):
            raise AssertionError(
                f"{where}: the signal {name} measures {', '.join(signal.measures)}, the source's `signals` says "
                f"{', '.join(signals_of(source)[name]) or 'nothing'}"
            )
    check_map(f"{where}: the map", _read(lambda: frame.map, f"{where}: reading the map"))


def _check_bytes(log: Log, open_again: Callable[[], Log], picked: Sequence[int]) -> None:
    """The same bytes whatever was read before, by whichever thread, in whichever process."""
    where, wanted = log.source.location, [_arrays(log[index]) for index in picked]
    again = open_again()
    backwards = [_arrays(again[index]) for index in reversed(picked)][::-1]
    _compare(where, "opened again and read backwards", wanted, backwards)
    with ThreadPoolExecutor(_THREADS) as pool:
        shared = open_again()
        twice = list(pool.map(lambda index: _arrays(shared[index]), [*picked, *picked]))
    _compare(where, f"read by {_THREADS} threads", wanted, twice[: len(picked)])
    _compare(where, f"read by {_THREADS} threads", wanted, twice[len(picked) :])
    sent: Log = _read(lambda: pickle.loads(pickle.dumps(open_again())), f"{where}: sending the log to another process")
    _compare(where, "sent to another process", wanted, [_arrays(sent[index]) for index in picked])


def _arrays(frame: Frame) -> Arrays:
    """Returns all that a frame's records hold as arrays: "lidar top 17, x"."""
    records: dict[str, Any] = {f"lidar {s.sensor} {s.time_ns}": s for s in frame.sweeps(_SWEEPS)}
    records |= {f"radar {s.sensor} {s.time_ns}": s for s in frame.radar_sweeps(_SWEEPS)}
    records |= {f"camera {name}": frame.cameras[name] for name in frame.cameras}
    records |= {} if frame.labels is None else {"labels": frame.labels}
    found = {
        f"{what}, {field}": value
        for what, record in records.items()
        for field, value in vars(record).items()
        if isinstance(value, np.ndarray)
    }
    found |= {f"camera {n}, bytes": np.frombuffer(frame.cameras[n].encoded, np.uint8) for n in frame.cameras}
    for name in frame.log.signals:
        part = frame.signal(name)
        found |= {} if part is None else {f"signal {name}, {column}": rows for column, rows in part.columns.items()}
    return found | {"world_from_ego": frame.world_from_ego}


def _compare(where: str, how: str, wanted: Sequence[Arrays], found: Sequence[Arrays]) -> None:
    for one, other in zip(wanted, found, strict=True):
        if list(one) != list(other):
            raise AssertionError(
                f"{where}, {how}: a frame has {sorted(set(one) ^ set(other))} one time and not another"
            )
        for what, array in one.items():
            said = difference(other[what], array)
            if said:
                raise AssertionError(f"{where}, {how}: {what} {said}; a record must have the same bytes every time")


def _check_strangers(path: str | os.PathLike[str], dataset: str) -> None:
    """A dataset that is asked whether it knows a folder says no to what is not its own."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "notes.txt").write_text("nothing to see")
        (Path(folder) / "empty").mkdir()
        for stranger in (Path(folder) / "empty", Path(folder), Path(folder) / "notes.txt", Path(folder) / "missing"):
            what = "a folder with a text file" if stranger == Path(folder) else stranger.name
            try:
                recognised = _recognised(dataset, stranger)
            # whatever the code of others raises
            except (Exception, SystemExit) as error:
                let_interrupts_pass(error)
                raise AssertionError(
                    f"{dataset}: recognises() raised {type(error).__name__}: {error}, asked for {what}; it must say "
                    "False to what is not a log, and look at names of files only"
                ) from error
            if recognised:
                raise AssertionError(f"{dataset}: recognises() says True to {what}, which is not a log")


def _recognised(dataset: str, path: Path) -> bool:
    for entry in metadata.entry_points(group=ENTRY_POINTS, name=dataset):
        return bool(entry.load().recognises(path))
    try:
        open_log(path)
    except NotALog:
        return False
    return True


def _cuts(whole: bytes) -> tuple[int, int]:
    """Returns how many bytes of a file are kept: nearly all, and half.

    Of a text a line is cut behind its first letter: without its last newline it is as good, and a number without its
    last digit is another number.
    """
    if not _is_text(whole):
        # not where a record of even size may end
        return len(whole) - 1, len(whole) // 2 | 1
    last, half = whole.rstrip(), whole[: len(whole) // 2]
    return last.rfind(b"\n") + 2, half.rfind(b"\n") + 2


def _is_text(whole: bytes) -> bool:
    try:
        return whole.endswith(b"\n") and "".join(whole.decode().split()).isprintable()
    except UnicodeDecodeError:
        return False


def _check_cut(path: Path, name: Path, open_again: Callable[[Path], Log]) -> None:
    """path: the log's folder, or its only file. name: a file below the folder, or that file."""
    inside = "" if path.is_file() else name
    whole = (path / inside).read_bytes()
    for kept in _cuts(whole):
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / path.name
            shutil.copy(path, copy) if path.is_file() else shutil.copytree(path, copy)
            (copy / inside).write_bytes(whole[:kept])
            what = f"{name} cut to {kept} of {len(whole)} bytes"
            try:
                log = open_again(copy)
                for frame in log:
                    _arrays(frame)
                _ = log.map
            except LogError as error:
                let_interrupts_pass(error)
                if name.name not in str(error):
                    raise AssertionError(f"{what}: the error does not name the file: {error}") from error
                continue
            # whatever else the code of others raises
            except (Exception, SystemExit) as error:
                let_interrupts_pass(error)
                raise AssertionError(f"{what}: raised {type(error).__name__}: {error}, wanted a LogError") from error
            raise AssertionError(f"{what}: was read as if it were complete, wanted perceptum.inputs.BrokenRecord")
