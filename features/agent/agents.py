"""Which agents there are: the part on which all agent tensors of one suffix agree, and their trajectories to learn."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from ..checks import check_area, finite
from ..classes import CLASSES, Classes, LabelClass, check_classes, classes_of, meaning_of
from ..errors import SpecError
from ..feature import Axes
from ..parameter import About, check_least
from ..reference import ReferenceParams

__all__ = ["AgentGroupParams", "AgentsParams", "LabelledParams", "TracksParams", "agent_axes", "agent_mask_axes"]

_CAR = (4.87, 1.85, 1.8)


class TracksParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which labelled boxes, and at which times of the past."""

    classes: Annotated[Classes, CLASSES] = "road_users"
    num_steps: Annotated[int, About("T of the tensors: steps of the past, the last one now.", "count", least=1)] = 20
    dt: Annotated[float, About("From one step to the next.", "s")] = 0.1
    tolerance: Annotated[
        float | None,
        About(
            "How far from a step's time its labels may be; a label later than the reference time is never of the past. "
            'null: half of `dt`, which is also the most with between "nearest".',
            "s",
            least=0,
        ),
    ] = None
    between: Annotated[
        Literal["nearest", "linear"],
        About(
            "nearest: a step has the labels nearest to its time, as they are. linear: a step between two labelled "
            "times, both within `tolerance`, has what lies between, of agents that are in both."
        ),
    ] = "nearest"
    ego_size: Annotated[tuple[float, float, float], About("Length, width and height of the vehicle.", "m")] = _CAR
    ego_middle: Annotated[
        tuple[float, float, float], About("Where the middle of the vehicle is in the ego frame.", "m")
    ] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        check_least(self)
        finite("dt", (self.dt,))
        if self.dt <= 0:
            raise SpecError(f"dt must be above 0, got {self.dt:g}")
        if self.tolerance is not None:
            finite("tolerance", (self.tolerance,))
            self.check_tolerance(self.dt)
        finite("ego_size", self.ego_size)
        finite("ego_middle", self.ego_middle)
        if min(self.ego_size) < 0:
            raise SpecError(f"ego_size must be 0 or more, got {list(self.ego_size)}")
        check_classes("classes", self.classes)

    def check_tolerance(self, dt: float) -> None:
        """Raises SpecError where one label would be of two steps that are `dt` apart, seconds."""
        if self.tolerance is not None and self.between == "nearest" and self.tolerance > dt / 2:
            raise SpecError(
                f'tolerance must be at most half of dt, {dt / 2:g}, with between "nearest", or one label would be of '
                f"two steps; got {self.tolerance:g}"
            )

    @property
    def tolerance_s(self) -> float:
        """`tolerance`, or what null stands for."""
        return self.dt / 2 if self.tolerance is None else self.tolerance

    def whole_classes(self) -> tuple[LabelClass, ...]:
        """Returns the classes in full, in the order of their numbers."""
        return classes_of(self.classes)

    @property
    def ego_class(self) -> int:
        """The number of the vehicle's own class: the one after the last."""
        return len(self.whole_classes())

    def meaning(self) -> dict[str, Any]:
        """Returns what decides which boxes there are, as plain data: classes in full, however they are said."""
        plain = {name: getattr(self, name) for name in self.__struct_fields__}
        meant: dict[str, Any] = msgspec.to_builtins({**plain, "classes": meaning_of(self.classes)})
        return meant


class AgentsParams(TracksParams, frozen=True, kw_only=True):
    """Which agents, in which order, and the times of their past."""

    max_agents: Annotated[int, About("A of the tensors: of more agents the nearest ones.", "count", least=1)] = 64
    radius: Annotated[
        float | None,
        About("Agents further from the origin, seen from above, are left out; null: none is.", "m", least=0),
    ] = 100.0
    range: Annotated[
        tuple[float, float, float, float] | None,
        About("xmin ymin xmax ymax, half-open: agents elsewhere are left out; null: none is.", "m"),
    ] = None
    select: Annotated[
        Literal["now", "trailing", "ever"],
        About(
            "now: agents that are seen at the reference time, wherever they were seen before. trailing: the same, but "
            "only what was seen since the last step at which they were not. ever: agents seen at any step; where one "
            "is not seen now, it is ordered and left out by where it was last."
        ),
    ] = "now"
    include_ego: Annotated[
        Literal["no", "first", "as_agent"],
        About(
            "Whether the vehicle itself is an agent, by the log's poses; its class is the number after the last one. "
            "first: it is row 0; as_agent: in its place among the others."
        ),
    ] = "no"
    velocity: Annotated[
        Literal["labels", "past"],
        About(
            "labels: as the log has it; where it has none, and of the vehicle itself, as past. past: by the place less "
            "that of the step before at which it was seen, over the time between; at the first step by the next one; 0 "
            "of an agent seen once."
        ),
    ] = "labels"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.range is not None:
            check_area("range", self.range)

    def tracks(self) -> TracksParams:
        """Returns only what says which boxes there are at which times: the key of the builders' stage `Tracks`."""
        return TracksParams(**{name: getattr(self, name) for name in TracksParams.__struct_fields__})


class LabelledParams(ReferenceParams, frozen=True, kw_only=True):
    """In which axes, and whether there must be labels."""

    required: Annotated[
        bool,
        About("true: a frame without labels is an error; false: it has no agents, the masks are 0, reported once."),
    ] = False


class AgentGroupParams(LabelledParams, frozen=True, kw_only=True):
    """Which agents, in which axes, and how they lie in the tensors."""

    agents: Annotated[AgentsParams, About("Which agents, and the times of their past.")] = AgentsParams()
    layout: Annotated[
        Literal["ATF", "TAF"], About("The order of the axes: agents, steps and columns, or steps first.")
    ] = "ATF"

    def parts(self) -> dict[str, Any]:
        return {**super().parts(), "agents": self.agents}

    def meaning(self) -> dict[str, Any]:
        return {**self.to_dict(), "agents": self.agents.meaning()}


def agent_axes(params: AgentGroupParams) -> Axes:
    """Returns the axes of what is said of agents at steps, as `layout` says."""
    return tuple(params.layout)


def agent_mask_axes(params: AgentGroupParams) -> Axes:
    """Returns the axes of whether agents are seen at steps."""
    return tuple(params.layout[:2])
