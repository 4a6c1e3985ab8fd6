"""What can be wrong with a spec or a schema. All are ValueErrors; `SpecError` catches them all."""

__all__ = ["SchemaMismatch", "SpecError", "UnknownFeature"]


class SpecError(ValueError):
    """A spec asks for something that cannot be met; the message names the row and what is offered."""


class UnknownFeature(SpecError):
    """A name that no feature of the schema has."""


class SchemaMismatch(SpecError):
    """A package was made for features that mean something else today."""
