"""Forecasts of agents, against one that follows the definitions agent by agent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.builders import InputBuilder
from perceptum.datasets import memory_log, open_log
from perceptum.errors import UsageError
from perceptum.inputs import Labels
from perceptum.problems import MotionForecasting, problem_named

from .models import ModelSpec

AGENTS, STEPS = 8, 5
SMALL = {"num_future": STEPS, "agents": {"max_agents": AGENTS}}


def targets_of(truth, mask, kind, number=None):
    n = len(truth) if number is None else number
    return {
        "gt_trajectory": np.asarray(truth, np.float32),
        "gt_trajectory_mask": np.asarray(mask, np.uint8),
        "agent_type": np.asarray(kind, np.int32),
        "agent_num": np.array([n], np.int32),
        "agent_label_index": np.arange(len(truth), dtype=np.int32),
    }


def drawn(seed, ways=6):
    random = np.random.default_rng(seed)
    truth = random.normal(0, 30, (AGENTS, 1, 2)) + np.cumsum(random.normal(0, 1, (AGENTS, STEPS, 2)), axis=1)
    said = truth[:, None] + np.cumsum(random.normal(0, 1, (AGENTS, ways, STEPS, 2)), axis=2)
    # often equal
    sure = random.integers(0, 4, (AGENTS, ways)) / 8
    mask = np.ones((AGENTS, STEPS))
    mask[random.random(AGENTS) < 0.3, random.integers(0, STEPS)] = 0
    number = int(random.integers(0, AGENTS + 1))
    outputs = {"trajectories": said.astype(np.float32), "probabilities": sure.astype(np.float32)}
    return outputs, targets_of(truth, mask, random.integers(0, 3, AGENTS), number)


def by_the_word(frames, k, miss_m, endpoint):
    """brier-minFDE, minADE, minFDE and MR of every agent, with its class."""
    rows = []
    for outputs, targets in frames:
        for agent in range(int(targets["agent_num"][0])):
            if not targets["gt_trajectory_mask"][agent].all():
                continue
            truth = targets["gt_trajectory"][agent].astype(np.float64)
            sure = outputs["probabilities"][agent].astype(np.float64)
            ways = sorted(range(len(sure)), key=lambda way: -sure[way])[:k]
            away = [np.linalg.norm(outputs["trajectories"][agent, way].astype(float) - truth, axis=1) for way in ways]
            nearest = min(range(len(ways)), key=lambda i: away[i][-1])
            last = away[nearest][-1]
            average = away[nearest].mean() if endpoint else min(own.mean() for own in away)
            brier = last + (1 - sure[ways[nearest]]) ** 2
            rows.append((brier, average, last, last > miss_m, targets["agent_type"][agent]))
    return np.array(rows, np.float64).reshape(-1, 5)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**31 - 1),
    frames=st.integers(1, 3),
    k=st.sampled_from([(1, 6), (3,), (10, 2)]),
    miss_m=st.sampled_from([2.0, 0.7]),
    ade_of=st.sampled_from(["least", "endpoint"]),
)
def test_it_is_what_the_definitions_say(seed, frames, k, miss_m, ade_of):
    problem = MotionForecasting(params=SMALL, k=k, miss_m=miss_m, ade_of=ade_of)
    drawn_frames = [drawn(seed + i) for i in range(frames)]
    model = ModelSpec(problem.outputs)
    got = problem.score([problem.observe(model, outputs, targets, None) for outputs, targets in drawn_frames])
    assert got.main == f"brier-minFDE{max(k)}"
    for most in k:
        rows = by_the_word(drawn_frames, most, miss_m, ade_of == "endpoint")
        for numbers, own in [
            (got.summary, rows),
            *((got.classes[name], rows[rows[:, 4] == i]) for i, name in enumerate(problem.classes)),
        ]:
            found = [numbers[f"{name}{most}"] for name in ("brier-minFDE", "minADE", "minFDE", "MR")]
            wanted = own[:, :4].mean(axis=0) if len(own) else [np.nan] * 4
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
    assert got.counts["agents that are judged"] == len(rows)
    assert got.counts["agents"] == sum(int(targets["agent_num"][0]) for _, targets in drawn_frames)
    assert problem.lower_is_better >= set(got.summary)


def test_probabilities_may_be_brought_to_a_sum_of_1():
    outputs, targets = drawn(3)
    targets["agent_num"][0] = AGENTS
    outputs["probabilities"] = np.full((AGENTS, 6), 5, np.float32)
    problem = MotionForecasting(params=SMALL, k=(6,), normalize=True)
    got = problem.frame_scores(problem.observe(ModelSpec(problem.outputs), outputs, targets, None))
    assert got["brier-minFDE6"] == pytest.approx(got["minFDE6"] + (1 - 1 / 6) ** 2, abs=1e-12)
    outputs["probabilities"][:] = 0
    with pytest.raises(UsageError, match=r"wanted numbers from 0 to 1 that are not all 0$"):
        problem.observe(ModelSpec(problem.outputs), outputs, targets, None)


def test_rows_of_agents_that_are_not_judged_are_not_looked_at():
    outputs, targets = drawn(4)
    targets["agent_num"][0], targets["gt_trajectory_mask"][:] = 4, 1
    targets["gt_trajectory_mask"][2, 1] = 0
    for row in (2, 4, 7):
        outputs["trajectories"][row], outputs["probabilities"][row] = np.nan, -7
    problem = MotionForecasting(params=SMALL)
    one = problem.observe(ModelSpec(problem.outputs), outputs, targets, None)
    assert len(one["ade"]) == 3
    got = problem.score([one])
    assert (got.counts["agents"], got.counts["agents that are not seen to the end"]) == (4, 1)
    assert np.isfinite(list(got.summary.values())).all()


def test_without_agents_there_are_no_numbers_and_the_frame_is_counted():
    outputs, targets = drawn(5)
    targets["agent_num"][0] = 0
    problem = MotionForecasting(params=SMALL)
    got = problem.score([problem.observe(ModelSpec(problem.outputs), outputs, targets, None)])
    assert all(np.isnan(value) for value in got.summary.values())
    assert got.counts["frames without an agent that is judged"] == 1
    assert all(np.isnan(value) for value in problem.score([]).summary.values())


def test_frames_may_come_in_any_order():
    problem = MotionForecasting(params=SMALL)
    seen = [problem.observe(ModelSpec(problem.outputs), *drawn(seed), None) for seed in range(9)]
    assert problem.score(seen).to_dict() == problem.score(seen[::-1]).to_dict()


def test_where_the_agents_of_a_drive_go_is_found_exactly():
    problem = problem_named("motion_forecasting:k=1+2,judged=all")
    assert problem.k == (1, 2)
    frame = open_log("synthetic", frames=70)[2]
    targets = InputBuilder(problem.targets, training=True).build(frame)
    model = ModelSpec(problem.outputs, [history_row()])
    problem.check(model)
    said = np.repeat(targets["gt_trajectory"][:, None], 2, axis=1)
    said[:, 1] += 3
    sure = np.tile(np.float32([0.75, 0.25]), (len(said), 1))
    said.flags.writeable = False
    one = problem.observe(model, {"trajectories": said, "probabilities": sure}, targets, frame)
    got = problem.score([one])
    assert got.counts["agents that are judged"] > 10
    exact = {f"{error}{k}": 0 for k in (2, 1) for error in ("minADE", "minFDE", "MR")}
    assert got.summary == {"brier-minFDE2": 0.0625, "brier-minFDE1": 0.0625} | exact
    assert problem.labelled(targets, frame)
    with pytest.raises(
        UsageError, match=r"its labels do not say which tracks are focal: judged='focal' is for the fore"
    ):
        MotionForecasting(judged="focal").observe(model, {}, targets, frame)


@pytest.mark.parametrize(("judged", "agents"), [("all", 5), ("scored", 3), ("focal", 1)])
def test_a_focal_track_is_a_scored_one_too(judged, agents):
    boxes = np.tile([5.0, 0, 0, 4, 2, 1.5, 0], (6, 1))
    names, roles = np.arange(6).astype(np.str_), np.array([0, 2, 1, 3, 2, 3])
    labels = Labels(0, boxes, np.array(["car"] * 6), names, forecast_role=roles)
    outputs, targets = drawn(6)
    targets["agent_num"][0], targets["gt_trajectory_mask"][:] = 5, 1
    # the vehicle itself is none of the labels
    targets["agent_label_index"][:5] = [-1, 4, 0, 3, 1]
    problem = MotionForecasting(params=SMALL, judged=judged)
    one = problem.observe(ModelSpec(problem.outputs), outputs, targets, memory_log(labels=[labels], times_ns=[0])[0])
    assert problem.score([one]).counts["agents that are judged"] == agents


@pytest.mark.data
def test_of_a_real_scenario_the_focal_track_is_judged(real_scenario):
    frame = real_scenario[49]
    for judged, tracks in (("focal", 1), ("scored", 1 + int((frame.labels.forecast_role == 2).sum()))):
        problem = MotionForecasting(params="qcnet", judged=judged)
        targets = InputBuilder(problem.targets, training=True).build(frame)
        truth = targets["gt_trajectory"]
        outputs = {
            "trajectories": np.repeat(truth[:, None] + np.float32(1), 6, axis=1),
            "probabilities": np.full((len(truth), 6), 1 / 6, np.float32),
        }
        one = problem.observe(ModelSpec(problem.outputs), outputs, targets, frame)
        got = problem.score([one])
        assert got.counts["agents"] == got.counts["agents that are judged"] == tracks
        assert got.summary["minADE6"] == pytest.approx(2**0.5, abs=1e-5)
        assert np.isnan(got.classes["ego"]["minADE6"])


def history_row(**params):
    shape = [64, 20, 10]
    return {"name": "agent_history", "dtype": "float32", "shape": shape, **({"params": params} if params else {})}


@pytest.mark.parametrize(
    ("row", "fits"),
    [
        (history_row(), True),
        (history_row(agents={"radius": 50.0}), False),
        (history_row(frame="lidar"), False),
    ],
)
def test_a_model_must_have_the_agents_of_the_problem(row, fits):
    problem = MotionForecasting()
    # its answers are in the axes that the problem says, whatever its inputs are in
    outputs = [{**row_, "frame": "ego"} if "frame" in row_ else row_ for row_ in problem.outputs]
    model = ModelSpec(outputs, [row])
    if fits:
        problem.check(model)
        return
    with pytest.raises(UsageError) as caught:
        problem.check(model)
    assert str(caught.value) == (
        "model 'model': the agents of its input 'agent_history' are not those of the problem's gt_trajectory; `agents` "
        "and the frame of reference must be the same"
    )


def broken(**changed):
    outputs, targets = drawn(1)
    targets["agent_num"][0], targets["gt_trajectory_mask"][:] = AGENTS, 1
    return {name: array for name, array in {**outputs, **changed}.items() if array is not None}, targets


PLACES, SURE = drawn(1)[0].values()


def with_value(array, index, value):
    changed = array.copy()
    changed[index] = value
    return changed


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        (
            {"probabilities": None},
            "a model of motion_forecasting gives 'trajectories' and 'probabilities', the outputs have no probabilities",
        ),
        ({"trajectories": PLACES[:, 0]}, "output 'trajectories' must be (8, K, 5, 2), got (8, 5, 2)"),
        ({"trajectories": PLACES[:5]}, "output 'trajectories' must be (8, K, 5, 2), got (5, 6, 5, 2)"),
        ({"trajectories": PLACES[:, :0]}, "output 'trajectories' must be (8, K, 5, 2), got (8, 0, 5, 2)"),
        ({"probabilities": SURE[:, :2]}, "output 'probabilities' must be (8, 6), as 'trajectories', got (8, 2)"),
        ({"trajectories": PLACES.astype(np.int64)}, "output 'trajectories' must be float32, got int64"),
        (
            {"trajectories": with_value(PLACES, (3, 1, 2, 0), np.inf)},
            "output 'trajectories' of agent 3 has values that are not finite",
        ),
        (
            {"probabilities": with_value(SURE, 2, [0, 0.5, 1.5, 0, 0, 0])},
            "output 'probabilities' of agent 2 is [0.0, 0.5, 1.5, 0.0, 0.0, 0.0], wanted numbers from 0 to 1",
        ),
        (
            {"probabilities": with_value(SURE, 2, [0, 0.5, np.nan, 0, 0, 0])},
            "output 'probabilities' of agent 2 is [0.0, 0.5, nan, 0.0, 0.0, 0.0], wanted numbers from 0 to 1",
        ),
    ],
)
def test_outputs_that_break_the_spec_are_refused(changed, wanted):
    problem = MotionForecasting(params=SMALL)
    outputs, targets = broken(**changed)
    with pytest.raises(UsageError) as caught:
        problem.observe(ModelSpec(problem.outputs), outputs, targets, None)
    assert str(caught.value) == wanted


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"k": ()}, "k must be different whole numbers from 1 to 64, got ()"),
        ({"k": (1, 1)}, "k must be different whole numbers from 1 to 64, got (1, 1)"),
        ({"k": (0,)}, "k must be different whole numbers from 1 to 64, got (0,)"),
        ({"miss_m": 0.0}, "miss_m must be more than 0, got 0.0"),
        ({"judged": "best"}, "judged must be all, scored or focal, got 'best'"),
        ({"ade_of": "mean"}, "ade_of must be least or endpoint, got 'mean'"),
        (
            {"params": {"frame": "radar"}},
            "params of gt_trajectory: a model answers in the ego or the lidar frame of reference, not in 'radar'",
        ),
    ],
)
def test_options_that_cannot_be_are_refused(options, wanted):
    with pytest.raises(UsageError) as caught:
        MotionForecasting(**options)
    assert str(caught.value) == wanted
