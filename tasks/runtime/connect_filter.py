"""Run a program whose connect(2) calls are answered by connector.py; a separate program for root.

Usage: connect_filter.py PROGRAM [ARGUMENT...], or without arguments to find out whether the kernel
can do it (exit code 0). The filter is valid for the process and its children, see seccomp(2) and
seccomp_unotify(2). The process keeps the listener of the filter open, so that a new connector.py
can get it (pidfd_getfd(2)) when another one was killed.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

MACHINES = {"x86_64": (0xC000003E, 42, 317), "aarch64": (0xC00000B7, 203, 277)}
"""AUDIT_ARCH of linux/audit.h, and the numbers of the system calls connect and seccomp."""
SET_MODE_FILTER = 1
SPEC_ALLOW, NEW_LISTENER = 1 << 2, 1 << 3
"""Flags of seccomp(2): no slower system calls against Spectre, and a listener."""
ADD_DESCRIPTOR = 0x40182103
"""SECCOMP_IOCTL_NOTIF_ADDFD, since Linux 5.9."""
USER_NOTIF, ALLOW = 0x7FC00000, 0x7FFF0000
PIDFD_GETFD = 438
"""Number of the system call, the same on all machines."""
_LIBC = ctypes.CDLL(None, use_errno=True)


def install() -> int:
    """Send the connect(2) calls of this process to a listener, and return its descriptor.

    Raises OSError when the kernel cannot do it, or does not permit it.
    """
    if platform.machine() not in MACHINES:
        raise OSError(errno.ENOSYS, f"not supported on {platform.machine()}")
    arch, connect, seccomp = MACHINES[platform.machine()]
    program = (
        (0x20, 0, 0, 4),  # load the architecture
        (0x15, 0, 3, arch),
        (0x20, 0, 0, 0),  # load the number of the system call
        (0x15, 0, 1, connect),
        (0x06, 0, 0, USER_NOTIF),
        (0x06, 0, 0, ALLOW),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    header = ctypes.create_string_buffer(struct.pack("HP", len(program), ctypes.addressof(code)))
    listener: int = _LIBC.syscall(seccomp, SET_MODE_FILTER, SPEC_ALLOW | NEW_LISTENER, header)
    if listener < 0:
        raise _error()
    # no request has the number 0: an older kernel refuses the operation itself
    if _LIBC.ioctl(listener, ADD_DESCRIPTOR, bytes(24)) < 0 and ctypes.get_errno() != errno.ENOENT:
        raise OSError(errno.ENOSYS, "needs Linux 5.9 or newer")
    return listener


def require_access(listener: int) -> None:
    """Raise OSError unless another process can copy the listener, as connector.py does.

    Yama and other security modules can forbid it to root too, see ptrace(2); then each connect(2)
    would wait forever.
    """
    process = os.pidfd_open(os.getpid())
    child = os.fork()
    if child == 0:
        copied = _LIBC.syscall(PIDFD_GETFD, process, listener, 0)
        os._exit(ctypes.get_errno() if copied < 0 else 0)
    os.close(process)
    failure = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if failure:
        raise OSError(failure, os.strerror(failure))


def _error() -> OSError:
    return OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    try:
        descriptor = install()
        if not sys.argv[1:]:
            require_access(descriptor)
        else:
            os.set_inheritable(descriptor, True)
            os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606
    except OSError as error:
        sys.exit(f"{sys.argv[1] if sys.argv[1:] else 'seccomp'}: {error.strerror}")
