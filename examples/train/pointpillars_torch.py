"""Trains a small PointPillars detector in PyTorch, judges it on drives that it has not seen, and packs it.

    python examples/train/pointpillars_torch.py            # about a minute on two cores; no data needed
    python examples/train/pointpillars_torch.py --resume   # goes on where it was stopped

After PointPillars (Lang et al. 2019), with the head of CenterPoint (Yin et al. 2021). `range_view_keras.py` solves the
same problem in another framework from other inputs: both packages are judged by one command, and can be exchanged.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

import perceptum as pc

# What is to be solved, and how it is judged: the same for every detector that takes part
PROBLEM = "detection3d:metric=nuscenes,classes=road_users,range_m=25"
TRAIN = "synthetic:split=train,logs=24,frames=10,beams=32,azimuth_steps=1024"
HELD_OUT = "synthetic:split=val,logs=4,frames=5,beams=32,azimuth_steps=1024"
FLOOR_MAP = 0.4  # of a run of the default length

# What the model is given, and what it is to learn: the grid is said once, so that the two cannot drift apart
CELLS, STRIDE = 128, 2
GRID = {"range": [-25.6, -25.6, -3.0, 25.6, 25.6, 3.0], "voxel": [0.4, 0.4, 6.0]}
SIDE, CELL_M, LOWEST_M = CELLS // STRIDE, 0.4 * STRIDE, -25.6  # of the head's map
PILLARS = {"grid": GRID, "columns": ["x", "y", "z", "intensity"], "max_points_per_voxel": 16, "max_voxels": 8000}
REGRESSED = ["offset_x", "offset_y", "z", "log_length", "log_width", "log_height", "sin_yaw", "cos_yaw"]
TARGETS = {
    "grid": GRID,
    "stride": STRIDE,
    "columns": REGRESSED,
    "max_objects": 64,
    "classes": "road_users",
    "min_points": 3,  # what is hardly seen is not asked for
}
SPEC: list[dict[str, Any]] = [
    {"name": "lidar_pillar_features", "dtype": "float32", "shape": ["num_pillars", 16, 10], "params": PILLARS},
    {"name": "lidar_pillar_coords", "dtype": "int32", "shape": ["num_pillars", 3], "params": PILLARS},
    {"name": "lidar_pillar_num_points", "dtype": "int32", "shape": ["num_pillars"], "params": PILLARS},
    {"name": "gt_heatmap", "dtype": "float32", "shape": [3, SIDE, SIDE], "params": TARGETS},
    {"name": "gt_reg", "dtype": "float32", "shape": [64, len(REGRESSED)], "params": TARGETS},
    {"name": "gt_index", "dtype": "int64", "shape": [64], "params": TARGETS},
    {"name": "gt_reg_mask", "dtype": "uint8", "shape": [64], "params": TARGETS},
]
OUTPUTS: list[dict[str, Any]] = [
    {"name": "boxes", "dtype": "float32", "shape": ["num_boxes", 7]},
    {"name": "scores", "dtype": "float32", "shape": ["num_boxes"]},
    {"name": "labels", "dtype": "int64", "shape": ["num_boxes"]},
]
AUGMENT = pc.Augment(flip_x=0.5, flip_y=0.5, rotate=0.3, scale=0.05, translate=0.2)


def convolutions(channels: int, out: int) -> nn.Sequential:
    """Two layers, of which the first halves the map."""
    layers: list[nn.Module] = []
    for before, stride in ((channels, 2), (out, 1)):
        layers += [nn.Conv2d(before, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
    return nn.Sequential(*layers)


class PointPillars(nn.Module):
    """What is packed is all of it: from pillars to boxes, so that whoever runs it needs no code of ours."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.width, self.cells, self.side = width, CELLS, SIDE
        self.cell_m, self.lowest_m = CELL_M, LOWEST_M
        self.point = nn.Linear(10, width, bias=False)
        self.point_norm = nn.BatchNorm1d(width)
        self.near = convolutions(width, width)
        self.far = convolutions(width, 2 * width)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, 2)
        self.heat = nn.Conv2d(2 * width, 3, 1)
        self.box = nn.Conv2d(2 * width, len(REGRESSED), 1)
        nn.init.constant_(self.heat.bias, -3.0)  # at first nothing is anywhere

    def maps(self, features: Tensor, coords: Tensor, num_points: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        """Pillars of several frames, whose coords begin with the frame's number -> logits (B, 3, Y, X) of the classes,
        and what is regressed (B, 8, Y, X)."""
        slots, width = features.size(1), self.width
        points = torch.relu(self.point_norm(self.point(features).flatten(0, 1))).view(-1, slots, width)
        is_real = torch.arange(slots, device=features.device) < num_points[:, None]
        # all are at least 0, so an empty slot that is 0 never wins
        pillars = (points * is_real[:, :, None]).amax(1)
        cell = (coords[:, 0] * self.cells + coords[:, 2]) * self.cells + coords[:, 3]
        canvas = pillars.new_zeros([frames * self.cells * self.cells, width]).index_copy(0, cell.long(), pillars)
        near = self.near(canvas.view(frames, self.cells, self.cells, width).permute(0, 3, 1, 2))
        both = torch.cat([near, self.up(self.far(near))], 1)
        return self.heat(both), self.box(both)

    def forward(
        self, lidar_pillar_features: Tensor, lidar_pillar_coords: Tensor, lidar_pillar_num_points: Tensor
    ) -> dict[str, Tensor]:
        """One frame -> its boxes, a row each: a cell that is surer than its neighbours is the centre of one."""
        coords = functional.pad(lidar_pillar_coords, [1, 0])  # the frame's number, 0
        logits, regressed = self.maps(lidar_pillar_features, coords, lidar_pillar_num_points, 1)
        heat = torch.sigmoid(logits)
        peaks = heat * (heat == functional.max_pool2d(heat, 3, 1, 1))
        scores, at = peaks.flatten().topk(100)
        at, scores = at[scores > 0.05], scores[scores > 0.05]
        cell = at % (self.side * self.side)
        row, column = torch.div(cell, self.side, rounding_mode="floor"), cell % self.side
        dx, dy, z, length, width, height, sin, cos = regressed[0].flatten(1)[:, cell].unbind(0)
        x, y = (column + dx) * self.cell_m + self.lowest_m, (row + dy) * self.cell_m + self.lowest_m
        boxes = torch.stack([x, y, z, length.exp(), width.exp(), height.exp(), torch.atan2(sin, cos)], 1)
        labels = torch.div(at, self.side * self.side, rounding_mode="floor")
        return {"boxes": boxes, "scores": scores, "labels": labels}


def losses(model: PointPillars, batch: dict[str, Tensor]) -> Tensor:
    """The penalty-reduced focal loss of the heatmap, and the L1 loss of boxes at their centres."""
    features, coords, num_points = (batch[f"lidar_pillar_{name}"] for name in ("features", "coords", "num_points"))
    logits, regressed = model.maps(features, coords, num_points, len(batch["gt_heatmap"]))
    chance, wanted = torch.sigmoid(logits).clamp(1e-4, 1 - 1e-4), batch["gt_heatmap"]
    missed = (wanted == 1) * (1 - chance) ** 2 * chance.log()
    invented = (1 - wanted) ** 4 * chance**2 * (1 - chance).log()
    real = batch["gt_reg_mask"].float()
    at = batch["gt_index"][:, None].expand(-1, len(REGRESSED), -1)
    apart = (regressed.flatten(2).gather(2, at).transpose(1, 2) - batch["gt_reg"]).abs().sum(2)
    return ((apart * real).sum() - missed.sum() - invented.sum()) / real.sum().clamp(min=1)


class Candidate:
    """The model as it is now, in the form in which an evaluation takes models that are not packages yet."""

    name, inputs, outputs = "pointpillars", SPEC[:3], OUTPUTS

    def __init__(self, model: PointPillars) -> None:
        self.model = model

    def infer(self, tensors: dict[str, Any]) -> dict[str, Any]:
        self.model.eval()
        with torch.no_grad():
            answer = self.model(**{row["name"]: torch.tensor(tensors[row["name"]]) for row in self.inputs})
        self.model.train()
        return {name: tensor.numpy() for name, tensor in answer.items()}


def train(options: argparse.Namespace) -> Path:
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    held_out = pc.open_dataset(options.held_out)
    loader = pc.Loader(
        pc.open_dataset(options.train),
        SPEC,
        batch_size=4,
        shuffle=0,
        augment=AUGMENT,
        workers=options.workers,
        writable=True,
    )
    model = PointPillars()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=options.steps)
    parts: list[Any] = [model, optimizer, schedule, loader]  # all that a run needs to go on
    step, checkpoint = 0, options.out / "checkpoint.pt"
    if options.resume:
        saved = torch.load(checkpoint, weights_only=True)
        step = saved["step"]
        for part, state in zip(parts, saved["states"], strict=True):
            part.load_state_dict(state)
    lately: list[float] = []
    with loader:
        while step < options.steps:
            for batch in loader.torch():  # an epoch, or what was left of it
                loss = losses(model, batch)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                step, lately = step + 1, [*lately, loss.item()]
                if step % options.every == 0 or step == options.steps:
                    torch.save({"step": step, "states": [part.state_dict() for part in parts]}, checkpoint)
                    judged = pc.evaluate(PROBLEM, held_out, Candidate(model)).scores["pointpillars"]
                    loss_now, lately = sum(lately) / len(lately), []
                    print(f"step {step:4}  loss {loss_now:6.3f}  mAP {judged.summary['mAP']:.3f}", flush=True)
                if step == options.steps:
                    break
        print(loader.stats().advice)
        # the spec that was trained on, with its parameters and the schema's fingerprint; what training saw of a few
        # frames goes into the package too, for `perceptum parity`
        return pc.pack(
            model,
            loader.spec,
            options.out / "pointpillars.neuropod",
            problem=PROBLEM,
            outputs=OUTPUTS,
            seen=loader,
            overwrite=True,
        )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("trained"), help="the folder of the checkpoint and the package"
    )
    parser.add_argument("--train", default=TRAIN, help="drives to learn from")
    parser.add_argument("--held-out", default=HELD_OUT, help="drives to be judged on")
    parser.add_argument("--steps", type=int, default=240, help="batches of 4 frames")
    parser.add_argument("--every", type=int, default=60, help="steps between two checkpoints")
    parser.add_argument("--workers", type=int, default=2, help="processes that build batches")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--floor", type=float, default=FLOOR_MAP, help="status 1 where the mAP does not end above this")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    package = train(options)
    # what is judged at last is what would be shipped
    scores = pc.evaluate(PROBLEM, pc.open_dataset(options.held_out), package, isolate=False).scores
    score = next(iter(scores.values())).summary["mAP"]
    print(f"packed {package}, mAP {score:.3f}")
    if score <= options.floor:
        sys.exit(f"an mAP of {score:.3f} is not above the floor of {options.floor}")


if __name__ == "__main__":
    main()
