"""Builds programs of the toolchain from Go modules, with a Go that is new enough for them."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from tasks.core import console
from tasks.core.errors import Failure
from tasks.gomod import goproxy
from tasks.gomod.release import Release, dotted, release
from tasks.kubernetes.tool_record import ORIGIN, Tool, go_env, installed_go, origin_of, save_tool
from tasks.settings.load import Settings
from tasks.system import files, resources, sealed
from tasks.system.run import follow
from tasks.toolchain import goroot
from tasks.toolchain.versions import go_name

TOOLS_GO = (1, 26, 11)
"""The Go that builds the tools if the machine has none that is new enough."""
OLDEST_TOOLS_GO = (1, 25, 0)
"""Delve reads the DWARF 5 of Go 1.25 and newer only if it was built with such a Go."""

_RELEASES_TRIED = 8
_DISK = 2.0  # GiB: twice the size of Go's caches after a build of etcd and Delve


def tools_go(settings: Settings, at_least: Release = OLDEST_TOOLS_GO) -> Tool:
    """Return a Go that builds the tools, and write its record as tools-go.

    It is an installed Go, else one of the toolchain folder, else TOOLS_GO, which is fetched. Raises
    Failure if no Go of `at_least` or newer is found.
    """
    oldest = max(at_least, OLDEST_TOOLS_GO)
    available = itertools.chain(installed_go(), goroot.kept_goroot(settings))
    found = next((go for go in available if go.release >= oldest), None)
    go = found or goroot.obtain(settings, go_name(max(oldest, TOOLS_GO)))
    tool = Tool("tools-go", go.version, go.bin, go.root, go.origin)
    save_tool(settings, tool)
    return tool


def newest(settings: Settings, name: str, module: str) -> Release:
    """Return the newest release of a Go module that TOOLS_GO can build.

    If no proxy answers, it is the newest release of `name` that the toolchain folder has.
    """
    try:
        for version in goproxy.releases(settings, module)[:_RELEASES_TRIED]:
            if goproxy.needed_go(settings, module, version) <= TOOLS_GO:
                return version
    except Failure:
        origin_files = settings.paths.toolchain.glob(f"{name}-*/{ORIGIN}")
        built = [release(file.parent.name.removeprefix(f"{name}-")) for file in origin_files]
        if not any(built):
            raise
        return max(filter(None, built))
    raise Failure(
        f"every recent release of {module} needs a Go newer than {go_name(TOOLS_GO)}",
        "use a newer stepkube",
    )


def build(
    settings: Settings, name: str, module: str, version: Release, programs: Mapping[str, str]
) -> Tool:
    """Build programs (name -> package) of a Go module's release into a folder of the toolchain.

    A folder that exists is used again. Go checks the source with the checksum database. The tool's
    `bin` is the folder.
    """
    home = settings.paths.toolchain / f"{name}-{dotted(version)}"
    with files.locked(settings.paths.toolchain / f".{name}.lock"):
        if not _is_kept(home, programs):
            resources.require_disk(settings.paths.home, _DISK, f"building {name}")
            go = tools_go(settings, goproxy.needed_go(settings, module, version))
            with files.staged(home) as staging:
                for file, package in programs.items():
                    _compile(settings, go, f"{module} v{dotted(version)}", package, staging / file)
                    sealed.seal(staging / file)
                files.write(staging / ORIGIN, f"{module}, built with go{go.version}")
                shutil.rmtree(home, ignore_errors=True)
    return Tool(name, dotted(version), home, None, origin_of(home))


def _is_kept(home: Path, programs: Iterable[str]) -> bool:
    """Return whether a folder of the toolchain is complete and its programs are undamaged."""
    return os.path.lexists(home / ORIGIN) and all(
        sealed.is_intact(home / name) for name in programs
    )


def _compile(settings: Settings, go: Tool, require: str, package: str, out: Path) -> None:
    """Build one program in a temporary Go module that requires the program's Go module.

    `go install` refuses Go modules that have replace lines.
    """
    env = go_env(settings, go) | {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=mod -modcacherw",
        "GOWORK": "off",
    }
    heartbeat = console.Heartbeat()
    output: list[str] = []

    def on_line(line: str) -> None:
        output.append(line)
        heartbeat.beat(f"{out.name}: {len(output)} steps, {line}")

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
            on_line=on_line,
            cwd=folder,
            env=env,
        )
    if code:
        raise Failure(
            f"building {require} with go{go.version} failed\n" + "\n".join(output[-4:]),
            "check the network and mirror.goproxy, or set another version",
        )
