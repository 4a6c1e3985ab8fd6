"""What hostile code tries from inside a sandbox. Each function is one attempt: it raises where it is kept out, and
returns what it got where it is not. It runs as a package's code, and knows of its victim what `victim` says."""

import ctypes
import fcntl
import mmap
import os
import platform
import resource
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

_X86 = platform.machine() == "x86_64"
_libc = ctypes.CDLL(None, use_errno=True)


def _call(x86, arm, *arguments):
    """Makes a system call by its number; returns what it returns."""
    words = [ctypes.c_long(word) for word in (x86 if _X86 else arm, *arguments)]
    result = _libc.syscall(*words)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _address(data):
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value


# first, for others open some


def find_descriptors(victim):
    others = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            others[int(name)] = os.readlink("/proc/self/fd/" + name)
        except OSError:
            continue  # the one that listed them
    for number in (0, 1, 2):
        del others[number]
    if others:
        return others
    raise OSError("there are none")


# the network


def reach_the_network_by_ipv4(victim):
    with socket.create_connection(("127.0.0.1", victim["port"]), 2) as connection:
        return str(connection)


def reach_the_network_by_ipv6(victim):
    return str(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))


def make_a_raw_socket(victim):
    return str(socket.socket(socket.AF_PACKET, socket.SOCK_RAW))


def ask_the_kernel_by_netlink(victim):
    return str(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))


def reach_a_virtual_machines_host(victim):
    return str(socket.socket(40, socket.SOCK_STREAM))


def reach_an_abstract_socket(victim):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect("\0" + victim["abstract"])
        return "connected"


def reach_a_socket_in_the_package(victim):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(victim["socket"])
        return "connected"


def make_a_pair_of_another_family(victim):
    return str(socket.socketpair(socket.AF_INET, socket.SOCK_STREAM))


def look_up_a_name(victim):
    return socket.getaddrinfo("example.com", 80)


# files


def read_home(victim):
    return Path(victim["secret"]).read_text()


def read_the_users_of_the_machine(victim):
    names = [line.split(":")[0] for line in Path("/etc/passwd").read_text().splitlines()]
    if names == ["model"]:
        raise OSError("nobody but itself is named")
    return names


def read_passwords(victim):
    return Path("/etc/shadow").read_text()


def read_the_hosts_name(victim):
    name = os.uname().nodename
    if name == "model":
        raise OSError("it is called model")
    return name


def list_etc(victim):
    names = set(os.listdir("/etc")) - {"passwd", "group", "ld.so.cache", "alternatives", "localtime"}
    if not names:
        raise OSError("there is nothing in it")
    return sorted(names)


def read_through_the_root_of_the_first_process(victim):
    return os.listdir("/proc/1/root/")


def read_through_its_working_folder(victim):
    return os.listdir("/proc/1/cwd/")


def go_up_from_the_root(victim):
    descriptor = os.open("/", os.O_RDONLY)
    for _ in range(20):
        descriptor = os.open("..", os.O_RDONLY, dir_fd=descriptor)
    os.stat(victim["secret"].lstrip("/"), dir_fd=descriptor)
    return "found"


def change_the_root(victim):
    os.mkdir("/tmp/r")
    os.chroot("/tmp/r")
    return "changed"


def open_by_a_handle(victim):
    return _call(304, 265, -100, 0, 0)


def write_to_the_package(victim):
    open(os.path.join(victim["package"], "added"), "w").close()
    return "written"


def change_the_package(victim):
    with open(victim["file"], "r+") as stream:
        stream.write("changed")
    return "written"


def change_rights_of_the_package(victim):
    os.chmod(victim["file"], 0o777)
    return "changed"


def write_to_the_interpreter(victim):
    open(os.path.join(os.path.dirname(os.__file__), "added.py"), "w").close()
    return "written"


def write_to_the_root(victim):
    open("/added", "w").close()
    return "written"


def write_to_usr(victim):
    open("/usr/added", "w").close()
    return "written"


def write_to_shared_memory_folder(victim):
    open("/dev/shm/added", "w").close()
    return "written"


def fill_tmp(victim):
    written = 0
    try:
        for number in range(16):
            with open(f"/tmp/{number}", "wb") as stream:
                written += stream.write(bytes(1 << 20))
    finally:
        for number in range(16):
            if os.path.exists(f"/tmp/{number}"):
                os.unlink(f"/tmp/{number}")
    return written


def fill_tmp_with_names(victim):
    made = 0
    try:
        for made in range(1 << 20):
            open(f"/tmp/name{made}", "w").close()
    finally:
        for number in range(made):
            os.unlink(f"/tmp/name{number}")
    return made


# settings of the machine


def change_a_setting_of_the_kernel(victim):
    with open("/proc/sys/kernel/core_pattern", "w") as stream:
        stream.write("|/bin/true")
    return "changed"


def have_the_kernel_do_something(victim):
    with open("/proc/sysrq-trigger", "w") as stream:
        stream.write("h")
    if os.path.samefile("/proc/sysrq-trigger", "/dev/null"):
        raise OSError("there is nothing behind it")
    return "done"


def read_the_kernels_memory(victim):
    return open("/proc/kcore", "rb").read(16) or _raise("nothing in it")


def read_where_the_kernel_is(victim):
    return open("/proc/kallsyms").read(16) or _raise("nothing in it")


def _raise(text):
    raise OSError(text)


def set_the_clock(victim):
    time.clock_settime(time.CLOCK_REALTIME, 0)
    return "set"


def set_the_hosts_name(victim):
    socket.sethostname("other")
    return "set"


def mount_something(victim):
    os.makedirs("/tmp/m", exist_ok=True)
    if _libc.mount(b"tmpfs", b"/tmp/m", b"tmpfs", 0, None):
        raise OSError(ctypes.get_errno(), "mount")
    return "mounted"


def open_a_tree_to_mount(victim):
    return _call(428, 428, -100, ctypes.addressof(ctypes.create_string_buffer(b"/usr")), 1)


def unmount_something(victim):
    if _libc.umount2(b"/tmp", 2):
        raise OSError(ctypes.get_errno(), "umount2")
    return "unmounted"


def have_namespaces_of_its_own(victim):
    return _call(272, 97, 0x10000000 | 0x20000)


def have_them_by_clone(victim):
    return _call(56, 220, 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)


def have_them_by_clone3(victim):
    arguments = (ctypes.c_uint64 * 11)(0x10000000)
    return _call(435, 435, ctypes.addressof(arguments), 88)


def go_to_another_namespace(victim):
    return _call(308, 268, os.open("/proc/self/ns/net", os.O_RDONLY), 0)


def load_a_program_into_the_kernel(victim):
    return _call(321, 280, 0, 0, 0)


def use_io_uring(victim):
    return _call(425, 425, 8, ctypes.addressof(ctypes.create_string_buffer(120)))


def use_userfaultfd(victim):
    return _call(323, 282, 0)


def use_keys(victim):
    return _call(250, 219, 0, -3, 0)


def watch_performance(victim):
    return _call(298, 241, ctypes.addressof(ctypes.create_string_buffer(112)), 0, -1, -1, 0)


def use_a_call_that_nobody_looked_at(victim):
    return _call(468, 468, 0, 0, 0, 0, 0)


def use_the_other_table_of_calls(victim):
    if not _X86:
        raise OSError("there is none")
    return _call(0x40000000 | 39, 0)


def make_a_device(victim):
    os.mknod("/tmp/device", 0o060600, os.makedev(254, 0))
    return "made"


def find_devices(victim):
    names = set(os.listdir("/dev")) - {"null", "random", "urandom", "fd", "stdin", "stdout", "stderr"}
    if not names:
        raise OSError("there are none")
    return sorted(names)


def type_into_the_terminal(victim):
    fcntl.ioctl(1, 0x5412, b"x")
    return "typed"


def type_with_high_bits(victim):
    return _call(16, 29, 1, 0x5412 | 1 << 32, ctypes.addressof(ctypes.create_string_buffer(b"x")))


# other processes


def see_other_processes(victim):
    others = [name for name in os.listdir("/proc") if name.isdigit() and name not in ("1", str(os.getpid()))]
    if not others:
        raise OSError("there are none")
    return others


def kill_its_victim(victim):
    os.kill(victim["pid"], signal.SIGKILL)
    return "killed"


def kill_everybody(victim):
    os.kill(-1, signal.SIGKILL)
    return "killed"


def kill_the_process_that_watches(victim):
    os.kill(1, signal.SIGKILL)
    os.kill(1, signal.SIGSTOP)
    time.sleep(0.05)
    # were it killed, nobody would be here to say so; it may be awake for a moment, on its own account
    state = Path("/proc/1/stat").read_text().rpartition(")")[2].split()[0]
    if state in "RSD":
        raise OSError("it is still there")
    return f"in state {state}"


def trace_the_process_that_watches(victim):
    return _call(101, 117, 16, 1, 0, 0)


def read_the_memory_of_the_process_that_watches(victim):
    return open("/proc/1/mem", "rb").name


def write_the_memory_of_the_process_that_watches(victim):
    return open("/proc/1/mem", "wb").name


def read_memory_of_another(victim):
    local = (ctypes.c_uint64 * 2)()
    return _call(310, 270, victim["pid"], ctypes.addressof(local), 1, ctypes.addressof(local), 1, 0)


def take_a_descriptor_of_another(victim):
    return _call(438, 438, os.pidfd_open(1), 0, 0)


def read_the_environment_of_the_process_that_watches(victim):
    return Path("/proc/1/environ").read_text()


def read_the_environment(victim):
    text = Path("/proc/self/environ").read_bytes() + repr(dict(os.environ)).encode()
    if victim["drow"][::-1].encode() in text:
        return text
    raise OSError("the word is not in it")


def find_the_environment_in_memory(victim):
    with open("/proc/self/stat") as stream:
        begin = int(stream.read().rpartition(")")[2].split()[25])  # where the stack began
    stack = ctypes.string_at(begin & ~0xFFF, 0x1000)
    if victim["drow"][::-1].encode() in stack:
        return "found"
    raise OSError("the word is not in it")


def find_a_file_as_output(victim):
    for number in (0, 1, 2):
        what = os.readlink(f"/proc/self/fd/{number}")
        if not what.startswith(("pipe:", "socket:")) and what != "/dev/null":
            return what
    raise OSError("none is a file")


def start_a_process(victim):
    return os.fork()


def start_a_program(victim):
    return subprocess.run(["/bin/true"]).returncode


def start_one_by_vfork(victim):
    return _call(58, 220, 0x4111, 0, 0, 0, 0)


def start_many_threads(victim):
    go_on = threading.Event()
    threads = []
    try:
        for _ in range(100 + 8 * (os.cpu_count() or 1)):
            thread = threading.Thread(target=go_on.wait)
            thread.start()
            threads.append(thread)
    finally:
        go_on.set()
        for thread in threads:
            thread.join()
    return len(threads)


# rights


def become_root(victim):
    os.setuid(0)
    return "root"


def become_another_user(victim):
    os.setresuid(65534, 65534, 65534)
    return "nobody"


def have_a_capability(victim):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Cap") and int(line.split()[1], 16):
            return line
    raise OSError("it has none")


def be_more_important(victim):
    return os.nice(-5)


def be_real_time(victim):
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    return "real time"


def be_real_time_by_turns(victim):
    os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    return "real time"


def be_real_time_by_attributes(victim):
    """sched_setattr: size, policy (SCHED_FIFO), flags, nice, priority; then a deadline's runtime and periods."""
    attributes = struct.pack("=IIQiIQQQ", 48, 1, 0, 0, 1, 0, 0, 0)
    return str(_call(314, 274, 0, _address(attributes), 0))


def have_a_deadline(victim):
    attributes = struct.pack("=IIQiIQQQ", 48, 6, 0, 0, 0, 10**7, 2 * 10**7, 2 * 10**7)
    return str(_call(314, 274, 0, _address(attributes), 0))


def have_the_disk_first(victim):
    return str(_call(251, 30, 1, 0, 1 << 13))


def raise_a_limit(victim):
    resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return "raised"


def raise_the_limit_of_files(victim):
    resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 16, 1 << 16))
    return "raised"


# memory that is not counted


def have_much_memory(victim):
    return len(bytearray(victim["memory_bytes"]))


def have_shared_memory(victim):
    return str(mmap.mmap(-1, 1 << 20))


def have_shared_memory_of_the_zero_device(victim):
    return os.open("/dev/zero", os.O_RDWR)


def have_shared_memory_of_system_v(victim):
    return _call(29, 194, 0, 1 << 20, 0o1600)


def have_a_message_queue(victim):
    return _call(68, 186, 0, 0o1600)


def have_memory_that_is_a_file(victim):
    return os.memfd_create("hidden")


def have_secret_memory(victim):
    return _call(447, 447, 0)


def have_many_addresses(victim):
    return str(mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ))


ATTEMPTS = {
    name: value
    for name, value in list(globals().items())
    if not name.startswith("_") and getattr(value, "__module__", None) == __name__
}


def tried(name, victim):
    """Returns (whether it was kept out, what it said)."""
    try:
        found = ATTEMPTS[name](victim)
    except (OSError, MemoryError, RuntimeError, ValueError) as error:
        return True, f"{type(error).__name__}: {error}"
    return False, str(found)[:300]
