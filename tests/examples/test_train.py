"""The two detectors of examples/train, in a reduced form: they learn, are stopped and go on, and can be exchanged."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import perceptum as pc

TRAIN = Path(__file__).resolve().parents[2] / "examples" / "train"
PROBLEM = "detection3d:metric=nuscenes,classes=road_users,range_m=25"
DRIVES = "synthetic:split=train,logs=8,frames=5,beams=32,azimuth_steps=1024"
HELD_OUT = "synthetic:split=val,logs=2,frames=3,beams=32,azimuth_steps=1024"
LINE = re.compile(r"(?:step|epoch) +(?P<at>\d+)  loss +(?P<loss>[\d.]+)  mAP (?P<mAP>[\d.]+)")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Line(NamedTuple):
    """What a run prints at each checkpoint."""

    at: int
    loss: float
    mAP: float


class Trained(NamedTuple):
    package: Path
    lines: list[Line]
    """Those of the run that was stopped, then those of the one that went on."""
    stopped_after: int
    """So many lines."""


Train = Callable[[str], Trained]
RUNS = {
    "pointpillars_torch": (
        "pointpillars.neuropod",
        ["--steps", "36", "--every", "12", "--floor", "0.04", "--workers", "1", "--threads", "1"],
    ),
    "range_view_keras": ("range_view.neuropod", ["--epochs", "3", "--floor", "0.03", "--workers", "1"]),
}


@pytest.fixture(scope="session")
def trained(once: Callable[..., Path]) -> Train:
    """trained("range_view_keras"): the script was started, stopped by Ctrl-C at its first checkpoint, and resumed."""

    def make(folder: Path, script: str) -> None:
        command = [sys.executable, str(TRAIN / f"{script}.py"), "--out", str(folder), *RUNS[script][1]]
        command += ["--train", DRIVES, "--held-out", HELD_OUT]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as first:
            assert first.stdout is not None
            assert first.stderr is not None
            line = first.stdout.readline()
            first.send_signal(signal.SIGINT)
            said, errors = first.stdout.read(), first.stderr.read()
        assert LINE.match(line), errors
        assert first.returncode in (-signal.SIGINT, 128 + signal.SIGINT), errors
        second = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False)
        assert second.returncode == 0, second.stderr
        (folder / "stopped.txt").write_text(line + said)
        (folder / "resumed.txt").write_text(second.stdout)

    def of(script: str) -> Trained:
        folder = once(script, lambda folder: make(folder, script))
        stopped, resumed = (lines_of((folder / name).read_text()) for name in ("stopped.txt", "resumed.txt"))
        return Trained(folder / RUNS[script][0], stopped + resumed, len(stopped))

    return of


def lines_of(text: str) -> list[Line]:
    return [Line(int(at), float(loss), float(score)) for at, loss, score in LINE.findall(text)]


# in 36 steps and 30, with --floor to fit; the floors of whole runs, of 240 steps each, are in the scripts
@pytest.mark.parametrize("script", RUNS)
def test_a_run_that_was_stopped_goes_on_and_learns(script, trained):
    run = trained(script)
    at = [line.at for line in run.lines]
    assert at == sorted(set(at)), "no checkpoint was trained twice"
    assert 0 < run.stopped_after < len(run.lines)
    assert run.lines[-1].loss < 0.8 * run.lines[0].loss
    assert run.lines[-1].mAP > run.lines[0].mAP


def test_both_are_judged_by_one_call_as_they_were_while_they_trained(trained):
    runs = {script: trained(script) for script in RUNS}
    packages = {script: run.package for script, run in runs.items()}
    judged = pc.evaluate(PROBLEM, pc.open_dataset(HELD_OUT), packages, isolate=False)
    for script, run in runs.items():
        assert judged.counts[script].judged == 6
        assert judged.scores[script].summary["mAP"] == pytest.approx(run.lines[-1].mAP, abs=2e-3)


def test_one_takes_the_place_of_the_other(trained, tmp_path):
    place, found = tmp_path / "detector.neuropod", []
    frame = pc.open_dataset(HELD_OUT)[0]
    for script in RUNS:
        shutil.copy(trained(script).package, place)
        with pc.load_neuropod(place) as model:
            built = pc.InputBuilder(model).build(frame)
            found.append((set(built), {name: (a.dtype, a.shape[1:]) for name, a in model.infer(built).items()}))
    (torch_takes, torch_gives), (keras_takes, keras_gives) = found
    assert not torch_takes & keras_takes
    assert torch_gives == keras_gives


@pytest.mark.parametrize("script", RUNS)
def test_the_package_is_given_what_training_saw(script, trained):
    from perceptum.parity import compare_with_training, recorded_training

    package = trained(script).package
    training = recorded_training(package)
    assert training is not None
    with pc.load_neuropod(package) as model:
        parity = compare_with_training(model, training, pc.open_dataset(DRIVES))
    assert parity.equal
    assert parity.recorded == len(training.frames) > 0
