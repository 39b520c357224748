"""Start a component, wait until it exits and write down how; a separate small program.

Usage: reaper.py COMPONENT, with a JSON request on stdin: argv, env, cwd, log, exit. The reply on
stdout is the pid, or the error number of execve(2) after a minus sign. The kernel tells only the
parent of a process how it exited, and stepkube itself does not keep running. The process has the
name of the component as its argument, and not the component's command line, so that a search for
the command line finds only the component.
"""

import json
import os
import signal
import sys
import time

ROOM = 64
"""Bytes of the result and blanks, written at the start: the disk can be full at the exit."""


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
