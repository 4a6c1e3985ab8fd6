"""The sandbox. Three processes: the one that asked for it stays outside and waits; the first one inside makes what can
be seen there, and then watches; the second one is the worker, which goes on."""

import errno
import os
import resource
import signal
import socket
from typing import Any, Dict, List, Optional, Tuple

from ..limits import CannotConfine, set_limit
from . import filter, kernel, surroundings, tree, watch
from .possible import somebody, why_not

__all__ = ["enclose", "why_not"]

_ADDRESS_BYTES = 4 << 30
"""Of addresses, which frameworks reserve beside the memory that they use: 1.9 GB (TensorFlow 2.21), and the caller's
tensors."""
_ADDRESS_BYTES_PER_CPU = 256 << 20
_FILES = 512


def enclose(sandbox: Dict[str, Any], cpus_fixed: bool, keep: Tuple[int, ...]) -> None:
    """Returns as the worker, inside. Raises CannotConfine in whichever process cannot go on."""
    reason = why_not()
    if reason is not None:
        raise CannotConfine("no sandbox here: {}".format(reason))
    try:
        _enclose(sandbox, cpus_fixed, keep)
    except OSError as error:
        said = error.args[-1] if error.filename is None else "{}: {}".format(error.filename, error.strerror)
        raise CannotConfine("no sandbox here: {}{}".format(said, _advice(error.errno))) from error


def _advice(number: Optional[int]) -> str:
    if number in (errno.EPERM, errno.EACCES):
        return (
            "; a container or a security module (seccomp, AppArmor, SELinux) forbids it: allow this program user "
            "namespaces with mounts in them, or run it outside of the container"
        )
    if number == errno.ENOSPC:
        return "; raise the limits of namespaces: sysctl user.max_user_namespaces, user.max_pid_namespaces, ..."
    return ""


def _enclose(sandbox: Dict[str, Any], cpus_fixed: bool, keep: Tuple[int, ...]) -> None:
    read = tree.interpreter() + sandbox["libraries"] + sandbox["read"]
    is_root = os.geteuid() == 0
    user, group = (somebody(), somebody()) if is_root else (os.geteuid(), os.getegid())
    if is_root:
        _require_readable(sandbox["read"])
    told, tell = os.pipe()
    # root's namespaces stay root's: nothing inside ever has a right over them
    kernel.unshare(tree.NAMESPACES if is_root else tree.NAMESPACES | kernel.CLONE_NEWUSER)
    if not is_root:
        _become_user_inside(user, group)
    # now: the first process inside takes the tree away, also from the one outside, and with it /proc
    numbers = surroundings.descriptors()
    first = os.fork()
    if first:
        surroundings.close_all_but((told,), numbers)
        watch.wait_outside(first, told)
    os.close(told)
    os.setsid()
    socket.sethostname(tree.NAME)
    tree.build(read, sandbox["temporary_bytes"], sandbox["gpus"])
    if is_root:
        os.setgroups([])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
        # without it /proc/self is still root's
        kernel.prctl("owning its entry of /proc", kernel.PR_SET_DUMPABLE, 1)
        kernel.unshare(kernel.CLONE_NEWUSER)
        _become_user_inside(user, group)
    kernel.drop_capabilities()
    # the worker, which is the same user, may not look into this process
    kernel.prctl("hiding from others", kernel.PR_SET_DUMPABLE, 0)
    kernel.prctl("ending with its parent", kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if watch.is_over(tell):
        os._exit(1)
    worker = os.fork()
    if worker:
        surroundings.close_all_but((tell,), numbers)
        watch.watch_inside(worker, tell, sandbox["memory_bytes"])
    kernel.prctl("owning its entry of /proc", kernel.PR_SET_DUMPABLE, 1)
    surroundings.close_all_but(keep, surroundings.descriptors())
    surroundings.secure_standard()
    surroundings.replace_variables(sandbox["variables"])
    _set_limits(sandbox)
    kernel.install_filter(filter.program(sandbox["processes"] > 0, cpus_fixed))


def _require_readable(paths: List[str]) -> None:
    for path in paths:
        found = tree.unreadable(path)
        if found is not None:
            raise CannotConfine(
                "no sandbox here: what root sandboxes runs as a user without rights, who may not read {}; allow it: "
                "chmod -R a+rX {}".format(found, path)
            )


def _become_user_inside(user: int, group: int) -> None:
    for name, text in (
        ("setgroups", "deny"),
        ("gid_map", "{} {} 1".format(tree.USER, group)),
        ("uid_map", "{} {} 1".format(tree.USER, user)),
    ):
        try:
            with open("/proc/self/" + name, "w") as stream:
                stream.write(text)
        except OSError as error:
            raise OSError(error.errno, "naming the user inside: {}".format(error.strerror)) from None


def _set_limits(sandbox: Dict[str, Any]) -> None:
    memory_bytes, cpus = sandbox["memory_bytes"], len(os.sched_getaffinity(0))
    set_limit(resource.RLIMIT_CORE, 0)
    set_limit(resource.RLIMIT_DATA, memory_bytes)
    if not sandbox["gpus"]:  # a GPU's driver reserves more addresses than there is memory
        addresses_bytes = _ADDRESS_BYTES + cpus * _ADDRESS_BYTES_PER_CPU
        set_limit(resource.RLIMIT_AS, memory_bytes + sandbox["output_bytes"] + addresses_bytes)
    set_limit(resource.RLIMIT_FSIZE, sandbox["temporary_bytes"])
    set_limit(resource.RLIMIT_NOFILE, _FILES)
    # threads count as processes, and frameworks start several for each CPU
    set_limit(resource.RLIMIT_NPROC, 64 + 4 * cpus + sandbox["processes"])
    set_limit(resource.RLIMIT_MSGQUEUE, 0)
    set_limit(resource.RLIMIT_NICE, 0)
    set_limit(resource.RLIMIT_RTPRIO, 0)
    if sandbox.get("cpu_s"):
        seconds = sandbox["cpu_s"]
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
