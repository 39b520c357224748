"""Programs of the toolchain that are built from the Go module proxy with a Go of their own."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tasks.core import console
from tasks.core.errors import Failure
from tasks.gomod import goproxy
from tasks.gomod.release import Release, dotted, release
from tasks.kubernetes.tool_record import ORIGIN, Tool, go_env, installed_go, save_tool
from tasks.settings.load import Settings
from tasks.system import files, resources
from tasks.system.run import follow
from tasks.toolchain import goroot
from tasks.toolchain.versions import go_name

TOOLS_GO = (1, 26, 11)
"""The Go that builds the tools where none is installed."""
OLDEST_TOOLS_GO = (1, 25, 0)
"""Delve reads the DWARF 5 of Go 1.25 and newer only when it was built with such a Go itself."""

_NEWEST = 8  # how many releases of a module are looked at
_DISK = 2.0  # GiB: twice what Go's caches hold after building etcd and Delve


def tools_go(settings: Settings, at_least: Release = OLDEST_TOOLS_GO) -> Tool:
    """Return a Go that builds the tools, and record it as tools-go: installed, kept, or TOOLS_GO.

    Raises Failure when no Go from `at_least` on is to be had.
    """
    need = max(at_least, OLDEST_TOOLS_GO)
    there = itertools.chain(installed_go(), goroot.kept_goroot(settings))
    found = next((go for go in there if go.release >= need), None)
    go = found or goroot.obtain(settings, go_name(max(need, TOOLS_GO)))
    tool = Tool("tools-go", go.version, go.bin, go.root, go.origin)
    save_tool(settings, tool)
    return tool


def newest(settings: Settings, name: str, module: str) -> Release:
    """Return the newest release of a module that TOOLS_GO can build.

    Without a proxy it is the newest that was built before under `name`.
    """
    try:
        for version in goproxy.releases(settings, module)[:_NEWEST]:
            if goproxy.needed_go(settings, module, version) <= TOOLS_GO:
                return version
    except Failure:
        marks = settings.paths.toolchain.glob(f"{name}-*/{ORIGIN}")
        built = [release(mark.parent.name.removeprefix(f"{name}-")) for mark in marks]
        if not any(built):
            raise
        return max(filter(None, built))
    raise Failure(f"every newer release of {module} needs a Go after {go_name(TOOLS_GO)}")


def build(
    settings: Settings, name: str, module: str, version: Release, programs: Mapping[str, str]
) -> Tool:
    """Build programs (name -> package) of a module's release, once, into the toolchain.

    Go itself checks the sources against the checksum database. The tool's `bin` is the folder.
    """
    home = settings.paths.toolchain / f"{name}-{dotted(version)}"
    with files.locked(settings.paths.toolchain / f".{name}.lock"):
        if not (home / ORIGIN).is_file():
            resources.require_disk(settings.paths.home, _DISK, f"building {name}")
            go = tools_go(settings, goproxy.needed_go(settings, module, version))
            with files.staged(home) as making:
                for file, package in programs.items():
                    _compile(settings, go, f"{module} v{dotted(version)}", package, making / file)
                files.write(making / ORIGIN, f"{module}, built with go{go.version}")
                shutil.rmtree(home, ignore_errors=True)
    return Tool(name, dotted(version), home, None, (home / ORIGIN).read_text())


def _compile(settings: Settings, go: Tool, require: str, package: str, out: Path) -> None:
    """Build one program in a module of our own: `go install` refuses modules with replacements."""
    env = go_env(settings, go) | {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=mod -modcacherw",
        "GOWORK": "off",
    }
    heart = console.Heartbeat()
    said: list[str] = []

    def heed(line: str) -> None:
        said.append(line)
        heart.beat(f"{out.name}: {len(said)} steps, {line}")

    with tempfile.TemporaryDirectory(dir=env["TMPDIR"]) as name:
        folder = Path(name)
        module = f"module stepkube.invalid/tool\n\ngo {go.version}\n\nrequire {require}\n"
        files.write(folder / "go.mod", module)
        code = follow(
            go.bin,
            "build",
            "-v",
            "-trimpath",
            "-ldflags=-s -w",
            "-o",
            out,
            package,
            on_line=heed,
            cwd=folder,
            env=env,
        )
    if code:
        raise Failure(
            f"building {require} with go{go.version} failed\n" + "\n".join(said[-4:]),
            "check the network and mirror.goproxy, or name another version",
        )
