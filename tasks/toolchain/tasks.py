"""Tasks that find, fetch or build Go, etcd, Delve and CNI plugins.

The checkout decides the versions. Every tool has a record in the instance; all instances share the
programs.
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
from tasks.system.run import run
from tasks.toolchain import cni, go_install, goroot, integrity
from tasks.toolchain.versions import DWARF5, OLDEST_DELVE, delve_range, required_etcd, required_go

__all__ = ["Tool", "go_env", "load_tool"]

ETCD = "go.etcd.io/etcd/server/v3"
OLD_ETCD = (3, 5, 35)
"""The etcd for trees that need 3.1 to 3.4, which cannot be built from a Go module proxy."""
DELVE = "github.com/go-delve/delve"


def provide(settings: Settings, name: str, make: Callable[[Settings], Any]) -> Any:
    """Use the tool of the bundle that the tree comes from, else find, fetch or build one."""
    damaged = integrity.damaged_program(settings, name)
    if damaged is not None:
        console.say(f"  {name}: {damaged} is missing, damaged or not executable: it is made again")
    bundled = bundle_record.bundled_tool(settings, name, load_checkout(settings.paths.lock).tree)
    if bundled is None or (name == "etcd" and settings.etcd.version):
        return make(settings)
    tool, more = bundled
    save_tool(settings, tool, **more)
    return _note(f"{name} {tool.version}", tool)


@action
def make_go(settings: Settings) -> None:
    """Find or fetch the Go that builds the checkout."""
    required = required_go(load_checkout(settings.paths.lock).tree)
    go = goroot.obtain(settings, required)
    save_tool(settings, go)
    _note(f"go{go.version}", go, required)


@action
def make_etcd(settings: Settings) -> None:
    """Find or build the etcd of etcd.version, else the etcd that the checkout needs."""
    exact = bool(settings.etcd.version)
    version = settings.etcd.version or required_etcd(load_checkout(settings.paths.lock).tree)
    required = require_release(version, "etcd.version")
    found = _installed("etcd", "--version", r"etcd Version: ([\d.]+)")
    if found and (found.release == required if exact else found.release >= required):
        etcd = found
    else:
        etcd = build_etcd(settings, required, exact=exact)
    save_tool(settings, etcd)
    _note(f"etcd {etcd.version}", etcd, dotted(required))


@action
def make_delve(settings: Settings) -> None:
    """Find or build a Delve that debugs binaries of the checkout's Go."""
    go = load_tool(settings, "go")
    found = _installed("dlv", "version", r"^Version: ([\d.]+)$")
    if found and delve_fits(found, go):
        delve = Tool("delve", found.version, found.bin, None, found.origin)
    else:
        version = go_install.newest(settings, "delve", DELVE)
        _require_delve(version, go)
        built = go_install.build(settings, "delve", DELVE, version, {"dlv": f"{DELVE}/cmd/dlv"})
        delve = Tool("delve", built.version, built.bin / "dlv", None, built.origin)
    oldest, newest = delve_range(delve.release)
    save_tool(settings, delve, min_go=dotted(oldest), max_go=dotted(newest))
    _note(f"delve {delve.version}", delve)


@action
def make_cni(settings: Settings) -> None:
    """Build or fetch the CNI plugins, which the container runtime of the node runs."""
    plugins = cni.make(settings)
    save_tool(settings, plugins)
    _note(f"CNI plugins {plugins.version}", plugins)


def build_etcd(settings: Settings, required: Release, *, exact: bool) -> Tool:
    """Build etcd from its Go module: the required release, or a newer patch unless `exact`.

    etcd before 3.5 is not a Go module that can be built: OLD_ETCD is used instead. A newer patch is
    used if the proxy does not have the required release.
    """
    if not exact and required < (3, 5, 0):
        required = OLD_ETCD
    first: Failure | None = None
    for version in goroot.candidates(required, () if exact else _offered_etcd(settings)):
        try:
            built = go_install.build(settings, "etcd", ETCD, version, {"etcd": ETCD})
            return Tool("etcd", built.version, built.bin / "etcd", None, built.origin)
        except Failure as failure:
            first = first or failure
    assert first is not None  # noqa: S101 - there is always one candidate
    raise Failure(
        first.message,
        f"install etcd {dotted(required)}, set etcd.version (3.5.0 or newer can be built),"
        " or set mirror.goproxy to another proxy",
    )


def _installed(name: str, argument: str, pattern: str) -> Tool | None:
    """Return a program in PATH that prints its version; None if there is none.

    `pattern` matches the version in the output of `name argument`.
    """
    path = shutil.which(name)
    if path is None:
        return None
    try:
        match = re.search(pattern, run(path, argument, timeout=20).stdout, re.MULTILINE)
    except (Failure, OSError):
        return None
    return Tool(name, match[1], Path(path), None, path) if match else None


def delve_fits(delve: Tool, go: Tool) -> bool:
    """Return whether an installed Delve is new enough and can debug binaries of this Go."""
    oldest, newest = delve_range(delve.release)
    minor = go.release[:2]
    if delve.release < OLDEST_DELVE or not oldest <= minor <= newest:
        return False
    if minor < DWARF5:
        return True
    built = re.search(r": go(\d+)\.(\d+)", run(go.bin, "version", delve.bin, check=False).stdout)
    return built is not None and (int(built[1]), int(built[2])) >= DWARF5


def _require_delve(version: Release, go: Tool) -> None:
    """Raise Failure if the newest Delve does not support the Go that builds the tree."""
    newest = delve_range(version)[1]
    if go.release[:2] > newest:
        raise Failure(
            f"Delve {dotted(version)}, the newest release, supports Go up to {dotted(newest)},"
            f" but the tree is built with Go {go.version}",
            "wait for the next Delve, or set mirror.goproxy to a proxy that has it",
        )


def _note(name: str, tool: Tool, required: str = "") -> None:
    needs = f" (the tree needs {required})" if required and required != tool.version else ""
    console.note(f"{name} from {tool.origin}{needs}")


def _offered_etcd(settings: Settings) -> Iterator[Release]:
    """Yield the etcd releases that a proxy lists; fetch the list at the first use."""
    with suppress(Failure):
        yield from goproxy.releases(settings, ETCD)


def task_toolchain(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the tasks that find, fetch or build Go, etcd, Delve and CNI plugins."""
    yield {"name": None, "doc": "find, download or build Go, etcd, Delve and CNI plugins"}
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
        message = f"the programs of {record} exist undamaged"
        intact = Check(message, integrity.is_intact, (settings, name))
        return {
            "basename": "toolchain",
            "name": name,
            "doc": doc,
            "actions": [(provide, [settings, name, action])],
            "targets": [str(record)],
            "file_dep": list(file_dep),
            "task_dep": [after],
            "uptodate": [config_changed(dict(config)), intact],
            "clean": True,
        }

    etcd = {**mirror, "version": settings.etcd.version}
    return [
        task(
            "go",
            "find or download the Go that builds the checkout",
            make_go,
            mirror,
            after="checkout",
            file_dep=[lock],
        ),
        task(
            "etcd",
            "find or build the etcd that the checkout needs",
            make_etcd,
            etcd,
            after="checkout",
            file_dep=[lock],
        ),
        task(
            "delve",
            "find or build a Delve that debugs binaries of this Go",
            make_delve,
            mirror,
            after="toolchain:go",
            file_dep=[go],
        ),
        task(
            "cni",
            "build or download the CNI plugins of the node",
            make_cni,
            {**mirror, **cni.requested_version(settings)},
            after="checkout",
        ),
    ]
