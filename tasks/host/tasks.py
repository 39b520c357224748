"""The tasks mirror, packages and firewall, which change the host; nothing runs them but a user."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.cli.task import ANSWER, action, option
from tasks.core import console
from tasks.core.errors import Failure
from tasks.host import apt, file_changes, install, ports, yum
from tasks.host.packages import MANAGERS, RUNTIMES, removing
from tasks.host.plan import Command, Mirrors, Plan, plan
from tasks.settings.load import Settings
from tasks.system import files

KINDS = ((yum.FILES, yum.edit), (apt.FILES, apt.edit))


def mirrors_of(settings: Settings) -> Mirrors:
    """Return the mirrors of the settings."""
    mirror = settings.mirror
    return Mirrors(
        rpm=mirror.rpm,
        epel=mirror.epel,
        apt=mirror.apt,
        goproxy=mirror.goproxy,
        gosumdb=mirror.gosumdb,
        git=",".join((*settings.mirror.git, *settings.origin.git)),
    )


def make_plan(root: Path, mirrors: Mirrors, journal: file_changes.Journal) -> Plan:
    """Return what the mirrors change in the files below `root`."""
    whole = Plan()
    for patterns, edit in KINDS:
        found, left = file_changes.look(root, patterns, journal)
        whole += plan(found, edit, mirrors) + Plan(left=tuple(left))
    return whole


@action
def mirror(settings: Settings, mirrors: Mirrors, dry_run: bool, root: str) -> None:
    """Show what the mirrors change on the host, then change it."""
    mirrors.require_addresses()
    place, home = Path(root).absolute(), settings.paths.home
    if not place.is_dir():
        raise Failure(f"--root: {place} is not a folder", "name the root of a system")
    with files.locked(home / "host.lock"):
        whole = make_plan(place, mirrors, file_changes.load(home))
        for line in (*whole.lines(), *_remarks(place, mirrors)):
            console.say(line)
        if dry_run:
            return
        file_changes.require_writable((change.path for change in whole.changes), "mirror")
        for change in whole.changes:
            file_changes.apply(home, change)
    count = len(whole.changes)
    undo = "doit clean mirror restores them"
    console.note(f"files changed: {count}; {undo}" if count else "nothing to change")


@action
def undo_mirror(settings: Settings, dryrun: bool) -> None:
    """Restore the files of the host that are still as they were left."""
    home = settings.paths.home
    with files.locked(home / "host.lock"):
        changed = (path for path in map(Path, file_changes.load(home).files) if path.exists())
        file_changes.require_writable(changed, "clean", "mirror")
        for line in file_changes.restore(home, dry_run=dryrun):
            console.say(line)


@action
def packages(settings: Settings, mirrors: Mirrors, dry_run: bool) -> None:
    """Show which packages are missing and what will install them, then install them."""
    mirrors.require_addresses()
    home, manager = settings.paths.home, install.manager_here()
    runtime = RUNTIMES.get(settings.node.container_runtime, RUNTIMES["remote"])
    lacking = install.lacking(manager, runtime)
    for name, why in manager.names(runtime).items():
        console.say(f"  {'missing' if name in lacking else 'there':<8} {name:<28} {why}")
    wanted = install.commands(manager, mirrors, runtime, lacking)
    _say(wanted)
    if not install.SYSTEMD.is_dir():
        own = "; doit up starts its own containerd" if runtime is RUNTIMES["remote"] else ""
        console.say(f"no systemd runs here: no service is enabled{own}")
    if dry_run or not wanted:
        return
    install.require_root(wanted)
    with files.locked(home / "host.lock"):
        still = install.carry_out(home, manager, runtime, wanted)
    if still:
        raise Failure(
            f"no repository of this system offers: {', '.join(still)}",
            "add one that does (docs/host.md), then run doit packages again",
        )
    console.note(f"{len(lacking)} packages installed")


@action
def undo_packages(settings: Settings) -> None:
    """Say what removes the packages that were installed; removing them is left to the user."""
    journal = file_changes.load(settings.paths.home)
    for manager in MANAGERS:
        if manager.program == journal.manager:
            gone = install.missing(manager, journal.packages)
            names = [name for name in journal.packages if name not in gone]
            _say(list(removing(manager, names, journal.services if names else ())))
            return
    console.say("no packages were installed from here")


def _remarks(root: Path, mirrors: Mirrors) -> Iterator[str]:
    """Yield which mirrors are not set for files that are there, and what is never touched."""
    for key, folder in (("rpm", "yum.repos.d"), ("epel", "yum.repos.d"), ("apt", "apt")):
        if (root / "etc" / folder).is_dir() and not getattr(mirrors, key):
            yield f"not set: mirror.{key}: its files keep or get back their own addresses"
    yield (
        f"workspace only: GOPROXY={mirrors.goproxy} GOSUMDB={mirrors.gosumdb}"
        f" git={mirrors.git or 'origin.git'}: the host's Go and git settings stay"
    )


def _say(commands: list[Command]) -> None:
    for command in commands:
        console.say(f"  {command}    # {command.why}")


def _of_the_host(doc: str, action: Any, undo: Any, *params: dict[str, Any]) -> dict[str, Any]:
    """Return a task that changes the host when a user asks for it, and can be undone."""
    return {
        "doc": doc,
        "actions": [action],
        "params": [*params, option("dry-run", "show the plan and stop")],
        "clean": [undo],
        "uptodate": [False],
        "meta": ANSWER,
    }


def task_mirror(settings: Settings) -> dict[str, Any]:
    """Return the task that puts the mirrors into the host's package managers."""
    return _of_the_host(
        "put the mirrors into the host's apt, yum and dnf files (opt-in; clean restores them)",
        (mirror, [settings, mirrors_of(settings)]),
        (undo_mirror, [settings]),
        option("root", "root of the system", "/"),
    )


def task_packages(settings: Settings) -> dict[str, Any]:
    """Return the task that installs what a node needs of the host."""
    return _of_the_host(
        "install runtime, network tools and compiler on the host (opt-in; clean says how to undo)",
        (packages, [settings, mirrors_of(settings)]),
        (undo_packages, [settings]),
    )


def task_firewall(settings: Settings) -> dict[str, Any]:
    """Return the task that opens the ports of Delve."""
    return _of_the_host(
        "open the ports of Delve in the host's firewall (opt-in; clean closes them)",
        (ports.open_all, [settings]),
        (ports.close_all, [settings]),
        option("port", "only this port instead of all", 0),
        option("close", "close instead of open"),
    )
