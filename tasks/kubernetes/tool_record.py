"""Tools of the toolchain and their records, installed Go releases, and the environment of Go."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.core.errors import Failure
from tasks.gomod.release import Release, release
from tasks.settings.load import Settings
from tasks.system import damage, files, network, state
from tasks.system.inherited import SYSTEM_PATH
from tasks.system.resources import architecture
from tasks.system.run import run

ORIGIN = ".stepkube-origin"
"""File with the origin of a toolchain folder; written last, in a complete folder."""
_UNKNOWN = "unknown"
_FOR_USERS = {"delve": ("dlv",), "etcd": ("etcd", "etcdctl", "etcdutl")}
"""Programs of a tool that users call; Go is not on their PATH, so that their own is used."""
_PASSED = re.compile(r"(https?|all|no)_proxy|SSL_CERT_(FILE|DIR)|GIT_SSL_CAINFO", re.IGNORECASE)


@dataclass(frozen=True)
class Tool:
    """A program that the build, the cluster or the debugger needs."""

    name: str
    version: str
    bin: Path
    """The program; for CNI the folder of the plugins."""
    root: Path | None
    """GOROOT, only for Go."""
    origin: str
    """Where the program comes from: a path, an address or a description."""

    @property
    def release(self) -> Release:
        """The version as numbers; all 0 if it is not a release."""
        return release(self.version) or (0, 0, 0)


def load_tool(settings: Settings, name: str) -> Tool:
    """Return the tool that an instance uses: go, etcd, delve, cni or tools-go.

    Raises Failure if the instance has no such tool yet.
    """
    record = read(settings.paths.tool(name))
    if record is None:
        raise Failure(f"there is no {name} yet", f"run: doit toolchain:{name}")
    root = record.get("root")
    return Tool(
        name, record["version"], Path(record["bin"]), Path(root) if root else None, record["from"]
    )


def read(path: Path) -> dict[str, str] | None:
    """Return the record of a tool as it is on disk; None when it does not exist."""
    return state.load(path, dict[str, str], is_complete)


def is_complete(record: Mapping[str, str]) -> bool:
    """Return whether a record of a tool has the keys that every tool needs."""
    return {"version", "bin", "from"} <= record.keys()


def save_tool(settings: Settings, tool: Tool, **more: str) -> None:
    """Write the record of the tool that an instance uses; `more` adds values to the record."""
    record = {"version": tool.version, "bin": str(tool.bin), "from": tool.origin, **more}
    if tool.root:
        record["root"] = str(tool.root)
    files.write_json(settings.paths.tool(tool.name), record)
    link_programs(settings, tool.name)


def link_programs(settings: Settings, *names: str) -> None:
    """Link the user's programs of these tools into the folder that `up` puts on PATH."""
    for name in names:
        record = read(settings.paths.tool(name)) if name in _FOR_USERS else None
        if record is None:
            continue
        for program in _FOR_USERS[name]:
            target = Path(record["bin"]).with_name(program)
            link = settings.paths.instance / "bin" / program
            if target.is_file():
                files.link(link, target)
            elif link.is_symlink():  # of another version: etcdutl exists from etcd 3.5 on
                files.remove(link)


def origin_of(folder: Path, name: str = ORIGIN) -> str:
    """Return the origin of a complete folder of the toolchain; "unknown" if the file is damaged."""
    path = folder / name
    try:
        text = damage.read_text(path)
        if text and text.isprintable():
            return text
        problem = "it has no line of text"
    except damage.DamagedError as error:
        problem = str(error)
    damage.set_aside(path, problem, f"the origin of {folder} is unknown now")
    files.write(path, _UNKNOWN)
    return _UNKNOWN


def installed_go() -> Iterator[Tool]:
    """Yield the Go releases installed on this machine: in PATH, /usr/local and /usr/lib."""
    env = {"PATH": os.environ.get("PATH", SYSTEM_PATH), "GOENV": "off", "GOTOOLCHAIN": "local"}
    env |= {"HOME": "/dev/null"}  # go writes its telemetry to HOME
    roots: set[Path] = set()
    for program in go_programs():
        try:
            root = Path(run(program, "env", "GOROOT", env=env, timeout=20).stdout.strip())
            output = run(program, "version", env=env, timeout=20).stdout
        except (Failure, OSError):
            continue
        match = re.fullmatch(rf"go version go([\d.]+)\b.* linux/{architecture()}", output.strip())
        if match and root not in roots and (root / "bin/go").is_file():
            roots.add(root)
            yield Tool("go", match[1], root / "bin/go", root, str(root))


def go_programs() -> list[Path]:
    """Return the paths of the go programs installed on this machine."""
    found = [Path(folder) / "go" for folder in os.get_exec_path() if folder]
    found += [Path("/usr/local/go/bin/go"), *sorted(Path("/usr/lib").glob("go-*/bin/go"))]
    return [path for path in dict.fromkeys(found) if os.access(path, os.X_OK) and path.is_file()]


def goroot_programs(root: Path) -> list[Path]:
    """Return the programs of a GOROOT: go, compile, link and others."""
    tools = (path for path in sorted(root.glob("pkg/tool/*/[!.]*")) if path.is_file())
    return [root / "bin/go", *tools]


def goproxy_for(go: Release, goproxy: str) -> str:
    """Return a value of GOPROXY that a Go release understands.

    Go understands a list from 1.13 on, and `|` in the list from 1.15 on.
    """
    if go < (1, 15, 0):
        goproxy = goproxy.replace("|", ",")
    return goproxy if go >= (1, 13, 0) else goproxy.partition(",")[0]


def go_env(settings: Settings, go: Tool) -> dict[str, str]:
    """Return the complete environment of a `go` command; go writes only to the workspace."""
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
            # without -modcacherw the user cannot remove the module cache
            "GOFLAGS": "-modcacherw" if go.release >= (1, 14, 0) else "",
            "GOTOOLCHAIN": "local",
            "GOPATH": str(cache / "gopath"),
            "GOMODCACHE": str(cache / "gomod"),
            "GOCACHE": str(cache / "gobuild"),
            "GOPROXY": goproxy_for(go.release, settings.mirror.goproxy),
            "GOSUMDB": settings.mirror.gosumdb,
        }
    )
