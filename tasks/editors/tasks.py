"""Task ide: write debug configurations of editors into the checkout, and remove them (clean).

The user's text stays byte for byte: in launch.json, only entries named "stepkube: ..." change. The
other files belong to the tool, and git ignores them through info/exclude.
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
from tasks.cli.task import action, option
from tasks.components import registry
from tasks.core import console
from tasks.core.errors import Failure
from tasks.editors import commands, jsonc_edit, tree_files
from tasks.editors.configurations import (
    EDITORS,
    VENDOR,
    View,
    goland,
    launch,
    rules,
    snippet,
    tasks,
    with_patterns,
)
from tasks.editors.naming import EMPTY, LAUNCH, LISTS, TASKS, VERBS, Naming
from tasks.kubernetes import bundle_record
from tasks.kubernetes.tree import Checkout, load_checkout
from tasks.settings.load import Settings
from tasks.system import files

_HOST = re.compile(r"\w[\w.-]*|[0-9A-Fa-f:]+(%\w+)?", re.ASCII)


@action
def write(settings: Settings, remote_host: str, local_path: str, editor: str) -> None:
    """Write the editors' files into the checkout; files that are up to date stay untouched."""
    checkout = load_checkout(settings.paths.lock)
    tree = checkout.tree
    view = _view(settings, checkout, remote_host, local_path)
    editors = _selected(editor)
    with files.locked(settings.paths.home / "ide.lock"):
        exclude, prefix = tree_files.exclude_file(tree)
        tree_files.require_allowed(tree, exclude, _names(editors, view.naming))
        journal = tree_files.start(settings, tree)
        texts: dict[Path, str] = {}
        if "vscode" in editors:
            for name, lists in ((LAUNCH, launch(view)), (TASKS, tasks(view))):
                journal, text = _entries(tree, name, lists, journal)
                texts[tree / name] = text
        if "goland" in editors:
            texts |= {tree / name: text for name, text in goland(view).items()}
        if "nvim" in editors:
            texts[tree / view.naming.snippet] = snippet(view)
        blank = {path for path, text in texts.items() if not text.strip()}
        texts = {path: text for path, text in texts.items() if path not in blank}
        stale = {path for path in blank if str(path) in journal.made}
        if "goland" in editors:
            stale |= {tree / name for name in view.naming.goland.values()} - texts.keys()
        tree_files.remove(tree, stale)
        names = [name for name in LISTS if journal.text(name)[1]]
        names += view.naming.tool_files
        present = [name for name in names if tree / name in texts or (tree / name).exists()]
        tracked = tree_files.tracked(tree, present)
        patterns = [f"/{prefix}{name}" for name in present if name not in tracked]
        if exclude is not None and (patterns or exclude.exists()):
            texts[exclude] = with_patterns(
                tree_files.read(exclude, tree), tree, view.naming.word, patterns
            )
        missing = {str(place) for path in texts for place in tree_files.missing(path)}
        journal = replace(journal, made=tuple(sorted(missing.union(journal.made))))
        tree_files.save(settings, {**tree_files.journals(settings), str(tree): journal})
        changed = [path for path, text in texts.items() if tree_files.write(path, text, tree)]
    for name in tracked:
        console.warn(f"git tracks {tree / name}: git status shows its new entries")
    console.note(f"{len(changed)} files written in {tree}" if changed else "nothing to change")
    if local_path or not view.is_local:
        _print_connection(view, tree, local_path)


@action
def clean(settings: Settings) -> None:
    """Remove the files and entries of this instance from every tree that it wrote to."""
    with files.locked(settings.paths.home / "ide.lock"):
        journals = tree_files.journals(settings)
        with suppress(Failure):
            tree = load_checkout(settings.paths.lock).tree
            journals.setdefault(str(tree), tree_files.Journal(instance=settings.name))
        for name in list(journals):
            if Path(name).is_dir():
                tree_files.restore(Path(name), journals[name])
            del journals[name]
            tree_files.save(settings, journals)


def _selected(editor: str) -> Collection[str]:
    if editor == "all":
        return EDITORS
    if editor in EDITORS:
        return (editor,)
    raise Failure(f"--editor: {editor} is not supported", f"use all, {', '.join(EDITORS)}")


def _entries(
    tree: Path, name: str, lists: dict[str, list[dict[str, Any]]], journal: tree_files.Journal
) -> tuple[tree_files.Journal, str]:
    """Return the journal and the text of a file with these entries (see LISTS)."""
    before = tree_files.without_tool_entries(tree, name, journal)
    text = tree_files.read(tree / name, tree)
    prefix = Naming(journal.instance).prefix
    if text.strip() and jsonc_edit.entries(text, lists, prefix) == lists:
        return journal, text  # another instance can have added entries after these ones
    if not any(lists.values()):
        return journal.with_text(name, before, ""), before
    after = jsonc_edit.add(before if before.strip() else EMPTY[name], lists)
    return journal.with_text(name, before, files.digest(after)), after


def _names(editors: Collection[str], naming: Naming) -> list[str]:
    """Return the files in the tree that belong to these editors."""
    files_of = {
        "vscode": tuple(LISTS),
        "goland": tuple(naming.goland.values()),
        "nvim": (naming.snippet,),
    }
    return [name for editor in editors for name in files_of[editor]]


def _view(settings: Settings, checkout: Checkout, host: str, local_path: str) -> View:
    tree = checkout.tree
    ports = {
        name: registry.debug_port(settings, name)
        for name in registry.debug_offsets()
        # "debug all" waits for every component in it
        if registry.COMPONENTS[name].enabled(settings)
    }
    view = View(host, ports, (), Naming(settings.name))
    if not _HOST.fullmatch(host):
        raise Failure(
            f"--remote-host: {host!r} is not a host name or an address",
            "use the host without a port, for example devbox",
        )
    local = _absolute(local_path or str(tree))
    binary = PurePosixPath(layout.layout_of(settings.paths, checkout).root)
    mapping = rules(local, binary, _vendored(tree))
    built_root = bundle_record.built_root(settings, tree)
    if built_root is not None:  # binaries of a bundle contain paths of another machine
        mapping += rules(local, PurePosixPath(built_root), _vendored(tree))
    view = replace(view, rules=tuple(dict.fromkeys(mapping)))
    if not view.is_local or str(local) != str(tree):
        return view  # doit is not on the editor's machine
    argv = {
        f"{verb}:{name}": commands.doit(settings, [f"{verb}:{name}"])
        for name in ports
        for verb in VERBS
    }
    together = {
        verb: commands.doit(settings, [f"{verb}:{name}" for name in ports]) for verb in VERBS
    }
    return replace(view, commands={**argv, **together})


def _absolute(path: str) -> PurePath:
    """Return a path on the editor's machine, POSIX or Windows. Raises Failure if it is relative."""
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(path).is_absolute():
            return kind(path)
    raise Failure(
        f"--local-path: {path} is a relative path",
        "use the absolute path on the editor's machine, for example /home/me/kubernetes",
    )


def _vendored(tree: Path) -> tuple[str, ...] | None:
    """Return the real folders next to the links to staging modules, None without such links."""
    folder = tree / VENDOR
    places = sorted(folder.iterdir()) if folder.is_dir() else []
    if not any(place.is_symlink() for place in places):
        return None
    return tuple(place.name for place in places if place.is_dir() and not place.is_symlink())


def _print_connection(view: View, tree: Path, local_path: str) -> None:
    """Print how an editor on another machine connects to the ports, and the path mapping."""
    target = socket.gethostname() if view.is_local else view.host
    with suppress(KeyError):
        target = f"{pwd.getpwuid(os.geteuid()).pw_name}@{target}"
    ports = " -L ".join(f"{port}:127.0.0.1:{port}" for port in view.ports.values())
    numbers = ", ".join(str(port) for port in view.ports.values())
    console.say(f"  the editors connect to {view.host}, ports {numbers}")
    console.say("  Delve listens on loopback of this machine only; on the editor's machine, run:")
    console.say(f"    ssh -NL {ports} {target}")
    if not view.is_local:
        console.say(f"  and leave out --remote-host, unless {view.host} forwards the ports itself")
    console.say(f"  {local_path or tree} on the editor's machine is {tree} on this machine")


def task_ide(settings: Settings) -> dict[str, Any]:
    """Write the editors' debug configurations into the checkout."""
    return {
        "doc": "write debug configurations for VS Code, GoLand and Neovim into the checkout",
        "actions": [(write, [settings])],
        "task_dep": ["checkout"],
        "uptodate": [False],
        "clean": [(clean, [settings])],
        "params": [
            option("remote-host", "host to which the editors connect", "127.0.0.1"),
            option(
                "local-path", "path of the checkout on the editors' machine, if it is different", ""
            ),
            option(
                "editor",
                "editor to write for",
                "all",
                choices=(("all", "all editors"), *EDITORS.items()),
            ),
        ],
    }
