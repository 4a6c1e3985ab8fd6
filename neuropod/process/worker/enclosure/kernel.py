"""The Linux system calls that Python has no name for; each raises OSError that says what was asked for."""

import ctypes
import os
from typing import Optional

__all__ = [
    "AT_FDCWD",
    "AT_RECURSIVE",
    "CLONE_NEWCGROUP",
    "CLONE_NEWIPC",
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "CLONE_NEWPID",
    "CLONE_NEWUSER",
    "CLONE_NEWUTS",
    "MNT_DETACH",
    "MOUNT_ATTR_NODEV",
    "MOUNT_ATTR_NOSUID",
    "MOUNT_ATTR_RDONLY",
    "MS_BIND",
    "MS_NODEV",
    "MS_NOEXEC",
    "MS_NOSUID",
    "MS_PRIVATE",
    "MS_RDONLY",
    "MS_REC",
    "PR_CAPBSET_DROP",
    "PR_CAP_AMBIENT",
    "PR_CAP_AMBIENT_CLEAR_ALL",
    "PR_SET_DUMPABLE",
    "PR_SET_NO_NEW_PRIVS",
    "PR_SET_PDEATHSIG",
    "PR_SET_SECCOMP",
    "SECCOMP_MODE_FILTER",
    "clear_memory",
    "drop_capabilities",
    "install_filter",
    "mount",
    "pivot_root",
    "prctl",
    "set_mount",
    "unmount",
    "unshare",
]

# sched.h
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

# mount.h
MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 0x2
AT_FDCWD = -100
AT_RECURSIVE = 0x8000
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4

# prctl.h
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
SECCOMP_MODE_FILTER = 2

_CAPABILITY_VERSION = 0x20080522
# by machine; mount_setattr has one number everywhere
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_MOUNT_SETATTR = 442

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, "{}: {}".format(what, os.strerror(number)))
    return result


def _text(value: Optional[str]) -> Optional[bytes]:
    return None if value is None else os.fsencode(str(value))


def unshare(flags: int) -> None:
    _check(_libc.unshare(ctypes.c_int(flags)), "new namespaces")


def mount(source: Optional[str], target: str, kind: Optional[str], flags: int, data: Optional[str] = None) -> None:
    what = "mounting {}".format(source if kind is None else kind)
    result = _libc.mount(_text(source), _text(target), _text(kind), ctypes.c_ulong(flags), _text(data))
    _check(result, "{} at {}".format(what, target))


def unmount(target: str) -> None:
    _check(_libc.umount2(_text(target), ctypes.c_int(MNT_DETACH)), "unmounting {}".format(target))


def set_mount(target: str, attributes: int, recursive: bool) -> None:
    """Adds attributes to a mount, and where recursive to all below it, in one step (Linux 5.12)."""
    words = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
    result = _libc.syscall(
        ctypes.c_long(_MOUNT_SETATTR),
        ctypes.c_long(AT_FDCWD),
        _text(target),
        ctypes.c_long(AT_RECURSIVE if recursive else 0),
        ctypes.byref(words),
        ctypes.c_size_t(ctypes.sizeof(words)),
    )
    _check(result, "making {} read-only".format(target))


def pivot_root(new_root: str, put_old: str) -> None:
    number = _PIVOT_ROOT[os.uname().machine]
    _check(_libc.syscall(ctypes.c_long(number), _text(new_root), _text(put_old)), "changing the root folder")


def prctl(what: str, option: int, *values: int) -> int:
    words = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    return _check(_libc.prctl(ctypes.c_int(option), *words), what)


def drop_capabilities() -> None:
    """Gives away every capability for ever: those held, those that a program could bring, and the inherited ones."""
    with open("/proc/sys/kernel/cap_last_cap") as stream:
        last = int(stream.read())
    for capability in range(last + 1):
        prctl("dropping a capability", PR_CAPBSET_DROP, capability)
    prctl("dropping capabilities", PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    none = (ctypes.c_uint32 * 6)()
    _check(_libc.capset(ctypes.byref(header), ctypes.byref(none)), "dropping capabilities")


def install_filter(program: bytes) -> None:
    """Has the kernel run this BPF program before each system call of this process and all that it starts."""

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]

    prctl("giving up new rights", PR_SET_NO_NEW_PRIVS, 1)
    struct = Program(len(program) // 8, program)
    prctl("filtering system calls", PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(struct))


def clear_memory(start: int, end: int) -> None:
    """Overwrites memory of this process with zeros."""
    ctypes.memset(start, 0, end - start)
