"""The row of a target, from the parameters that a problem is made with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perceptum.errors import SpecError, UsageError
from perceptum.features import canonical
from perceptum.features.resolve import Resolved, resolve_row

__all__ = ["target_row"]


def target_row(feature: str, params: str | Mapping[str, Any] | None, **own: Any) -> Resolved:
    """Returns a feature's row, with the name of a preset or parameters, and what the problem itself decides of them.

    Raises UsageError, which names the feature, where they cannot be.
    """
    given = {} if params is None else {"preset": params} if isinstance(params, str) else dict(params)
    try:
        schema = canonical()
        return resolve_row(schema, schema.spec([feature], {schema.group_of(feature).name: {**given, **own}}).rows[0])
    except SpecError as error:
        raise UsageError(f"params of {feature}: {error}") from None
