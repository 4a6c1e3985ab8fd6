"""A filler written by a stranger can be slow, never wrong; what it declares is kept, also in batches."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Event
from typing import ClassVar

import numpy as np
import pytest
from msgspec.structs import replace

from perceptum.builders import BuildError, Draw, Filler, InputBuilder
from perceptum.features import Concat, Group, Params, Schema, SpecError
from perceptum.inputs import BrokenRecord

from .strangers import GROUPS, NAMES, SCHEMA, Graph, GraphParams, feature, truth

RAGGED = {"acme_nodes", "acme_edges", "acme_rows", "acme_stacked"}
BATCHED = [name for name in NAMES if name != "acme_stacked"]


@pytest.fixture(scope="module")
def frames(frame_of):
    return [frame_of(np.zeros((1, 3)), time_ns=1000 * k) for k in range(1, 30)]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("writable", [False, True])
def test_a_filler_that_writes_sparsely_gives_right_tensors_in_used_memory(frames, threads, writable):
    builder, random, held = InputBuilder(NAMES, schema=SCHEMA, threads=threads, writable=writable), Random(0), []
    for _ in range(120):
        frame = random.choice(frames)
        tensors = builder.build(frame)
        for name in NAMES:
            expected = truth(name, frame)
            assert tensors[name].dtype == expected.dtype
            assert np.array_equal(tensors[name], expected), name
        if writable:
            for array in tensors.values():
                array[...] = 77
        held = [*held[-2:], tensors]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("writable", [False, True])
def test_batches_obey_axis_offset_and_fill(frames, threads, writable):
    builder, random = InputBuilder(BATCHED, schema=SCHEMA, threads=threads, writable=writable), Random(1)
    for size in (1, 4, 2, 6, 6, 3, 1, 5) * 3:
        picked = random.choices(frames, k=size)
        batch = builder.build_batch(picked)
        single = {name: [truth(name, frame) for frame in picked] for name in BATCHED}
        nodes = np.cumsum([0, *(len(own) for own in single["acme_nodes"])])
        edges = [own + start for own, start in zip(single["acme_edges"], nodes, strict=False)]
        assert np.array_equal(batch["acme_edges"], np.concatenate(edges, axis=1))
        assert batch["acme_graph_batch_ptr"].tolist() == nodes.tolist()
        starts = np.cumsum([0, *(own.shape[1] for own in edges)])
        assert batch["acme_edges_batch_ptr"].tolist() == starts.tolist()
        for name in BATCHED:
            if name in RAGGED - {"acme_edges"}:
                assert np.array_equal(batch[name], np.concatenate(single[name])), name
            elif name not in RAGGED:
                assert np.array_equal(batch[name], np.stack(single[name])), name
        for array in batch.values():
            assert array.flags.c_contiguous
            assert array.ctypes.data % 64 == 0
            if writable:
                array[...] = 77


def test_edges_alone_are_offset_by_the_nodes_that_nobody_asked_for(frames):
    batch = InputBuilder(["acme_edges"], schema=SCHEMA).build_batch(frames[2:5])
    sizes = np.array([frame.time_ns // 1000 % 7 for frame in frames[2:5]])
    starts = np.cumsum([0, *sizes[:-1]])
    expected = [np.stack([np.arange(n - 1), np.arange(1, n)]) + s for n, s in zip(sizes, starts, strict=True)]
    assert np.array_equal(batch["acme_edges"], np.concatenate(expected, axis=1))


def test_two_edge_lists_of_three_and_five_are_one_of_eight(frames):
    """They became a (4, 3), silently: joined along the first axis and cut."""
    three, five = frames[3], frames[5]
    batch = InputBuilder(["acme_edges", "acme_nodes"], schema=SCHEMA).build_batch([three, five])
    assert batch["acme_edges"].shape == (2, 8)
    assert batch["acme_edges"].tolist() == [[0, 1, 2, 4, 5, 6, 7, 8], [1, 2, 3, 5, 6, 7, 8, 9]]


def test_what_cannot_be_joined_is_refused_with_the_size_and_what_to_do(frames):
    builder = InputBuilder(["acme_stacked"], schema=SCHEMA)
    builder.build(frames[0])
    with pytest.raises(SpecError) as error:
        builder.build_batch(frames[:2])
    assert str(error.value) == (
        "'acme_stacked' cannot be stacked into a batch: a frame decides its size 'num_sparse'; fix it in the spec"
    )


def test_a_draw_reaches_every_stage_and_nothing_else_is_random(frames):
    builder = InputBuilder(["acme_noise", "acme_zeros"], schema=SCHEMA)
    draws = [Draw(0, epoch, index) for epoch in range(2) for index in range(3)]
    built = [builder.build(frames[0], draw=draw)["acme_noise"].copy() for draw in draws]
    assert len({array.tobytes() for array in built}) == len(draws)
    for draw, array in zip(reversed(draws), reversed(built), strict=True):
        assert np.array_equal(builder.build(frames[3], draw=draw)["acme_noise"], array)
    assert not builder.build(frames[0])["acme_noise"].any()
    batch = builder.build_batch(frames[:6], draws=draws)
    assert np.array_equal(batch["acme_noise"], np.stack(built))
    with pytest.raises(ValueError, match=r"^a batch of 2 frames needs as many draws, got 1$"):
        builder.build_batch(frames[:2], draws=draws[:1])


class Shaky(Graph):
    """Edges of which some lead nowhere, and rows with the frame's number, filled through a flat view."""

    group = "acme_shaky"

    def sizes(self):
        return {"num_nodes": self.n, "num_edges": 4}

    def fill(self, feature, out, written):
        if feature == "acme_shaky_nodes":
            out.reshape(-1)[:] = np.arange(out.size) + 1
        else:
            out[:] = [[0, -1, 1, -1], [1, 2, -1, -1]]


def shaky(**more):
    features = (
        feature("acme_shaky_nodes", ("num_nodes", 2), "int32", collate=Concat(index="column")),
        feature(
            more.pop("edges", "acme_shaky_edges"),
            (2, "num_edges"),
            "int64",
            collate=Concat(1, "offset", "acme_shaky_nodes"),
        ),
    )
    return Group(**{"name": "acme_shaky", "params": GraphParams(), "features": features, "filler": Shaky, **more})


def test_an_edge_that_leads_nowhere_leads_nowhere_in_a_batch(frames):
    """-1 became a node of the frame before."""
    builder = InputBuilder([f.name for f in shaky()], schema=Schema("mine", "1", (shaky(),)))
    batch = builder.build_batch(frames[1:3])
    assert batch["acme_shaky_edges"].tolist() == [[0, -1, 1, -1, 2, -1, 3, -1], [1, 2, -1, -1, 3, 4, -1, -1]]


def test_rows_with_the_frames_number_may_be_filled_through_a_flat_view(frames):
    """In a batch `out` had a gap for the number in each row: what was written through reshape(-1) was lost."""
    builder = InputBuilder(["acme_shaky_nodes"], schema=Schema("mine", "1", (shaky(),)))
    for _ in range(2):
        batch = builder.build_batch(frames[1:3])
        assert batch["acme_shaky_nodes"].tolist() == [[0, 1, 2], [0, 3, 4], [1, 1, 2], [1, 3, 4], [1, 5, 6]]


def test_two_pointers_of_one_name_are_refused(frames):
    """The second was left out, silently."""
    builder = InputBuilder(["acme_shaky_nodes", "acme_shaky"], schema=Schema("mine", "1", (shaky(edges="acme_shaky"),)))
    with pytest.raises(SpecError, match="'acme_shaky_nodes' and 'acme_shaky' would both have the pointer"):
        builder.build_batch(frames[:2])


def test_edges_whose_nodes_are_nowhere_are_refused(frames):
    nodes = Group(
        name="acme_others",
        params=GraphParams(),
        features=(feature("acme_others", ("num_nodes", "F"), collate=Concat()),),
        filler=Graph,
    )
    edges = feature("acme_edges_of_others", (2, "num_edges"), "int64", collate=Concat(1, "offset", "acme_others"))
    group = Group(name="acme_edging", params=GraphParams(), features=(edges,), filler=Graph)
    builder = InputBuilder(["acme_edges_of_others"], schema=Schema("mine", "1", (nodes, group)))
    with pytest.raises(SpecError) as error:
        builder.build_batch(frames[:2])
    assert str(error.value) == (
        "'acme_edges_of_others' cannot be joined into a batch: it counts the rows of 'acme_others', which is neither "
        "in its group nor in the spec; add that row"
    )


@pytest.mark.parametrize("sizes", [{}, {"num_nodes": -3}, {"num_nodes": 2.0}, {"num_nodes": None}, {"num_nodes": True}])
def test_a_fillers_sizes_that_are_none_are_named(frames, sizes):
    """-3 rows were as many as the memory had."""

    class Wrong(Graph):
        group = "acme_wrong"

        def sizes(self):
            return sizes

    group = Group(
        name="acme_wrong",
        params=GraphParams(),
        features=(feature("acme_wrong", ("num_nodes", "F"), collate=Concat()),),
        filler=Wrong,
    )
    builder = InputBuilder(["acme_wrong"], schema=Schema("mine", "1", (group,)))
    with pytest.raises(
        BuildError, match=r"^'acme_wrong': its filler's sizes\(\) must give 'num_nodes' as a number of 0"
    ):
        builder.build(frames[0])


def test_a_filler_that_cannot_be_made_is_refused_when_planning():
    class Refusing(Graph):
        group = "acme_refusing"

        def __init__(self, params, stages):
            raise SpecError("per_node must be odd")

    group = Group(
        name="acme_refusing",
        params=GraphParams(),
        features=(feature("acme_refusing", ("num_nodes", "F"), collate=Concat()),),
        filler=Refusing,
    )
    with pytest.raises(SpecError, match=r"^per_node must be odd$"):
        InputBuilder(["acme_refusing"], schema=Schema("mine", "1", (group,)))


class Left(BaseException):
    pass


def with_filler(filler):
    return Schema("mine", "1", (replace(GROUPS[0], filler=filler),))


RAISED = [KeyError("gone"), SystemExit(3), GeneratorExit(), Left("away")]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("stage", ["run", "sizes", "clearing", "fill"])
@pytest.mark.parametrize("threads", [1, 2])
def test_whatever_a_filler_raises_is_our_error_that_names_group_and_stage(frames, error, stage, threads):
    def fail(self, *args):
        raise error

    failing = type("Failing", (Graph,), {stage: fail})
    builder = InputBuilder(["acme_nodes", "acme_edges"], schema=with_filler(failing), threads=threads)
    with pytest.raises(
        BuildError, match=rf"^stage 'graph' of group 'acme_graph' \(.*Failing\) failed in {stage}"
    ) as told:
        builder.build(frames[3])
    assert type(error).__name__ in str(told.value)
    assert told.value.__cause__ is error


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("method", ["__init__", "want"])
def test_whatever_a_filler_raises_when_it_is_made_is_refused_when_planning(error, method):
    def fail(self, *args):
        raise error

    failing = type("Failing", (Graph,), {method: fail})
    with pytest.raises(
        SpecError, match=r"^input 'acme_nodes': the filler Failing of group 'acme_graph' fails: "
    ) as told:
        InputBuilder(["acme_nodes"], schema=with_filler(failing))
    assert told.value.__cause__ is error


def test_explain_shows_one_frame_while_the_next_is_built(frames):
    """The lane of the last build may be at work on another frame: its sizes and drops were mixed with those times."""
    midway, explained = Event(), Event()

    class Waiting(Graph):
        def run(self, sample):
            super().run(sample)
            self.dropped["loops"] = self.n
            if self.n == 5:
                midway.set()
                assert explained.wait(20)

    builder = InputBuilder(["acme_nodes"], schema=with_filler(Waiting))
    builder.build(frames[1])
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(builder.build, frames[4])
        assert midway.wait(20)
        plan = builder.explain()
        explained.set()
        assert second.result()["acme_nodes"].shape == (5, 3)
    assert plan.tensors[0].shape == (2, 3)
    assert plan.stages[0].dropped == {"loops": 2}
    assert builder.explain().stages[0].dropped == {"loops": 5}


class Sly(Params, frozen=True, kw_only=True):
    asked: ClassVar[dict[str, BaseException]] = {}
    size: int = 3

    def _answer(self, method):
        if method in self.asked:
            raise self.asked[method]

    def __post_init__(self):
        self._answer("__post_init__")

    def dims(self):
        self._answer("dims")
        return {"F": np.int64(self.size)}

    def cap(self, dim):
        self._answer("cap")
        return 5

    def parts(self):
        self._answer("parts")
        return {}

    def size_key(self, dim):
        self._answer("size_key")
        return (dim,)


def sly_shape(params):
    params._answer("shape")
    return ("num_nodes", "F")


SLY = (
    feature("acme_sly", sly_shape, collate=Concat()),
    feature("acme_sly_count", (1,), "int32", counts="acme_sly"),
)
SLY_SCHEMA = Schema("mine", "1", (Group(name="acme_sly", params=Sly(), features=SLY, filler=Graph),))
SLY_ROWS = [
    {"name": "acme_sly", "dtype": "float32", "shape": [5, 4], "params": {"size": 4}},
    {"name": "acme_sly_count", "dtype": "int32", "shape": [1], "params": {"size": 4}},
    {"name": "acme_sly__b", "dtype": "float32", "shape": ["n", 4], "params": {"size": 4}},
]
OURS_TO_CATCH = [OSError("no disk"), ImportError("no module"), TypeError("no type"), ValueError("no value")]


@pytest.mark.parametrize("error", [*RAISED, *OURS_TO_CATCH], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("method", "said"),
    {
        "__post_init__": "input 'acme_sly': ",
        "dims": "feature 'acme_sly': its shape for Sly fails: ",
        "shape": "feature 'acme_sly': its shape for Sly fails: ",
        "cap": r"group 'acme_sly': cap\(\) of its params \(.*Sly\) fails: ",
        "parts": r"group 'acme_sly': parts\(\) of its params \(.*Sly\) fails: ",
        "size_key": r"group 'acme_sly': size_key\(\) of its params \(.*Sly\) fails: ",
    }.items(),
)
def test_whatever_others_parameters_raise_is_refused_when_planning(error, method, said, monkeypatch):
    """OSError, ImportError, TypeError and ValueError left as they were, and nothing said whose they are."""
    InputBuilder(SLY_ROWS, schema=SLY_SCHEMA)
    monkeypatch.setattr(Sly, "asked", {method: error})
    with pytest.raises(SpecError, match=f"^{said}") as told:
        InputBuilder(SLY_ROWS, schema=SLY_SCHEMA)
    assert told.value.__cause__ is error


@pytest.mark.parametrize("error", [*RAISED, *OURS_TO_CATCH], ids=lambda error: type(error).__name__)
def test_whatever_a_models_inputs_raise_is_refused_when_planning(error):
    class Model:
        @property
        def inputs(self):
            raise error

    with pytest.raises(SpecError, match=r"^the plan cannot be made: ") as told:
        InputBuilder(Model())
    assert told.value.__cause__ is error


def test_edges_whose_nodes_a_spec_cuts_off_are_refused_when_planning():
    """They pointed past the nodes, in one frame, and in a batch to those of another."""
    nodes = {"name": "acme_nodes", "dtype": "float32", "shape": [4, 3]}
    with pytest.raises(SpecError) as error:
        InputBuilder([nodes, "acme_edges"], schema=SCHEMA)
    assert str(error.value) == (
        "'acme_nodes' is cut at 4 rows, but 'acme_edges' points to all of them; leave the rows of 'acme_nodes' open"
    )
    InputBuilder([nodes, "acme_edges__b"], schema=SCHEMA)


def test_edges_whose_nodes_are_bounded_by_their_params_may_have_that_many_fixed(frames):
    class Bounded(GraphParams, frozen=True, kw_only=True):
        def cap(self, dim):
            return 6

    class Padded(Graph):
        def fill(self, feature, out, written):
            super().fill(feature, out[: self.n] if feature == "acme_nodes" else out, written)

    schema = Schema("mine", "1", (replace(GROUPS[0], params=Bounded(), filler=Padded),))
    rows = [{"name": "acme_nodes", "dtype": "float32", "shape": [6, 3]}, "acme_edges"]
    batch = InputBuilder(rows, schema=schema).build_batch(frames[2:4])
    assert batch["acme_nodes"].shape == (2, 6, 3)
    assert batch["acme_edges"].tolist() == [[0, 1, 6, 7, 8], [1, 2, 7, 8, 9]]
    rows[0]["shape"] = [5, 3]
    with pytest.raises(SpecError, match="is cut at 5 rows, but 'acme_edges' points to up to 6 of them"):
        InputBuilder(rows, schema=schema)


def test_a_size_that_a_batch_asks_for_and_the_filler_does_not_give_is_named(frames):
    """It was a KeyError: edges alone in a spec are raised by the nodes that nobody asked for."""

    class Forgets(Graph):
        def sizes(self):
            return {"num_edges": max(self.n - 1, 0)}

    builder = InputBuilder(["acme_edges"], schema=with_filler(Forgets))
    with pytest.raises(BuildError) as error:
        builder.build_batch(frames[2:4])
    assert str(error.value) == (
        "'acme_edges': its filler's sizes() must give 'num_nodes' as a number of 0 or more, or its params' dims(), "
        "got None"
    )


def test_what_sizes_raise_while_a_batch_ends_is_our_error(frames):
    class Tires(Graph):
        asked = 0

        def sizes(self):
            self.asked += 1
            if self.asked > 2:
                raise KeyError("gone")
            return super().sizes()

    with pytest.raises(BuildError, match="failed in sizes: KeyError"):
        InputBuilder(["acme_edges"], schema=with_filler(Tires)).build_batch(frames[2:4])


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), BrokenRecord("drive/1.bin: cut short")], ids=["ctrl-c", "record"]
)
def test_an_interrupt_and_a_broken_record_leave_a_filler_as_they_are(frames, error):
    def run(self, sample):
        raise error

    builder = InputBuilder(["acme_nodes"], schema=with_filler(type("Failing", (Graph,), {"run": run})))
    with pytest.raises(type(error)) as raised:
        builder.build(frames[3])
    assert raised.value is error


@pytest.mark.parametrize("size", [-1, -40])
def test_params_that_make_a_negative_size_are_refused_when_planning(size):
    """numpy would count it from the end: a tensor of another shape, and no error."""
    row = {"name": "acme_zeros", "dtype": "float32", "shape": ["n"], "params": {"size": size}}
    with pytest.raises(SpecError, match=rf"its params make the shape \({size},\); no size is below 0"):
        InputBuilder([row], schema=SCHEMA)


class Summing(Filler):
    """Reads another stage, and says nothing but that: no group, no title, no needs; its own __init__ calls no other."""

    def __init__(self, params, stages):
        self.graph = stages.share(Graph, params)

    def fill(self, feature, out, written):
        out[:] = self.graph.n


SUMMING = Group(params=GraphParams(), features=(feature("acme_sum", (1,)),), filler=Summing)


@pytest.mark.parametrize("threads", [1, 3])
def test_what_a_stage_shares_when_it_is_made_runs_before_it(frames, threads):
    """It had to be listed in `needs`; what was left out could run later, and give what the frame before left."""
    builder = InputBuilder(["acme_sum"], schema=Schema("mine", "1", (SUMMING,)), threads=threads)
    for frame in frames:
        assert builder.build(frame)["acme_sum"] == [frame.time_ns // 1000 % 7]
    text = str(builder.explain())
    assert "graph" in text
    assert "summing" in text


def test_what_is_not_said_of_a_group_and_its_filler_follows_from_the_rest(frames):
    class Failing(Summing):
        def fill(self, feature, out, written):
            raise KeyError(self.params)

    assert SUMMING.name == "acme_sum"
    schema = Schema("mine", "1", (replace(SUMMING, filler=Failing),))
    with pytest.raises(BuildError, match=r"^stage 'failing' of group 'acme_sum' \(.*Failing\) failed in fill"):
        InputBuilder(["acme_sum"], schema=schema).build(frames[0])


def test_a_filler_without_an_init_keeps_its_params_and_stages(frames):
    class Sized(Filler):
        def fill(self, feature, out, written):
            out[:] = self.params.per_node + self.stages.threads

    schema = Schema("mine", "1", (replace(SUMMING, filler=Sized),))
    assert InputBuilder(["acme_sum"], schema=schema, threads=2).build(frames[0])["acme_sum"] == [5]


def test_an_axis_may_have_the_name_of_a_parameter_that_is_a_whole_number():
    class Sectors(Params, frozen=True, kw_only=True):
        sectors: int = 36
        turned: bool = True
        step_m: float = 2.0

    assert Sectors().dims() == {"sectors": 36}
    found = feature("acme", ("sectors", "num_gaps")).sizes(Sectors(sectors=8))
    assert found == (8, "num_gaps")
