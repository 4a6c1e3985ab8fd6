"""What a model file says of its own inputs and outputs, compared with the spec when the package is made."""

from __future__ import annotations

from collections.abc import Mapping

from perceptum.features import Row

from ..config import Config
from ..errors import NeuropodError

__all__ = ["check_names", "check_types", "refuse_strings"]


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
    """Raises NeuropodError where the model's dtype of a row's tensor is known and is another one than the row's."""
    for row in rows:
        found = dtypes.get(row.name, row.dtype)
        if found != row.dtype:
            raise NeuropodError(f"'{row.name}' is {found} in the {what} and {row.dtype} in the spec; make them equal")


def refuse_strings(what: str, config: Config) -> None:
    """Raises NeuropodError where a spec wants strings of a framework that has none."""
    for row in (*config.inputs, *config.outputs):
        if row.dtype == "string":
            raise NeuropodError(f"'{row.name}' is a string tensor; {what} has numbers only")


def _list(names: Mapping[str, object]) -> str:
    return ", ".join(names) or "none"
