"""The tasks mirror, packages and firewall: they change the host, and no other task runs them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.cli.task import ANSWER, action, option
from tasks.core import console
from tasks.core.errors import Failure
from tasks.host import apt, file_changes, install, ports, yum
from tasks.host.packages import MANAGERS, RUNTIMES, remove_commands
from tasks.host.plan import Command, Mirrors, Plan, plan
from tasks.settings.load import Settings
from tasks.system import files

EDITORS = ((yum.FILES, yum.edit), (apt.FILES, apt.edit))


def configured_mirrors(settings: Settings) -> Mirrors:
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
    """Return the plan that puts the mirrors into the files below `root`."""
    total = Plan()
    for patterns, edit in EDITORS:
        host_files, skipped = file_changes.find_files(root, patterns, journal)
        total += plan(host_files, edit, mirrors) + Plan(skipped=tuple(skipped))
    return total


@action
def mirror(settings: Settings, mirrors: Mirrors, dry_run: bool, root: str) -> None:
    """Show the changes of the host's files, then make them."""
    mirrors.require_addresses()
    system_root, home = Path(root).absolute(), settings.paths.home
    if not system_root.is_dir():
        message = f"--root: {system_root} is not a folder"
        raise Failure(message, "use the root folder of a system, for example /")
    with files.locked(home / "host.lock"):
        changes_plan = make_plan(system_root, mirrors, file_changes.load(home))
        for line in (*changes_plan.lines(), *_remarks(system_root, mirrors)):
            console.say(line)
        if dry_run:
            return
        file_changes.require_writable((change.path for change in changes_plan.changes), "mirror")
        for change in changes_plan.changes:
            file_changes.apply(home, change)
    count = len(changes_plan.changes)
    undo = "to restore them, run: doit clean mirror"
    console.note(f"files changed: {count}; {undo}" if count else "nothing to change")


@action
def undo_mirror(settings: Settings, dryrun: bool) -> None:
    """Restore the files of the host that were not edited since."""
    home = settings.paths.home
    with files.locked(home / "host.lock"):
        changed = (path for path in map(Path, file_changes.load(home).files) if path.exists())
        file_changes.require_writable(changed, "clean", "mirror")
        for line in file_changes.restore(home, dry_run=dryrun):
            console.say(line)


@action
def packages(settings: Settings, mirrors: Mirrors, dry_run: bool) -> None:
    """Show the missing packages and the commands that install them, then run the commands."""
    mirrors.require_addresses()
    home, manager = settings.paths.home, install.detect_manager()
    runtime = RUNTIMES.get(settings.node.container_runtime, RUNTIMES["remote"])
    to_install = install.packages_to_install(manager, runtime)
    for name, why in manager.names(runtime).items():
        console.say(f"  {'missing' if name in to_install else 'present':<8} {name:<28} {why}")
    commands = install.plan_commands(manager, mirrors, runtime, to_install)
    _print_commands(commands)
    if not install.SYSTEMD.is_dir():
        private = runtime is RUNTIMES["remote"]
        rest = "; doit up starts a private containerd" if private else ""
        console.say(f"systemd does not run: no service is enabled{rest}")
    if dry_run or not commands:
        return
    install.require_root(commands)
    with files.locked(home / "host.lock"):
        still = install.run_commands(home, manager, runtime, commands)
    if still:
        raise Failure(
            f"no repository of this system has: {', '.join(still)}",
            "add a repository that has them (docs/host.md), then run: doit packages",
        )
    console.note(f"{len(to_install)} packages installed")


@action
def undo_packages(settings: Settings) -> None:
    """Print the commands that remove the installed packages; do not run them."""
    journal = file_changes.load(settings.paths.home)
    for manager in MANAGERS:
        if manager.program == journal.manager:
            removed = install.missing(manager, journal.packages)
            names = [name for name in journal.packages if name not in removed]
            services = journal.services if names else ()
            _print_commands(list(remove_commands(manager, names, services)))
            return
    console.say("doit packages has not installed any package")


def _remarks(root: Path, mirrors: Mirrors) -> Iterator[str]:
    """Yield the mirrors that are not set although the system has their files; then the rest."""
    for key, folder in (("rpm", "yum.repos.d"), ("epel", "yum.repos.d"), ("apt", "apt")):
        if (root / "etc" / folder).is_dir() and not getattr(mirrors, key):
            yield f"not set: mirror.{key}: its files have or get their original addresses"
    yield (
        f"workspace only: GOPROXY={mirrors.goproxy} GOSUMDB={mirrors.gosumdb}"
        f" git={mirrors.git or 'origin.git'}: the host's Go and git settings are not changed"
    )


def _print_commands(commands: list[Command]) -> None:
    for command in commands:
        console.say(f"  {command}    # {command.why}")


def _of_the_host(doc: str, action: Any, undo: Any, *params: dict[str, Any]) -> dict[str, Any]:
    """Return a task that changes the host and can be undone by `doit clean`."""
    return {
        "doc": doc,
        "actions": [action],
        "params": [*params, option("dry-run", "print the plan, change nothing")],
        "clean": [undo],
        "uptodate": [False],
        "meta": ANSWER,
    }


def task_mirror(settings: Settings) -> dict[str, Any]:
    """Return the task that puts the mirrors into the host's package manager files."""
    return _of_the_host(
        "write the mirrors into the host's apt, yum and dnf files (opt-in; clean restores them)",
        (mirror, [settings, configured_mirrors(settings)]),
        (undo_mirror, [settings]),
        option("root", "root folder of the system", "/"),
    )


def task_packages(settings: Settings) -> dict[str, Any]:
    """Return the task that installs the packages that a node and the build need."""
    return _of_the_host(
        "install container runtime, network tools, compiler (opt-in; clean shows how to undo it)",
        (packages, [settings, configured_mirrors(settings)]),
        (undo_packages, [settings]),
    )


def task_firewall(settings: Settings) -> dict[str, Any]:
    """Return the task that opens the ports of Delve."""
    return _of_the_host(
        "open the Delve ports in the host's firewall (opt-in; clean closes them)",
        (ports.open_all, [settings]),
        (ports.close_all, [settings]),
        option("port", "only port to open or close; 0 means all", 0),
        option("close", "close the ports instead of opening them"),
    )
