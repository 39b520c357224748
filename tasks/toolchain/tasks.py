"""Go, etcd, Delve and CNI plugins, resolved from the checkout, verified and private.

Every tool is a small record below the instance; the programs are shared by all instances.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tasks.cli.task import Check, action, config_changed
from tasks.core import console
from tasks.core.errors import Failure
from tasks.core.redact import masked
from tasks.gomod import goproxy
from tasks.gomod.release import Release, dotted, require_release
from tasks.kubernetes import bundle_record
from tasks.kubernetes.tool_record import Tool, go_env, load_tool, save_tool
from tasks.kubernetes.tree import load_checkout
from tasks.settings.load import Settings
from tasks.system import files
from tasks.system.run import run
from tasks.toolchain import cni, go_install, goroot
from tasks.toolchain.versions import DWARF5, OLDEST_DELVE, delve_range, required_etcd, required_go

__all__ = ["Tool", "go_env", "load_tool"]

ETCD = "go.etcd.io/etcd/server/v3"
OLD_ETCD = (3, 5, 35)
"""Serves the trees that want etcd 3.1 to 3.4, which no module proxy can build."""
DELVE = "github.com/go-delve/delve"


def provide(settings: Settings, name: str, make: Callable[[Settings], Any]) -> Any:
    """Take the tool that a bundle brought for this very tree, else find, fetch or build one."""
    given = bundle_record.bundled_tool(settings, name, load_checkout(settings.paths.lock).tree)
    if given is None or (name == "etcd" and settings.etcd.version):
        return make(settings)
    found, more = given
    save_tool(settings, found, **more)
    return _note(f"{name} {found.version}", found)


@action
def make_go(settings: Settings) -> None:
    """Find or fetch the Go that the checkout is built with."""
    wanted = required_go(load_checkout(settings.paths.lock).tree)
    go = goroot.obtain(settings, wanted)
    save_tool(settings, go)
    _note(f"go{go.version}", go, wanted)


@action
def make_etcd(settings: Settings) -> None:
    """Find or build the etcd that the checkout, or the user, asks for."""
    named = settings.etcd.version
    asked = named or required_etcd(load_checkout(settings.paths.lock).tree)
    wanted = require_release(asked, "etcd.version")
    found = installed("etcd", r"etcd Version: ([\d.]+)", "--version")
    if found and (found.release == wanted if named else found.release >= wanted):
        etcd = found
    else:
        etcd = build_etcd(settings, wanted, exact=bool(named))
    save_tool(settings, etcd)
    _note(f"etcd {etcd.version}", etcd, dotted(wanted))


@action
def make_delve(settings: Settings) -> None:
    """Find or build a Delve that debugs what the checkout's Go makes."""
    go = load_tool(settings, "go")
    found = installed("dlv", r"^Version: ([\d.]+)$", "version")
    if found and delve_fits(found, go):
        delve = Tool("delve", found.version, found.bin, None, found.origin)
    else:
        version = go_install.newest(settings, "delve", DELVE)
        require_delve(version, go)
        made = go_install.build(settings, "delve", DELVE, version, {"dlv": f"{DELVE}/cmd/dlv"})
        delve = Tool("delve", made.version, made.bin / "dlv", None, made.origin)
    oldest, newest = delve_range(delve.release)
    save_tool(settings, delve, min_go=dotted(oldest), max_go=dotted(newest))
    _note(f"delve {delve.version}", delve)


@action
def make_cni(settings: Settings) -> None:
    """Build or fetch the network plugins that a node's container runtime runs."""
    made = cni.make(settings)
    save_tool(settings, made)
    _note(f"CNI plugins {made.version}", made)


def build_etcd(settings: Settings, wanted: Release, *, exact: bool) -> Tool:
    """Build etcd from its module: `wanted`, or unless `exact` a newer one that serves as well.

    Before 3.5 etcd was no module that can be built so; later lines get their newest patch when the
    wanted one is not on the proxy.
    """
    if not exact and wanted < (3, 5, 0):
        wanted = OLD_ETCD
    first: Failure | None = None
    for version in goroot.candidates(wanted, () if exact else _offered_etcd(settings)):
        try:
            made = go_install.build(settings, "etcd", ETCD, version, {"etcd": ETCD})
            return Tool("etcd", made.version, made.bin / "etcd", None, made.origin)
        except Failure as failure:
            first = first or failure
    assert first is not None  # noqa: S101 - there is always one candidate
    raise Failure(
        first.message,
        f"install etcd {dotted(wanted)}, set etcd.version (3.5.0 or newer can be built),"
        " or name another proxy in mirror.goproxy",
    )


def installed(name: str, version: str, word: str) -> Tool | None:
    """Return a program on PATH whose answer to `word` has a version, or None."""
    found = shutil.which(name)
    if found is None:
        return None
    try:
        match = re.search(version, run(found, word, timeout=20).stdout, re.MULTILINE)
    except (Failure, OSError):
        return None
    return Tool(name, match[1], Path(found), None, found) if match else None


def delve_fits(delve: Tool, go: Tool) -> bool:
    """Tell whether an installed Delve can do all we ask and knows the binaries this Go makes."""
    oldest, newest = delve_range(delve.release)
    line = go.release[:2]
    if delve.release < OLDEST_DELVE or not oldest <= line <= newest:
        return False
    if line < DWARF5:
        return True
    built = re.search(r": go(\d+)\.(\d+)", run(go.bin, "version", delve.bin, check=False).stdout)
    return built is not None and (int(built[1]), int(built[2])) >= DWARF5


def require_delve(version: Release, go: Tool) -> None:
    """Fail when even the newest Delve is older than the Go it would debug."""
    newest = delve_range(version)[1]
    if go.release[:2] > newest:
        raise Failure(
            f"Delve {dotted(version)}, the newest there is, knows Go up to {dotted(newest)},"
            f" but the tree is built with Go {go.version}",
            "wait for the next Delve, or name a proxy that has it in mirror.goproxy",
        )


def is_present(record: Path) -> bool:
    """Tell whether the program that a tool's record names is still there."""
    return Path(files.read_json(record)["bin"]).exists()


def _note(what: str, tool: Tool, wanted: str = "") -> None:
    asked = f" (the tree asks for {wanted})" if wanted and wanted != tool.version else ""
    console.note(f"{what} from {tool.origin}{asked}")


def _offered_etcd(settings: Settings) -> Iterator[Release]:
    """Yield the releases there are, asked for when the first is wanted."""
    with suppress(Failure):
        yield from goproxy.releases(settings, ETCD)


def task_toolchain(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the tasks that find, fetch or build Go, etcd, Delve and CNI plugins."""
    yield {"name": None, "doc": "find, fetch or build Go, etcd, Delve and CNI plugins"}
    yield from _tasks(settings)


def _tasks(settings: Settings) -> Sequence[dict[str, Any]]:
    mirror: Mapping[str, Any] = masked(asdict(replace(settings.mirror, images=(), git=())))
    lock, go = str(settings.paths.lock), str(settings.paths.tool("go"))

    def task(
        name: str,
        doc: str,
        action: Callable[[Settings], Any],
        config: Mapping[str, Any],
        *,
        after: str,
        file_dep: Sequence[str] = (),
    ) -> dict[str, Any]:
        record = settings.paths.tool(name)
        there = Check(f"the {name} that {record} names is there", is_present, (record,))
        return {
            "basename": "toolchain",
            "name": name,
            "doc": doc,
            "actions": [(provide, [settings, name, action])],
            "targets": [str(record)],
            "file_dep": list(file_dep),
            "task_dep": [after],
            "uptodate": [config_changed(dict(config)), there],
            "clean": True,
        }

    etcd = {**mirror, "version": settings.etcd.version}
    return [
        task(
            "go",
            "find or fetch the Go that the checkout is built with",
            make_go,
            mirror,
            after="checkout",
            file_dep=[lock],
        ),
        task(
            "etcd",
            "find or build the etcd that the checkout asks for",
            make_etcd,
            etcd,
            after="checkout",
            file_dep=[lock],
        ),
        task(
            "delve",
            "find or build the Delve that debugs what this Go makes",
            make_delve,
            mirror,
            after="toolchain:go",
            file_dep=[go],
        ),
        task(
            "cni",
            "build the network plugins of a node",
            make_cni,
            {**mirror, **cni.requested_version(settings)},
            after="checkout",
        ),
    ]
