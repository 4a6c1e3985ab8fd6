"""Other ways to have another process look at arrays: each sends them there and waits for a number that comes back.

Each runs in this environment, where it is installed: ray, grpcio and iceoryx2 need not be.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PEERS", "count", "grpc_loopback", "iceoryx2_loan", "queue", "ray_store"]

Arrays = Mapping[str, NDArray[Any]]
Send = Callable[[], float]


def look(arrays: Arrays) -> float:
    """What the other process computes: a number of each array, the same whatever their size."""
    return float(sum(array.flat[0] for array in arrays.values()))


@contextlib.contextmanager
def queue(arrays: Arrays) -> Iterator[Send]:
    """multiprocessing.Queue, one each way: arrays are pickled through a pipe."""
    context = multiprocessing.get_context("spawn")
    there, back = context.Queue(), context.Queue()
    process = context.Process(target=_answer_queue, args=(there, back), daemon=True)
    process.start()

    def send() -> float:
        there.put(arrays)
        found: float = back.get()
        return found

    try:
        yield send
    finally:
        there.put(None)
        process.join()


def _answer_queue(there: Any, back: Any) -> None:
    while (arrays := there.get()) is not None:
        back.put(look(arrays))


@contextlib.contextmanager
def ray_store(arrays: Arrays) -> Iterator[Send]:
    """ray's object store: put there, and an actor that is given the reference reads it where it lies."""
    import ray

    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=1 << 30,
        runtime_env={"env_vars": {"PYTHONPATH": os.path.dirname(__file__)}},
    )

    class Looker:
        def look(self, arrays: Arrays) -> float:
            return look(arrays)

    looker = ray.remote(Looker).remote()
    try:
        yield lambda: float(ray.get(looker.look.remote(ray.put(dict(arrays)))))
    finally:
        ray.shutdown()


@contextlib.contextmanager
def grpc_loopback(arrays: Arrays) -> Iterator[Send]:
    """gRPC over loopback: bytes without a message around them, which is the least that it costs."""
    import grpc

    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve_grpc, args=(theirs,), daemon=True)
    process.start()
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{ours.recv()}", options=options) as channel:
        call = channel.unary_unary("/look/look")
        try:
            # a message is one string of bytes: all arrays, one after the other
            yield lambda: float(call(b"".join(array.tobytes() for array in arrays.values())))
        finally:
            ours.send(None)
            process.join()


def _serve_grpc(pipe: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    import grpc

    def answer(request: bytes, _: object) -> bytes:
        return str(look({"all": np.frombuffer(request, np.uint8)})).encode()

    server = grpc.server(ThreadPoolExecutor(1), options=[("grpc.max_receive_message_length", -1)])
    handlers = {"look": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("look", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    pipe.send(port)
    pipe.recv()
    server.stop(None)


@contextlib.contextmanager
def iceoryx2_loan(arrays: Arrays) -> Iterator[Send]:
    """iceoryx2: a loan that is sent and acknowledged, both sides polling. Nothing is written into the loan: whoever
    builds into it has done so. One array."""
    import iceoryx2

    (array,) = arrays.values()
    name = f"perceptum-{os.getpid()}"
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_answer_iceoryx2, args=(name,), daemon=True)
    iceoryx2.set_log_level(iceoryx2.LogLevel.Error)
    node = iceoryx2.NodeBuilder.new().create(iceoryx2.ServiceType.Ipc)
    publisher = _slices(node, f"{name}-there").publisher_builder().initial_max_slice_len(array.nbytes).create()
    answers = _slices(node, f"{name}-back").subscriber_builder().create()
    process.start()

    def send() -> float:
        publisher.loan_slice_uninit(array.nbytes).assume_init().send()
        while (sample := answers.receive()) is None:
            os.sched_yield()
        found = float(sample.payload()[0])
        sample.delete()
        return found

    try:
        # a sample that is sent before its reader is there reaches nobody
        while not answers.has_samples():
            publisher.loan_slice_uninit(1).assume_init().send()
            os.sched_yield()
        while (sample := answers.receive()) is not None:
            sample.delete()
        yield send
    finally:
        process.kill()
        process.join()


def _slices(node: Any, name: str) -> Any:
    import iceoryx2

    service = node.service_builder(iceoryx2.ServiceName.new(name))
    return service.publish_subscribe(iceoryx2.Slice[ctypes.c_uint8]).open_or_create()


def _answer_iceoryx2(name: str) -> None:
    import iceoryx2

    iceoryx2.set_log_level(iceoryx2.LogLevel.Error)
    node = iceoryx2.NodeBuilder.new().create(iceoryx2.ServiceType.Ipc)
    requests = _slices(node, f"{name}-there").subscriber_builder().create()
    answers = _slices(node, f"{name}-back").publisher_builder().initial_max_slice_len(1).create()
    while True:
        sample = requests.receive()
        if sample is None:
            os.sched_yield()
            continue
        number = sample.payload()[0]
        sample.delete()
        answer = answers.loan_slice_uninit(1)
        answer.payload()[0] = number
        answer.assume_init().send()


def count(calls: int) -> int:
    """What the Python models of `isolation.throughput` compute, so many times."""
    total = 0
    for _ in range(calls):
        for number in range(200000):
            total = (total + number) % 1000003
    return total


PEERS = {
    name: way
    for name, module, way in (
        ("multiprocessing.Queue", "multiprocessing", queue),
        ("ray", "ray", ray_store),
        ("gRPC", "grpc", grpc_loopback),
        ("iceoryx2", "iceoryx2", iceoryx2_loan),
    )
    if importlib.util.find_spec(module) is not None
}
"""Name -> the way, of those that are installed."""
