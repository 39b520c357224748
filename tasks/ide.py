"""Editor configurations for every debug port, written into the checkout and taken out again.

What is the user's stays as it is, byte for byte: in launch.json only entries named "stepkube: ..."
are touched, the other files are the tool's own, and git ignores them through info/exclude. A
journal in the instance's folder says what a tree was like before.
"""

from __future__ import annotations

import os
import pwd
import re
import socket
import stat
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any

from tasks import report
from tasks.components import cloud_controller_manager
from tasks.debugging import swap
from tasks.editors import jsonc
from tasks.editors.entries import (
    EDITORS,
    LAUNCH,
    LISTS,
    NEW_LAUNCH,
    OWN,
    PREFIX,
    SNIPPET,
    VENDOR,
    View,
    excluded,
    goland,
    launch,
    rules,
    snippet,
)  # fmt: skip
from tasks.failure import Failure
from tasks.modules import layout
from tasks.origins import bundled
from tasks.settings import Settings, current
from tasks.system import files
from tasks.system.run import run
from tasks.tree import GIT, Checkout, load_checkout

JOURNAL = "ide.json"
_HOST = re.compile(r"\w[\w.-]*|[0-9A-Fa-f:]+(%\w+)?", re.ASCII)


@dataclass(frozen=True)
class Journal:
    """What a tree was like: what did not exist, launch.json without us, its digest with us."""

    made: tuple[str, ...] = ()
    before: str = ""
    after: str = ""


@report.action
def write(settings: Settings, remote_host: str, local_path: str, editor: str) -> None:
    """Write the editors' files into the checkout; what is right already is not touched."""
    checkout = load_checkout(settings.paths.lock)
    tree = checkout.tree
    view = _view(settings, checkout, remote_host, local_path)
    chosen = _chosen(editor)
    with files.locked(settings.paths.run / "ide.lock"):
        journals = _journals(settings)
        journal = journals.get(str(tree), Journal())
        wanted: dict[Path, str] = {}
        if "vscode" in chosen:
            before = _without_us(tree / LAUNCH, journal)
            after = jsonc.add(before if before.strip() else NEW_LAUNCH, launch(view))
            wanted[tree / LAUNCH] = after
            journal = replace(journal, before=before, after=files.digest(after))
        if "goland" in chosen:
            wanted |= {tree / name: text for name, text in goland(view).items()}
        if "nvim" in chosen:
            wanted[tree / SNIPPET] = snippet(view)
        ours = [name for name in (LAUNCH, *OWN) if tree / name in wanted or (tree / name).exists()]
        tracked = _tracked(tree, ours)
        exclude, prefix = _exclude(tree)
        patterns = [f"/{prefix}{name}" for name in ours if name not in tracked]
        if exclude is not None and (patterns or exclude.exists()):
            wanted[exclude] = excluded(_read(exclude), tree, patterns)
        made = {str(place) for path in wanted for place in _missing(path)}
        journal = replace(journal, made=tuple(sorted(made.union(journal.made))))
        _save(settings, {**journals, str(tree): journal})
        changed = [path for path, text in wanted.items() if _put(path, text, tree)]
    for name in tracked:
        report.warn(f"git tracks {tree / name}: git status shows what was added to it")
    report.note(f"{len(changed)} files written in {tree}" if changed else "nothing to change")
    if local_path or not view.is_local:
        _say_how(view, tree, local_path)


@report.action
def clean(settings: Settings) -> None:
    """Take out of every tree what this instance put into it."""
    with files.locked(settings.paths.run / "ide.lock"):
        journals = _journals(settings)
        with suppress(Failure):
            journals.setdefault(str(load_checkout(settings.paths.lock).tree), Journal())
        for name in list(journals):
            if Path(name).is_dir():
                _restore(Path(name), journals[name])
            del journals[name]
            _save(settings, journals)


def _restore(tree: Path, journal: Journal) -> None:
    exclude, _ = _exclude(tree)
    rest = {tree / LAUNCH: _without_us(tree / LAUNCH, journal)}
    if exclude is not None:
        rest[exclude] = excluded(_read(exclude), tree, ())
    for path, text in rest.items():
        bare = "".join(text.split()) in ("", "".join(NEW_LAUNCH.split()))
        if bare and str(path) in journal.made:
            path.unlink(missing_ok=True)
        elif path.exists():
            _put(path, text, tree)
    for name in OWN:
        (tree / name).unlink(missing_ok=True)
    for place in reversed(journal.made):
        with suppress(OSError):  # a file, or a folder in which something else lies by now
            Path(place).rmdir()


def _without_us(path: Path, journal: Journal) -> str:
    """Return launch.json as it was before us, with what the user has changed since."""
    try:
        text = path.read_bytes().decode() if path.exists() else ""
        if not text.strip():
            return text
        if files.digest(text) == journal.after:
            return journal.before
        if str(path) in journal.made:
            return jsonc.strip(text, LISTS, PREFIX, drop=LISTS)
        added = set(LISTS) - jsonc.keys(journal.before) if journal.after else ()
        return jsonc.strip(text, LISTS, PREFIX, drop=added)
    except UnicodeDecodeError as error:
        line, problem = error.object[: error.start].count(b"\n") + 1, "it is not UTF-8"
    except jsonc.Damaged as error:
        line, problem = error.line, str(error)
    raise Failure(f"{path}:{line}: {problem}", "correct that line, or move the file away")


def _chosen(editor: str) -> Collection[str]:
    if editor == "all":
        return EDITORS
    if editor in EDITORS:
        return (editor,)
    raise Failure(f"--editor: {editor} is not known", f"use all, {', '.join(EDITORS)}")


def _view(settings: Settings, checkout: Checkout, host: str, local_path: str) -> View:
    tree = checkout.tree
    cloud = cloud_controller_manager.runs(settings)  # a configuration of all waits for each one
    names = [name for name in swap.OFFSETS if cloud or name != cloud_controller_manager.NAME]
    view = View(host, {name: swap.port(settings, name) for name in names}, ())
    if not _HOST.fullmatch(host):
        raise Failure(
            f"--remote-host: {host!r} is neither a name nor an address",
            "name the host alone, for example devbox; the ports are the components' own",
        )
    local = _absolute(local_path or str(tree))
    binary = PurePosixPath(layout.of(settings.paths, checkout).root)
    found = rules(local, binary, _vendored(tree))
    elsewhere = bundled.built_at(settings, tree)
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
    report.say(f"  the editors connect to {view.host}, ports {listed}")
    report.say("  Delve listens on this machine's loopback only: run on the editor's machine")
    report.say(f"    ssh -NL {ports} {here}")
    if not view.is_local:
        report.say(f"  and leave --remote-host out, unless {view.host} itself passes the ports on")
    report.say(f"  {local_path or tree} there is {tree} here")


def _exclude(tree: Path) -> tuple[Path | None, str]:
    """Return git's exclude file of a tree, and the tree's place in its repository, if it has one.

    An unpacked archive has none: nothing there could be seen as changed.
    """
    asked = ("rev-parse", "--git-path", "info/exclude", "--show-prefix")
    said = run(*GIT, *asked, cwd=tree, check=False)
    if said.code:
        return None, ""
    path, prefix = said.stdout.split("\n")[:2]
    return tree / path, prefix


def _tracked(tree: Path, names: Iterable[str]) -> list[str]:
    asked = run(*GIT, "ls-files", "-z", "--", *names, cwd=tree, check=False)
    return asked.stdout.split("\0")[:-1]


def _read(path: Path) -> str:
    return path.read_bytes().decode(errors="surrogateescape") if path.exists() else ""


def _missing(path: Path) -> list[Path]:
    return [place for place in (path, *path.parents) if not place.exists()]


def _put(path: Path, text: str, tree: Path) -> bool:
    """Write a file where its links lead; it stays, or becomes, the property of the tree's owner."""
    path = path.resolve()
    about = (path if path.exists() else tree).stat()
    mode = stat.S_IMODE(about.st_mode) if path.exists() else 0o644
    places = {path, *_missing(path)}
    if not files.write_if_changed(path, text.encode(errors="surrogateescape"), mode):
        return False
    for place in places:
        with suppress(PermissionError):
            os.chown(place, about.st_uid, about.st_gid)
    return True


def _journals(settings: Settings) -> dict[str, Journal]:
    value = files.read_json(settings.paths.instance / JOURNAL) or {}
    return {
        tree: Journal(tuple(item["made"]), item["before"], item["after"])
        for tree, item in value.items()
    }


def _save(settings: Settings, journals: Mapping[str, Journal]) -> None:
    path = settings.paths.instance / JOURNAL
    if journals:
        files.write_json(path, {tree: asdict(item) for tree, item in journals.items()}, 0o600)
    else:
        path.unlink(missing_ok=True)


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
