"""A program of the toolchain, the Go that the machine has, and the environment Go runs in."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.core.errors import Failure
from tasks.gomod.release import Release, release
from tasks.settings.load import Settings
from tasks.system import files, network
from tasks.system.resources import architecture
from tasks.system.run import run

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ORIGIN = ".stepkube-origin"
"""File that says where a folder of the toolchain is from; it is written last."""
_PASSED = re.compile(r"(https?|all|no)_proxy|SSL_CERT_(FILE|DIR)|GIT_SSL_CAINFO", re.IGNORECASE)


@dataclass(frozen=True)
class Tool:
    """A program, or for CNI a folder of them; `root` is Go's GOROOT; `origin` says where from."""

    name: str
    version: str
    bin: Path
    root: Path | None
    origin: str

    @property
    def release(self) -> Release:
        """The version as numbers, all 0 when it is not a release."""
        return release(self.version) or (0, 0, 0)


def load_tool(settings: Settings, name: str) -> Tool:
    """Return the tool (go, etcd, delve, cni) an instance uses. Raises Failure when not made yet."""
    record = files.read_json(settings.paths.tool(name))
    if record is None:
        raise Failure(f"there is no {name} yet", f"run: doit toolchain:{name}")
    root = record.get("root")
    return Tool(
        name, record["version"], Path(record["bin"]), Path(root) if root else None, record["from"]
    )


def save_tool(settings: Settings, tool: Tool, **more: str) -> None:
    """Write the record of the tool an instance uses; `more` are further facts of it."""
    record = {"version": tool.version, "bin": str(tool.bin), "from": tool.origin, **more}
    if tool.root:
        record["root"] = str(tool.root)
    files.write_json(settings.paths.tool(tool.name), record)


def installed_go() -> Iterator[Tool]:
    """Yield the Go releases of this machine: on PATH, in /usr/local and in /usr/lib."""
    env = {"PATH": os.environ.get("PATH", SYSTEM_PATH), "GOENV": "off", "GOTOOLCHAIN": "local"}
    env |= {"HOME": "/dev/null"}  # it would write its telemetry there
    roots: set[Path] = set()
    for program in go_programs():
        try:
            root = Path(run(program, "env", "GOROOT", env=env, timeout=20).stdout.strip())
            said = run(program, "version", env=env, timeout=20).stdout
        except (Failure, OSError):
            continue
        match = re.fullmatch(rf"go version go([\d.]+)\b.* linux/{architecture()}", said.strip())
        if match and root not in roots and (root / "bin/go").is_file():
            roots.add(root)
            yield Tool("go", match[1], root / "bin/go", root, str(root))


def go_programs() -> list[Path]:
    """Return where an installed go program is."""
    found = [Path(folder) / "go" for folder in os.get_exec_path() if folder]
    found += [Path("/usr/local/go/bin/go"), *sorted(Path("/usr/lib").glob("go-*/bin/go"))]
    return [path for path in dict.fromkeys(found) if os.access(path, os.X_OK) and path.is_file()]


def proxies_for(go: Release, wanted: str) -> str:
    """Return a GOPROXY as a Go understands it: a list from 1.13 on, with | in it from 1.15 on."""
    if go < (1, 15, 0):
        wanted = wanted.replace("|", ",")
    return wanted if go >= (1, 13, 0) else wanted.partition(",")[0]


def go_env(settings: Settings, go: Tool) -> dict[str, str]:
    """Return the whole environment for a `go` command: all it writes stays in the workspace."""
    cache = settings.paths.cache
    temporary = cache / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    env = {name: value for name, value in os.environ.items() if _PASSED.fullmatch(name)}
    return (
        env
        | network.proxy_variables(os.environ)
        | network.ca_variables(settings)
        | {
            "PATH": f"{go.bin.parent}:{SYSTEM_PATH}",
            "HOME": str(cache),
            "TMPDIR": str(temporary),
            "GOROOT": str(go.root),
            "GOENV": "off",
            "GOFLAGS": "-modcacherw"
            if go.release >= (1, 14, 0)
            else "",  # or it could not be removed
            "GOTOOLCHAIN": "local",
            "GOPATH": str(cache / "gopath"),
            "GOMODCACHE": str(cache / "gomod"),
            "GOCACHE": str(cache / "gobuild"),
            "GOPROXY": proxies_for(go.release, settings.mirror.goproxy),
            "GOSUMDB": settings.mirror.gosumdb,
        }
    )
