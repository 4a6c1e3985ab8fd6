"""What a model file says of its own inputs and outputs, compared with the spec when the package is made."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from perceptum.features import Row

from ..errors import NeuropodError
from ..package.config import Config

__all__ = ["check_names", "check_sizes", "check_types", "refuse_strings", "warn_of_chance"]

_log = logging.getLogger(__name__)

Sizes = Sequence[object] | None


def check_names(
    what: str, config: Config, inputs: Mapping[str, object], outputs: Mapping[str, object], optional: bool = False
) -> None:
    """Raises NeuropodError unless the spec's inputs are the model's and its outputs are among the model's.

    `optional`: the model may have inputs that the spec leaves out.
    """
    wanted = {row.name for row in config.inputs}
    for name in sorted(wanted - inputs.keys()):
        raise NeuropodError(f"the {what} has no input '{name}', which the spec names; it has {_list(inputs)}")
    for name in sorted(inputs.keys() - wanted):
        if not optional:
            raise NeuropodError(f"the {what} needs the input '{name}', which the spec does not name; add its row")
    for row in config.outputs:
        if row.name not in outputs:
            raise NeuropodError(f"the {what} has no output '{row.name}', which the spec names; it has {_list(outputs)}")


def check_types(what: str, rows: tuple[Row, ...], dtypes: Mapping[str, str]) -> None:
    """Raises NeuropodError where the model's dtype of a row's tensor is known and differs from the row's."""
    for row in rows:
        found = dtypes.get(row.name, row.dtype)
        if found != row.dtype:
            raise NeuropodError(f"'{row.name}' is {found} in the {what} and {row.dtype} in the spec; make them equal")


def check_sizes(what: str, rows: tuple[Row, ...], shapes: Mapping[str, Sizes], how_open: str) -> None:
    """Raises NeuropodError where the model was made for one size and the spec leaves it open, or says another.

    shapes: an input's name -> its sizes in the model, where those that are not numbers are open; None is any shape.
    how_open: what makes a model whose sizes are open.

    Not every framework looks at the sizes that it is given: one that does not computes wrong numbers, silently.
    """
    for row in rows:
        own = shapes.get(row.name)
        if own is None:
            continue
        if len(own) != len(row.shape):
            raise NeuropodError(
                f"'{row.name}' has {len(own)} axes in the {what} and {len(row.shape)} in the spec; make them equal"
            )
        for axis, (size, dim) in enumerate(zip(own, row.shape, strict=True)):
            if isinstance(size, int) and size != dim:
                raise NeuropodError(
                    f"the {what} takes '{row.name}' only with the size {size} on axis {axis}, the spec says "
                    f"{'any' if dim is None else repr(dim)}; {how_open}, or write {size} in the spec"
                )


def refuse_strings(what: str, config: Config) -> None:
    """Raises NeuropodError where a spec has strings and the framework does not."""
    for row in (*config.inputs, *config.outputs):
        if row.dtype == "string":
            raise NeuropodError(f"'{row.name}' is a string tensor; {what} has numbers only")


def warn_of_chance(operators: Sequence[str]) -> None:
    """Warns where a model draws random numbers: no package holds the state of its framework's generator."""
    if operators:
        _log.warning(
            "the model draws random numbers (%s) from a generator that is not packed, so it answers differently "
            "each time; .eval() first, or make them an input",
            ", ".join(operators),
        )


def _list(names: Mapping[str, object]) -> str:
    return ", ".join(names) or "none"
