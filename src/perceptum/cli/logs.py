"""Commands about logs: info, convert, check."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from perceptum.errors import NotALog
from perceptum.inputs import Dataset
from perceptum.plural import counted

from .arguments import LogPath, OfSplit, OnBroken, OnError
from .opening import check_named, open_any, place_of_one, typed
from .output import Json, print_json, print_table, say, tell_skipped, track

__all__ = ["add_to"]


_KINDS = ("lidars", "radars", "cameras")

_OF_SENSORS = (
    "gaps: how often records are more than 1.75 times the usual step apart\n"
    "dropped: records that would fill the gaps; points: of a usual record, the median of three"
)
_OF_CAMERAS = (
    "size: width x height that a camera is calibrated for\nlens: its distortion, none where pictures are undistorted"
)
_IN_A_LINE = 3
_OF_SIGNALS = "left_out: messages that are broken; measures: what of it the vehicle's motion can be made of"
_MEANINGS: Mapping[tuple[str, str], str] = {
    ("log", "first_id"): "the dataset's name of the first frame",
    ("log", "last_id"): "the dataset's name of the last frame",
    ("log", "start_ns"): "the first frame's time, nanoseconds",
    ("log", "duration_s"): "from the first frame to the last",
    ("log", "sequential"): "whether the frames follow each other, as a drive",
    ("log", "skipped"): "broken records that are left out so far",
    ("log", "size_bytes"): "of all files in the log's folder",
    ("poses", "records"): "where the vehicle was, at so many times",
    ("poses", "start_ns"): "the first pose's time, nanoseconds",
    ("poses", "duration_s"): "from the first pose to the last",
    ("poses", "gaps"): "where the next pose comes too late to say more",
    ("poses", "broken"): "poses that cannot be read, beside which none is given",
    ("poses", "path_m"): "the way that was driven",
    ("map", "layers"): "the shapes of each layer",
    ("map", "lanes"): "in the graph of lanes",
    ("map", "ground"): "rows x columns of the raster of ground heights",
    ("map", "unread"): "what the map's files hold besides, and is not read",
    ("labels", "frames_looked_at"): "spread over the log",
    ("labels", "frames_labelled"): "of those looked at",
    ("labels", "boxes"): "of each class in those frames",
    ("labels", "boxes_per_frame"): "of those that are labelled, the mean",
    ("point_labels", "classes"): "of single points, in the order of their codes",
    ("store", "converted_from"): "the log that was converted",
    ("store", "lossy"): "what lost digits",
    ("store", "skipped_records"): "records that could not be converted",
    ("store", "skipped"): "which those are",
}


class Compression(StrEnum):
    none = "none"
    lz4 = "lz4"
    zstd = "zstd"


def add_to(app: typer.Typer) -> None:
    app.command()(info)
    app.command()(convert)
    app.command()(check)


def info(log: LogPath, split: OfSplit = None, json: Json = False) -> None:
    """Show what a log holds: sensors, rates, gaps, signals, map layers, label classes; or which logs a dataset has."""
    from perceptum.info import describe

    one = open_any(log, split)
    if isinstance(one, Dataset):
        _list_logs(one, json)
        return
    found = describe(one)
    if json:
        print_json(found)
        return
    plain = {key: value for key, value in found.items() if not isinstance(value, dict | list)}
    print_table([_explained("log", key, found["name"], value) for key, value in plain.items()])
    sensors = {name: (kind, values) for kind in _KINDS for name, values in found[kind].items()}
    if sensors:
        print_table([{"sensor": name, "kind": kind[:-1], **_short(values)} for name, (kind, values) in sensors.items()])
        typer.echo(_OF_SENSORS)
    if found["cameras"]:
        print_table([{"camera": name, **_optics(values)} for name, values in found["cameras"].items()])
        typer.echo(_OF_CAMERAS)
    columns = _columns({name: values.get("columns", ()) for name, (_, values) in sensors.items()})
    if columns:
        print_table(columns)
    if found["signals"]:
        print_table([{"signal": name, **_short_signal(values)} for name, values in found["signals"].items()])
        typer.echo(_OF_SIGNALS)
    for part in ("poses", "map", "labels", "point_labels", "store"):
        if found.get(part) is not None:
            print_table(
                [_explained(part, key, part.replace("_", " "), _listed(value)) for key, value in found[part].items()]
            )
    for line in found["unreadable"]:
        typer.echo(f"unreadable: {line}")


def _list_logs(dataset: Dataset, json: bool) -> None:
    found = dataset.info()
    if json:
        print_json(found)
        return
    rows = found["logs"]
    given = [key for key in rows[0] if any(row[key] is not None for row in rows)]
    print_table([{"log" if key == "name" else key: row[key] for key in given if key != "place"} for row in rows])
    if rows[0]["place"] is not None:
        typer.echo(f"one of them alone: perceptum info {shlex.quote(rows[0]['place'])}")
    typer.echo(repr(dataset).strip("<>"))


def _explained(part: str, key: str, title: str, value: Any) -> dict[str, Any]:
    """Returns a row of a table: what is told, its value, and what it is where the word alone does not say it."""
    if (part, key) == ("map", "ground") and value is not None:
        value = " x ".join(map(str, value))
    return {"": key, title: value, "what it is": _MEANINGS.get((part, key), "")}


def _short(values: dict[str, Any]) -> dict[str, Any]:
    """Returns what fits a line."""
    return {k: v for k, v in values.items() if k not in ("start_ns", "columns", "size", "lens")}


def _short_signal(values: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: value for name, value in values.items() if name not in ("measures", "columns")}
    names = values["columns"]
    columns = [" ".join(names[k : k + _IN_A_LINE]) for k in range(0, len(names), _IN_A_LINE)]
    return {**own, "measures": values["measures"], "columns": columns}


def _optics(values: Mapping[str, Any]) -> dict[str, Any]:
    size = values.get("size")
    return {"size": f"{size[1]} x {size[0]}" if size else None, "lens": values.get("lens")}


def _columns(of_sensors: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Returns a row for sensors of the same columns: the columns by their dtype."""
    sensors: dict[tuple[str, ...], list[str]] = {}
    for name, columns in of_sensors.items():
        by_dtype: dict[str, list[str]] = {}
        for column, dtype in (text.split() for text in columns):
            by_dtype.setdefault(dtype, []).append(column)
        sensors.setdefault(tuple(f"{dtype} {' '.join(own)}" for dtype, own in by_dtype.items()), []).append(name)
    return [{"sensor": names, "columns": columns} for columns, names in sensors.items() if columns]


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    texts = {k: counted(v["shapes"], v["kind"]) if isinstance(v, dict) else v for k, v in value.items()}
    return [f"{k}: {v}" for k, v in texts.items()]


def convert(
    log: Annotated[str, typer.Argument(metavar="SRC", help="The log to convert, as for the other commands.")],
    dst: Annotated[str, typer.Argument(metavar="DST", help="The new folder, or an s3:// or gs:// address.")],
    compression: Annotated[Compression, typer.Option(help="Lossless, of points and labels.")] = Compression.none,
    float16: Annotated[bool, typer.Option("--float16", help="Lidar x y z as float16; this loses digits.")] = False,
    shard_seconds: Annotated[float, typer.Option(min=0.001, help="Length of a file in time.")] = 10.0,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes; they never change the result.")] = 1,
    on_error: OnBroken = OnError.stop,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing store.")] = False,
    json: Json = False,
) -> None:
    """Write a log as a store that maps straight into memory; run it again to resume."""
    from perceptum.convert import convert as write
    from perceptum.output_file import check_folder_name

    if "://" not in dst:
        check_folder_name(Path(dst), "a store is a folder")
    place = place_of_one(log, on_error.value)
    try:
        done = write(
            place,
            dst,
            compression=compression.value,
            float16=float16,
            shard_seconds=shard_seconds,
            workers=workers,
            on_error=on_error.value,
            overwrite=overwrite,
            track=track,
        )
    except KeyboardInterrupt:
        # SIGTERM too comes as one
        say(f"{dst}: not finished; run it again to go on where it stopped")
        raise
    if json:
        print_json(done.to_dict())
        return
    size, rate = f"{done.bytes / 1e6:.1f} MB", done.bytes / 1e6 / max(done.seconds, 1e-9)
    typer.echo(f"{done.path}: {counted(done.records, 'record')}, {size}, {done.seconds:.1f} s, {rate:.0f} MB/s")
    if done.resumed:
        typer.echo(f"shards that an interrupted run had left: {done.resumed} of {done.shards}")
    tell_skipped(done.skipped)


def check(log: LogPath, json: Json = False) -> None:
    """List everything that is wrong with a log, all at once.

    Exit status 1 if anything is wrong, 3 if nothing is but something could not be checked.
    """
    from perceptum.check import NOT_CHECKED, NOT_READ, check_log

    check_named(log)
    try:
        found = check_log(log, track)
    except NotALog:
        place = place_of_one(log)
        with typed(log):
            found = check_log(place, track)
    wrong = [problem for problem in found if problem.kind not in (NOT_CHECKED, NOT_READ)]
    unchecked, unread = ([p.what for p in found if p.kind == kind] for kind in (NOT_CHECKED, NOT_READ))
    if json:
        problems = [problem._asdict() for problem in wrong]
        print_json({"log": log, "problems": problems, "not_checked": unchecked, "not_read": unread})
    else:
        for problem in found:
            typer.echo(f"{problem.kind}: {problem.what}")
        typer.echo(f"{log}: {len(wrong) or 'nothing'} wrong" + f", {len(unchecked)} not checked" * bool(unchecked))
    if wrong or unchecked:
        raise typer.Exit(1 if wrong else 3)
