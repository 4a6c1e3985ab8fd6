"""`perceptum.pack`: a trained model becomes a package that is served what it was trained on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from perceptum.builders import InputBuilder
from perceptum.features import Row, Schema, Spec, canonical
from perceptum.inputs import Frame

from .errors import UsageError
from .model_objects import Packable, packable
from .problems import Problem, problem_named
from .seen import frames_of, has_targets, standing_alone, training_of, without_targets

__all__ = ["HasRows", "pack"]


class HasRows(Protocol):
    """A builder, a loader: what says what it builds."""

    @property
    def spec(self) -> Spec: ...


def pack(
    model: Any,
    spec: Spec | HasRows | Iterable[Row | Mapping[str, Any] | str],
    path: str | os.PathLike[str],
    *,
    outputs: Sequence[Row | Mapping[str, Any]] | None = None,
    problem: Problem | str | None = None,
    name: str | None = None,
    platform: str | None = None,
    seen: Any = None,
    frame: Frame | None = None,
    overwrite: bool = False,
    **options: Any,
) -> Path:
    """Packs a trained model with the spec that it was trained on, and returns the package's path.

    Args:
        model: a torch module (TorchScript; platform="torch_export" traces it instead), a ScriptModule or exported
            program, a Keras model, a TensorFlow function or module, an onnx model, a JAX export, a function in a
            module, "package.module:function", or the path of what a framework saved. A torch module is copied to the
            CPU and evaluates there; the one that is being trained stays as it is.
        spec: what it was trained on: `loader.spec`, a loader, a builder, or rows. Targets, such as gt_boxes, are left
            out; every other row is recorded as it is, with training's values where a preset has others in testing.
        path: of the package, a zip file unless package_as_zip=False.
        outputs: rows of what it gives; not needed with a problem, whose own they then are.
        problem: a Problem or its name, which the model must fit.
        name: the model's name; that of the path, if not given.
        platform: what to pack it as, where it can become several: one of `model_objects.PLATFORMS`.
        seen: the loader that it was trained with, or a dataset, a log or frames of it. A few frames are built as in
            training, without a draw, and what their tensors are is recorded: `perceptum parity` compares with that.
            Frames are all taken, of the others three.
        frame: the package is tested with what is built of this frame, and keeps that as its test data with what the
            model answers. Without it, the first of `seen`; without both, the model is run on zeros.
        overwrite: whether an existing package is replaced.
        options: of the packager, such as node_name_mapping=, package_as_zip= or data_paths=; those of
            `neuropod.pack.packing.PackOptions`.

    Raises UsageError, SpecError or NeuropodError.
    """
    path = Path(path)
    schema, rows = _rows(spec)
    inputs = without_targets(schema, rows)
    if not len(inputs):
        raise UsageError("the spec has targets alone; a model needs inputs that it is given")
    judged = _problem(problem, outputs)
    given = judged.outputs if outputs is None else [Row.of(row).to_dict() for row in outputs]
    frames = frames_of(seen)
    first = frame if frame is not None else next(iter(frames), None)
    buildable = all(row.name.partition("__")[0] in schema for row in inputs)
    if first is not None and not buildable:
        strange = next(row.name for row in inputs if row.name.partition("__")[0] not in schema)
        raise UsageError(f"no frame has the input '{strange}', which is not a feature; give test_input_data= instead")
    example = None if first is None else dict(InputBuilder(inputs, schema=schema).build(first))
    stored = standing_alone(schema, inputs)
    trained_schema, trained_rows = _rows(seen) if hasattr(seen, "spec") else (schema, rows)
    training = training_of(trained_schema, trained_rows, frames) if buildable else None
    with ExitStack() as open_until:
        way = packable(model, platform, tuple(stored), example, open_until)
        judged.pack(
            way.create,
            **{
                "neuropod_path": path,
                "model_name": name or path.stem,
                "input_spec": [row.to_dict() for row in stored],
                "output_spec": given,
                "schema": schema,
                "training": training,
                "overwrite": overwrite,
                **(_tested(example, way, given) if example is not None else {}),
                **way.source,
                **options,
            },
        )
    return path


def _rows(spec: Any) -> tuple[Schema, Spec]:
    """Returns the schema and the rows that training had. Where there are targets, it was a training builder that made
    them, which takes presets' training values."""
    schema = getattr(spec, "schema", None) or canonical()
    rows = list(getattr(spec, "spec", spec))
    named = schema.spec(rows)
    return schema, schema.spec(rows, training=has_targets(schema, named))


def _problem(problem: Problem | str | None, outputs: Sequence[Row | Mapping[str, Any]] | None) -> Problem:
    if problem is None:
        if outputs is None:
            raise UsageError("say what the model gives: outputs=, or problem=")
        return Problem(output_spec=outputs)
    return problem_named(problem) if isinstance(problem, str) else problem


def _tested(example: dict[str, NDArray[Any]], way: Packable, outputs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns a packager's test data: a frame, and what the model answers before it is packed, where it can be asked
    that, so that packing is tested too; else what the package answers."""
    tested = {"test_input_data": example, "persist_test_data": True, "keep_answer": True}
    if way.answer is None:
        return tested
    answer = way.answer(example)
    return {
        **tested,
        "test_expected_out": {row["name"]: answer[row["name"]] for row in outputs if row["name"] in answer},
    }
