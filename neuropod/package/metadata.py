"""perceptum.json: what we store beside Uber's files, where old readers do not look. Plain packages have none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

from msgspec import structs

from perceptum.features import ReferenceFrame, Row

from ..errors import NeuropodError
from .config import Config, parse_object
from .training import Training

if TYPE_CHECKING:
    from perceptum.features import Schema

__all__ = ["FILE_NAME", "Metadata"]

FILE_NAME = "perceptum.json"


@dataclass(frozen=True)
class Metadata:
    """The schema that a model was trained under, its rows' own parameters, and how it is run."""

    schema: Mapping[str, Any] | None = None
    """The record that `Schema.record` made at packing: name, version, fingerprint, what each feature means."""
    input_params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    output_params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    output_frames: Mapping[str, ReferenceFrame] = field(default_factory=dict)
    """Output -> the frame of reference that its row says."""
    gradients: bool | None = None
    """Whether torch differentiates while the model runs; None where the packer did not say."""
    training: Training | None = None
    """What training saw, where the packer said it."""

    @classmethod
    def of(
        cls,
        config: Config,
        schema: Schema | None,
        gradients: bool | None = None,
        training: Training | None = None,
    ) -> Metadata | None:
        """Returns what to store: None where no row has params or a frame or names a feature, and no schema, gradients
        or training are given.

        Raises NeuropodError for an input with a frame, which only outputs have; SpecError for what a builder refuses.
        """
        inputs, outputs = _params(config.inputs), _params(config.outputs)
        frames = {row.name: row.frame for row in config.outputs if row.frame is not None}
        framed = next((row for row in config.inputs if row.frame is not None), None)
        if framed is not None:
            raise NeuropodError(
                f"input '{framed.name}' has a frame of its own, which is for outputs; say it in its params: "
                f'{{"frame": "{framed.frame}"}}'
            )
        from perceptum.features import canonical

        features = any(row.name.partition("__")[0] in canonical() for row in config.inputs)
        if schema is None and not features and not inputs and not outputs and not frames:
            said = gradients is not None or training is not None
            return cls(gradients=gradients, training=training) if said else None
        record = (schema or canonical()).record([row.to_dict() for row in config.inputs])
        return cls(record, inputs, outputs, frames, gradients, training)

    def check(self, schema: Schema | None = None) -> None:
        """Raises NeuropodError where a feature no longer means what it meant when the package was made."""
        if self.schema is None:
            return
        # with all features: a model that names none loads without them
        from perceptum.features import canonical

        try:
            (schema or canonical()).check(self.schema)
        except ValueError as error:
            raise NeuropodError(str(error)) from error

    def apply(self, config: Config) -> Config:
        """Returns the config whose rows carry their params, and outputs their frames."""
        return replace(
            config,
            inputs=_with_params(config.inputs, self.input_params),
            outputs=tuple(
                structs.replace(row, frame=self.output_frames.get(row.name))
                for row in _with_params(config.outputs, self.output_params)
            ),
        )

    def to_json(self) -> str:
        plain = {
            "format": 1,
            "schema": self.schema,
            "input_params": self.input_params,
            "output_params": self.output_params,
            **({"output_frames": self.output_frames} if self.output_frames else {}),
            **({} if self.gradients is None else {"gradients": self.gradients}),
            **({} if self.training is None else {"training": self.training.to_plain()}),
        }
        try:
            return json.dumps(plain, indent=4, sort_keys=True)
        except (TypeError, ValueError, RecursionError) as error:
            raise NeuropodError(f"params of the spec's rows cannot be stored as JSON: {error}") from None

    @classmethod
    def from_json(cls, text: bytes) -> Metadata:
        plain = parse_object(text)
        if plain.get("format") != 1:
            raise NeuropodError(f"format is {plain.get('format')!r}, this version reads 1; upgrade perceptum")
        schema, inputs, outputs = (_object(key, plain.get(key)) for key in ("schema", "input_params", "output_params"))
        for rows in (inputs, outputs):
            for name, params in rows.items():
                _object(f"the params of '{name}'", params)
        _object("the schema's features", schema.get("features") or None)
        frames = _object("output_frames", plain.get("output_frames"))
        for name, frame in frames.items():
            if frame not in get_args(ReferenceFrame):
                raise NeuropodError(f"the frame of '{name}' must be 'ego' or 'lidar', got {str(frame)[:40]!r}")
        gradients = plain.get("gradients")
        if gradients is not None and not isinstance(gradients, bool):
            raise NeuropodError(f"gradients must be true or false, got {str(gradients)[:40]}")
        training = plain.get("training")
        seen = None if training is None else Training.from_plain(training)
        return cls(schema or None, inputs, outputs, frames, gradients, seen)


def _object(what: str, value: object) -> dict[str, Any]:
    """Returns a JSON object, empty for none; raises NeuropodError for anything else."""
    if value is not None and not isinstance(value, dict):
        raise NeuropodError(f"{what} must be an object, got {str(value)[:40]}")
    return value or {}


def _params(rows: tuple[Row, ...]) -> dict[str, Mapping[str, Any]]:
    return {row.name: row.params for row in rows if row.params is not None}


def _with_params(rows: tuple[Row, ...], params: Mapping[str, Mapping[str, Any]]) -> tuple[Row, ...]:
    return tuple(structs.replace(row, params=params.get(row.name)) for row in rows)
