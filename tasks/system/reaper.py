"""Start a component, keep its log small, wait until it exits and write down how; a small program.

Usage: reaper.py COMPONENT, with a JSON request on stdin: argv, env, cwd, log, exit, and the file
for the older part of the log with the limit in bytes. The reply on
stdout is the pid, or the error number of execve(2) after a minus sign. The kernel tells only the
parent of a process how it exited, and stepkube itself does not keep running. The process has the
name of the component as its argument, and not the component's command line, so that a search for
the command line finds only the component.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import stat
import sys
import time

ROOM = 64
"""Bytes of the result and blanks, written at the start: the disk can be full at the exit."""
INTERVAL = 5.0
"""Seconds between two looks at the size of the log."""
PUNCH_HOLE, COLLAPSE_RANGE = 0x02 | 0x01, 0x08
"""Modes of fallocate(2), in linux/falloc.h; a hole needs FALLOC_FL_KEEP_SIZE."""


def main() -> None:
    """Start the component, reply, wait, and write the exit file."""
    text = sys.stdin.buffer.read()
    if not text:  # stepkube was killed before it sent the request
        return
    request = json.loads(text)
    os.chdir(request["cwd"])
    part = request["exit"] + ".part"
    result = _open_part(part)
    try:
        pid = _start(request["argv"], request["env"], request["log"])
    except OSError as error:
        if result is not None:
            os.unlink(part)  # noqa: PTH108
        _reply(-(error.errno or 1))
        return
    _reply(pid)
    _watch_log(pid, request["log"], request["older"], request["limit"])
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if result is None:
        return
    try:
        os.pwrite(result, json.dumps({"at": time.time(), "status": status}).encode(), 0)
        # stepkube removes the part when it stops the component: then nothing is left behind
        if os.path.samestat(os.fstat(result), os.stat(part)):  # noqa: PTH116
            os.rename(part, request["exit"])  # noqa: PTH104
    except OSError:
        pass  # a full or read-only disk: how it exited stays unknown


def _start(argv: list[str], env: dict[str, str], log: str) -> int:
    """Start the component in a new session and return its pid. Raises OSError when exec fails.

    A component that os.posix_spawn started would ignore two signals of the C library.
    """
    result, failure = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND), 1)
            os.dup2(1, 2)
            for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python itself ignores them
                signal.signal(number, signal.SIG_DFL)
            os.execvpe(argv[0], argv, env)  # noqa: S606
        except OSError as error:
            os.write(failure, str(error.errno).encode())
        finally:
            os._exit(127)
    os.close(failure)
    error_number = os.read(result, 16)  # empty: exec closed the pipe
    os.close(result)
    if error_number:
        os.waitpid(pid, 0)
        raise OSError(int(error_number), "")
    return pid


def _watch_log(pid: int, log: str, older: str, limit: int) -> None:
    """Keep a log below a limit until the component exits, and once more then."""
    exited = select.poll()
    try:
        exited.register(os.pidfd_open(pid), select.POLLIN)
        while not exited.poll(INTERVAL * 1000):
            move_older(log, older, limit)
        move_older(log, older, limit)
    except OSError:
        pass  # an old kernel, or too many open files: the log grows


def move_older(log: str, older: str, limit: int) -> None:
    """Move all but the newest bytes of a log to another file if its data is above a limit.

    The component appends to the log at the same time. Truncating would lose what it writes after
    the copy. So the copied blocks are cut out of the file (ext4, XFS), or become a hole at its
    start (other file systems): fallocate(2). Killed in between, the log has them twice.
    """
    part = older + ".part"
    try:
        source = os.open(log, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(source, fcntl.LOCK_EX)  # `doit logs` reads both files
        status = os.fstat(source)
        if not stat.S_ISREG(status.st_mode) or status.st_blocks * 512 <= limit:
            return
        start = os.lseek(source, 0, os.SEEK_DATA)
        end = (status.st_size - 1) // status.st_blksize * status.st_blksize
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        target = os.open(part, flags, 0o600)
        try:
            offset = start
            while offset < end:
                offset += os.sendfile(target, source, offset, end - offset)
        finally:
            os.close(target)
        os.rename(part, older)  # noqa: PTH104
        if not _allocate(source, COLLAPSE_RANGE, 0, end):
            _allocate(source, PUNCH_HOLE, 0, end)
    except OSError:  # a full disk: the log cannot grow either
        with contextlib.suppress(OSError):
            os.unlink(part)  # noqa: PTH108
    finally:
        os.close(source)


def _allocate(descriptor: int, mode: int, offset: int, size: int) -> bool:
    """Call fallocate(2), which Python has without its modes; return whether it succeeded."""
    import ctypes  # noqa: PLC0415 - most reapers never need it, and it takes memory

    libc = ctypes.CDLL(None, use_errno=True)
    number = ctypes.c_int64
    return int(libc.fallocate(descriptor, mode, number(offset), number(size))) == 0


def _open_part(path: str) -> int | None:
    """Create the file of the result, with room for it; return None if the disk does not allow it.

    Only its owner can read it, whatever the umask of the component is.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.write(descriptor, b" " * ROOM)
    except OSError:
        return None
    return descriptor


def _reply(number: int) -> None:
    """Reply, and let go of the pipe that the reply went through."""
    os.write(1, f"{number}\n".encode())
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)


if __name__ == "__main__":
    main()
