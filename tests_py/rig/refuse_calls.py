"""Runs a command that may not make certain system calls: `python refuse_calls.py CALL=ERROR … -- COMMAND`.

A seccomp filter answers the calls with the error, as old kernels (`ENOSYS`) and sandboxes (`EPERM` and others) do. It
needs no privileges, costs next to nothing, and holds for all that the command starts. `FICLONE` is a call here, too.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from pathlib import Path

#: Numbers of system calls (asm/unistd.h), by machine.
_NUMBERS = {
    "x86_64": {
        "copy_file_range": 326,
        "fallocate": 285,
        "fchmod": 91,
        "fstatfs": 138,
        "getrandom": 318,
        "ioctl": 16,
        "linkat": 265,
        "openat2": 437,
        "renameat2": 316,
        "sendfile": 40,
        "statx": 332,
        "utimensat": 280,
    },
    "aarch64": {
        "copy_file_range": 285,
        "fallocate": 47,
        "fchmod": 52,
        "fstatfs": 44,
        "getrandom": 278,
        "ioctl": 29,
        "linkat": 37,
        "openat2": 437,
        "renameat2": 276,
        "sendfile": 71,
        "statx": 291,
        "utimensat": 88,
    },
}
#: What the kernel calls a machine in a filter (linux/audit.h).
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_FICLONE = 0x40049409

# Instructions of classic BPF (linux/bpf_common.h), and what a filter returns (linux/seccomp.h).
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
# Where `struct seccomp_data` has the number, the machine and the low half of the second argument.
_AT_NUMBER, _AT_MACHINE, _AT_SECOND_ARGUMENT = 0, 4, 24

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2


def can_refuse() -> bool:
    """Whether this machine's calls are known here."""
    return sys.platform == "linux" and platform.machine() in _NUMBERS


def refusing(*rules: str) -> list[str]:
    """What to put before a command so that it runs without the calls.

    Args:
        rules: Such as `openat2=ENOSYS`.
    """
    return [sys.executable, str(Path(__file__).resolve()), *rules, "--"]


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _filter(rules: list[str]) -> bytes:
    machine = platform.machine()
    program = [
        _instruction(_LOAD, _AT_MACHINE),
        _instruction(_JUMP_IF_EQUAL, _AUDIT[machine], if_true=1),
        _instruction(_RETURN, _ALLOW),
    ]
    for rule in rules:
        call, _, error = rule.partition("=")
        answer = _instruction(_RETURN, _ERRNO | getattr(errno, error))
        number = _NUMBERS[machine]["ioctl" if call == "FICLONE" else call]
        program.append(_instruction(_LOAD, _AT_NUMBER))
        if call == "FICLONE":
            program += [
                _instruction(_JUMP_IF_EQUAL, number, if_false=3),
                _instruction(_LOAD, _AT_SECOND_ARGUMENT),
                _instruction(_JUMP_IF_EQUAL, _FICLONE, if_false=1),
                answer,
            ]
        else:
            program += [_instruction(_JUMP_IF_EQUAL, number, if_false=1), answer]
    return b"".join([*program, _instruction(_RETURN, _ALLOW)])


def refuse(rules: list[str]) -> None:
    """Refuses the calls from now on, in this thread and all that it starts."""

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    text = _filter(rules)
    kept = ctypes.create_string_buffer(text, len(text))
    program = Program(len(text) // 8, ctypes.cast(kept, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*arguments):
            code = ctypes.get_errno()
            raise OSError(code, f"prctl: {os.strerror(code)}")


def main() -> None:
    """Becomes the command."""
    split = sys.argv.index("--")
    rules, command = sys.argv[1:split], sys.argv[split + 1 :]
    refuse(rules)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
