"""Asks the package manager and systemd what there is, and runs their commands."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tasks.core import console
from tasks.core.errors import Failure
from tasks.host import file_changes
from tasks.host.packages import MANAGERS, Manager, Runtime, epel_release, installing, starting
from tasks.host.plan import Command, Mirrors
from tasks.system.run import follow, run

SYSTEMD = Path("/run/systemd/system")
OS_RELEASE = Path("/etc/os-release")


def manager_here() -> Manager:
    """Return the package manager of this system."""
    for manager in MANAGERS:
        if shutil.which(manager.program):
            return manager
    names = ", ".join(manager.program for manager in MANAGERS)
    raise Failure(f"no package manager known here was found ({names})", "docs/host.md has the list")


def missing(manager: Manager, names: Iterable[str]) -> list[str]:
    """Return the packages that neither are installed nor provided by one that is."""
    if manager.family == "rpm":
        return [
            name for name in names if run("rpm", "-q", "--whatprovides", name, check=False).code
        ]
    form = "${db:Status-Status}\t${Package}, ${Provides}\n"
    listed = run("dpkg-query", "--show", f"--showformat={form}").stdout
    installed = re.findall(r"^installed\t(.*)$", listed, re.MULTILINE)
    there = {word.split()[0] for line in installed for word in line.split(",") if word.strip()}
    return [name for name in names if name not in there]


def lacking(manager: Manager, runtime: Runtime) -> list[str]:
    """Return the packages to install: all that are missing, but for a runtime that is there."""
    there = manager.name(runtime.package) if shutil.which(runtime.program) else ""
    return [name for name in missing(manager, manager.names(runtime)) if name != there]


def commands(
    manager: Manager, mirrors: Mirrors, runtime: Runtime, names: Iterable[str]
) -> list[Command]:
    """Return what has to be run to have the packages `names` (those missing) and the service."""
    wanted, release = list(names), ""
    if wanted and manager.family == "rpm" and missing(manager, ["epel-release"]):
        text = OS_RELEASE.read_text() if OS_RELEASE.is_file() else ""
        release = epel_release(text, mirrors)
    found = list(installing(manager, wanted, release))
    asked = ("is-enabled", "is-active")
    if SYSTEMD.is_dir() and not all(_systemctl(one, runtime.service) for one in asked):
        found.append(starting(runtime.service))
    return found


def require_root(wanted: Iterable[Command]) -> None:
    """Raise Failure with the commands to run by hand unless this is root."""
    if os.geteuid() != 0:
        by_hand = " && ".join(f"sudo {command}" for command in wanted)
        raise Failure("only root may install packages and start services", by_hand)


def carry_out(
    home: Path, manager: Manager, runtime: Runtime, wanted: Iterable[Command]
) -> list[str]:
    """Run the commands and return the packages that are still missing.

    The journal names the packages before they come, so that a run cut off is not forgotten.
    """
    service, package = runtime.service, manager.name(runtime.package)
    absent = lacking(manager, runtime)
    before = file_changes.load(home)
    journal = replace(
        before,
        manager=manager.program if absent else before.manager,
        packages=tuple(dict.fromkeys((*before.packages, *absent))),
    )
    file_changes.save(home, journal)
    for command in wanted:
        if command == starting(service):
            if package in journal.packages and missing(manager, [package]):
                continue
            journal = replace(journal, services=tuple(dict.fromkeys((*journal.services, service))))
            file_changes.save(home, journal)
        execute(command)
    still = lacking(manager, runtime)
    file_changes.save(
        home, replace(journal, packages=tuple(n for n in journal.packages if n not in still))
    )
    return still


def execute(command: Command) -> None:
    """Run one command, showing its lines as they pass; Failure has the last ones."""
    last: list[str] = []

    def keep(line: str) -> None:
        last[:] = [*last[-11:], line]
        console.progress(line)

    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    code = follow(*command.argv, on_line=keep, env=env)
    if code:
        told = "\n".join(last)
        raise Failure(f"{command} exited with {code}\n{told}", "the lines above say why")


def _systemctl(question: str, service: str) -> bool:
    return run("systemctl", question, "--quiet", service, check=False).code == 0
