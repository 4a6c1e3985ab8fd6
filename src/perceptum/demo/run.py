"""`perceptum demo`: pack both detectors, open a drive, run both, tell and show what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from perceptum.builders import InputBuilder
from perceptum.datasets import open_log
from perceptum.features import canonical
from perceptum.inference import Times, run_model
from perceptum.inputs import Frame
from perceptum.neuropod import Model, load_neuropod
from perceptum.picture import Picture
from perceptum.plural import counted
from perceptum.problems import Detection3d, Scores

from .packing import PACKERS

__all__ = ["DemoResult", "ModelResult", "run_demo"]


@dataclass(frozen=True)
class ModelResult:
    """How one model did on the drive."""

    model: str
    framework: str
    inputs: tuple[str, ...]
    times: Times
    scores: Scores

    def to_dict(self) -> dict[str, Any]:
        score = {name: round(self.scores.summary[name], 3) for name in ("precision", "recall")}
        inputs = {"model": self.model, "framework": self.framework, "inputs": list(self.inputs)}
        return {**inputs, **self.times.summary(), **score}


@dataclass(frozen=True)
class DemoResult:
    log: dict[str, Any]
    models: tuple[ModelResult, ...]
    packages: tuple[Path, ...]
    picture: Path

    def to_dict(self) -> dict[str, Any]:
        return {
            "log": self.log,
            "models": [model.to_dict() for model in self.models],
            "packages": [str(path) for path in self.packages],
            "picture": str(self.picture),
        }


def run_demo(
    out: Path,
    frames: int = 20,
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
    track: Callable[[Iterable[Frame], str, int], Iterable[Frame]] = lambda frames, _, __: frames,
) -> DemoResult:
    """Runs the demo and writes packages and picture to the folder `out`, which is made if need be.

    say: called with each step. track: passes frames through, for a progress bar.
    """
    out.mkdir(parents=True, exist_ok=True)
    log = open_log("synthetic", frames=frames, seed=seed)
    # kept, so that both models meet the same records, read once
    drive = list(log)
    shown = drive[len(drive) // 2]
    say("packing two detectors, each tested in a fresh process")
    packages = _pack(out, shown)
    problem, results, found = Detection3d(), [], []
    say("loading both, each in a process of its own")
    with ExitStack() as closed_at_the_end:
        for model in _loaded(packages, closed_at_the_end):
            say(f"running '{model.name}' ({model.platform}) on {counted(len(log), 'frame')} of the synthetic drive")
            result, boxes = _run(model, track(drive, model.name, len(drive)), problem, shown.index)
            results.append(result)
            found.append((result, boxes))
    picture = out / "frame.png"
    _draw(shown, found, picture)
    return DemoResult(log.info(), tuple(results), packages, picture)


def _pack(out: Path, frame: Frame) -> tuple[Path, ...]:
    """Packs both detectors at once: most of the time goes to importing their frameworks in the test processes."""
    paths = tuple(out / f"{name}.neuropod" for name in PACKERS)
    with ThreadPoolExecutor(len(paths)) as both:
        jobs = [both.submit(pack, path, frame) for pack, path in zip(PACKERS.values(), paths, strict=True)]
        for job in jobs:
            job.result()
    return paths


def _loaded(packages: Iterable[Path], closed_at_the_end: ExitStack) -> list[Model]:
    """Loads all packages at once, each in a process of its own, which imports its framework."""
    with ThreadPoolExecutor() as together:
        jobs = [together.submit(load_neuropod, path, isolate=True) for path in packages]
    models = [closed_at_the_end.enter_context(job.result()) for job in jobs if job.exception() is None]
    for job in jobs:
        job.result()
    return models


def _run(model: Model, frames: Iterable[Frame], problem: Detection3d, keep: int) -> tuple[ModelResult, NDArray[Any]]:
    times, observed, kept = Times(), [], None
    targets = InputBuilder(problem.targets, training=True)
    for answer in run_model(frames, model, times, touch=lambda frame: frame.sweeps()):
        if answer.frame.labels is not None:
            built = targets.build(answer.frame)
            observed.append(problem.observe(model, answer.outputs, built, answer.frame))
        if answer.frame.index == keep:
            kept = problem.sure_boxes(model, answer.outputs, answer.frame)
    assert kept is not None
    names = tuple(row["name"] for row in model.inputs)
    return ModelResult(model.name, _framework(model), names, times, problem.score(observed)), kept


def _framework(model: Model) -> str:
    return {"torchscript": "TorchScript", "tensorflow": "TensorFlow"}.get(model.platform, model.platform)


def _draw(frame: Frame, found: list[tuple[ModelResult, NDArray[Any]]], path: Path) -> None:
    log = frame.log
    picture = Picture(title=f"{log.source.dataset} drive, {frame}: one schema, two models, two frameworks")
    picture.points(InputBuilder(["lidar_points"], schema=canonical()).build(frame)["lidar_points"])
    if frame.map is not None:
        picture.map(frame.map, frame.world_from_ego)
    if frame.labels is not None:
        picture.labels(frame.labels)
    for result, boxes in found:
        picture.boxes(boxes, f"{result.model}, {result.framework}")
    picture.save(path)
