"""A worker that answers as no worker would: `python hostile_worker.py FOLDER ATTACK DESCRIPTOR`."""

import array
import contextlib
import importlib.util
import json
import mmap
import os
import socket
import struct
import sys
import threading
import time


def package(folder):
    spec = importlib.util.spec_from_file_location(
        "perceptum_worker", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["perceptum_worker"] = module
    spec.loader.exec_module(module)


package(sys.argv[1])
from perceptum_worker import wire  # noqa: E402

connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, int(sys.argv[3]))
_, body, descriptors = wire.receive(connection)
control = mmap.mmap(descriptors[0], wire.CONTROL_BYTES)
woken, waking = descriptors[1:3]
outputs = mmap.mmap(descriptors[3], os.fstat(descriptors[3]).st_size) if len(descriptors) > 3 else None
ROWS = [["y", "<f4", 1]]


def load(said=None):
    wire.send(connection, wire.LOADED, {"why_code": [], "seals": False} if said is None else said)


def request():
    """Waits for a request; returns its number."""
    while True:
        try:
            os.read(woken, 1)
            return wire.HEAD.unpack_from(control, wire.REQUEST)[0]
        except BlockingIOError:
            time.sleep(0.001)


def ring():
    with contextlib.suppress(OSError):
        os.write(waking, b"!")


def reply(data=b"", kind=wire.RESULT, plan=0, messages=0, number=None, nbytes=None):
    number = wire.HEAD.unpack_from(control, wire.REQUEST)[0] if number is None else number
    size = len(data) if nbytes is None else nbytes
    wire.HEAD.pack_into(control, wire.REPLY, number, kind, plan, size, messages)
    begin = wire.REPLY + wire.HEAD.size
    control[begin : begin + len(data)] = data
    ring()


def numbers(*values):
    return struct.pack(f"<{len(values)}Q", *[value & (1 << 64) - 1 for value in values])


def plan(rows=ROWS, number=0):
    wire.send(connection, wire.PLAN, {"plan": number, "rows": rows})


def answer(*values, rows=ROWS):
    """Answers the next request with outputs of these rows; `values` say where they lie."""
    request()
    plan(rows)
    reply(numbers(0, 0, *values), messages=1)


# what it says of loading


def loads_a_list():
    wire.send(connection, wire.LOADED, b"[1, 2]")


def loads_no_json():
    wire.send(connection, wire.LOADED, b"\xff{")


def loads_deep_json():
    wire.send(connection, wire.LOADED, b'{"a":' * 100000)


def loads_another_message():
    wire.send(connection, wire.PLAN, {"plan": 0, "rows": []})


def loads_with_descriptors():
    wire.send(connection, wire.LOADED, {}, [0, 1, 2])


def loads_an_error_that_is_none():
    load({"error": 3})


def loads_an_error_without_a_name():
    load({"error": {"kind": "a\0b", "text": "x"}})


def loads_a_number_of_reasons():
    load({"why_code": 5})


def loads_reasons_that_are_no_text():
    load({"why_code": ["it is code", ["\x1b]0;title\7"]]})


def loads_reasons_with_control_characters():
    load({"why_code": ["\x1b]0;title\7it is code"]})


def loads_endlessly():
    connection.send(struct.pack("<IHH", 1000, wire.LOADED, 0))
    while True:
        connection.send(b" ")
        time.sleep(0.05)


def announces_much():
    connection.send(struct.pack("<IHH", 0xFFFFFFFF, wire.LOADED, 0))


# what it answers


def answers_noise():
    load()
    request()
    control[wire.REPLY : wire.REPLY + 65536] = os.urandom(65536)
    ring()


def fills_all_shared_memory_with_noise():
    load()
    request()
    noise = os.urandom(1 << 16)
    for begin in range(0, wire.CONTROL_BYTES - len(noise), len(noise)):
        control[begin : begin + len(noise)] = noise
    ring()


def answers_another_request():
    load()
    reply(number=request() + 1)


def answers_an_earlier_request():
    load()
    request()
    reply(number=0)


def answers_with_too_many_bytes():
    load()
    request()
    reply(nbytes=0xFFFFFFFF)


def answers_with_half_a_number():
    load()
    request()
    plan()
    reply(b"12345678901", messages=1)


def answers_with_nothing():
    load()
    request()
    reply()


def answers_of_another_kind():
    load()
    request()
    reply(kind=77)


def announces_messages_without_end():
    load()
    request()
    reply(messages=0xFFFFFFFF)


def announces_a_message_that_does_not_come():
    load()
    request()
    reply(messages=1)


def sends_a_message_that_does_not_end():
    load()
    request()
    reply(messages=1)
    connection.send(struct.pack("<IHH", 1000, wire.PLAN, 0))
    while True:
        connection.send(b" ")
        time.sleep(0.05)


def sends_half_a_message():
    load()
    request()
    reply(messages=1)
    connection.send(b"123")
    connection.close()


def sends_bodies_without_end():
    load()
    request()
    reply(messages=1000)
    while True:
        wire.send(connection, wire.BODY, bytes(1 << 20))


def announces_a_body_that_does_not_come():
    load()
    request()
    reply(kind=wire.RESULT | wire.BY_SOCKET)


def sends_a_message_of_another_kind():
    load()
    request()
    reply(messages=1)
    wire.send(connection, 99)


def sends_descriptors():
    load()
    request()
    reply(messages=4)
    for _ in range(4):
        wire.send(connection, wire.BODY, b"1", [0, 1, 2, 0, 1, 2])


def sends_more_descriptors_than_it_says():
    load()
    request()
    reply(messages=1)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))]
    connection.sendmsg([struct.pack("<IHH", 0, wire.PLAN, 1)], rights)


def sends_descriptors_in_the_middle():
    load()
    request()
    reply(messages=1)
    connection.send(struct.pack("<IHH", 100, wire.PLAN, 0))
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 100))]
    connection.sendmsg([b" " * 100], rights)


def _sends_memory(descriptor):
    load()
    request()
    reply(messages=1)
    wire.send(connection, wire.CHUNK, descriptors=[descriptor])


def sends_memory_of_its_own():
    descriptor = os.memfd_create("mine", os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, 1 << 20)
    import fcntl

    fcntl.fcntl(descriptor, 1033, 7)
    _sends_memory(descriptor)


def sends_memory_that_it_can_shrink():
    descriptor = os.memfd_create("mine", os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, 1 << 20)
    _sends_memory(descriptor)


def sends_empty_memory():
    descriptor = os.memfd_create("mine", os.MFD_ALLOW_SEALING)
    import fcntl

    fcntl.fcntl(descriptor, 1033, 7)
    _sends_memory(descriptor)


def sends_a_pipe_as_memory():
    _sends_memory(os.pipe()[0])


def sends_a_device_as_memory():
    _sends_memory(os.open("/dev/zero", os.O_RDWR))


def shrinks_what_it_was_given():
    load()
    try:
        os.ftruncate(descriptors[0], 0)
    except OSError:
        answers_with_nothing_again()
    else:
        time.sleep(60)


def answers_with_nothing_again():
    request()
    reply()


# names and types


def _plan_of(body):
    load()
    request()
    reply(numbers(0, 0, 0), messages=1)
    wire.send(connection, wire.PLAN, body)


def plans_no_json():
    _plan_of(b"{")


def plans_a_number():
    _plan_of(b"3")


def plans_deep_json():
    _plan_of(b"[" * 1000000)


def plans_a_huge_number():
    _plan_of(b'{"plan": ' + b"9" * 100000 + b', "rows": []}')


def plans_no_rows():
    _plan_of({"plan": 0, "rows": None})


def plans_rows_of_text():
    _plan_of({"plan": 0, "rows": ["abc"]})


def plans_a_number_that_is_a_list():
    _plan_of({"plan": [], "rows": []})


def plans_a_name_that_is_none():
    _plan_of({"plan": 0, "rows": [[3, "<f4", 1]]})


def plans_objects():
    _plan_of({"plan": 0, "rows": [["y", "O", 1]]})


def plans_sized_objects():
    _plan_of({"plan": 0, "rows": [["y", "|O8", 1]]})


def plans_a_structure():
    _plan_of({"plan": 0, "rows": [["y", "f4,O", 1]]})


def plans_arrays_of_arrays():
    _plan_of({"plan": 0, "rows": [["y", "(1000000,)f4", 1]]})


def plans_no_type():
    _plan_of({"plan": 0, "rows": [["y", "<q99", 1]]})


def plans_elements_of_no_bytes():
    _plan_of({"plan": 0, "rows": [["y", "|V0", 1]]})


def plans_a_rank_below_zero():
    _plan_of({"plan": 0, "rows": [["y", "<f4", -1]]})


def plans_a_rank_of_many():
    _plan_of({"plan": 0, "rows": [["y", "<f4", 1000000]]})


def plans_more_than_is_kept():
    load()
    request()
    reply(numbers(0, 0, 0), messages=1000)
    rows = [["y", "<f4", 1]] * 100000
    for number in range(1000):
        plan(rows, number)


# where outputs lie


def answers_a_plan_that_it_has_not_told():
    load()
    request()
    reply(numbers(0, 0, 1, 0, 0, 64, 0, 0, 3), plan=5)


def answers_memory_that_it_has_not_sent():
    load()
    answer(1, 7, 0, 64, 0, 0, 3)


def answers_memory_of_a_huge_number():
    load()
    answer(1, 1 << 63, 0, 64, 0, 0, 3)


def answers_beyond_the_end():
    load()
    answer(1, 0, len(outputs) - 64, 128, 0, 0, 3)


def answers_before_the_beginning():
    load()
    answer(1, 0, -64, 128, 0, 0, 3)


def answers_a_block_of_all_bytes():
    load()
    answer(1, 0, 0, -1, 0, 0, 3)


def answers_an_array_longer_than_its_block():
    load()
    answer(1, 0, 0, 64, 0, 0, 17)


def answers_an_array_beyond_its_block():
    load()
    answer(1, 0, 0, 64, 0, 64, 3)


def answers_an_array_at_an_odd_place():
    load()
    answer(1, 0, 0, 64, 0, 3, 3)


def answers_a_block_at_an_odd_place():
    load()
    answer(1, 0, 3, 64, 0, 0, 3)


def answers_a_shape_that_overflows():
    load()
    answer(1, 0, 0, 64, 0, 0, 1 << 32, 1 << 32, rows=[["y", "<f4", 2]])


def answers_a_shape_below_zero():
    load()
    answer(1, 0, 0, 64, 0, 0, -1)


def answers_an_empty_shape_of_many():
    load()
    answer(1, 0, 0, 64, 0, 0, 0, 1 << 62, rows=[["y", "<f4", 2]])


def answers_another_block():
    load()
    answer(1, 0, 0, 64, 5, 0, 3)


def answers_no_block():
    load()
    answer(0, 0, 0, 3)


def answers_blocks_without_end():
    load()
    answer(1 << 40)


def answers_fewer_numbers_than_it_takes():
    load()
    answer(1, 0, 0)


def answers_a_shape_of_fewer_sizes():
    load()
    answer(1, 0, 0, 64, 0, 0)


def answers_the_same_memory_many_times():
    load()
    rows = [[f"y{number}", "|u1", 1] for number in range(1000)]
    answer(1, 0, 0, len(outputs), *[word for _ in rows for word in (0, 0, len(outputs))], rows=rows)


# text


def _text(ends, shape, data=b"", rank=1):
    load()
    outputs[: 8 * len(ends)] = struct.pack(f"<{len(ends)}q", *ends)
    outputs[8 * len(ends) : 8 * len(ends) + len(data)] = data
    answer(1, 0, 0, len(outputs), 0, 0, *shape, rows=[["y", "U", rank]])


def answers_text_beyond_its_block():
    _text([0, 1 << 40], [1])


def answers_text_that_goes_back():
    _text([0, 10, 5, 20], [3], b"x" * 20)


def answers_text_that_begins_later():
    _text([5, 10], [1], b"x" * 10)


def answers_text_below_zero():
    _text([0, -5], [1])


def answers_text_that_is_none():
    _text([0, 4], [1], b"\xff\xfe\xfd\xfc")


def answers_text_of_more_elements_than_there_are():
    _text([0, 1], [1 << 40])


def answers_text_of_a_shape_that_overflows():
    _text([0, 1], [1 << 32, 1 << 32], rank=2)


def answers_text_that_is_wide():
    # each element takes as much as the longest
    count, length = 1000, 100000
    _text([0, *[length] * count], [count], b"x" * length)


# errors


def _error(said):
    load()
    request()
    reply(json.dumps(said).encode(), kind=wire.ERROR)


def errs_without_json():
    load()
    request()
    reply(b"{", kind=wire.ERROR)


def errs_with_a_list():
    _error([1])


def errs_with_a_name_that_is_none():
    _error({"kind": "no name", "text": "x"})


def errs_and_holds_a_number():
    _error({"kind": "E", "text": "x", "given_up": 3})


def errs_and_holds_lists():
    _error({"kind": "E", "text": "x", "given_up": [[]]})


def holds_all_that_it_gets():
    load()
    plan()
    messages = 1
    while True:
        request()
        reply(numbers(1, 0, 1, 0, 0, 64, 0, 0, 3), messages=messages)
        messages = 0


# what it does besides


def ends():
    load()
    request()
    os._exit(7)


def closes_its_socket():
    load()
    request()
    connection.close()
    reply(messages=1)


def does_not_answer():
    load()
    time.sleep(60)


def rings_without_end():
    load()
    while True:
        ring()


def sleeps_and_rings():
    load()
    request()
    ring()


def changes_what_it_has_answered():
    load()
    outputs[:12] = struct.pack("<3f", 1, 2, 3)
    answer(1, 0, 0, 64, 0, 0, 3)
    time.sleep(0.05)
    outputs[:64] = b"\xff" * 64
    threading.Event().wait(60)


def prints_control_characters():
    load()
    os.write(2, b"\x1b]0;title\x07plain \x1b[31mred\xc2\x9b \xc3\xa4\ttab\r\nnext\n")
    outputs[:12] = struct.pack("<3f", 1, 2, 3)
    answer(1, 0, 0, 64, 0, 0, 3)
    threading.Event().wait(60)


def prints_without_end():
    load()
    outputs[:12] = struct.pack("<3f", 1, 2, 3)
    line = b"x" * 99 + b"\n"
    for _ in range(100):
        os.write(2, line * 1000)
    answer(1, 0, 0, 64, 0, 0, 3)
    threading.Event().wait(60)


if __name__ == "__main__":
    globals()[sys.argv[2]]()
    time.sleep(60)
