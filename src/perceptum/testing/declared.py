"""What a group says of itself, and whether its filler and its tensors keep to it."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from perceptum.builders import Clearing, Filler, Sample, Written
from perceptum.features import FRAMES, UNITS, Feature, Params

from .subject import Subject

__all__ = ["clearing", "declarations", "sizes", "values"]

_STALE = 77
"""What a tensor holds before a filler writes it that says it writes every element."""
_LEAST = {"flag": 0, "ratio": 0, "count": 0, "cell": 0, "index": -1}
_MOST = {"flag": 1, "ratio": 1}
_WHOLE = ("flag", "count", "cell", "index")


def declarations(subject: Subject) -> None:
    """Units and frames are words of the vocabulary; parameters, and a schema with the group, survive JSON."""
    group, params = subject.group, subject.rows[0].params
    for feature in group:
        if feature.units not in UNITS or feature.frame not in FRAMES:
            raise AssertionError(
                f"'{feature.name}': units {feature.units!r} and frame {feature.frame!r} must be words of "
                "perceptum.features.UNITS and FRAMES"
            )
    back = _through_json(group.name, params)
    if back != params or back.dims() != params.dims():
        raise AssertionError(f"{group.name}: its parameters come back from JSON as {back}, they were {params}")
    if subject.schema.from_json(subject.schema.to_json()).fingerprint != subject.schema.fingerprint:
        raise AssertionError(f"{group.name}: a schema with it has another fingerprint when it comes back from JSON")


def _through_json(name: str, params: Params) -> Params:
    try:
        return msgspec.json.decode(msgspec.json.encode(params), type=type(params))
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise AssertionError(f"{name}: its parameters cannot be written as JSON and read back: {error}") from error


def sizes(subject: Subject) -> None:
    """sizes() gives what the shapes leave open, and no more than the parameters allow."""
    params = subject.rows[0].params
    known = {axis for feature in subject.group for axis in feature.axes(params) if isinstance(axis, str)}
    found: dict[str, int] = {}

    def keeping(filler: type[Filler]) -> type[Filler]:
        def run(self: Filler, sample: Sample) -> None:
            filler.run(self, sample)
            found.update(self.sizes())

        return type(filler.__name__, (filler,), {"run": run})

    builder = subject.builder(schema=subject.with_filler(keeping))
    for case in subject.works():
        found.clear()
        subject.build(builder, case, "built to see its sizes")
        for name, n in found.items():
            if name not in known:
                raise AssertionError(
                    f"{subject.of(case)}: sizes() gives '{name}', which no feature of the group has in its shape; they "
                    f"have {', '.join(sorted(known)) or 'no names'}"
                )
            cap = params.cap(name)
            if cap is not None and n > cap:
                raise AssertionError(f"{subject.of(case)}: sizes() gives {n} as '{name}', cap() says at most {cap}")


def clearing(subject: Subject) -> None:
    """A filler that says it writes every element does so; what it says of strided places is of its features."""
    schema, how = subject.with_filler(_spoiling), "where fill() was given used memory"
    hint = 'clearing() says "whole", but fill() left some elements as they were: write them, or say "before"'
    for case in subject.cases:
        # a new builder each time: what it might keep of other frames is another check's
        subject.expect(case, subject.build(subject.builder(schema=schema), case, how), how, hint)


def _spoiling(filler: type[Filler]) -> type[Filler]:
    """Returns a filler that finds in its memory what somebody else left there, if it says that it can."""

    def fill(self: Filler, feature: str, out: NDArray[Any], written: Written) -> None:
        said = self.clearing(feature)
        if said not in get_args(Clearing):
            raise AssertionError(
                f"'{feature}': clearing() must be one of {', '.join(get_args(Clearing))}, got {said!r}"
            )
        if said == "whole":
            out[...] = _STALE
        filler.fill(self, feature, out, written)

    return type(filler.__name__, (filler,), {"fill": fill})


def values(subject: Subject) -> None:
    """Numbers are finite and suit their unit; a feature that counts another's rows counts them."""
    strided = subject.filler.strided - {feature.name for feature in subject.group}
    if strided:
        raise AssertionError(f"{subject.group.name}: the filler's `strided` names {sorted(strided)}, not its features")
    for case in subject.works():
        made = subject.made(case)
        for row in subject.rows:
            array, counted = made[row.name], row.feature.counts
            _check_numbers(subject.of(case), row.feature, array)
            rows = None if counted not in made else len(made[str(counted)])
            if rows is not None and array.size == 1 and array.flat[0] != rows:
                raise AssertionError(
                    f"{subject.of(case)}: '{row.name}' counts {array.flat[0]} rows, '{counted}' has {rows}"
                )


def _check_numbers(where: str, feature: Feature, array: NDArray[Any]) -> None:
    own = array[array != feature.fill] if feature.fill == feature.fill else array[~np.isnan(array)]
    if not np.isfinite(own).all():
        raise AssertionError(
            f"{where}: '{feature.name}' holds {own[~np.isfinite(own)][0]}; what is not finite is dropped and counted "
            "in `dropped`, never written into a tensor"
        )
    least, most = _LEAST.get(feature.units), _MOST.get(feature.units)
    wrong = np.zeros(own.shape, bool) if least is None else own < least
    wrong |= False if most is None else own > most
    wrong |= (own != np.round(own)) if feature.units in _WHOLE else False
    if wrong.any():
        raise AssertionError(
            f"{where}: '{feature.name}' holds {own[wrong][0]}, its unit is {feature.units!r}: {UNITS[feature.units]}"
        )
