"""Motion forecasting: where each agent will be, several ways it may go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import Any, ClassVar, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from perceptum.errors import UsageError
from perceptum.features import ReferenceFrame, Spec, canonical
from perceptum.features.agent import AgentGroupParams
from perceptum.features.resolve import resolve_row
from perceptum.features.targets.trajectory import TrajectoryParams
from perceptum.inputs import Frame

from .metric import JudgedProblem, Observation, Scores
from .problem import HasSpec
from .target_row import target_row

__all__ = ["MotionForecasting"]

_WHERE, _HOW_SURE = "trajectories", "probabilities"
_MOST_K = 64
_ERRORS = ("brier-minFDE", "minADE", "minFDE", "MR")
_ROLES = {"scored": 2, "focal": 3}
_EGO = "ego"


@dataclass(frozen=True)
class MotionForecasting(JudgedProblem):
    """The problem: where the agents of agent_history will be. Judged as Argoverse 2 does (Wilson et al. 2021).

    What a model gives, a row for each row of agent_history with the agents of the params, in their order:
        trajectories: (A, K, T, 2) float32: x y (m) at the steps to come, K ways in which an agent may go, in the frame
            of reference of the params, at the reference time.
        probabilities: (A, K) float32: of each of these ways, 0 to 1.
    Rows behind the last agent, and of agents that are not judged, are not looked at.
    """

    name: ClassVar[str] = "motion_forecasting"
    lower_is_better: ClassVar[frozenset[str]] = frozenset(
        f"{error}{k}" for error in _ERRORS for k in range(1, _MOST_K + 1)
    )

    params: str | Mapping[str, Any] | None = None
    """The agents and steps: parameters of gt_trajectory, or the name of a preset; its columns are always x y. None: 6 s
    at 10 Hz of road users."""
    k: tuple[int, ...] = (1, 6)
    """Of each agent only so many forecasts count, the surest ones; of fewer all."""
    miss_m: float = 2.0
    """A forecast that ends further from where the agent is then misses it."""
    judged: Literal["all", "scored", "focal"] = "all"
    """all: every agent; scored: tracks that Argoverse 2 calls scored or focal, or Waymo wants predicted; focal: only
    the one that a scenario of Argoverse 2 is about."""
    ade_of: Literal["least", "endpoint"] = "least"
    """minADE is the least average distance of any forecast; or that of the forecast which ends nearest, as the leader
    board of Argoverse has it."""
    normalize: bool = False
    """Whether an agent's probabilities are divided by their sum."""
    _future: TrajectoryParams = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # one number alone too
        most = tuple(np.atleast_1d(np.asarray(self.k)).tolist())
        object.__setattr__(self, "k", most)
        are_whole = all(isinstance(one, int) and 1 <= one <= _MOST_K for one in most)
        if not most or not are_whole or len(set(most)) < len(most):
            raise UsageError(f"k must be different whole numbers from 1 to {_MOST_K}, got {self.k}")
        if not self.miss_m > 0:
            raise UsageError(f"miss_m must be more than 0, got {self.miss_m}")
        for what, given, known in (
            ("judged", self.judged, ("all", *_ROLES)),
            ("ade_of", self.ade_of, ("least", "endpoint")),
        ):
            if given not in known:
                raise UsageError(f"{what} must be {', '.join(known[:-1])} or {known[-1]}, got '{given}'")
        params = self._row("gt_trajectory").params
        assert isinstance(params, TrajectoryParams)
        object.__setattr__(self, "_future", params)
        agents, frame = params.agents.max_agents, _frame_of(params)
        rows = (
            {"name": _WHERE, "dtype": "float32", "shape": [agents, "K", params.num_future, 2], "frame": frame},
            {"name": _HOW_SURE, "dtype": "float32", "shape": [agents, "K"]},
        )
        object.__setattr__(self, "output_spec", rows)
        super().__post_init__()

    @property
    def targets(self) -> Sequence[Any]:
        """gt_trajectory and gt_trajectory_mask; agent_type, agent_num and agent_label_index of the same agents."""
        rows = [self._row(name).row.to_dict() for name in ("gt_trajectory", "gt_trajectory_mask")]
        future = self._future
        agents = {"agents": msgspec.to_builtins(future.agents), "required": future.required}
        agents |= {name: getattr(future, name) for name in ("frame", "ground", "ground_z")}
        return (
            *rows,
            *(target_row(name, agents).row.to_dict() for name in ("agent_type", "agent_num", "agent_label_index")),
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes of agents, in the order of their numbers; last the vehicle, where it is an agent."""
        agents = self._future.agents
        names = tuple(one.name for one in agents.whole_classes())
        return names if agents.include_ego == "no" else (*names, _EGO)

    def labelled(self, targets: Mapping[str, NDArray[Any]], frame: Frame) -> bool:
        """Whether the frame has labels."""
        return frame.labels is not None

    def observe(
        self, model: HasSpec, outputs: Mapping[str, NDArray[Any]], targets: Mapping[str, NDArray[Any]], frame: Frame
    ) -> Observation:
        """agent_class (n,) int64; ade, fde, brier (n, len(k)) float64, m: of the agents that are judged, those that are
        seen at every step to come. agents, unfinished (1,) int64: how many of the wanted ones there are, and how many
        of them are not seen to the end. Raises UsageError where agents are chosen by roles that the labels do not have.
        """
        from .kernels.forecasting import displacements

        truth, mask = targets["gt_trajectory"], targets["gt_trajectory_mask"] != 0
        wanted = self._wanted(targets, frame)
        agents = wanted[mask[wanted].all(axis=1)]
        said, sure = self._answer(outputs, len(truth), agents)
        if self.normalize:
            sure = sure / sure.sum(axis=1, keepdims=True)
        order = np.argsort(-sure, axis=1, kind="stable")
        found = np.empty((len(agents), len(self.k), 3))
        given: list[Any] = [said, np.require(truth, np.float32, ["C", "W"]), agents, order]
        given += [np.array(self.k, np.int64), self.ade_of == "endpoint", found]
        displacements(*given)
        best = np.take_along_axis(sure, found[..., 2].astype(np.int64), axis=1)
        return {
            "agent_class": targets["agent_type"][agents].astype(np.int64),
            "ade": found[..., 0].copy(),
            "fde": found[..., 1].copy(),
            "brier": found[..., 1] + (1 - best) ** 2,
            "agents": np.array([len(wanted)], np.int64),
            "unfinished": np.array([len(wanted) - len(agents)], np.int64),
        }

    def score(self, observations: Sequence[Observation]) -> Scores:
        """Means over all agents of all frames, and over those of each class; NaN without any. Of the largest k first:
        brier-minFDE (the final distance of the forecast that ends nearest, and (1 - its probability) squared), minADE,
        minFDE, and MR, the share of agents that every forecast misses."""
        agent_class = np.concatenate([np.empty(0, np.int64), *(one["agent_class"] for one in observations)])
        none = np.empty((0, len(self.k)))
        each = {name: np.concatenate([none, *(one[name] for one in observations)]) for name in ("brier", "ade", "fde")}
        every = np.ones(len(agent_class), bool)
        counts = {
            "frames": len(observations),
            "agents": sum(int(one["agents"][0]) for one in observations),
            "agents that are judged": len(agent_class),
            "agents that are not seen to the end": sum(int(one["unfinished"][0]) for one in observations),
            "frames without an agent that is judged": sum(not len(one["agent_class"]) for one in observations),
        }
        classes = {name: self._numbers(each, agent_class == number) for number, name in enumerate(self.classes)}
        return Scores(self._numbers(each, every), classes, counts=counts)

    def _numbers(self, each: Mapping[str, NDArray[np.float64]], rows: NDArray[np.bool_]) -> dict[str, float]:
        found: dict[str, float] = {}
        for column in np.argsort(self.k)[::-1].tolist():
            values = [each[name][rows, column] for name in ("brier", "ade", "fde")]
            values.append(values[2] > self.miss_m)
            found |= {f"{name}{self.k[column]}": _mean(own) for name, own in zip(_ERRORS, values, strict=True)}
        return found

    def _row(self, feature: str) -> Any:
        return target_row(feature, self.params, columns=["x", "y"], layout="ATF")

    def _wanted(self, targets: Mapping[str, NDArray[Any]], frame: Frame) -> NDArray[np.int64]:
        """Returns the rows of the agents whose forecasts count."""
        rows = np.arange(int(targets["agent_num"][0]))
        if self.judged == "all":
            return rows
        labels = frame.labels
        roles = None if labels is None else labels.forecast_role
        if roles is None:
            raise UsageError(
                f"{frame}: its labels do not say which tracks are {self.judged}: judged='{self.judged}' is for the "
                "forecasting sets of Argoverse 2 and Waymo"
            )
        of_label = targets["agent_label_index"][rows]
        chosen: NDArray[np.int64] = rows[(of_label >= 0) & (roles[of_label] >= _ROLES[self.judged])]
        return chosen

    def _answer(
        self, outputs: Mapping[str, NDArray[Any]], agents: int, judged: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Returns trajectories of all agents, and the probabilities (n, K) of those that are judged."""
        absent = [name for name in (_WHERE, _HOW_SURE) if name not in outputs]
        if absent:
            raise UsageError(
                f"a model of {self.name} gives '{_WHERE}' and '{_HOW_SURE}', the outputs have no {', '.join(absent)}"
            )
        said, sure = np.asarray(outputs[_WHERE]), np.asarray(outputs[_HOW_SURE])
        steps = self._future.num_future
        if said.ndim != 4 or (said.shape[0], *said.shape[2:]) != (agents, steps, 2) or said.shape[1] == 0:
            raise UsageError(f"output '{_WHERE}' must be ({agents}, K, {steps}, 2), got {said.shape}")
        if sure.shape != said.shape[:2]:
            raise UsageError(f"output '{_HOW_SURE}' must be {said.shape[:2]}, as '{_WHERE}', got {sure.shape}")
        for name, array in ((_WHERE, said), (_HOW_SURE, sure)):
            if array.dtype.kind != "f":
                raise UsageError(f"output '{name}' must be float32, got {array.dtype}")
        real = np.isfinite(said[judged]).all(axis=(1, 2, 3))
        if not real.all():
            raise UsageError(f"output '{_WHERE}' of agent {judged[np.argmin(real)]} has values that are not finite")
        own = sure[judged].astype(np.float64)
        fits = ((own >= 0) & (own <= 1)).all(axis=1) if not self.normalize else _can_be_normalized(own)
        if not fits.all():
            row = int(np.argmin(fits))
            raise UsageError(
                f"output '{_HOW_SURE}' of agent {judged[row]} is {own[row].tolist()}, wanted numbers from 0 to 1"
                + (" that are not all 0" if self.normalize else "")
            )
        return np.require(said, np.float32, ["C", "W"]), own

    def _check(self, whose: str, inputs: Spec, outputs: Spec) -> None:
        """As every problem's; the agents of the model's agent_history must be the problem's."""
        super()._check(whose, inputs, outputs)
        schema, future = canonical(), self._future
        own = [resolve_row(schema, row) for row in inputs if row.name.partition("__")[0] in schema]
        history = [one for one in own if one.group.name == "agent_history"]
        wanted = future.agents.meaning(), future.place_key()
        same = [
            isinstance(one.params, AgentGroupParams) and (one.params.agents.meaning(), one.params.place_key()) == wanted
            for one in history
        ]
        if history and not any(same):
            raise UsageError(
                f"{whose}: the agents of its input '{history[0].name}' are not those of the problem's gt_trajectory; "
                "`agents` and the frame of reference must be the same"
            )


def _frame_of(params: TrajectoryParams) -> ReferenceFrame:
    if params.frame == "radar":
        raise UsageError(
            "params of gt_trajectory: a model answers in the ego or the lidar frame of reference, not in 'radar'"
        )
    # x and y are the same, whatever heights are counted from
    return "lidar" if params.frame == "lidar" else "ego"


def _can_be_normalized(sure: NDArray[np.float64]) -> NDArray[np.bool_]:
    fits: NDArray[np.bool_] = (sure >= 0).all(axis=1) & np.isfinite(sure).all(axis=1) & (sure.sum(axis=1) > 0)
    return fits


def _mean(numbers: NDArray[Any]) -> float:
    # to the last bit the same in whatever order frames come
    return fsum(numbers.tolist()) / len(numbers) if len(numbers) else float("nan")
