"""Commands about packages: pack, inspect, verify, diff."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perceptum.errors import SpecError, UsageError
from perceptum.plural import counted

from .arguments import ParamsOf, read_params
from .named import check_there
from .output import Json, print_json, print_table, working
from .running import Trusted

if TYPE_CHECKING:
    from perceptum.problems import Problem

__all__ = ["add_to"]

_VERDICTS = {True: "ok", False: "FAILED", None: "not checked"}

PackagePath = Annotated[Path, typer.Argument(metavar="PKG", help="A package: a folder or a zip file.")]


def add_to(app: typer.Typer) -> None:
    app.command()(pack)
    app.command()(inspect)
    app.command()(verify)
    app.command()(diff)


def pack(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="What a framework saved: a file, or a SavedModel.")],
    out: Annotated[
        Path, typer.Argument(metavar="PKG", help="Where the package goes; it must not exist, except with --overwrite.")
    ],
    spec: Annotated[
        Path | None, typer.Option(metavar="JSON", help='{"input_spec": rows, "output_spec": rows}.')
    ] = None,
    problem: Annotated[
        str | None, typer.Option(metavar="NAME|JSON", help="The problem it must fit, such as detection3d, or a file.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's name; the file's, if not given.")] = None,
    test_data: Annotated[
        Path | None, typer.Option(metavar="NPZ", help="Inputs to test with, and outputs to expect, by name.")
    ] = None,
    params: ParamsOf = None,
    node: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=NODE", help="For a frozen graph: a tensor's node; may be repeated."),
    ] = None,
    versions: Annotated[str, typer.Option(metavar="RANGE", help="The framework's versions, as npm writes them.")] = "*",
    folder: Annotated[bool, typer.Option("--folder", help="Make a folder, not a zip file.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing package, once the new one is complete.")
    ] = False,
    json: Json = False,
) -> None:
    """Pack a model that a framework saved, and run it once in a fresh process: on the test data, or on zeros."""
    from perceptum.model_files import find_packager
    from perceptum.output_file import check_ending

    check_ending(out, (".neuropod", ".zip"), "a package is a zip file, or a folder")
    create, source = find_packager(model)
    chosen, own = _problem(spec, problem, test_data, read_params(params))
    if node is not None:
        if "frozen_graph_path" not in source:
            raise UsageError(f"--node is for a frozen graph, {model} is none; leave it out")
        source["node_name_mapping"] = dict(_pair(word) for word in node)
    with working(f"packing {out}, and running it in a fresh process"):
        chosen.pack(
            create,
            neuropod_path=out,
            model_name=name or model.stem,
            platform_version_semver=versions,
            package_as_zip=not folder,
            overwrite=overwrite,
            **source,
            **own,
        )
    if json:
        print_json({"package": str(out)})
    else:
        typer.echo(f"package: {out}")
        if test_data is None:
            typer.echo(
                "test data: none, so it was only run on zeros, and its outputs were compared with nothing; "
                "--test-data NPZ adds inputs to run it on, and outputs to expect"
            )


def _problem(
    spec: Path | None, problem: str | None, test_data: Path | None, params: Mapping[str, Any] | None
) -> tuple[Problem, dict[str, Any]]:
    """Returns the problem to pack for, and the model's own spec where it has one beside it, which params are for."""
    if spec is None and problem is None:
        raise UsageError("say what the model takes and gives: --spec FILE, or --problem")
    data = None if test_data is None else _arrays(test_data)
    if problem is None:
        assert spec is not None
        return _read_problem(spec, data, params), {}
    found = _named_problem(problem, data, None if spec else params)
    if spec is None:
        if not found.inputs:
            raise UsageError(f"--problem {problem} leaves the inputs to its models: give this model's own, --spec FILE")
        return found, {}
    own = _read_problem(spec, None, params)
    return found, {key: rows for key, rows in (("input_spec", own.inputs), ("output_spec", own.outputs)) if rows}


def _named_problem(problem: str, data: Mapping[str, Any] | None, params: Mapping[str, Any] | None) -> Problem:
    from perceptum.problems import problem_named

    if problem.endswith(".json") or (Path(problem).is_file() and not problem.endswith(".py")):
        return _read_problem(Path(problem), data, params)
    return problem_named(problem, test_data=data)


def _read_problem(path: Path, data: Mapping[str, Any] | None, params: Mapping[str, Any] | None) -> Problem:
    from perceptum.problems import Problem

    if not path.is_file():
        raise UsageError(f"{path}: no such file; a spec is a JSON file of input_spec and output_spec")
    try:
        return Problem.from_json(path.read_bytes(), data, params)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from error


def _arrays(path: Path) -> dict[str, Any]:
    import zipfile

    import numpy as np

    if not path.is_file():
        raise UsageError(f"{path}: no such file; test data is an .npz file of arrays")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path}: not an .npz file of arrays ({error})") from error


def _pair(word: str) -> tuple[str, str]:
    name, found, node = word.partition("=")
    if not found or not name or not node:
        raise UsageError(f"--node must be like x=in_x:0, got '{word}'")
    return name, node


def inspect(package: PackagePath, json: Json = False) -> None:
    """Show what is in a package, without running any of it."""
    from perceptum.neuropod.pack.inspection import inspect_package

    check_there(package)
    found = inspect_package(package)
    if json:
        print_json(found)
        return
    print_table([{"": key, found["name"]: value} for key, value in _facts(found).items()])
    for side in ("inputs", "outputs"):
        is_input = side == "inputs"
        devices, meanings = (found[key] if is_input else {} for key in ("input_devices", "meanings"))
        print_table([_row(row, devices, meanings.get(row["name"], {})) for row in found[side]], side)
    print_table(found["files"], "files")


def _facts(found: Mapping[str, Any]) -> dict[str, Any]:
    version, schema = found["platform_version"], found["schema"]
    return {
        "platform": found["platform"],
        "versions": f"wanted {version['wanted'].replace('*', 'any')}, here {version['here'] or 'not installed'}",
        "kind": "data, by its platform" if found["code"] is None else f"code: {found['code']}",
        "schema": "none" if schema is None else [f"{key}: {_shown(value)}" for key, value in schema.items()],
        "training": "not recorded" if found["training"] is None else _trained(found["training"]),
        "custom ops": found["custom_ops"] or "none",
        "requirements": found["requirements"] or "none",
        "test data": "yes" if found["test_data"] else "no",
        "manifest": "holds" if found["manifest"] else "none",
    }


def _trained(training: Mapping[str, Any]) -> str:
    return f"{counted(training['frames'], 'frame')}, built by perceptum {training['perceptum']}"


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _row(row: Mapping[str, Any], devices: Mapping[str, str], meaning: Mapping[str, Any]) -> dict[str, Any]:
    shape = ", ".join("any" if dim is None else str(dim) for dim in row["shape"])
    shown = {"name": row["name"], "dtype": row["dtype"], "shape": f"({shape})"}
    if devices:
        shown["device"] = devices[row["name"]]
    if row.get("params"):
        shown["params"] = [f"{key}: {value}" for key, value in row["params"].items()]
    if "preset" in (row.get("params") or {}):
        shown["meaning"] = [f"{key}: {value}" for key, value in _meant(row["name"], meaning).items()]
    if row.get("frame"):
        shown["frame"] = row["frame"]
    return shown


def _meant(name: str, meaning: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the params that a row had when it was packed, without those that are the schema's own."""
    from perceptum.features import canonical

    params = meaning.get("params")
    params = dict(params) if isinstance(params, dict) else {}
    feature = name.partition("__")[0]
    own = canonical().group_of(feature).params.to_dict() if feature in canonical() else {}
    plain = json.loads(json.dumps(own))
    return {key: value for key, value in params.items() if key not in plain or value != plain[key]}


def verify(
    package: PackagePath,
    trust: Trusted = False,
    json: Json = False,
) -> None:
    """Check a package: its files, its spec, its framework, and that it loads and gives the right outputs here."""
    from perceptum.neuropod.pack.verification import verify_package

    check_there(package)
    with working(f"checking {package}, and running it in a fresh process"):
        steps = verify_package(package, trust)
    if json:
        print_json([asdict(step) for step in steps])
    else:
        print_table([{"check": s.check, "": _VERDICTS[s.ok], "found": s.found} for s in steps])
    if any(step.ok is False for step in steps):
        raise typer.Exit(1)


def diff(
    first: Annotated[Path, typer.Argument(metavar="A", help="A package.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    json: Json = False,
) -> None:
    """Show what differs between two packages; exit status 0 if nothing does, 1 if something does."""
    from perceptum.neuropod.pack.difference import compare_packages

    check_there(first)
    check_there(second)
    rows = compare_packages(first, second)
    if json:
        print_json(rows)
    elif rows:
        print_table([{"": row["what"], str(first): row["first"], f"{second} ": row["second"]} for row in rows])
    else:
        typer.echo("no difference")
    if rows:
        raise typer.Exit(1)
