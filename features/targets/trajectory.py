"""gt_trajectory, gt_trajectory_mask, gt_ego_trajectory and gt_ego_trajectory_mask."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from .. import drawings
from ..agent.agents import AgentGroupParams, agent_axes, agent_mask_axes
from ..agent.presets import HISTORY
from ..checks import distinct, finite
from ..errors import SpecError
from ..feature import Feature
from ..group import Group
from ..parameter import About
from ..preset import Preset

__all__ = ["GROUPS", "FutureColumn", "TrajectoryParams"]

FutureColumn = Literal["x", "y", "z", "cos_yaw", "sin_yaw", "yaw", "vx", "vy", "dx", "dy", "x_from_now", "y_from_now"]


class TrajectoryParams(AgentGroupParams, frozen=True, kw_only=True):
    num_future: Annotated[int, About("Steps after now: T of the tensor.", "count", least=1)] = 60
    dt: Annotated[float | None, About("From one step to the next; null: that of `agents`.", "s")] = None
    columns: Annotated[tuple[FutureColumn, ...], About("What is said of an agent at each step, in order.")] = ("x", "y")

    def __post_init__(self) -> None:
        super().__post_init__()
        distinct("columns", self.columns)
        if self.dt is not None:
            finite("dt", (self.dt,))
            if self.dt <= 0:
                raise SpecError(f"dt must be above 0, got {self.dt:g}")
        self.agents.check_tolerance(self.dt_s)

    @property
    def dt_s(self) -> float:
        """`dt`, or what null stands for."""
        return self.agents.dt if self.dt is None else self.dt

    def dims(self) -> dict[str, int]:
        return {"A": self.agents.max_agents, "T": self.num_future, "F": len(self.columns)}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        return {"A": ("agents",), "T": ("num_future",)}.get(dim, ("columns",))


def _preset(name: str, follows: str, **values: Any) -> Preset:
    """Returns the preset that goes with one of agent_history."""
    return Preset({"agents": HISTORY[name].params["agents"], **values}, follows=follows)


_PRESETS = {
    "lanegcn": _preset(
        "lanegcn",
        "LaneGCN data.py, get_obj_feats (uber-research): gt_preds and has_preds, there in the world's axes, to "
        "which the model turns its answers",
        num_future=30,
    ),
    "hivt": _preset(
        "hivt",
        "HiVT datasets/argoverse_v1_dataset.py (ZikangZhou): y, before it is turned to each agent's heading; "
        "of agents that are not seen now it learns nothing",
        num_future=30,
        columns=["x_from_now", "y_from_now"],
    ),
    "qcnet": _preset(
        "qcnet", "QCNet datasets/argoverse_v2_dataset.py (ZikangZhou), 6 s at 10 Hz", columns=["x", "y", "z", "yaw"]
    ),
    "mtr": _preset(
        "mtr",
        "MTR mtr/datasets/waymo/waymo_dataset.py (sshaoshuai), 8 s at 10 Hz, about the vehicle",
        num_future=80,
        columns=["x", "y", "vx", "vy"],
    ),
    "nuplan": _preset(
        "nuplan",
        "nuplan-devkit nuplan/planning/script/config/common/model/raster_model.yaml (motional): 6 s of the vehicle",
        num_future=12,
        columns=["x", "y", "yaw"],
    ),
    "nuscenes_prediction": _preset("nuscenes_prediction", "nuScenes' prediction challenge: 6 s at 2 Hz", num_future=12),
}

GROUPS = (
    Group(
        name="gt_trajectory",
        params=TrajectoryParams(),
        drawing=drawings.future_trajectory,
        presets=_PRESETS,
        features=(
            Feature(
                name="gt_trajectory",
                dtypes=("float32",),
                shape=agent_axes,
                units="mixed",
                frame="reference",
                rows_of="agent_history",
                target=True,
                prose="Where each agent of agent_history is at the steps to come, in the axes at the reference time; 0 "
                "where it is not seen, and behind the last agent.",
            ),
            Feature(
                name="gt_trajectory_mask",
                dtypes=("uint8",),
                shape=agent_mask_axes,
                units="flag",
                frame="none",
                rows_of="agent_history",
                target=True,
                prose="At which of these steps each agent is seen.",
            ),
            Feature(
                name="gt_ego_trajectory",
                dtypes=("float32",),
                shape=("T", "F"),
                units="mixed",
                frame="reference",
                target=True,
                prose="Where the vehicle itself is at these steps, by the log's poses: where a step has labels, at "
                "their time, as the agents are.",
            ),
            Feature(
                name="gt_ego_trajectory_mask",
                dtypes=("uint8",),
                shape=("T",),
                units="flag",
                frame="none",
                target=True,
                prose="At which of these steps the vehicle's pose is known.",
            ),
        ),
    ),
)
