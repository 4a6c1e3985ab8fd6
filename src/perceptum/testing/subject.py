"""The group that is checked, under one set of parameters, and what fresh builders make of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from numpy.typing import NDArray

from perceptum.builders import Augment, Draw, Filler, InputBuilder, Tensors
from perceptum.builders.table import filler_of
from perceptum.features import Group, Resolved, Row, Schema, Spec
from perceptum.foreign import let_interrupts_pass
from perceptum.inputs import Frame, LogError

from .differences import Seen, difference, seen

__all__ = ["Case", "Subject"]

Done = TypeVar("Done")

_AUGMENT = Augment(rotate=0.8, flip_x=0.5, flip_y=0.5, scale=0.1, translate=0.5)
"""What happens to the cases that have a draw."""
_SMALL_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class Case:
    """One frame, and its draw where the sample is one of a training run."""

    name: str
    frame: Frame
    draw: Draw | None = None


class Subject:
    """A group's features as rows of a spec, and of each case what a builder made that had never built before.

    What was made is remembered as digests, and itself where it is small: a bird's-eye view of 40 MiB is built again
    where it has to be shown.
    """

    def __init__(self, group: Group, schema: Schema, spec: Spec, cases: Iterable[Case]) -> None:
        self.group = group
        self.schema = schema
        self.spec = spec
        self.rows: tuple[Resolved, ...] = schema.resolve(spec)
        self.cases = tuple(cases)
        self._small: dict[Case, Mapping[str, NDArray[Any]]] = {}
        self._made = {case: self._see(case) for case in self.cases}

    def _see(self, case: Case) -> Mapping[str, Seen] | LogError:
        made = self.fresh(case)
        if isinstance(made, LogError):
            return made
        if sum(array.nbytes for array in made.values()) <= _SMALL_BYTES:
            # a filler may go on writing to what it has filled
            self._small[case] = {name: array.copy() for name, array in made.items()}
        return {name: seen(array) for name, array in made.items()}

    def made(self, case: Case) -> Mapping[str, NDArray[Any]]:
        """Returns what a fresh builder made, in a case that works."""
        made = self._small[case] if case in self._small else self.fresh(case)
        assert not isinstance(made, LogError)
        return made

    @property
    def names(self) -> list[str]:
        return [row.name for row in self.spec]

    def builder(self, rows: Iterable[Row] | None = None, **options: Any) -> InputBuilder[Tensors]:
        options.setdefault("schema", self.schema)
        options.setdefault("augment", _AUGMENT)
        options.setdefault("training", any(feature.target for feature in self.group))
        return InputBuilder(list(self.spec if rows is None else rows), **options)

    def fresh(self, case: Case) -> Tensors | LogError:
        return self.build(self.builder(), case, "built for the first time")

    def build(self, builder: InputBuilder[Tensors], case: Case, how: str, **options: Any) -> Tensors | LogError:
        """Returns the tensors of a case, or the log's error where its frame has not what is needed."""
        return self.attempt(lambda: builder.build(case.frame, draw=case.draw, **options), f"{self.of(case)}, {how}")

    def attempt(self, do: Callable[[], Done], where: str) -> Done | LogError:
        """Returns what `do` gives, or a LogError that it raises; whatever else it raises fails the check."""
        try:
            return do()
        # the code of others may raise anything, SystemExit too
        except BaseException as error:
            let_interrupts_pass(error)
            if isinstance(error, LogError):
                return error
            if isinstance(error, AssertionError):
                raise
            raise AssertionError(
                f"{where}: raised {type(error).__name__}: {error}; a frame without something gives what the feature "
                "says of an empty one, or raises perceptum.inputs.MissingRecord"
            ) from error

    def expect(self, case: Case, found: Mapping[str, NDArray[Any]] | LogError, how: str, hint: str) -> None:
        """Fails where `found`, some or all of the group's tensors, is not what a fresh builder made."""
        made = self._made[case]
        if isinstance(found, LogError) or isinstance(made, LogError):
            if type(found) is not type(made):
                raise AssertionError(
                    f"{self.of(case)}, {how}: {_outcome(found)}, but a fresh builder {_outcome(made)}; {hint}"
                )
            return
        wrong = [name for name, array in found.items() if seen(array) != made[name]]
        if wrong:
            wanted = self.fresh(case)
            assert not isinstance(wanted, LogError)
            said = difference(found[wrong[0]], wanted[wrong[0]])
            # it may be the fresh builder that gives other bytes every time
            said = said or "is not the same every time that a fresh builder makes it"
            raise AssertionError(f"{self.of(case)}, {how}: '{wrong[0]}' {said}; {hint}")

    def require_works(self) -> None:
        """Fails where no case gives tensors: there would be nothing to compare."""
        if not self.works():
            first = next((made for made in self._made.values() if isinstance(made, LogError)), None)
            raise AssertionError(
                f"{self.group.name}: none of the {len(self.cases)} frames could be built, so nothing was checked; "
                f"give `frames` that have what it needs ({_outcome(first) if first else 'there are none'})"
            )

    def works(self) -> list[Case]:
        """Returns the cases that give tensors, and no error of the log."""
        return [case for case in self.cases if not isinstance(self._made[case], LogError)]

    def shape(self, case: Case, name: str) -> tuple[int, ...]:
        """Returns the shape that a tensor has in a case that works."""
        made = self._made[case]
        assert not isinstance(made, LogError)
        return made[name].shape

    @property
    def filler(self) -> type[Filler]:
        return filler_of(self.rows[0])

    def with_filler(self, change: Callable[[type[Filler]], type[Filler]]) -> Schema:
        """Returns the schema in which another class fills the group: one derived from its filler."""
        changed = msgspec.structs.replace(self.group, filler=change(self.filler))
        groups = tuple(changed if group.name == changed.name else group for group in self.schema.groups)
        return Schema(self.schema.name, self.schema.version, groups)

    def of(self, case: Case) -> str:
        """What messages call a case of this group."""
        drawn = "" if case.draw is None else f" with {case.draw}"
        return f"{self.group.name}, frame '{case.name}'{drawn}"


def _outcome(made: Mapping[str, Any] | LogError) -> str:
    return f"raised {type(made).__name__}: {made}" if isinstance(made, LogError) else "gave tensors"
