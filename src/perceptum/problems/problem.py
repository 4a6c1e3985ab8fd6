"""A problem: what its models take and give, and data to test them with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from perceptum.errors import SpecError, UsageError
from perceptum.features import Catalogue, ReferenceFrame, Row, Spec, canonical, output_frame

__all__ = ["HasSpec", "Problem"]


class HasSpec(Protocol):
    """What a problem asks of a model."""

    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> list[dict[str, Any]]: ...
    @property
    def outputs(self) -> list[dict[str, Any]]: ...


@dataclass(frozen=True)
class Problem:
    """Models that solve it can be exchanged: they take its inputs, or some of them, and give all its outputs."""

    input_spec: Sequence[Row | Mapping[str, Any] | str] = ()
    """Rows of name, dtype and shape, or names of canonical features alone. None at all: its models take what they
    want."""
    output_spec: Sequence[Row | Mapping[str, Any]] = ()
    test_data: Mapping[str, Any] | None = None
    """Arrays by name: of inputs, and of outputs that are expected of them. A name that is both takes "inputs/" or
    "outputs/" before it."""

    def __post_init__(self) -> None:
        self._rows()
        self._split(self.test_data or {})

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """The input rows in Neuropod's form; a feature's name has become its row."""
        return [row.to_dict() for row in self._rows()[0]]

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """The output rows in Neuropod's form."""
        return [row.to_dict() for row in self._rows()[1]]

    @property
    def test_input(self) -> dict[str, Any] | None:
        return self._split(self.test_data)[0] if self.test_data else None

    @property
    def test_output(self) -> dict[str, Any] | None:
        """The outputs expected of the test inputs; None where none are."""
        return (self._split(self.test_data)[1] or None) if self.test_data else None

    def pack(self, create: Callable[..., None], **options: Any) -> None:
        """Packs a model for this problem: `create` is one of `neuropod.packagers`, `options` are its keywords.

        The model is run in a fresh process: on the test data, whose outputs must come out, or on zeros. Every output of
        the problem must come, as its row says. A spec in the options is the model's own, and must suit the problem.
        Raises UsageError or NeuropodError; a package that fails its test is taken away.
        """
        inputs, outputs = options.pop("input_spec", self.inputs), options.pop("output_spec", self.outputs)
        if not inputs:
            raise UsageError("the problem leaves the inputs to its models: give input_spec, this model's own")
        rows = _rows(inputs), _rows(outputs)
        self._check("the spec", *rows)
        given: dict[str, Any] = {"test_input_data": self.test_input, "test_expected_out": self.test_output}
        if given["test_expected_out"] and not given["test_input_data"]:
            raise UsageError("test data: outputs without inputs; add them")
        if given["test_input_data"] is None:
            given = {"test_input_data": _zeros(rows[0]), "persist_test_data": False}
        if any(row.name.partition("__")[0] in Catalogue() for row in rows[0]):
            options.setdefault("schema", canonical())
        specs = {"input_spec": [r.to_dict() for r in rows[0]], "output_spec": [r.to_dict() for r in rows[1]]}
        create(**{**specs, **given, "all_outputs": True, **options})

    def frame_of(self, model: HasSpec, output: str) -> ReferenceFrame:
        """Returns the axes in which the model gives one of its outputs; raises UsageError where that is not known."""
        for row in model.outputs:
            if row["name"] == output:
                try:
                    return output_frame(canonical(), model.inputs, row)
                except SpecError as error:
                    raise UsageError(f"model '{model.name}': {error}") from None
        raise UsageError(f"model '{model.name}' has no output '{output}'")

    def check(self, model: HasSpec) -> None:
        """Raises UsageError unless the model wants no other inputs, and gives every output, in type and shape.

        An output whose frame of reference the problem says must be in that one.
        """
        self._check(f"model '{model.name}'", _rows(model.inputs), _rows(model.outputs))

    def to_json(self) -> str:
        """Returns the two specs; the test data are arrays, which JSON is not for."""
        return msgspec.json.encode({"input_spec": self.inputs, "output_spec": self.outputs}).decode()

    @classmethod
    def from_json(
        cls,
        text: str | bytes,
        test_data: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Self:
        """Reads `to_json`'s form; raises SpecError.

        params: for inputs that bring none, as `InputBuilder` takes them; each row then says its own.
        """
        try:
            plain = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise SpecError(f"a problem must be JSON: {error}") from None
        if isinstance(plain, list):
            raise SpecError(
                "this is a list of rows, as a builder takes for its inputs; packing also needs the outputs: "
                '{"input_spec": [rows], "output_spec": [rows]}'
            )
        if not isinstance(plain, dict) or set(plain) - {"input_spec", "output_spec"}:
            raise SpecError('a problem is {"input_spec": [rows], "output_spec": [rows]}')
        inputs = plain.get("input_spec", ())
        if params:
            inputs = canonical().spec(_listed(inputs), params).rows
        return cls(inputs, plain.get("output_spec", ()), test_data)

    def _rows(self) -> tuple[Spec, Spec]:
        return _rows(self.input_spec), _rows(self.output_spec)

    def _check(self, whose: str, inputs: Spec, outputs: Spec) -> None:
        ours, wanted = self._rows()
        known, given = {row.name: row for row in ours}, {row.name: row for row in outputs}
        for row in inputs if known else ():
            if row.name not in known:
                raise UsageError(f"{whose} needs the input '{row.name}'; the problem gives {', '.join(known)}")
            _check_row(f"{whose}: input", row, known[row.name])
        for row in wanted:
            if row.name not in given:
                raise UsageError(f"{whose} has no output '{row.name}'; it gives {', '.join(given) or 'none'}")
            _check_row(f"{whose}: output", given[row.name], row)
            _check_frame(whose, inputs, given[row.name], row)

    def _split(self, data: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns the inputs and the outputs of test data; raises UsageError for a name that is neither, or both."""
        inputs, outputs = ({row.name for row in rows} for rows in self._rows())
        sides: dict[str, dict[str, Any]] = {"inputs": {}, "outputs": {}}
        for key, array in data.items():
            side, _, name = key.rpartition("/")
            if side not in ("", *sides):
                side, name = "", key
            if not side:
                is_input = name in inputs if inputs else name not in outputs
                side = _side(name, is_input, name in outputs)
            sides[side][name] = array
        return sides["inputs"], sides["outputs"]


def _side(name: str, is_input: bool, is_output: bool) -> str:
    if is_input and is_output:
        raise UsageError(f"test data: '{name}' is an input and an output; name it inputs/{name} or outputs/{name}")
    if not is_input and not is_output:
        raise UsageError(f"test data: '{name}' is neither an input nor an output of the problem")
    return "inputs" if is_input else "outputs"


def _listed(rows: object) -> Sequence[Any]:
    if isinstance(rows, str | Mapping) or not isinstance(rows, Sequence):
        raise SpecError(f"a problem's spec must be a list of rows, got {type(rows).__name__}")
    return rows


def _rows(rows: Sequence[Any]) -> Spec:
    return Spec.of(canonical().spec([row]).rows[0] if isinstance(row, str) else row for row in _listed(rows))


def _check_row(where: str, found: Row, wanted: Row) -> None:
    fits = len(found.shape) == len(wanted.shape) and all(
        a == b for a, b in zip(found.shape, wanted.shape, strict=True) if isinstance(a, int) and isinstance(b, int)
    )
    if found.dtype != wanted.dtype or not fits:
        raise UsageError(
            f"{where} '{found.name}' is {found.dtype} {list(found.shape)}, "
            f"the problem says {wanted.dtype} {list(wanted.shape)}"
        )


def _check_frame(whose: str, inputs: Spec, found: Row, wanted: Row) -> None:
    if wanted.frame is None:
        return
    try:
        frame = output_frame(canonical(), inputs, found)
    except SpecError as error:
        raise UsageError(f"{whose}: {error}") from None
    if frame != wanted.frame:
        raise UsageError(
            f"{whose}: output '{found.name}' is in the {frame} frame of reference, the problem says {wanted.frame}"
        )


def _zeros(spec: Spec) -> dict[str, NDArray[Any]]:
    """Returns inputs that the spec allows: zeros, one along every axis that is free."""
    return {
        row.name: np.zeros(
            [dim if isinstance(dim, int) else 1 for dim in row.shape], "U1" if row.dtype == "string" else row.dtype
        )
        for row in spec
    }
