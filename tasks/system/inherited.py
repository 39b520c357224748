"""What a process inherits from the shell that runs doit, set as a service manager sets it.

See systemd.exec(5): limits, priority, signals and processors do not depend on who starts a
component. `shortfall` names what this user may not set.
"""

from __future__ import annotations

import os
import resource
import signal
from contextlib import suppress
from pathlib import Path

OPEN_FILES = 1048576
"""RLIMIT_NOFILE of a component, and so of its pods: that of upstream's containerd.service."""
ENOUGH_OPEN_FILES = 65536
"""A component with fewer is restarted as soon as a shell can give it more."""
UNLIMITED = (
    *(resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_DATA, resource.RLIMIT_FSIZE),
    *(resource.RLIMIT_MEMLOCK, resource.RLIMIT_NPROC, resource.RLIMIT_RSS),
)
"""Limits that a cluster does not need; `ulimit -v` or `ulimit -f` of a shell ends a component."""
INHERITED = ("HOME", "PATH", "TZ", "USER")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CAP_SYS_NICE, CAP_SYS_RESOURCE = 23, 24
_SEPARATOR = ";"


def environment() -> dict[str, str]:
    """Return the variables that a process gets from the shell, without those of its terminal.

    Programs that a component runs, such as mount(8), print English whatever the user's locale is.
    TMPDIR of a login can be removed with it. PATH gets the system's folders, often without sbin.
    """
    env = {name: os.environ[name] for name in INHERITED if name in os.environ}
    folders = [*env.get("PATH", "").split(":"), *SYSTEM_PATH.split(":")]
    path = ":".join(dict.fromkeys(filter(os.path.isabs, folders)))
    return {**env, "LANG": "C.UTF-8", "PATH": path}


def reset() -> None:
    """Set in a new process what it inherited; what this user may not set stays."""
    for number in signal.valid_signals():
        with suppress(OSError, ValueError):  # SIGKILL, SIGSTOP and those of the C library
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)  # nohup ignores SIGHUP
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for limit in UNLIMITED:
        _set_limit(limit, resource.RLIM_INFINITY)
    _set_limit(resource.RLIMIT_NOFILE, open_files())
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    with suppress(OSError):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("0")


def open_files() -> int:
    """Return the number of open files that this user can give a new process."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = min(OPEN_FILES, int(Path("/proc/sys/fs/nr_open").read_text()))
    if _has(CAP_SYS_RESOURCE) or hard == resource.RLIM_INFINITY:
        return most
    return min(hard, most)


def nice() -> int:
    """Return the nice value that this user can give a new process."""
    return 0 if _has(CAP_SYS_NICE) else max(0, os.getpriority(os.PRIO_PROCESS, 0))


def with_shortfall(fingerprint: str) -> str:
    """Return a fingerprint that also tells what is missing to a process that starts now.

    It is unchanged if nothing is missing, as for a process that an older stepkube started.
    """
    files, priority = open_files(), nice()
    missing = {"nofile": files} if files < ENOUGH_OPEN_FILES else {}
    missing |= {"nice": priority} if priority else {}
    words = (f"{key}={value}" for key, value in missing.items())
    return _SEPARATOR.join((fingerprint.partition(_SEPARATOR)[0], *words))


def is_current(recorded: str, fingerprint: str) -> bool:
    """Return whether a recorded fingerprint is this one and a new process would get no more."""
    digest, *words = recorded.split(_SEPARATOR)
    missing = dict(word.split("=", 1) for word in words)
    files = int(missing.get("nofile", ENOUGH_OPEN_FILES))
    gets_more = files < min(open_files(), ENOUGH_OPEN_FILES) or int(missing.get("nice", 0)) > nice()
    return digest == fingerprint and not gets_more


def _set_limit(limit: int, value: int) -> None:
    for pair in ((value, value), (_soft(limit, value), resource.getrlimit(limit)[1])):
        with suppress(OSError, ValueError):
            resource.setrlimit(limit, pair)
            return


def _soft(limit: int, value: int) -> int:
    """Return the highest soft limit up to a value that needs no privilege."""
    hard = resource.getrlimit(limit)[1]
    if hard == resource.RLIM_INFINITY:
        return value
    return hard if value == resource.RLIM_INFINITY else min(value, hard)


def _has(capability: int) -> bool:
    """Return whether this process has a capability on the host, not only in a user namespace."""
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/self/status").read_text().splitlines()
        word = next(line for line in lines if line.startswith("CapEff:")).split()[1]
        ids = Path("/proc/self/uid_map").read_text().split()
        return bool(int(word, 16) >> capability & 1) and ids == ["0", "0", "4294967295"]
    return False
