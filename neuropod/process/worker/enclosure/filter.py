"""Which system calls a sandboxed worker may not make: a table, and the BPF program that the kernel runs for each call.

What is not in the table is allowed up to the newest call that was looked at; those that came later do not exist here.
A refused call fails with EPERM, so that a program can go on; the few that libraries ask for and can do without give
ENOSYS. A call by another processor's table (32 bits) ends the process.
"""

import errno
import os
import struct
from typing import Dict, Optional, Tuple

__all__ = ["ABSENT", "NEWEST", "REFUSED", "program"]

NEWEST = 462
"""mseal. From 424 on all processors share their numbers."""

# audit.h, and where each processor's calls of memory, processes and devices are
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN = {"x86_64": 0, "aarch64": 1}
_X32 = 0x40000000

REFUSED: Dict[str, Tuple[Optional[int], Optional[int]]] = {
    # files of others: mounts, roots, handles
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "statmount": (457, 457),
    "listmount": (458, 458),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "nfsservctl": (180, 42),
    "uselib": (134, None),
    "sysfs": (139, None),
    "ustat": (136, None),
    "lookup_dcookie": (212, 18),
    # other namespaces
    "unshare": (272, 97),
    "setns": (308, 268),
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # the network: what is left are pairs of this process's own
    "socket": (41, 198),
    # the kernel's own large machinery, where most of its faults were
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "vmsplice": (278, 75),
    "modify_ldt": (154, None),
    "personality": (135, 92),
    # the machine
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "create_module": (174, None),
    "query_module": (178, None),
    "get_kernel_syms": (177, None),
    "_sysctl": (156, None),
    "reboot": (169, 142),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "syslog": (103, 116),
    "iopl": (172, None),
    "ioperm": (173, None),
    "vhangup": (153, 58),
    # going before others: limits forbid it too, but a container's settings can give it back
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
    # memory that no limit counts
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
}
"""Name: number on x86_64, number on aarch64."""

ABSENT: Dict[str, Tuple[Optional[int], Optional[int]]] = {"clone3": (435, 435)}
"""Its arguments lie in memory, where no filter sees them; the C library then takes clone."""

_FORKS: Dict[str, Tuple[Optional[int], Optional[int]]] = {"fork": (57, None), "vfork": (58, None)}
_CLONE = (56, 220)
_CLONE_THREAD = 0x10000
_NEW_NAMESPACES = 0x7E020000
_SOCKETPAIR = (53, 199)
_AF_UNIX = 1
_IOCTL = (16, 29)
# a terminal is made to read what it was told to: commands for the shell outside
_TERMINAL = (0x5412, 0x541C)
_SETAFFINITY = (203, 122)
_SETSCHEDULER = (144, 119)
# SCHED_RESET_ON_FORK may be added to each
_RESET_ON_FORK = 0x40000000
_OTHER, _BATCH, _IDLE = 0, 3, 5
_MMAP = (9, 222)
# MAP_TYPE and MAP_ANONYMOUS, and their bits for memory that is shared and in no file
_MAP_BITS, _SHARED_ANONYMOUS = 0x2F, 0x21

# linux/filter.h and seccomp.h
_LOAD, _AND, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_ALLOW = 0x7FFF0000
_KILL = 0x80000000
_REFUSE = 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def _fail(number: int) -> bytes:
    return _step(_RETURN, _REFUSE | number)


def _for_call(number: int, body: bytes) -> bytes:
    """Runs `body` where the call has this number; it must return."""
    return _step(_JUMP_EQUAL, number, 0, len(body) // 8) + body


def _argument(index: int) -> bytes:
    """Loads the low half of an argument: the kernel looks at no more of those that are asked about here."""
    return _step(_LOAD, _ARGUMENTS + 8 * index)


def program(forks: bool, affinity_fixed: bool) -> bytes:
    """Returns the BPF program for this processor.

    forks: processes may be started; threads always may.
    affinity_fixed: asking for other CPUs does nothing, and says that it did, for frameworks ask.
    """
    machine = os.uname().machine
    column = _COLUMN[machine]
    parts = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_JUMP_EQUAL, _ARCHITECTURES[machine], 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
    ]
    if machine == "x86_64":  # the x32 table has the same architecture
        parts += [_step(_JUMP_AT_LEAST, _X32, 0, 1), _fail(errno.EPERM)]
    parts += [_step(_JUMP_AT_LEAST, NEWEST + 1, 0, 1), _fail(errno.ENOSYS)]
    refused = dict(REFUSED) if forks else dict(REFUSED, **_FORKS)
    for table, number in ((refused, errno.EPERM), (ABSENT, errno.ENOSYS)):
        calls = [numbers[column] for numbers in table.values()]
        parts += [_for_call(call, _fail(number)) for call in calls if call is not None]
    if affinity_fixed:
        parts.append(_for_call(_SETAFFINITY[column], _fail(0)))
    parts.append(_for_call(_CLONE[column], _clone(forks)))
    pair = _argument(0) + _step(_JUMP_EQUAL, _AF_UNIX, 1, 0) + _fail(errno.EPERM) + _step(_RETURN, _ALLOW)
    parts.append(_for_call(_SOCKETPAIR[column], pair))
    parts.append(_for_call(_IOCTL[column], _ioctl()))
    parts.append(_for_call(_SETSCHEDULER[column], _setscheduler()))
    # no limit counts it, and the watcher sees only what is a process's own
    shared = _argument(3) + _step(_AND, _MAP_BITS) + _step(_JUMP_EQUAL, _SHARED_ANONYMOUS, 0, 1) + _fail(errno.EPERM)
    parts.append(_for_call(_MMAP[column], shared + _step(_RETURN, _ALLOW)))
    parts.append(_step(_RETURN, _ALLOW))
    return b"".join(parts)


def _clone(forks: bool) -> bytes:
    body = _argument(0) + _step(_JUMP_ANY, _NEW_NAMESPACES, 0, 1) + _fail(errno.EPERM)
    if not forks:
        body += _step(_JUMP_ANY, _CLONE_THREAD, 1, 0) + _fail(errno.EPERM)
    return body + _step(_RETURN, _ALLOW)


def _setscheduler() -> bytes:
    """Real time and deadlines are refused; to be like others or to stand behind them is not."""
    body = _argument(1) + _step(_AND, 0xFFFFFFFF ^ _RESET_ON_FORK)
    for policy in (_OTHER, _BATCH, _IDLE):
        body += _step(_JUMP_EQUAL, policy, 0, 1) + _step(_RETURN, _ALLOW)
    return body + _fail(errno.EPERM)


def _ioctl() -> bytes:
    body = _argument(1)
    for request in _TERMINAL:
        body += _step(_JUMP_EQUAL, request, 0, 1) + _fail(errno.EPERM)
    return body + _step(_RETURN, _ALLOW)
