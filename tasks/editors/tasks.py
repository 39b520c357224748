"""Editor configurations for every debug port, written into the checkout and taken out again.

What is the user's stays as it is, byte for byte: in launch.json only entries named "stepkube: ..."
are touched, the other files are the tool's own, and git ignores them through info/exclude.
"""

from __future__ import annotations

import os
import pwd
import re
import socket
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any

from tasks.build import layout
from tasks.components import registry
from tasks.core import console
from tasks.core.errors import Failure
from tasks.editors import jsonc_edit, tree_files
from tasks.editors.configurations import (
    EDITORS,
    LAUNCH,
    NEW_LAUNCH,
    OWN,
    SNIPPET,
    VENDOR,
    View,
    excluded,
    goland,
    launch,
    rules,
    snippet,
)
from tasks.kubernetes import bundle_record
from tasks.kubernetes.tree import Checkout, load_checkout
from tasks.settings.load import Settings, current
from tasks.system import files

_HOST = re.compile(r"\w[\w.-]*|[0-9A-Fa-f:]+(%\w+)?", re.ASCII)


@console.action
def write(settings: Settings, remote_host: str, local_path: str, editor: str) -> None:
    """Write the editors' files into the checkout; what is right already is not touched."""
    checkout = load_checkout(settings.paths.lock)
    tree = checkout.tree
    view = _view(settings, checkout, remote_host, local_path)
    chosen = _chosen(editor)
    with files.locked(settings.paths.run / "ide.lock"):
        journals = tree_files.journals(settings)
        journal = journals.get(str(tree), tree_files.Journal())
        wanted: dict[Path, str] = {}
        if "vscode" in chosen:
            before = tree_files.without_own_entries(tree / LAUNCH, journal)
            after = jsonc_edit.add(before if before.strip() else NEW_LAUNCH, launch(view))
            wanted[tree / LAUNCH] = after
            journal = replace(journal, before=before, after=files.digest(after))
        if "goland" in chosen:
            wanted |= {tree / name: text for name, text in goland(view).items()}
        if "nvim" in chosen:
            wanted[tree / SNIPPET] = snippet(view)
        ours = [name for name in (LAUNCH, *OWN) if tree / name in wanted or (tree / name).exists()]
        tracked = tree_files.tracked(tree, ours)
        exclude, prefix = tree_files.exclude_file(tree)
        patterns = [f"/{prefix}{name}" for name in ours if name not in tracked]
        if exclude is not None and (patterns or exclude.exists()):
            wanted[exclude] = excluded(tree_files.read(exclude), tree, patterns)
        made = {str(place) for path in wanted for place in tree_files.missing(path)}
        journal = replace(journal, made=tuple(sorted(made.union(journal.made))))
        tree_files.save(settings, {**journals, str(tree): journal})
        changed = [path for path, text in wanted.items() if tree_files.put(path, text, tree)]
    for name in tracked:
        console.warn(f"git tracks {tree / name}: git status shows what was added to it")
    console.note(f"{len(changed)} files written in {tree}" if changed else "nothing to change")
    if local_path or not view.is_local:
        _say_how(view, tree, local_path)


@console.action
def clean(settings: Settings) -> None:
    """Take out of every tree what this instance put into it."""
    with files.locked(settings.paths.run / "ide.lock"):
        journals = tree_files.journals(settings)
        with suppress(Failure):
            journals.setdefault(str(load_checkout(settings.paths.lock).tree), tree_files.Journal())
        for name in list(journals):
            if Path(name).is_dir():
                tree_files.restore(Path(name), journals[name])
            del journals[name]
            tree_files.save(settings, journals)


def _chosen(editor: str) -> Collection[str]:
    if editor == "all":
        return EDITORS
    if editor in EDITORS:
        return (editor,)
    raise Failure(f"--editor: {editor} is not known", f"use all, {', '.join(EDITORS)}")


def _view(settings: Settings, checkout: Checkout, host: str, local_path: str) -> View:
    tree = checkout.tree
    ports = {
        name: registry.debug_port(settings, name)
        for name in registry.debug_offsets()
        # a configuration of all waits for each one
        if registry.COMPONENTS[name].enabled(settings)
    }
    view = View(host, ports, ())
    if not _HOST.fullmatch(host):
        raise Failure(
            f"--remote-host: {host!r} is neither a name nor an address",
            "name the host alone, for example devbox; the ports are the components' own",
        )
    local = _absolute(local_path or str(tree))
    binary = PurePosixPath(layout.layout_of(settings.paths, checkout).root)
    found = rules(local, binary, _vendored(tree))
    elsewhere = bundle_record.built_root(settings, tree)
    if elsewhere is not None:  # binaries that a bundle brought name the files of another machine
        found += rules(local, PurePosixPath(elsewhere), _vendored(tree))
    return replace(view, rules=tuple(dict.fromkeys(found)))


def _absolute(path: str) -> PurePath:
    """Return a path of the editor's machine, which may be a Windows one."""
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(path).is_absolute():
            return kind(path)
    raise Failure(
        f"--local-path: {path} is a relative path",
        "name the checkout's whole path on the editor's machine, for example /home/me/kubernetes",
    )


def _vendored(tree: Path) -> tuple[str, ...] | None:
    """Return the real folders beside the links to staging modules, None without such links."""
    folder = tree / VENDOR
    places = sorted(folder.iterdir()) if folder.is_dir() else []
    if not any(place.is_symlink() for place in places):
        return None
    return tuple(place.name for place in places if place.is_dir() and not place.is_symlink())


def _say_how(view: View, tree: Path, local_path: str) -> None:
    """Say how an editor on another machine reaches the ports and finds the files."""
    here = socket.gethostname() if view.is_local else view.host
    with suppress(KeyError):
        here = f"{pwd.getpwuid(os.geteuid()).pw_name}@{here}"
    ports = " -L ".join(f"{port}:127.0.0.1:{port}" for port in view.ports.values())
    listed = ", ".join(str(port) for port in view.ports.values())
    console.say(f"  the editors connect to {view.host}, ports {listed}")
    console.say("  Delve listens on this machine's loopback only: run on the editor's machine")
    console.say(f"    ssh -NL {ports} {here}")
    if not view.is_local:
        console.say(f"  and leave --remote-host out, unless {view.host} itself passes the ports on")
    console.say(f"  {local_path or tree} there is {tree} here")


def task_ide() -> dict[str, Any]:
    """Write the editors' debug configurations into the checkout."""
    settings = current()
    return {
        "doc": "write debug configurations for VS Code, GoLand and Neovim into the checkout",
        "actions": [(write, [settings])],
        "task_dep": ["checkout"],
        "uptodate": [False],
        "clean": [(clean, [settings])],
        "params": [
            _param("remote-host", "127.0.0.1", "host that the editors connect to"),
            _param("local-path", "", "the checkout's path where the editors run, if it is another"),
            _param("editor", "all", "which editor to write for")
            | {"choices": [("all", "all of them"), *EDITORS.items()]},
        ],
    }


def _param(name: str, default: str, about: str) -> dict[str, Any]:
    return {"name": name.replace("-", "_"), "long": name, "default": default, "help": about}
