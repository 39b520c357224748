"""Processes of the cluster: started, recorded on disk, marked, and found again.

Who a process is and how it is ended: procfs.py and signals.py.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from tasks.core.errors import Failure
from tasks.system import files, procfs, signals
from tasks.system.procfs import Identity
from tasks.system.run import announce

Mode = Literal["normal", "debug-attach", "debug-exec"]
MARK = "STEPKUBE_COMPONENT"
PASSED_ON = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ", "USER")
_ROUNDS = 5


@dataclass(frozen=True)
class Record:
    """What is known of a component's process; written to disk before anything depends on it.

    `uid` is the user, `since` the epoch seconds of the start, `fingerprint` the digest of
    everything the process was started from, `log` the file its output is appended to.
    """

    component: str
    identity: Identity
    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    uid: int
    exe: str
    since: float
    fingerprint: str
    log: str
    mode: Mode = "normal"

    def alive(self) -> bool:
        """Tell whether the recorded process still runs the recorded program."""
        if not self.identity.alive():
            return False
        exe = procfs.executable(self.identity.pid)
        return exe is None or exe == self.exe


class Spawn(Protocol):
    """Starts a component: on the host (spawn, below), in the sandbox, or in a container."""

    def __call__(
        self,
        component: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        cwd: Path,
        log: Path,
        fingerprint: str,
    ) -> Record:
        """Start it, append its output to `log`, and return its record."""


def spawn(
    component: str,
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    cwd: Path,
    log: Path,
    fingerprint: str,
) -> Record:
    """Start a process in a session of its own, its output appended to `log`.

    Raises Failure when the program cannot be executed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    cwd.mkdir(parents=True, exist_ok=True)
    announce(argv)
    with log.open("ab") as out:
        try:
            child = subprocess.Popen(
                list(argv),
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        except OSError as error:
            raise Failure(f"cannot start {component}: {argv[0]}: {error.strerror}") from error
    child.returncode = 0  # it outlives us on purpose: nobody is to wait for it or warn about it
    identity = procfs.identify(child.pid)
    if identity is None:
        raise Failure(f"{component} ended at once\n{tail(log)}", f"read {log}")
    # execve(2) has succeeded, but for a moment /proc still shows neither argv nor environment
    until(lambda: bool(procfs.argv_of(child.pid)), identity.alive, 5.0, every=0.001)
    return Record(
        component=component,
        identity=identity,
        argv=tuple(argv),
        env=dict(env),
        cwd=str(cwd),
        uid=os.getuid(),
        exe=procfs.executable(child.pid) or str(Path(argv[0]).resolve()),
        since=time.time(),
        fingerprint=fingerprint,
        log=str(log),
    )


def within(
    outer: Record, argv: tuple[str, ...], among: Callable[[], Iterable[int]], limit: float
) -> Record | None:
    """Return the record of a program that another process was started for and waits for.

    It is the one `among` pids that has become `argv`; None when `outer` ends, or `limit` seconds
    pass, before there is one.
    """
    found: list[Identity] = []

    def there() -> bool:
        programs = (pid for pid in among() if procfs.argv_of(pid) == argv)
        found[:] = filter(None, map(procfs.identify, programs))
        return bool(found)

    if not until(there, outer.identity.alive, limit, every=0.02):
        return None
    exe = procfs.executable(found[0].pid) or argv[0]
    return replace(outer, identity=found[0], argv=argv, exe=exe)


def environment(component: str, instance: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the small, explicit environment of a component, marked as ours."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    home = {"XDG_CONFIG_HOME": str(config_home(instance))}
    return {**passed, **home, **extra, MARK: mark(component, instance)}


def config_home(instance: Path) -> Path:
    """Return where programs keep their own settings: in the workspace, not in the user's home."""
    return instance / "config" / "home"


def mark(component: str, instance: Path) -> str:
    """Return the value by which a process of an instance is found when its record is missing."""
    return f"{instance}:{component}"


def record_path(run: Path, component: str) -> Path:
    """Return where a component's record lies."""
    return run / f"{component}.json"


def save(run: Path, record: Record) -> None:
    """Write a record, readable by its owner only: an environment may hold secrets."""
    files.write_json(record_path(run, record.component), asdict(record), 0o600)


def load(run: Path, component: str) -> Record | None:
    """Return a component's record, or None when there is none."""
    value: dict[str, Any] | None = files.read_json(record_path(run, component))
    if value is None:
        return None
    try:
        identity = Identity(**value.pop("identity"))
        argv = tuple(value.pop("argv"))
        return Record(identity=identity, argv=argv, **value)
    except (KeyError, TypeError) as error:
        path = record_path(run, component)
        raise Failure(f"{path} is not a record of this version: {error}", f"rm {path}") from error


def forget(run: Path, component: str) -> None:
    """Remove a component's record."""
    record_path(run, component).unlink(missing_ok=True)


def with_mode(record: Record, mode: Mode) -> Record:
    """Return the same record in another mode."""
    return replace(record, mode=mode)


def marked(value: str) -> list[Identity]:
    """Return every process whose environment carries a mark: found even without a record."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and procfs.environ_of(int(entry.name)).get(MARK) == value:
            identity = procfs.identify(int(entry.name))
            if identity is not None:
                found.append(identity)
    return found


def end_marked(value: str, ladder: Sequence[tuple[int, float]], spare: Sequence[Identity]) -> bool:
    """End every process that carries a mark but those to spare; True when one ran.

    Looked for again until there is none: a Delve that is being ended may just start its program.
    """
    ran = False
    for _ in range(_ROUNDS):
        found = [one for one in marked(value) if one not in spare]
        if not found:
            break
        for one in found:
            ran = signals.stop(one, ladder) or ran
    return ran


def tail(log: Path, lines: int = 15, start: int = 0) -> str:
    """Return the last lines of a log, of what was written after byte `start`."""
    try:
        with log.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(start, size - 64 * 1024))
            text = stream.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(f"  | {line}" for line in text.splitlines()[-lines:])


def until(
    ready: Callable[[], bool], alive: Callable[[], bool], limit: float, every: float = 0.1
) -> bool:
    """Poll `ready` until it holds (True), the process dies or `limit` seconds pass (False)."""
    end = time.monotonic() + limit
    while alive():
        if ready():
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(every)
    return False
